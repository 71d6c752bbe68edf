package likeness

import (
	"strings"
	"testing"

	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// transitPair has a transit engine with a key of each type that is made at once, a policy that may
// use keys and make none, and one that may make them.
func transitPair(t *testing.T) *pair {
	t.Helper()
	p := newPair(t)
	p.real.Mount("transit", "transit", nil)
	add := func(name string, spec vaulttest.TransitKeySpec) {
		body := map[string]any{"derived": spec.Derived, "convergent_encryption": spec.Convergent, "exportable": spec.Exportable}
		if spec.Type != "" {
			body["type"] = spec.Type
		}
		if spec.KeySize != 0 {
			body["key_size"] = spec.KeySize
		}
		p.real.Write("transit/keys/"+name, body)
		p.fake.TransitKey("transit", name, spec)
	}
	add("app", vaulttest.TransitKeySpec{})
	add("small", vaulttest.TransitKeySpec{Type: "aes128-gcm96", Exportable: true})
	add("derived", vaulttest.TransitKeySpec{Derived: true})
	add("conv", vaulttest.TransitKeySpec{Derived: true, Convergent: true})
	add("ec", vaulttest.TransitKeySpec{Type: "ecdsa-p256", Exportable: true})
	add("ec384", vaulttest.TransitKeySpec{Type: "ecdsa-p384"})
	add("ec521", vaulttest.TransitKeySpec{Type: "ecdsa-p521"})
	add("ed", vaulttest.TransitKeySpec{Type: "ed25519", Exportable: true})
	add("edd", vaulttest.TransitKeySpec{Type: "ed25519", Derived: true})
	add("mac", vaulttest.TransitKeySpec{Type: "hmac", KeySize: 32, Exportable: true})
	rules := []vaulttest.Rule{
		{Path: "transit/encrypt/app", Capabilities: []string{"update"}},
		{Path: "transit/encrypt/made*", Capabilities: []string{"update", "create"}},
		{Path: "transit/encrypt/unmade", Capabilities: []string{"update"}},
	}
	p.real.Policy("app", `path "transit/encrypt/app" { capabilities = ["update"] }
path "transit/encrypt/made*" { capabilities = ["update", "create"] }
path "transit/encrypt/unmade" { capabilities = ["update"] }`)
	p.fake.Policy("app", rules...)
	p.play(step{as: "root", do: "POST auth/token/create", body: `{"policies":["app"]}`, save: "user=auth.client_token"})
	return p
}

// made are the keys of what transit makes up.
const made = "ciphertext signature hmac public_key"

// rooted makes steps of "METHOD PATH BODY" texts, as root.
func rooted(loose string, lines ...[2]string) []step {
	var out []step
	for _, l := range lines {
		out = append(out, step{as: "root", do: l[0], body: l[1], loose: loose})
	}
	return out
}

func TestTransitEncryption(t *testing.T) {
	t.Parallel()
	p := transitPair(t)
	const hello = `"plaintext":"aGVsbG8="`
	p.play(
		step{as: "root", do: "POST transit/encrypt/app", body: `{` + hello + `}`, save: "c1=data.ciphertext", loose: made},
		step{as: "root", do: "POST transit/decrypt/app", body: `{"ciphertext":"{c1}"}`},
		step{as: "root", do: "PUT transit/decrypt/app", body: `{"ciphertext":"{c1}","foo":1,"bar":"x"}`},
		step{as: "root", do: "POST transit/decrypt/app", body: `{"ciphertext":"{c1}","name":"other"}`},
		step{as: "root", do: "POST transit/decrypt/small", body: `{"ciphertext":"{c1}"}`},
		step{as: "root", do: "POST transit/rewrap/app", body: `{"ciphertext":"{c1}"}`, loose: "ciphertext"},
		step{as: "root", do: "POST transit/encrypt/app", body: `{` + hello + `,"associated_data":"YWQ="}`, save: "ad=data.ciphertext", loose: made},
		step{as: "root", do: "POST transit/decrypt/app", body: `{"ciphertext":"{ad}"}`},
		step{as: "root", do: "POST transit/decrypt/app", body: `{"ciphertext":"{ad}","associated_data":"YWQ="}`},
		step{as: "root", do: "POST transit/decrypt/app", body: `{"ciphertext":"{ad}","associated_data":"YWRk"}`},
		step{as: "root", do: "POST transit/rewrap/app", body: `{"ciphertext":"{ad}","associated_data":"YWQ="}`},
		step{as: "root", do: "POST transit/encrypt/derived", body: `{` + hello + `,"context":"Y3R4"}`, save: "d1=data.ciphertext", loose: made},
		step{as: "root", do: "POST transit/decrypt/derived", body: `{"ciphertext":"{d1}","context":"Y3R4"}`},
		step{as: "root", do: "POST transit/decrypt/derived", body: `{"ciphertext":"{d1}","context":"Y3R5"}`},
		step{as: "root", do: "POST transit/decrypt/derived", body: `{"ciphertext":"{d1}"}`},
		step{as: "root", do: "POST transit/encrypt/conv", body: `{` + hello + `,"context":"Y3R4"}`, save: "v1=data.ciphertext", loose: made},
		step{as: "root", do: "POST transit/encrypt/conv", body: `{` + hello + `,"context":"Y3R4"}`}, // the same again
		step{as: "root", do: "POST transit/encrypt/conv", body: `{` + hello + `,"context":"Y3R4","nonce":"MTIzNDU2Nzg5MDEy"}`},
		step{as: "root", do: "POST transit/decrypt/conv", body: `{"ciphertext":"{v1}","context":"Y3R4"}`},
	)
	p.play(rooted("ciphertext",
		[2]string{"POST transit/encrypt/app", ``},
		[2]string{"POST transit/encrypt/app", `{}`},
		[2]string{"POST transit/encrypt/app", `{"plaintext":""}`},
		[2]string{"POST transit/encrypt/app", `{"plaintext":null}`},
		[2]string{"POST transit/encrypt/app", `{"plaintext":true}`},
		[2]string{"POST transit/encrypt/app", `{"plaintext":1234}`},
		[2]string{"POST transit/encrypt/app", `{"plaintext":["a"]}`},
		[2]string{"POST transit/encrypt/app", `{"plaintext":{"a":1}}`},
		[2]string{"POST transit/encrypt/app", `{"plaintext":"not base64!"}`},
		[2]string{"POST transit/encrypt/app", `{` + hello + `,"context":"?"}`},
		[2]string{"POST transit/encrypt/app", `{` + hello + `,"context":"Y3R4"}`},
		[2]string{"POST transit/encrypt/app", `{` + hello + `,"nonce":"?"}`},
		[2]string{"POST transit/encrypt/app", `{` + hello + `,"nonce":"MTIzNDU2Nzg5MDEy"}`},
		[2]string{"POST transit/encrypt/app", `{` + hello + `,"iv":"?"}`},
		[2]string{"POST transit/encrypt/app", `{` + hello + `,"associated_data":"?"}`},
		[2]string{"POST transit/encrypt/app", `{` + hello + `,"key_version":1}`},
		[2]string{"POST transit/encrypt/app", `{` + hello + `,"key_version":"1"}`},
		[2]string{"POST transit/encrypt/app", `{` + hello + `,"key_version":2}`},
		[2]string{"POST transit/encrypt/app", `{` + hello + `,"key_version":-1}`},
		[2]string{"POST transit/encrypt/app", `{` + hello + `,"key_version":1.5}`},
		[2]string{"POST transit/encrypt/app", `{` + hello + `,"key_version":"x"}`},
		[2]string{"POST transit/encrypt/app", `{` + hello + `,"key_version":[1]}`},
		[2]string{"POST transit/encrypt/app", `{` + hello + `,"convergent_encryption":"maybe"}`},
		[2]string{"POST transit/encrypt/app", `{` + hello + `,"padding_scheme":"oaep"}`},
		[2]string{"POST transit/encrypt/app", `{` + hello + `,"padding_scheme":"none"}`},
		[2]string{"POST transit/encrypt/app", `{` + hello + `,"type":"nonsense"}`},
		[2]string{"POST transit/encrypt/derived", `{` + hello + `}`},
		[2]string{"POST transit/encrypt/derived", `{` + hello + `,"context":""}`},
		[2]string{"POST transit/encrypt/ec", `{` + hello + `}`},
		[2]string{"POST transit/encrypt/ed", `{` + hello + `,"associated_data":"YWQ="}`},
		[2]string{"POST transit/encrypt/mac", `{` + hello + `}`},
		[2]string{"GET transit/encrypt/app", ``},
		[2]string{"LIST transit/encrypt/app", ``},
		[2]string{"DELETE transit/encrypt/app", ``},
		[2]string{"POST transit/encrypt", `{` + hello + `}`},
		[2]string{"POST transit/encrypt/app/more", `{` + hello + `}`},
		[2]string{"POST transit/nonsense/app", `{` + hello + `}`},
		[2]string{"GET transit/nonsense", ``},
		[2]string{"POST transit/encrypt/-app", `{` + hello + `}`},
		[2]string{"POST transit/decrypt/app", ``},
		[2]string{"POST transit/decrypt/app", `{"ciphertext":""}`},
		[2]string{"POST transit/decrypt/app", `{"ciphertext":"vault:v1:"}`},
		[2]string{"POST transit/decrypt/app", `{"ciphertext":"vault:v1:AAAA"}`},
		[2]string{"POST transit/decrypt/app", `{"ciphertext":"vault:v1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}`},
		[2]string{"POST transit/decrypt/app", `{"ciphertext":"vault:v0:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}`},
		[2]string{"POST transit/decrypt/app", `{"ciphertext":"vault:v1:!"}`},
		[2]string{"POST transit/decrypt/app", `{"ciphertext":"vault:vx:AAAA"}`},
		[2]string{"POST transit/decrypt/app", `{"ciphertext":"vault:v1"}`},
		[2]string{"POST transit/decrypt/app", `{"ciphertext":"hello"}`},
		[2]string{"POST transit/decrypt/app", `{"ciphertext":"vault:v2:AAAA"}`},
		[2]string{"POST transit/decrypt/app", `{"ciphertext":"vault:v-1:AAAA"}`},
		[2]string{"POST transit/decrypt/app", `{"ciphertext":"hello","context":"?"}`},
		[2]string{"POST transit/decrypt/app", `{"ciphertext":"hello","nonce":"?"}`},
		[2]string{"POST transit/decrypt/app", `{"ciphertext":"hello","padding_scheme":"oaep"}`},
		[2]string{"POST transit/decrypt/ec", `{"ciphertext":"hello"}`},
		[2]string{"POST transit/decrypt/none", `{"ciphertext":"hello"}`},
		[2]string{"POST transit/decrypt/none", `{}`},
		[2]string{"GET transit/decrypt/app", ``},
		[2]string{"POST transit/rewrap/app", ``},
		[2]string{"POST transit/rewrap/app", `{"ciphertext":"hello"}`},
		[2]string{"POST transit/rewrap/app", `{"ciphertext":"{c1}","nonce":"MTIz"}`},
		[2]string{"POST transit/rewrap/app", `{"ciphertext":"{c1}","key_version":7}`},
		[2]string{"POST transit/rewrap/app", `{"ciphertext":"{c1}","decrypt_padding_scheme":"oaep"}`},
		[2]string{"POST transit/rewrap/app", `{"ciphertext":"{c1}","encrypt_padding_scheme":"oaep"}`},
		[2]string{"POST transit/rewrap/none", `{"ciphertext":"hello"}`},
		[2]string{"POST transit/rewrap/ed", `{"ciphertext":"hello"}`},
	)...)
	p.play(
		// A key that is not there is made, by those who may.
		step{do: "POST transit/encrypt/app", body: `{` + hello + `}`},
		step{as: "user", do: "POST transit/encrypt/app", body: `{` + hello + `}`, loose: "ciphertext"},
		step{as: "user", do: "POST transit/encrypt/unmade", body: `{` + hello + `}`},
		step{as: "user", do: "POST transit/encrypt/made", body: `{` + hello + `}`, loose: "ciphertext"},
		step{as: "user", do: "POST transit/encrypt/made", body: `{` + hello + `}`, loose: "ciphertext"},
		step{as: "user", do: "POST transit/decrypt/made", body: `{}`},
		step{as: "root", do: "GET transit/keys/made", loose: "1"},
		step{as: "user", do: "POST transit/encrypt/made2", body: `{` + hello + `,"context":"Y3R4","convergent_encryption":true,"type":"aes128-gcm96"}`, loose: "ciphertext"},
		step{as: "root", do: "GET transit/keys/made2", loose: "1"},
		step{as: "user", do: "POST transit/encrypt/made3", body: `{` + hello + `,"convergent_encryption":true}`},
		step{as: "user", do: "POST transit/encrypt/made3", body: `{` + hello + `,"type":"ecdsa-p256"}`},
		step{as: "user", do: "POST transit/encrypt/made3", body: `{` + hello + `,"type":"ed25519"}`},
		step{as: "user", do: "POST transit/encrypt/made3", body: `{` + hello + `,"type":"nonsense"}`},
		step{as: "user", do: "POST transit/encrypt/made3", body: `{` + hello + `,"type":"rsa-2048","context":"Y3R4"}`},
		step{as: "user", do: "POST transit/encrypt/made3", body: `{` + hello + `,"type":7}`},
		step{as: "user", do: "POST transit/encrypt/made3", body: `{}`},
		step{as: "user", do: "POST transit/encrypt/made4", body: `{"plaintext":"!"}`},
		step{as: "root", do: "GET transit/keys/made4", loose: "1"},
		step{as: "root", do: "GET transit/keys/made3"},
	)
}

func TestTransitBatches(t *testing.T) {
	t.Parallel()
	p := transitPair(t)
	p.play(
		step{as: "root", do: "POST transit/encrypt/app", body: `{"batch_input":[{"plaintext":"aGVsbG8=","reference":"a"},{"plaintext":"Ynll"}]}`, save: "c0=data.batch_results.0.ciphertext c1=data.batch_results.1.ciphertext", loose: made},
		step{as: "root", do: "POST transit/decrypt/app", body: `{"batch_input":[{"ciphertext":"{c0}","reference":"a"},{"ciphertext":"{c1}"}]}`},
		step{as: "root", do: "POST transit/rewrap/app", body: `{"batch_input":[{"ciphertext":"{c0}","reference":"a"},{"ciphertext":"{c1}"}]}`, loose: "ciphertext"},
	)
	p.play(rooted("ciphertext signature hmac",
		[2]string{"POST transit/encrypt/app", `{"batch_input":[]}`},
		[2]string{"POST transit/encrypt/app", `{"batch_input":null}`},
		[2]string{"POST transit/encrypt/app", `{"batch_input":"x"}`},
		[2]string{"POST transit/encrypt/app", `{"batch_input":7}`},
		[2]string{"POST transit/encrypt/app", `{"batch_input":{}}`},
		[2]string{"POST transit/encrypt/app", `{"batch_input":["x"]}`},
		[2]string{"POST transit/encrypt/app", `{"batch_input":[{}]}`},
		[2]string{"POST transit/encrypt/app", `{"batch_input":[{"plaintext":7}]}`},
		[2]string{"POST transit/encrypt/app", `{"batch_input":[{"plaintext":null}]}`},
		[2]string{"POST transit/encrypt/app", `{"batch_input":[{"plaintext":["x"],"context":{"a":1},"nonce":true,"reference":7,"key_version":"1"}]}`},
		[2]string{"POST transit/encrypt/app", `{"batch_input":[{"plaintext":"","key_version":1.5}]}`},
		[2]string{"POST transit/encrypt/app", `{"batch_input":[{"plaintext":""}]}`},
		[2]string{"POST transit/encrypt/app", `{"batch_input":[{"plaintext":"!"}]}`},
		[2]string{"POST transit/encrypt/app", `{"foo":1,"batch_input":[{"plaintext":"Ynll"},{"plaintext":"!","reference":"b"}]}`},
		[2]string{"POST transit/encrypt/app", `{"foo":1,"batch_input":[{"plaintext":"Ynll"},{"plaintext":"Ynll"}]}`},
		[2]string{"POST transit/encrypt/app", `{"partial_failure_response_code":207,"batch_input":[{"plaintext":"Ynll"},{"plaintext":"!"}]}`},
		[2]string{"POST transit/encrypt/app", `{"partial_failure_response_code":207,"batch_input":[{"plaintext":"!"}]}`},
		[2]string{"POST transit/encrypt/app", `{"partial_failure_response_code":999,"batch_input":[{"plaintext":"Ynll"},{"plaintext":"!"}]}`},
		[2]string{"POST transit/encrypt/app", `{"partial_failure_response_code":"x","batch_input":[{"plaintext":"Ynll"},{"plaintext":"!"}]}`},
		[2]string{"POST transit/encrypt/app", `{"batch_input":[{"plaintext":"Ynll","context":"Y3R4"},{"plaintext":"Ynll"}]}`},
		[2]string{"POST transit/encrypt/app", `{"batch_input":[{"plaintext":"Ynll","key_version":9},{"plaintext":"Ynll","key_version":1}]}`},
		[2]string{"POST transit/encrypt/app", `{"batch_input":[{"plaintext":"Ynll","padding_scheme":"oaep"}]}`},
		[2]string{"POST transit/encrypt/app", `{"batch_input":[{"plaintext":"Ynll","associated_data":"?"}]}`},
		[2]string{"POST transit/encrypt/ed", `{"batch_input":[{"plaintext":"Ynll","associated_data":"YWQ="},{"plaintext":"Ynll"}]}`},
		[2]string{"POST transit/encrypt/derived", `{"batch_input":[{"plaintext":"Ynll","context":"Y3R4"},{"plaintext":"Ynll","context":"?"}]}`},
		[2]string{"POST transit/encrypt/fresh", `{"batch_input":[{"plaintext":"Ynll"},{"plaintext":"Ynll"}]}`},
		[2]string{"POST transit/decrypt/app", `{"batch_input":[]}`},
		[2]string{"POST transit/decrypt/app", `{"batch_input":[{}]}`},
		[2]string{"POST transit/decrypt/app", `{"batch_input":[{"ciphertext":""}]}`},
		[2]string{"POST transit/decrypt/app", `{"batch_input":[{"ciphertext":"{c0}"},{"ciphertext":"hello","reference":"x"}]}`},
		[2]string{"POST transit/decrypt/app", `{"partial_failure_response_code":200,"batch_input":[{"ciphertext":"{c0}"},{"ciphertext":"hello","reference":"x"}]}`},
		[2]string{"POST transit/decrypt/none", `{"batch_input":[{"ciphertext":"{c0}"}]}`},
		[2]string{"POST transit/rewrap/app", `{"batch_input":[]}`},
		[2]string{"POST transit/rewrap/app", `{"batch_input":"x"}`},
		[2]string{"POST transit/rewrap/app", `{"batch_input":["x"]}`},
		[2]string{"POST transit/rewrap/app", `{"batch_input":[{}]}`},
		[2]string{"POST transit/rewrap/app", `{"batch_input":[{"ciphertext":7,"reference":8}]}`},
		[2]string{"POST transit/rewrap/app", `{"batch_input":[{"ciphertext":true,"key_version":"x"}]}`},
		[2]string{"POST transit/rewrap/app", `{"batch_input":[{"ciphertext":"{c0}"},{"ciphertext":"hello","reference":"x"}]}`},
		[2]string{"POST transit/sign/ec", `{"batch_input":[{"input":"Ynll"},{"input":"!","reference":"x"},{}]}`},
		[2]string{"POST transit/sign/ec", `{"batch_input":[{"input":true}]}`},
		[2]string{"POST transit/sign/ec", `{"batch_input":["x"]}`},
		[2]string{"POST transit/sign/ec", `{"batch_input":"x"}`},
		[2]string{"POST transit/sign/ec", `{"batch_input":[]}`},
		[2]string{"POST transit/sign/ec", `{"key_version":3,"batch_input":[{"input":"Ynll"}]}`},
		[2]string{"POST transit/verify/ec", `{"batch_input":[]}`},
		[2]string{"POST transit/verify/ec", `{"batch_input":"x"}`},
		[2]string{"POST transit/verify/ec", `{"batch_input":[{}]}`},
		[2]string{"POST transit/verify/ec", `{"batch_input":[{"signature":"x"},{}]}`},
		[2]string{"POST transit/verify/ec", `{"batch_input":[{"hmac":"x"},{}]}`},
		[2]string{"POST transit/verify/ec", `{"batch_input":[{"signature":"x"},{"hmac":"x"}]}`},
		[2]string{"POST transit/verify/ec", `{"batch_input":[{"signature":"x","input":true,"reference":7},{"signature":["x"],"input":"Ynll"},{"signature":"x","input":"Ynll","reference":true}]}`},
		[2]string{"POST transit/verify/app", `{"batch_input":[{"hmac":"x","reference":"r"},{"hmac":"x","input":"Ynll"}]}`},
		[2]string{"POST transit/hmac/app", `{"batch_input":[{"input":"Ynll"},{"input":"!","reference":"x"},{}]}`},
		[2]string{"POST transit/hmac/app", `{"batch_input":[]}`},
		[2]string{"POST transit/hmac/app", `{"batch_input":[{"input":true}]}`},
	)...)
}

func TestTransitKeys(t *testing.T) {
	t.Parallel()
	p := transitPair(t)
	p.play(
		step{as: "root", do: "LIST transit/keys"},
		step{as: "root", do: "GET transit/keys?list=true"},
		step{as: "root", do: "POST transit/encrypt/app", body: `{"plaintext":"aGVsbG8="}`, save: "c1=data.ciphertext", loose: made},
		step{as: "root", do: "POST transit/keys/app/rotate", loose: "1 2"},
		step{as: "root", do: "POST transit/keys/app/rotate", body: `{"foo":1}`, loose: "1 2 3"},
		step{as: "root", do: "POST transit/decrypt/app", body: `{"ciphertext":"{c1}"}`},
		step{as: "root", do: "POST transit/rewrap/app", body: `{"ciphertext":"{c1}"}`, save: "c3=data.ciphertext", loose: made},
		step{as: "root", do: "POST transit/rewrap/app", body: `{"ciphertext":"{c1}","key_version":2}`, save: "c2=data.ciphertext", loose: made},
		step{as: "root", do: "POST transit/hmac/app", body: `{"input":"aGVsbG8=","key_version":1}`, save: "h1=data.hmac", loose: made},
		step{as: "root", do: "POST transit/keys/app/config", body: `{"min_decryption_version":2}`, loose: "1 2 3"},
		step{as: "root", do: "POST transit/decrypt/app", body: `{"ciphertext":"{c1}"}`},
		step{as: "root", do: "POST transit/decrypt/app", body: `{"batch_input":[{"ciphertext":"{c1}"},{"ciphertext":"{c2}"}]}`},
		step{as: "root", do: "POST transit/rewrap/app", body: `{"ciphertext":"{c1}"}`},
		step{as: "root", do: "POST transit/encrypt/app", body: `{"plaintext":"aGVsbG8=","key_version":1}`},
		step{as: "root", do: "POST transit/hmac/app", body: `{"input":"aGVsbG8=","key_version":1}`},
		step{as: "root", do: "POST transit/verify/app", body: `{"input":"aGVsbG8=","hmac":"{h1}"}`},
		step{as: "root", do: "POST transit/keys/app/config", body: `{"min_encryption_version":1}`},
		step{as: "root", do: "POST transit/keys/app/config", body: `{"min_encryption_version":3}`, loose: "1 2 3"},
		step{as: "root", do: "POST transit/encrypt/app", body: `{"plaintext":"aGVsbG8=","key_version":2}`},
		step{as: "root", do: "POST transit/hmac/app", body: `{"input":"aGVsbG8=","key_version":2}`},
		step{as: "root", do: "POST transit/datakey/wrapped/app", body: `{"key_version":2}`},
		step{as: "root", do: "POST transit/keys/app/config", body: `{"min_decryption_version":1,"deletion_allowed":true,"exportable":true}`, loose: "1 2 3"},
		step{as: "root", do: "POST transit/decrypt/app", body: `{"ciphertext":"{c1}"}`},
		step{as: "root", do: "GET transit/keys/app", loose: "1 2 3"},
		step{as: "root", do: "GET transit/export/encryption-key/app", loose: "1 2 3"},
		step{as: "root", do: "DELETE transit/keys/app"},
		step{as: "root", do: "GET transit/keys/app"},
		step{as: "root", do: "POST transit/decrypt/app", body: `{"ciphertext":"{c1}"}`},
		step{as: "root", do: "POST transit/keys/ec/rotate", loose: "public_key"},
		step{as: "root", do: "GET transit/keys/edd?context=Y3R4", loose: "public_key"},
	)
	p.play(rooted("1 2 3 public_key",
		[2]string{"GET transit/keys/small", ``},
		[2]string{"GET transit/keys/derived", ``},
		[2]string{"GET transit/keys/conv", ``},
		[2]string{"GET transit/keys/ec", ``},
		[2]string{"GET transit/keys/ec384", ``},
		[2]string{"GET transit/keys/ec521", ``},
		[2]string{"GET transit/keys/ed", ``},
		[2]string{"GET transit/keys/edd", ``},
		[2]string{"GET transit/keys/edd?context=!", ``},
		[2]string{"GET transit/keys/mac", ``},
		[2]string{"GET transit/keys/none", ``},
		[2]string{"GET transit/keys", ``},
		[2]string{"GET transit/keys/", ``},
		[2]string{"POST transit/keys", `{}`},
		[2]string{"LIST transit/keys/ec", ``},
		[2]string{"GET transit/keys/ec/rotate", ``},
		[2]string{"GET transit/keys/ec/config", ``},
		[2]string{"POST transit/keys/none/rotate", ``},
		[2]string{"POST transit/keys/none/config", `{}`},
		[2]string{"DELETE transit/keys/none", ``},
		[2]string{"DELETE transit/keys/ec", ``},
		[2]string{"POST transit/keys/ec/nonsense", `{}`},
		[2]string{"GET transit/keys/ec/rotate/more", ``},
		[2]string{"POST transit/keys/ec/config", `{}`},
		[2]string{"POST transit/keys/ec/config", `{"min_decryption_version":0}`},
		[2]string{"POST transit/keys/ec/config", `{"min_decryption_version":-1}`},
		[2]string{"POST transit/keys/ec/config", `{"min_decryption_version":9}`},
		[2]string{"POST transit/keys/ec/config", `{"min_decryption_version":"x"}`},
		[2]string{"POST transit/keys/ec/config", `{"min_encryption_version":-1}`},
		[2]string{"POST transit/keys/ec/config", `{"min_encryption_version":9}`},
		[2]string{"POST transit/keys/ec/config", `{"deletion_allowed":"maybe"}`},
		[2]string{"POST transit/keys/ec/config", `{"auto_rotate_period":"1m"}`},
		[2]string{"POST transit/keys/ec/config", `{"auto_rotate_period":0,"foo":"bar"}`},
		[2]string{"POST transit/keys/ec/config", `{"auto_rotate_period":"x"}`},
		[2]string{"POST transit/keys/new", ``},
		[2]string{"POST transit/keys/new", `{"type":"ed25519"}`},
		[2]string{"POST transit/keys/new2", `{"type":"ecdsa-p256","exportable":"true","allow_plaintext_backup":1}`},
		[2]string{"POST transit/keys/new3", `{"type":"nonsense"}`},
		[2]string{"POST transit/keys/new3", `{"type":"ecdsa-p256","derived":true}`},
		[2]string{"POST transit/keys/new3", `{"type":"ed25519","derived":true,"convergent_encryption":true}`},
		[2]string{"POST transit/keys/new3", `{"convergent_encryption":true}`},
		[2]string{"POST transit/keys/new3", `{"auto_rotate_period":"1m"}`},
		[2]string{"POST transit/keys/new3", `{"auto_rotate_period":"-1m"}`},
		[2]string{"POST transit/keys/new3", `{"key_size":16}`},
		[2]string{"POST transit/keys/new3", `{"key_size":16,"type":"hmac"}`},
		[2]string{"POST transit/keys/new3", `{"type":"hmac"}`},
		[2]string{"POST transit/keys/new3", `{"type":"hmac","key_size":64}`},
		[2]string{"POST transit/keys/new4", `{"foo":1,"name":"x"}`},
		[2]string{"GET transit/export/encryption-key/small", ``},
		[2]string{"GET transit/export/encryption-key/small/1", ``},
		[2]string{"GET transit/export/encryption-key/small/v1", ``},
		[2]string{"GET transit/export/encryption-key/small/latest", ``},
		[2]string{"GET transit/export/encryption-key/small/2", ``},
		[2]string{"GET transit/export/encryption-key/small/0", ``},
		[2]string{"GET transit/export/encryption-key/small/x", ``},
		[2]string{"GET transit/export/signing-key/small", ``},
		[2]string{"GET transit/export/public-key/small", ``},
		[2]string{"GET transit/export/hmac-key/small", ``},
		[2]string{"GET transit/export/hmac-key/mac", ``},
		[2]string{"GET transit/export/encryption-key/ec", ``},
		[2]string{"GET transit/export/signing-key/ec", ``},
		[2]string{"GET transit/export/public-key/ec", ``},
		[2]string{"GET transit/export/signing-key/ed", ``},
		[2]string{"GET transit/export/public-key/ed", ``},
		[2]string{"GET transit/export/encryption-key/derived", ``},
		[2]string{"GET transit/export/public-key/ec384", ``},
		[2]string{"GET transit/export/nonsense/ec", ``},
		[2]string{"GET transit/export/signing-key/none", ``},
		[2]string{"POST transit/export/signing-key/ec", ``},
		[2]string{"POST transit/datakey/plaintext/app", ``},
	)...)
	p.play(rooted("ciphertext plaintext",
		[2]string{"POST transit/datakey/plaintext/small", ``},
		[2]string{"POST transit/datakey/wrapped/small", `{"bits":512,"foo":1}`},
		[2]string{"POST transit/datakey/wrapped/small", `{"bits":100}`},
		[2]string{"POST transit/datakey/wrapped/small", `{"bits":"x"}`},
		[2]string{"POST transit/datakey/wrapped/small", `{"nonce":"!"}`},
		[2]string{"POST transit/datakey/wrapped/small", `{"nonce":"MTIzNDU2Nzg5MDEy"}`},
		[2]string{"POST transit/datakey/wrapped/small", `{"context":"!"}`},
		[2]string{"POST transit/datakey/wrapped/small", `{"key_version":7}`},
		[2]string{"POST transit/datakey/wrapped/small", `{"padding_scheme":"oaep"}`},
		[2]string{"POST transit/datakey/wrapped/small", `{"padding_scheme":"x"}`},
		[2]string{"POST transit/datakey/wrapped/derived", ``},
		[2]string{"POST transit/datakey/wrapped/derived", `{"context":"Y3R4"}`},
		[2]string{"POST transit/datakey/other/small", ``},
		[2]string{"POST transit/datakey/wrapped/none", ``},
		[2]string{"POST transit/datakey/wrapped/ec", ``},
		[2]string{"GET transit/datakey/wrapped/small", ``},
	)...)
}

// urlSafe tells whether a saved value can only be of the alphabet of JWS.
func (d *side) urlSafe(name string) bool { return strings.ContainsAny(d.known[name], "-_") }

func TestTransitSignatures(t *testing.T) {
	t.Parallel()
	p := transitPair(t)
	for _, key := range []string{"ec", "ec384", "ec521", "ed"} {
		p.play(
			step{as: "root", do: "POST transit/sign/" + key, body: `{"input":"aGVsbG8="}`, save: "s=data.signature", loose: made},
			step{as: "root", do: "POST transit/verify/" + key, body: `{"input":"aGVsbG8=","signature":"{s}"}`},
			step{as: "root", do: "POST transit/verify/" + key, body: `{"input":"aGVsbG9v","signature":"{s}"}`},
			step{as: "root", do: "POST transit/verify/" + key + "/sha1", body: `{"input":"aGVsbG8=","signature":"{s}"}`},
			step{as: "root", do: "POST transit/verify/" + key, body: `{"batch_input":[{"input":"aGVsbG8=","signature":"{s}","reference":"r"},{"input":"!","signature":"{s}"}]}`},
		)
		// One in thirty of ec384 reads as base64 of the other alphabet, too: then it is refused in another way.
		for again := true; again; again = key != "ed" && (!p.sides[0].urlSafe("j") || !p.sides[1].urlSafe("j")) {
			p.play(step{as: "root", do: "POST transit/sign/" + key, body: `{"input":"aGVsbG8=","marshaling_algorithm":"jws"}`, save: "j=data.signature", loose: made})
		}
		p.play(
			step{as: "root", do: "POST transit/verify/" + key, body: `{"input":"aGVsbG8=","signature":"{j}","marshaling_algorithm":"jws"}`},
			step{as: "root", do: "POST transit/verify/" + key, body: `{"input":"aGVsbG8=","signature":"{j}"}`},
		)
	}
	p.play(
		step{as: "root", do: "POST transit/sign/ec/sha2-512", body: `{"input":"aGVsbG8="}`, save: "s=data.signature", loose: made},
		step{as: "root", do: "POST transit/verify/ec/sha2-512", body: `{"input":"aGVsbG8=","signature":"{s}"}`},
		step{as: "root", do: "POST transit/verify/ec", body: `{"input":"aGVsbG8=","signature":"{s}","hash_algorithm":"sha2-512"}`},
		step{as: "root", do: "POST transit/verify/ec", body: `{"input":"aGVsbG8=","signature":"{s}","algorithm":"sha2-512"}`},
		step{as: "root", do: "POST transit/verify/ec", body: `{"input":"aGVsbG8=","signature":"{s}","algorithm":"sha2-512","hash_algorithm":""}`},
		step{as: "root", do: "POST transit/sign/edd", body: `{"input":"aGVsbG8=","context":"Y3R4"}`, save: "s=data.signature", loose: made},
		step{as: "root", do: "POST transit/verify/edd", body: `{"input":"aGVsbG8=","context":"Y3R4","signature":"{s}"}`},
		step{as: "root", do: "POST transit/verify/edd", body: `{"input":"aGVsbG8=","context":"Y3R5","signature":"{s}"}`},
		step{as: "root", do: "POST transit/verify/edd", body: `{"input":"aGVsbG8=","signature":"{s}"}`},
		step{as: "root", do: "POST transit/sign/edd", body: `{"batch_input":[{"input":"aGVsbG8=","context":"Y3R4"}]}`, loose: "signature publickey"},
		step{as: "root", do: "POST transit/hmac/app", body: `{"input":"aGVsbG8="}`, save: "h=data.hmac", loose: made},
		step{as: "root", do: "POST transit/verify/app", body: `{"input":"aGVsbG8=","hmac":"{h}"}`},
		step{as: "root", do: "POST transit/verify/app/sha2-512", body: `{"input":"aGVsbG8=","hmac":"{h}"}`},
		step{as: "root", do: "POST transit/verify/app", body: `{"input":"aGVsbG9v","hmac":"{h}"}`},
		step{as: "root", do: "POST transit/verify/app", body: `{"input":"aGVsbG9v","hmac":"{h}","signature":"x"}`},
		step{as: "root", do: "POST transit/hmac/mac/sha3-256", body: `{"input":"aGVsbG8="}`, save: "h=data.hmac", loose: made},
		step{as: "root", do: "POST transit/verify/mac/sha3-256", body: `{"input":"aGVsbG8=","hmac":"{h}"}`},
		step{as: "root", do: "POST transit/verify/mac", body: `{"input":"aGVsbG8=","hmac":"{h}","algorithm":"sha3-256"}`},
		step{as: "root", do: "POST transit/verify/mac", body: `{"input":"aGVsbG8=","hmac":"{h}","hash_algorithm":"sha3-256"}`},
	)
	p.play(rooted("signature hmac public_key",
		[2]string{"POST transit/sign/ec", ``},
		[2]string{"POST transit/sign/ec", `{"input":"!"}`},
		[2]string{"POST transit/sign/ec", `{"input":"Ynll","context":"!"}`},
		[2]string{"POST transit/sign/ec", `{"input":"Ynll","key_version":2}`},
		[2]string{"POST transit/sign/ec", `{"input":"Ynll","key_version":-1}`},
		[2]string{"POST transit/sign/ec", `{"input":"Ynll","key_version":"x"}`},
		[2]string{"POST transit/sign/ec", `{"input":"Ynll","hash_algorithm":"md5"}`},
		[2]string{"POST transit/sign/ec", `{"input":"Ynll","hash_algorithm":"none"}`},
		[2]string{"POST transit/sign/ec", `{"input":"Ynll","hash_algorithm":"sha3-384"}`},
		[2]string{"POST transit/sign/ec", `{"input":"Ynll","marshaling_algorithm":"x"}`},
		[2]string{"POST transit/sign/ec", `{"input":"Ynll","salt_length":"x"}`},
		[2]string{"POST transit/sign/ec", `{"input":"Ynll","salt_length":-2}`},
		[2]string{"POST transit/sign/ec", `{"input":"Ynll","prehashed":true}`},
		[2]string{"POST transit/sign/ec", `{"input":"Ynll","prehashed":"maybe"}`},
		[2]string{"POST transit/sign/ec/md5", `{"input":"Ynll"}`},
		[2]string{"POST transit/sign/app", `{"input":"Ynll"}`},
		[2]string{"POST transit/sign/mac", `{"input":"Ynll"}`},
		[2]string{"POST transit/sign/none", `{"input":"Ynll"}`},
		[2]string{"POST transit/sign/ed", `{"input":"Ynll","prehashed":true}`},
		[2]string{"POST transit/sign/ed", `{"input":"Ynll","hash_algorithm":"sha2-512"}`},
		[2]string{"POST transit/sign/ed", `{"input":"Ynll","signature_context":"x"}`},
		[2]string{"POST transit/sign/edd", `{"input":"Ynll"}`},
		[2]string{"GET transit/sign/ec", ``},
		[2]string{"POST transit/verify/ec", ``},
		[2]string{"POST transit/verify/ec", `{"input":"Ynll"}`},
		[2]string{"POST transit/verify/ec", `{"input":"Ynll","signature":""}`},
		[2]string{"POST transit/verify/ec", `{"input":"Ynll","signature":"hello"}`},
		[2]string{"POST transit/verify/ec", `{"input":"Ynll","signature":"vault:v1"}`},
		[2]string{"POST transit/verify/ec", `{"input":"Ynll","signature":"vault:vx:AAAA"}`},
		[2]string{"POST transit/verify/ec", `{"input":"Ynll","signature":"vault:v1:!"}`},
		[2]string{"POST transit/verify/ec", `{"input":"Ynll","signature":"vault:v1:AAAA"}`},
		[2]string{"POST transit/verify/ec", `{"input":"Ynll","signature":"vault:v2:AAAA"}`},
		[2]string{"POST transit/verify/ec", `{"input":"Ynll","signature":"vault:v0:AAAA"}`},
		[2]string{"POST transit/verify/ec", `{"input":"!","signature":"vault:v1:AAAA"}`},
		[2]string{"POST transit/verify/ec", `{"input":"Ynll","context":"!","signature":"vault:v1:AAAA"}`},
		[2]string{"POST transit/verify/ed", `{"input":"Ynll","signature":"vault:v1:AAAA"}`},
		[2]string{"POST transit/verify/ed", `{"input":"Ynll","prehashed":true,"signature":"vault:v1:AAAA"}`},
		[2]string{"POST transit/verify/app", `{"input":"Ynll","signature":"vault:v1:AAAA"}`},
		[2]string{"POST transit/verify/none", `{"input":"Ynll","signature":"vault:v1:AAAA"}`},
		[2]string{"POST transit/verify/none", `{"input":"Ynll","hmac":"vault:v1:AAAA"}`},
		[2]string{"POST transit/verify/ec", `{"input":"Ynll","hash_algorithm":"x","signature":"vault:v1:AAAA"}`},
		[2]string{"GET transit/verify/ec", ``},
		[2]string{"POST transit/verify/app", `{"input":"Ynll","hmac":"hello"}`},
		[2]string{"POST transit/verify/app", `{"input":"!","hmac":"hello"}`},
		[2]string{"POST transit/verify/app", `{"input":"Ynll","hmac":"vault:v1"}`},
		[2]string{"POST transit/verify/app", `{"input":"Ynll","hmac":"vault:vx:AAAA"}`},
		[2]string{"POST transit/verify/app", `{"input":"Ynll","hmac":"vault:v1:!"}`},
		[2]string{"POST transit/verify/app", `{"input":"Ynll","hmac":"vault:v1:AAAA"}`},
		[2]string{"POST transit/verify/app", `{"input":"Ynll","hmac":"vault:v2:AAAA"}`},
		[2]string{"POST transit/verify/app", `{"input":"Ynll","hmac":"vault:v1:AAAA","algorithm":"md5"}`},
		[2]string{"POST transit/hmac/app", ``},
		[2]string{"POST transit/hmac/app", `{"input":""}`},
		[2]string{"POST transit/hmac/app", `{"input":"!"}`},
		[2]string{"POST transit/hmac/app", `{"input":"Ynll","key_version":2}`},
		[2]string{"POST transit/hmac/app", `{"input":"Ynll","key_version":-2}`},
		[2]string{"POST transit/hmac/app", `{"input":"Ynll","algorithm":"md5"}`},
		[2]string{"POST transit/hmac/app", `{"input":"Ynll","algorithm":""}`},
		[2]string{"POST transit/hmac/app/sha2-384", `{"input":"Ynll"}`},
		[2]string{"POST transit/hmac/none", `{"input":"Ynll"}`},
		[2]string{"GET transit/hmac/app", ``},
		[2]string{"POST transit/hash", `{"input":"Ynll"}`},
		[2]string{"POST transit/hash/sha3-512", `{"input":"Ynll","format":"base64"}`},
		[2]string{"POST transit/hash", `{"input":"Ynll","algorithm":"sha2-224"}`},
		[2]string{"POST transit/hash", `{"input":"Ynll","algorithm":"sha1"}`},
		[2]string{"POST transit/hash", `{"input":"Ynll","format":"x"}`},
		[2]string{"POST transit/hash", `{"input":"!"}`},
		[2]string{"POST transit/hash", ``},
		[2]string{"GET transit/hash", ``},
	)...)
	p.play(rooted("random_bytes",
		[2]string{"POST transit/random", ``},
		[2]string{"POST transit/random/16", `{"format":"hex"}`},
		[2]string{"POST transit/random/platform/16", ``},
		[2]string{"POST transit/random/seal", ``},
		[2]string{"POST transit/random/all", `{"bytes":5}`},
		[2]string{"POST transit/random", `{"bytes":0}`},
		[2]string{"POST transit/random", `{"bytes":1000000}`},
		[2]string{"POST transit/random", `{"bytes":"x"}`},
		[2]string{"POST transit/random/x", ``},
		[2]string{"POST transit/random/x/5", ``},
		[2]string{"POST transit/random/platform/x", ``},
		[2]string{"POST transit/random", `{"format":"x","source":"seal"}`},
		[2]string{"GET transit/random", ``},
	)...)
}

// RSA keys take their time: this is the one test that has some.
func TestTransitRSA(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.real.Mount("transit", "transit", nil)
	p.real.Write("transit/keys/rsa", map[string]any{"type": "rsa-2048", "exportable": true})
	p.fake.TransitKey("transit", "rsa", vaulttest.TransitKeySpec{Type: "rsa-2048", Exportable: true})
	p.play(
		step{as: "root", do: "POST transit/encrypt/rsa", body: `{"plaintext":"aGVsbG8="}`, save: "c=data.ciphertext", loose: made},
		step{as: "root", do: "POST transit/decrypt/rsa", body: `{"ciphertext":"{c}"}`},
		step{as: "root", do: "POST transit/decrypt/rsa", body: `{"ciphertext":"{c}","padding_scheme":"pkcs1v15"}`},
		step{as: "root", do: "POST transit/rewrap/rsa", body: `{"ciphertext":"{c}","encrypt_padding_scheme":"pkcs1v15"}`, save: "c=data.ciphertext", loose: made},
		step{as: "root", do: "POST transit/decrypt/rsa", body: `{"ciphertext":"{c}","padding_scheme":"pkcs1v15"}`},
		step{as: "root", do: "POST transit/rewrap/rsa", body: `{"ciphertext":"{c}"}`},
		step{as: "root", do: "POST transit/decrypt/rsa", body: `{"batch_input":[{"ciphertext":"{c}","padding_scheme":"pkcs1v15"},{"ciphertext":"{c}"}]}`},
		step{as: "root", do: "POST transit/decrypt/rsa", body: `{"batch_input":[{"ciphertext":"{c}"},{"ciphertext":"x"}]}`},
		step{as: "root", do: "POST transit/sign/rsa", body: `{"input":"aGVsbG8="}`, save: "s=data.signature", loose: made},
		step{as: "root", do: "POST transit/verify/rsa", body: `{"input":"aGVsbG8=","signature":"{s}"}`},
		step{as: "root", do: "POST transit/verify/rsa", body: `{"input":"aGVsbG8=","signature":"{s}","signature_algorithm":"pkcs1v15"}`},
		step{as: "root", do: "POST transit/verify/rsa", body: `{"input":"aGVsbG8=","signature":"{s}","signature_algorithm":"x"}`},
		step{as: "root", do: "POST transit/verify/rsa", body: `{"batch_input":[{"input":"aGVsbG8=","signature":"{s}"}],"signature_algorithm":"x"}`},
		step{as: "root", do: "POST transit/sign/rsa/sha2-384", body: `{"input":"aGVsbG8=","signature_algorithm":"pkcs1v15"}`, save: "s=data.signature", loose: made},
		step{as: "root", do: "POST transit/verify/rsa/sha2-384", body: `{"input":"aGVsbG8=","signature":"{s}","signature_algorithm":"pkcs1v15"}`},
		step{as: "root", do: "POST transit/sign/rsa", body: `{"input":"aGVsbG8=","salt_length":"hash","hash_algorithm":"sha3-256"}`, save: "s=data.signature", loose: made},
		step{as: "root", do: "POST transit/verify/rsa", body: `{"input":"aGVsbG8=","signature":"{s}","salt_length":32,"hash_algorithm":"sha3-256"}`},
		step{as: "root", do: "POST transit/verify/rsa", body: `{"input":"aGVsbG8=","signature":"{s}","salt_length":1000}`},
	)
	p.play(rooted("signature ciphertext public_key plaintext 1",
		[2]string{"GET transit/keys/rsa", ``},
		[2]string{"GET transit/export/signing-key/rsa", ``},
		[2]string{"GET transit/export/encryption-key/rsa/1", ``},
		[2]string{"GET transit/export/public-key/rsa", ``},
		[2]string{"POST transit/sign/rsa", `{"input":"aGVsbG8=","signature_algorithm":"x"}`},
		[2]string{"POST transit/sign/rsa", `{"input":"aGVsbG8=","salt_length":1000}`},
		[2]string{"POST transit/sign/rsa", `{"input":"aGVsbG8=","prehashed":true}`},
		[2]string{"POST transit/sign/rsa", `{"input":"aGVsbG8=","prehashed":true,"signature_algorithm":"pkcs1v15"}`},
		[2]string{"POST transit/sign/rsa", `{"input":"aGVsbG8=","prehashed":true,"signature_algorithm":"pkcs1v15","hash_algorithm":"none"}`},
		[2]string{"POST transit/encrypt/rsa", `{"plaintext":"aGVsbG8=","padding_scheme":"x"}`},
		[2]string{"POST transit/encrypt/rsa", `{"plaintext":"aGVsbG8=","associated_data":"YWQ="}`},
		[2]string{"POST transit/encrypt/rsa", `{"batch_input":[{"plaintext":"aGVsbG8=","padding_scheme":"x"}]}`},
		[2]string{"POST transit/datakey/plaintext/rsa", `{"padding_scheme":"pkcs1v15"}`},
		[2]string{"POST transit/encrypt/rsa", `{"plaintext":"` + longPlaintext + `"}`},
	)...)
}

// longPlaintext is more than an RSA key can encrypt.
var longPlaintext = strings.Repeat("QUFB", 100)
