package vaulttest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// A pod logs in with the token in its volume, until somebody deletes its service account.
func ExampleServer_ServiceAccountToken() {
	s := vaulttest.New(&program{}) // in a test: vaulttest.New(t)
	s.KubernetesRole("app", vaulttest.KubernetesRoleSpec{
		BoundServiceAccountNames: []string{"app"}, BoundServiceAccountNamespaces: []string{"prod"},
	})
	jwt := s.ServiceAccountToken("prod", "app", time.Hour)
	login := func() {
		body := strings.NewReader(`{"role":"app","jwt":"` + jwt + `"}`)
		resp, err := s.Client().Post("http://vault/v1/auth/kubernetes/login", "application/json", body)
		if err != nil {
			fmt.Println(err)
			return
		}
		resp.Body.Close()
		fmt.Println(resp.Status)
	}

	login()
	s.DeleteServiceAccount("prod", "app")
	login()
	// Output:
	// 200 OK
	// 403 Forbidden
}

// A database whose password Vault changes each hour.
func ExampleServer_StaticRole() {
	s := vaulttest.New(&program{}) // in a test: vaulttest.New(t)
	inDatabase := ""
	s.StaticRole("database", "billing", vaulttest.StaticSpec{
		Username: "billing", RotationPeriod: time.Hour,
		Rotate: func(_, password string) error { inDatabase = password; return nil },
	})
	read := func() (password string) {
		req, _ := http.NewRequest(http.MethodGet, "http://vault/v1/database/static-creds/billing", http.NoBody)
		req.Header.Set("X-Vault-Token", s.RootToken())
		resp, err := s.Client().Do(req)
		if err != nil {
			return err.Error()
		}
		defer resp.Body.Close()
		var secret struct{ Data struct{ Password string } }
		if err := json.NewDecoder(resp.Body).Decode(&secret); err != nil {
			return err.Error()
		}
		return secret.Data.Password
	}

	first := read()
	fmt.Println("good:", first == inDatabase)
	s.Advance(time.Hour)
	fmt.Println("an hour later:", first == inDatabase)
	fmt.Println("read again:", read() == inDatabase)
	// Output:
	// good: true
	// an hour later: false
	// read again: true
}
