package vaulttest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// program stands in for a *testing.T where there is none.
type program struct{ atExit []func() }

func (*program) Helper()                           {}
func (p *program) Cleanup(f func())                { p.atExit = append(p.atExit, f) }
func (*program) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

// A credential says that it lasts an hour. Its token lasts a minute, and takes it along.
func Example() {
	s := vaulttest.New(&program{}) // in a test: vaulttest.New(t)
	s.DynamicRole("database", "app", vaulttest.RoleSpec{DefaultTTL: time.Hour})
	s.Policy("app", vaulttest.Rule{Path: "database/creds/app", Capabilities: []string{"read"}})
	token := s.CreateToken(vaulttest.TokenSpec{Policies: []string{"app"}, TTL: time.Minute})

	req, _ := http.NewRequest(http.MethodGet, "http://vault/v1/database/creds/app", http.NoBody)
	req.Header.Set("X-Vault-Token", token)
	resp, err := s.Client().Do(req)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	var secret struct {
		LeaseDuration int `json:"lease_duration"`
		Data          struct{ Username string }
	}
	if err := json.NewDecoder(resp.Body).Decode(&secret); err != nil {
		fmt.Println(err)
		return
	}

	fmt.Println("lasts, it says:", secret.LeaseDuration)
	fmt.Println("alive:", s.Alive(secret.Data.Username))
	s.Advance(time.Minute)
	fmt.Println("a minute later:", s.Alive(secret.Data.Username))
	// Output:
	// lasts, it says: 3600
	// alive: true
	// a minute later: false
}

// The faults of a network: an answer lost after its effect leaves a lease that nobody knows of.
func ExampleServer_Fail() {
	s := vaulttest.New(&program{})
	s.DynamicRole("database", "app", vaulttest.RoleSpec{})
	s.Fail(vaulttest.Fault{Path: "database/creds/", Count: 1, DropAfter: true})

	req, _ := http.NewRequest(http.MethodGet, "http://vault/v1/database/creds/app", http.NoBody)
	req.Header.Set("X-Vault-Token", s.RootToken())
	resp, err := s.Client().Do(req)
	if err == nil {
		resp.Body.Close()
	}
	fmt.Println(err)
	fmt.Println("leases:", len(s.Leases()))
	// Output:
	// Get "http://vault/v1/database/creds/app": EOF
	// leases: 1
}
