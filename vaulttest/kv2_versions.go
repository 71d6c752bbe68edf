package vaulttest

import "net/http"

// serveVersions answers delete/PATH, undelete/PATH and destroy/PATH.
func (e *kv2Engine) serveVersions(c *call, action, path string) reply {
	if !c.write {
		return unsupportedOperation()
	}
	f, bad := c.fields(schema{"path": inPath, "versions": asInts})
	if bad != nil {
		return *bad
	}
	versions := f.ints("versions")
	if len(versions) == 0 {
		if action == "destroy" {
			return fail(http.StatusBadRequest, "no version number provided")
		}
		return fail(http.StatusBadRequest, "No version number provided")
	}
	k := e.keys[path]
	if k == nil {
		return noContent()
	}
	// Whoever asks has changed the secret, even if there is no such version; a destruction is not
	// noted at all.
	by := kvActorOf(c.token, "update")
	switch action {
	case "delete":
		k.updatedBy = by
	case "undelete":
		k.updatedBy = kvActorOf(c.token, "undelete")
	}
	for _, n := range versions {
		v := k.versions[n]
		switch {
		case v == nil || v.destroyed:
		case action == "delete":
			k.delete(n, c.now, by)
		case action == "undelete":
			v.deleted, v.deletedBy = e.deletion(k, c.now), nil
		default:
			v.destroy()
		}
	}
	return noContent()
}
