package testvault

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// ServiceAccount is an identity in the cluster. UID tells it from one of the same name
// that was there before.
type ServiceAccount struct{ Namespace, Name, UID string }

// Namespace makes a namespace.
func (k *Kube) Namespace(name string) {
	k.tb.Helper()
	k.check(k.createNamespace(k.tb.Context(), name))
}

// ServiceAccount makes a service account.
func (k *Kube) ServiceAccount(namespace, name string) ServiceAccount {
	k.tb.Helper()
	sa, err := k.createServiceAccount(k.tb.Context(), namespace, name)
	k.check(err)
	return sa
}

// DeleteServiceAccount deletes sa. The server remembers for 10 s that a token is good:
// see UntilForgotten.
func (k *Kube) DeleteServiceAccount(sa ServiceAccount) {
	k.tb.Helper()
	_, err := k.call(k.tb.Context(), http.MethodDelete, sa.path(), nil)
	k.check(err)
}

// UntilForgotten is for how long the server may go on to take a token that it has just
// judged as good, whatever has become of its service account.
const UntilForgotten = 12 * time.Second

// reviewerAccount is whom Vault is to the cluster.
var reviewerAccount = ServiceAccount{Namespace: "vault", Name: "reviewer"}

// createReviewer makes it, with the right to have tokens judged, as Vault's documentation
// asks for.
func (s *apiServer) createReviewer(ctx context.Context) error {
	sa := reviewerAccount
	if err := s.createNamespace(ctx, sa.Namespace); err != nil {
		return err
	}
	sa, err := s.createServiceAccount(ctx, sa.Namespace, sa.Name)
	if err != nil {
		return err
	}
	_, err = s.call(ctx, http.MethodPost, "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", object{
		"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": object{"name": "vault-reviewer"},
		"roleRef":  object{"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:auth-delegator"},
		"subjects": []object{{"kind": "ServiceAccount", "name": sa.Name, "namespace": sa.Namespace}},
	})
	if err != nil {
		return err
	}
	s.reviewer, err = s.requestToken(ctx, sa, nil, 24*time.Hour, nil)
	return err
}

func (s *apiServer) createNamespace(ctx context.Context, name string) error {
	_, err := s.call(ctx, http.MethodPost, "/api/v1/namespaces", object{
		"apiVersion": "v1", "kind": "Namespace", "metadata": object{"name": name},
	})
	return err
}

func (s *apiServer) createServiceAccount(ctx context.Context, namespace, name string) (ServiceAccount, error) {
	answer, err := s.call(ctx, http.MethodPost, "/api/v1/namespaces/"+namespace+"/serviceaccounts", object{
		"apiVersion": "v1", "kind": "ServiceAccount", "metadata": object{"name": name},
	})
	return ServiceAccount{Namespace: namespace, Name: name, UID: answer.Metadata.UID}, err
}

// requestToken asks for a token of sa that ends with what it is bound to, or with sa itself.
func (s *apiServer) requestToken(ctx context.Context, sa ServiceAccount, boundTo object, lifetime time.Duration, audiences []string) (string, error) {
	answer, err := s.call(ctx, http.MethodPost, sa.path()+"/token", object{
		"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
		"spec": object{"audiences": audiences, "expirationSeconds": int(lifetime.Seconds()), "boundObjectRef": boundTo},
	})
	return answer.Status.Token, err
}

func (sa ServiceAccount) path() string {
	return "/api/v1/namespaces/" + sa.Namespace + "/serviceaccounts/" + sa.Name
}

type object map[string]any

// kubeAnswer is what is needed of the server's objects.
type kubeAnswer struct {
	Message  string `json:"message"` // of a refusal
	Metadata struct {
		UID string `json:"uid"`
	} `json:"metadata"`
	Status kubeStatus `json:"status"`
}

// kubeStatus is an object, but for a refusal a word.
type kubeStatus struct {
	Token         string `json:"token"`
	Authenticated bool   `json:"authenticated"`
}

func (s *kubeStatus) UnmarshalJSON(text []byte) error {
	if bytes.HasPrefix(text, []byte(`"`)) {
		return nil
	}
	type plain kubeStatus
	return json.Unmarshal(text, (*plain)(s))
}

// call acts as the administrator.
func (s *apiServer) call(ctx context.Context, method, path string, body object) (answer kubeAnswer, err error) {
	var payload []byte
	if body != nil {
		if payload, err = json.Marshal(body); err != nil {
			return answer, err
		}
	}
	status, raw, err := exchange(ctx, s.client, method, s.addr+path, s.admin, payload)
	if err != nil {
		return answer, fmt.Errorf("kubernetes: %s %s: %w", method, path, err)
	}
	if err := json.Unmarshal(raw, &answer); err != nil {
		return answer, fmt.Errorf("kubernetes: %s %s: %d with a body that cannot be read: %w", method, path, status, err)
	}
	if status >= http.StatusMultipleChoices {
		return answer, fmt.Errorf("kubernetes: %s %s: %d %s", method, path, status, answer.Message)
	}
	return answer, nil
}

func (k *Kube) check(err error) {
	k.tb.Helper()
	if err != nil {
		k.tb.Fatalf("testvault: %v", err)
	}
}

// exchange sends one JSON request and returns what came back.
func exchange(ctx context.Context, client *http.Client, method, url, bearer string, body []byte) (int, []byte, error) {
	// As in do: a cleanup function may ask, too.
	if errors.Is(ctx.Err(), context.Canceled) {
		ctx = context.WithoutCancel(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	return resp.StatusCode, raw, err
}
