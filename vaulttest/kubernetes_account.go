package vaulttest

import (
	"fmt"
	"net/http"
	"slices"
	"time"
)

// serviceAccount is who a token says that it belongs to.
type serviceAccount struct{ namespace, name, uid, secretName string }

// identify checks what Vault checks of a token by itself, before it asks the cluster.
func (spec *KubernetesRoleSpec) identify(token *signedToken, now time.Time) (serviceAccount, *reply) {
	forbid := func(why string) (serviceAccount, *reply) {
		return serviceAccount{}, refused(http.StatusForbidden, why)
	}
	claims, err := token.claims()
	switch {
	case err != nil:
		return forbid("permission denied")
	case len(token.signature) == 0:
		return forbid("invalid algorithm (alg) header parameter: token must be signed")
	}
	expected := expectedClaims{timeless: true}
	if spec.Audience != "" {
		expected.audiences = []string{spec.Audience}
	}
	if err := expected.check(claims, now); err != nil {
		return forbid(err.Error())
	}
	account, err := accountOf(claims)
	fits := func(patterns []string, text string) bool {
		return slices.ContainsFunc(patterns, func(p string) bool { return globFits(p, text) })
	}
	switch {
	case err != nil:
		return account, refused(http.StatusInternalServerError, err.Error())
	case !fits(spec.BoundServiceAccountNames, account.name):
		return forbid("service account name not authorized")
	case !fits(spec.BoundServiceAccountNamespaces, account.namespace):
		return forbid("namespace not authorized")
	case account.uid == "":
		return account, refused(http.StatusInternalServerError, "could not parse UID from claims")
	}
	return account, nil
}

// accountOf reads the account out of a projected token, or of one of the secrets that clusters made
// before there were such tokens. A single audience that is no list is an error, as in Vault, though
// any other JWT may have one.
func accountOf(claims map[string]any) (serviceAccount, error) {
	var d claimDecoder
	const old = "kubernetes.io/serviceaccount/"
	account := serviceAccount{
		namespace: d.text(claims, "", old+"namespace"), name: d.text(claims, "", old+"service-account.name"),
		uid: d.text(claims, "", old+"service-account.uid"), secretName: d.text(claims, "", old+"secret.name"),
	}
	if aud, isText := claims["aud"].(string); isText {
		d.bad = append(d.bad, fmt.Sprintf("'aud': source data must be an array or slice, got %T", aud))
	}
	if projected := d.object(claims, "", "kubernetes.io"); projected != nil {
		account.namespace = d.text(projected, "kubernetes.io.", "namespace")
		if of := d.object(projected, "kubernetes.io.", "serviceaccount"); of != nil {
			account.name = d.text(of, "kubernetes.io.serviceaccount.", "name")
			account.uid = d.text(of, "kubernetes.io.serviceaccount.", "uid")
		}
	}
	if d.bad != nil {
		return account, d.bad
	}
	return account, nil
}

// claimDecoder takes texts and objects out of claims and collects what is of another type.
type claimDecoder struct{ bad decodeErrors }

func (d *claimDecoder) text(from map[string]any, path, name string) string {
	text, isText := from[name].(string)
	if !isText && from[name] != nil {
		d.bad = append(d.bad, fmt.Sprintf("'%s%s' expected type 'string', got unconvertible type '%T', value: '%v'", path, name, from[name], from[name]))
	}
	return text
}

func (d *claimDecoder) object(from map[string]any, path, name string) map[string]any {
	object, isObject := from[name].(map[string]any)
	if !isObject && from[name] != nil {
		d.bad = append(d.bad, fmt.Sprintf("'%s%s' expected a map, got '%T'", path, name, from[name]))
	}
	return object
}
