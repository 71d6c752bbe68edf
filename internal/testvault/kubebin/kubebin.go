//go:build kubebin

// Package kubebin pins the Kubernetes API server, and the etcd that it keeps its
// objects in, for the tests of auth/kubernetes.
//
// The module exists so that `go build k8s.io/kubernetes/cmd/kube-apiserver` resolves
// to one known version with checksums. Kubernetes is released with its own libraries
// (k8s.io/api and the like) replaced by folders of its repository; outside of it the
// published ones of the same release stand in.
package kubebin

import _ "k8s.io/kubernetes/cmd/kube-apiserver"
