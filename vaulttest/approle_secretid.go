package vaulttest

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"time"
)

// appSecretID is a living secret ID of a role: a used-up or destroyed one is not in approle.secrets.
type appSecretID struct {
	role                      *approle
	id, accessor              string
	uses                      int // left; 0: without limit
	ttl                       time.Duration
	metadata                  map[string]string
	created, updated, expires time.Time // expires is zero if never
}

// newSecretID makes a secret ID with the role's own limits.
func (r *approle) newSecretID(now time.Time) *appSecretID {
	return r.addSecretID(&appSecretID{id: newUUID(), uses: r.spec.SecretIDNumUses, ttl: r.spec.SecretIDTTL}, now)
}

func (r *approle) addSecretID(secret *appSecretID, now time.Time) *appSecretID {
	secret.role, secret.accessor, secret.created, secret.updated = r, newUUID(), now, now
	if secret.metadata == nil {
		secret.metadata = map[string]string{}
	}
	if secret.ttl > 0 {
		secret.expires = now.Add(min(secret.ttl, systemTTL))
	}
	r.secrets[secret.id] = secret
	return secret
}

// tidy drops what has expired. Vault does so once a minute.
func (r *approle) tidy(now time.Time) {
	maps.DeleteFunc(r.secrets, func(_ string, secret *appSecretID) bool {
		return !secret.expires.IsZero() && !now.Before(secret.expires)
	})
}

// secret returns the role's living secret ID of that text, or nil.
func (r *approle) secret(id string, now time.Time) *appSecretID {
	r.tidy(now)
	return r.secrets[id]
}

// byAccessor returns the role's living secret ID with that accessor, or nil.
func (r *approle) byAccessor(accessor string, now time.Time) *appSecretID {
	r.tidy(now)
	for _, secret := range r.secrets {
		if secret.accessor == accessor {
			return secret
		}
	}
	return nil
}

// use counts a login.
func (secret *appSecretID) use(now time.Time) {
	switch secret.uses {
	case 0:
	case 1:
		delete(secret.role.secrets, secret.id)
	default:
		secret.uses, secret.updated = secret.uses-1, now
	}
}

// handedOut is what Vault says when it hands out a secret ID.
func (secret *appSecretID) handedOut() map[string]any {
	return map[string]any{
		"secret_id": secret.id, "secret_id_accessor": secret.accessor, "secret_id_num_uses": secret.uses,
		"secret_id_ttl": seconds(min(secret.ttl, systemTTL)),
	}
}

// lookup is what Vault says of a secret ID later.
func (secret *appSecretID) lookup(f fields) reply {
	if secret == nil {
		return noContent()
	}
	return answer(http.StatusOK, envelope{MountType: "approle", Warnings: f.warnings, Data: map[string]any{
		"secret_id_accessor": secret.accessor, "secret_id_num_uses": secret.uses, "secret_id_ttl": seconds(secret.ttl),
		"creation_time": timeText(secret.created), "expiration_time": timeText(secret.expires),
		"last_updated_time": timeText(secret.updated), "metadata": secret.metadata,
		"cidr_list": []string{}, "token_bound_cidrs": []string{},
	}})
}

// secretIDFields are what the paths below role/NAME/ that are about secret IDs take.
var secretIDFields = map[string]schema{
	"secret-id": {
		"role_name": inPath, "metadata": asText, "num_uses": asInt, "ttl": asSeconds, "cidr_list": asTexts, "token_bound_cidrs": asTexts,
	},
	"custom-secret-id": {
		"role_name": inPath, "secret_id": asText, "metadata": asText, "num_uses": asInt, "ttl": asSeconds, "cidr_list": asTexts, "token_bound_cidrs": asTexts,
	},
	"secret-id/lookup":           {"role_name": inPath, "secret_id": asText},
	"secret-id/destroy":          {"role_name": inPath, "secret_id": asText},
	"secret-id-accessor/lookup":  {"role_name": inPath, "secret_id_accessor": asText},
	"secret-id-accessor/destroy": {"role_name": inPath, "secret_id_accessor": asText},
}

// secretIDRoute answers role/NAME/REST. The role is nil if there is none of that name.
func (r *approle) secretIDRoute(c *call, name, rest string) reply {
	if !c.write && (c.method != http.MethodDelete || !strings.HasSuffix(rest, "/destroy")) {
		return unsupportedOperation()
	}
	f, bad := c.fields(secretIDFields[rest])
	if bad != nil {
		return *bad
	}
	if rest == "secret-id" || rest == "custom-secret-id" {
		return r.makeSecretID(c, name, f, rest == "custom-secret-id")
	}
	kind, action, _ := strings.Cut(rest, "/")
	key := f.text(strings.ReplaceAll(kind, "-", "_"))
	switch {
	case key == "":
		return fail(http.StatusBadRequest, "missing "+strings.ReplaceAll(kind, "-", "_"))
	case r == nil:
		return failList(http.StatusInternalServerError, fmt.Sprintf("role %q does not exist", name))
	}
	var secret *appSecretID
	if kind == "secret-id" {
		secret = r.secret(key, c.now)
	} else if secret = r.byAccessor(key, c.now); secret == nil {
		why := fmt.Sprintf("failed to find accessor entry for secret_id_accessor: %q", key)
		if action == "lookup" {
			return answer(http.StatusNotFound, envelope{Data: map[string]any{"error": why}})
		}
		return failList(http.StatusInternalServerError, why)
	}
	if action == "lookup" {
		return secret.lookup(f)
	}
	if secret != nil {
		delete(r.secrets, secret.id)
	}
	return noContent()
}

// makeSecretID hands out a secret ID, made up or chosen by the caller.
func (r *approle) makeSecretID(c *call, name string, f fields, chosen bool) reply {
	refuse := func(why string) reply { return fail(http.StatusBadRequest, why) }
	id := newUUID()
	if chosen {
		id = f.text("secret_id")
	}
	switch {
	case id == "":
		return refuse("missing secret_id")
	case r == nil:
		return fail(http.StatusNotFound, fmt.Sprintf("role %q does not exist", name))
	case r.spec.NoBindSecretID:
		return refuse("bind_secret_id is not set on the role")
	case f.texts("cidr_list") != nil || f.texts("token_bound_cidrs") != nil:
		return unmodelled("secret IDs that are bound to addresses")
	}
	secret := &appSecretID{id: id, uses: r.spec.SecretIDNumUses, ttl: r.spec.SecretIDTTL, metadata: map[string]string{}}
	if f.has("num_uses") {
		most := secret.uses
		secret.uses = f.int("num_uses")
		switch {
		case secret.uses < 0:
			return refuse("num_uses cannot be negative")
		case most > 0 && (secret.uses == 0 || secret.uses > most):
			return refuse("num_uses cannot be higher than the role's secret_id_num_uses")
		}
	}
	if f.has("ttl") {
		most := secret.ttl
		secret.ttl = f.seconds("ttl")
		if most > 0 && (secret.ttl == 0 || secret.ttl > most) {
			return refuse("ttl cannot be longer than the role's secret_id_ttl")
		}
	}
	if err := parseMetadata(f.text("metadata"), secret.metadata); err != nil {
		return refuse("failed to parse metadata: " + err.Error())
	}
	if r.secret(id, c.now) != nil {
		return failList(http.StatusInternalServerError, "failed to store secret_id: SecretID is already registered")
	}
	r.addSecretID(secret, c.now)
	return answer(http.StatusOK, envelope{Data: secret.handedOut(), Warnings: f.warnings, MountType: "approle"})
}

// parseMetadata reads a JSON object of texts, or KEY=VALUE,..., either of them also in base64.
func parseMetadata(text string, into map[string]string) error {
	if text = strings.TrimSpace(text); text == "" {
		return nil
	}
	if decoded, err := base64.StdEncoding.DecodeString(text); err == nil {
		text = string(decoded)
	}
	if json.Unmarshal([]byte(text), &into) != nil {
		// Vault lowers these, but not those in JSON.
		for pair := range strings.SplitSeq(strings.ToLower(text), ",") {
			if pair = strings.TrimSpace(pair); pair == "" {
				continue
			}
			key, value, isPair := strings.Cut(pair, "=")
			if !isPair || strings.Contains(value, "=") {
				return errors.New("failed to parse the input: invalid <key,value> format")
			}
			key, value = strings.TrimSpace(key), strings.TrimSpace(value)
			if key == "" || value == "" {
				return fmt.Errorf("failed to parse the input: invalid <key,value> pair: key: %q value: %q", key, value)
			}
			into[key] = value
		}
	}
	for key, value := range into {
		if key != "" && value == "" {
			return fmt.Errorf("invalid value for key %q", key)
		}
	}
	return nil
}
