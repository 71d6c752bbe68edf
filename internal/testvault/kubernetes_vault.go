package testvault

import "maps"

// KubernetesAuth enables the Kubernetes auth method at mount, if need be, and has it ask k.
// params override the configuration: a kubernetes_host, say, that stands in front of k.
func (s *Server) KubernetesAuth(k *Kube, mount string, params map[string]any) {
	s.tb.Helper()
	methods, _ := s.Read("sys/auth")["data"].(map[string]any)
	if _, enabled := methods[mount+"/"]; !enabled {
		s.Write("sys/auth/"+mount, map[string]any{"type": "kubernetes"})
	}
	body := map[string]any{
		"kubernetes_host": k.addr, "kubernetes_ca_cert": k.ca, "token_reviewer_jwt": k.reviewer,
		// Vault runs in no pod, and must not look for one's files.
		"disable_local_ca_jwt": true,
	}
	maps.Copy(body, params)
	s.Write("auth/"+mount+"/config", body)
}

// KubernetesRole writes a role of the method at auth/mount, for sa and its tokens for
// audience. params override that, and add such things as token_ttl.
func (s *Server) KubernetesRole(mount, role string, sa ServiceAccount, audience string, params map[string]any) {
	s.tb.Helper()
	body := map[string]any{
		"bound_service_account_names": sa.Name, "bound_service_account_namespaces": sa.Namespace, "audience": audience,
	}
	maps.Copy(body, params)
	s.Write("auth/"+mount+"/role/"+role, body)
}
