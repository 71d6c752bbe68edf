# The modules. A folder that has no go.mod is passed over.
MODULES := . auth/aws/official kv/koanfkv internal/testvault examples
SUITE   := internal/testvault

GOLANGCI_VERSION := v2.15.0

# The linter refuses code for a newer Go than the one it was built with, so the
# name of its binary carries both versions.
TOOLS    := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/leasehold/bin
GOLANGCI := $(TOOLS)/golangci-lint-$(GOLANGCI_VERSION)-$(shell go env GOVERSION)

PRESENT := $(foreach m,$(MODULES),$(if $(wildcard $(m)/go.mod),$(m)))
TESTED  := $(filter-out $(SUITE),$(PRESENT))

# The race detector needs cgo and a C compiler. CI goes without neither.
HAS_CC = $(shell test "$$(go env CGO_ENABLED)" = 1 && command -v "$$(go env CC)")
RACE   = $(if $(or $(CI),$(HAS_CC)),-race)
FRESH  = $(if $(CI),-count=1)

# REPORT=FILE appends each run's counts and figures to FILE; .ci/run sums them up.
GOTEST = go run ./internal/cireport $(if $(REPORT),-record "$(REPORT)") -stage $@

# $(call each,COMMAND) runs COMMAND in every module's folder.
each = @for m in $(PRESENT); do echo "--- $$m"; (cd $$m && $(1)) || exit 1; done

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## Compile everything
	$(call each,go build ./...)

.PHONY: test
test: ## Unit tests and the in-memory Vault; needs only Go, about two minutes once compiled
	@test -n "$(RACE)" || echo "without the race detector: it needs cgo and a C compiler"
	$(GOTEST) -modules "$(TESTED)" -- $(RACE) $(FRESH) ./...
	@test ! -f $(SUITE)/go.mod || (cd $(SUITE) && go vet ./...)

.PHONY: fuzz
fuzz: ## Fuzz each target for ten seconds; FUZZTIME=1m for longer
	$(GOTEST) -modules "$(TESTED)" -without vaulttest -fuzz $(or $(FUZZTIME),10s)

.PHONY: integration
integration: servers ## Tests against real servers; the first run builds Vault (about ten minutes) and Kubernetes (about seven)
	$(GOTEST) -modules $(SUITE) -- $(RACE) -count=1 -p 1 -timeout 30m -parallel 3 ./... # one package at a time, and few tests: the suite watches the clock

.PHONY: soak
soak: postgres ## Random faults for ten minutes; SOAK=1h for longer, SEED=1 for the same again
	cd $(SUITE) && go run ./cmd/build vault
	LEASEHOLD_SOAK=$(or $(SOAK),10m) LEASEHOLD_SOAK_SEED=$(or $(SEED),$$(date +%s)) \
		$(GOTEST) -modules $(SUITE) -- $(RACE) -count=1 -timeout 24h -run '^TestSoak$$' ./suite

.PHONY: servers
servers: postgres # Vault and Kubernetes, each built once
	cd $(SUITE) && go run ./cmd/build vault kubernetes

.PHONY: postgres
postgres: # PostgreSQL's server programs, for the integration suite
	@if ! { command -v initdb || ls /usr/lib/postgresql/*/bin/initdb; } >/dev/null 2>&1; then \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends postgresql; \
		else \
			echo "PostgreSQL's initdb was not found: install the PostgreSQL server"; \
		fi; \
	fi

.PHONY: bench
bench: ## Print the figures that are measured in process, ours beside the peer's
	$(GOTEST) -modules "$(TESTED)" -- -tags figures -run '^TestFigure' -count=1 -p 1 -timeout 20m ./...

.PHONY: demo
demo: ## See the library at work in a terminal, in seconds, with nothing to install
	cd examples && go run ./demo

.PHONY: demo-real
demo-real: postgres ## The same against a real Vault and PostgreSQL, with a query every 100 ms
	cd $(SUITE) && go run ./cmd/build vault
	cd examples && go run ./demo -real

.PHONY: mutate
mutate: ## Break each law of the library and check that its test notices
	go run ./internal/mutate

.PHONY: lint
lint: tools ## Check style, formatting, tidiness of each go.mod, and that 32 bits are enough to build
	@out=$$(gofmt -l .); test -z "$$out" || { echo "not formatted, run make fmt:"; echo "$$out"; exit 1; }
	$(call each,go mod tidy -diff)
	GOARCH=386 go build ./... # where an int has 32 bits
	$(call each,"$(GOLANGCI)" run ./...)

.PHONY: fmt
fmt: tools ## Format the code
	$(call each,"$(GOLANGCI)" fmt ./...)

.PHONY: tidy
tidy: ## Tidy each go.mod
	$(call each,go mod tidy)

.PHONY: tools
tools: $(GOLANGCI) ## Build the linter, once for each version of it and of Go

$(GOLANGCI):
	@echo "building golangci-lint $(GOLANGCI_VERSION), some minutes"
	@mkdir -p "$(TOOLS)/new"
	GOBIN="$(TOOLS)/new" go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
	@mv "$(TOOLS)/new/golangci-lint" "$@"
