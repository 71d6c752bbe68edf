package likeness

import (
	"crypto/x509"
	"encoding/pem"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

func TestTheCommandLineEncryptsAndSigns(t *testing.T) {
	t.Parallel()
	p := newPair(t).terminals()
	p.real.Mount("transit", "transit", nil)
	for name, typ := range map[string]string{"app": "aes256-gcm96", "signer": "ed25519"} {
		p.real.Write("transit/keys/"+name, map[string]any{"type": typ})
		p.fake.TransitKey("transit", name, vaulttest.TransitKeySpec{Type: typ})
	}
	rotate := func() {
		p.real.Write("transit/keys/app/rotate", nil)
		assert.Equal(t, 2, p.fake.RotateTransitKey("transit", "app"))
	}
	p.run(
		line{as: "root", run: "write transit/encrypt/app plaintext=aGVsbG8=", want: "ciphertext vault:v1:\nkey_version 1"},
		line{as: "root", run: "write -field=ciphertext transit/encrypt/app plaintext=aGVsbG8=", save: "first"},
		line{as: "root", run: "write transit/decrypt/app ciphertext={first}", want: "plaintext aGVsbG8=", then: rotate},
		line{as: "root", run: "write -field=ciphertext transit/rewrap/app ciphertext={first}", save: "second", want: "vault:v2:"},
		line{as: "root", run: "write -field=plaintext transit/decrypt/app ciphertext={first}", want: "aGVsbG8="},
		line{as: "root", run: "write -field=plaintext transit/decrypt/app ciphertext={second}", want: "aGVsbG8="},
		line{as: "root", run: "write transit/encrypt/app plaintext=not-base64", exit: 2, want: "Code: 400"},
		line{as: "root", run: "write transit/encrypt/app", exit: 1, want: "Must supply data"},
		line{as: "root", run: "write transit/decrypt/app ciphertext=vault:v9:AAAA", exit: 2, want: "Code: 400"},
		line{as: "root", run: "write transit/decrypt/app ciphertext=nonsense", exit: 2, want: "invalid ciphertext: no prefix"},
		line{as: "root", run: "write transit/decrypt/nobody ciphertext={first}", exit: 2, want: "encryption key not found"},

		line{as: "root", run: "write -field=signature transit/sign/signer input=aGVsbG8=", save: "signature", want: "vault:v1:"},
		line{as: "root", run: "write transit/verify/signer input=aGVsbG8= signature={signature}", want: "valid true"},
		line{as: "root", run: "write transit/verify/signer input=b3RoZXI= signature={signature}", want: "valid false"},
		line{as: "root", run: "write transit/sign/app input=aGVsbG8=", exit: 2, want: "does not support signing"},
		line{as: "root", run: "write -field=hmac transit/hmac/app input=aGVsbG8=", save: "hmac"},
		line{as: "root", run: "write transit/verify/app input=aGVsbG8= hmac={hmac}", want: "valid true"},
		line{as: "root", run: "write -force transit/keys/app/rotate", want: "latest_version 3"},
		line{as: "root", run: "list transit/keys", want: "app\nsigner"},
		line{as: "root", run: "read transit/keys/app", want: "latest_version 3\nsupports_signing false"},
		line{as: "root", run: "read transit/keys/nobody", exit: 2, want: "No value found at transit/keys/nobody"},
		line{as: "root", run: "write -wrap-ttl=1m -field=wrapping_token transit/decrypt/app ciphertext={first}", save: "wrapped"},
		line{run: "unwrap -field=plaintext {wrapped}", want: "aGVsbG8="},
	)
}

func TestTheCommandLineIssuesCertificates(t *testing.T) {
	t.Parallel()
	p := pkiPair(t).terminals()
	p.run(
		line{as: "root", run: "write pki/issue/app common_name=web.example.com ttl=2h", want: "issuing_ca\nprivate_key_type ec\nserial_number"},
		line{as: "root", run: "write -field=certificate pki/issue/app common_name=web.example.com", save: "certificate", then: func() {
			block, _ := pem.Decode([]byte(p.sides[1].known["certificate"]))
			require.NotNil(t, block)
			cert, err := x509.ParseCertificate(block.Bytes)
			require.NoError(t, err)
			require.NoError(t, cert.CheckSignatureFrom(p.fake.PKICA("pki")))
			require.NoError(t, cert.VerifyHostname("web.example.com"))
			assert.WithinDuration(t, p.fake.Now().Add(time.Hour), cert.NotAfter, time.Minute, "the role's")
		}},
		line{as: "root", run: "write pki/issue/app common_name=web.example.com ttl=1000h", want: `TTL "1000h" is longer than permitted maxTTL "48h"`},
		line{as: "root", run: "write pki/issue/app common_name=web.other.com", exit: 2, want: "common name web.other.com not allowed by this role"},
		line{as: "root", run: "write pki/issue/nobody common_name=web.example.com", exit: 2, want: "unknown role: nobody"},
		line{as: "root", run: "write -field=serial_number pki/issue/app common_name=web.example.com", save: "serial"},
		line{as: "root", run: "write pki/revoke serial_number={serial}", want: "state revoked"},
		line{as: "root", run: "read -field=certificate pki/cert/{serial}", want: "<CERTIFICATE>"},
		line{as: "root", run: "read -field=certificate pki/cert/ca", want: "<CERTIFICATE>"},
	)
}
