package testvault

import (
	"net/http"
	"time"
)

// Pod is a pod in the cluster, which never runs. UID tells it from one of the same name that
// was there before.
type Pod struct {
	Account   ServiceAccount
	Name, UID string
}

// Pod makes a pod of sa.
func (k *Kube) Pod(sa ServiceAccount, name string) Pod {
	k.tb.Helper()
	answer, err := k.call(k.tb.Context(), http.MethodPost, "/api/v1/namespaces/"+sa.Namespace+"/pods", object{
		"apiVersion": "v1", "kind": "Pod", "metadata": object{"name": name},
		"spec": object{
			"serviceAccountName": sa.Name, "automountServiceAccountToken": false,
			"containers": []object{{"name": "app", "image": "app"}},
		},
	})
	k.check(err)
	return Pod{Account: sa, Name: name, UID: answer.Metadata.UID}
}

// DeletePod deletes p, with whom the tokens end that are bound to it: see UntilForgotten.
func (k *Kube) DeletePod(p Pod) {
	k.tb.Helper()
	_, err := k.call(k.tb.Context(), http.MethodDelete, "/api/v1/namespaces/"+p.Account.Namespace+"/pods/"+p.Name, nil)
	k.check(err)
}

// BoundToken is Token, bound to p as kubelet binds what it projects.
func (k *Kube) BoundToken(p Pod, lifetime time.Duration, audiences ...string) string {
	k.tb.Helper()
	token, err := k.requestToken(k.tb.Context(), p.Account,
		object{"apiVersion": "v1", "kind": "Pod", "name": p.Name, "uid": p.UID}, lifetime, audiences)
	k.check(err)
	return token
}
