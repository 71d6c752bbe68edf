//go:build figures

package official_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/internal/figure"
)

// TestFigureSizeOfAWS compares what the two AWS methods add to a program. The sizes of all
// methods are measured in the module of the examples.
func TestFigureSizeOfAWS(t *testing.T) {
	size := func(dir, method, expression string) float64 {
		mb, err := figure.Size(t.Context(), dir, `"github.com/seed-f5e1ac40/leasehold/auth/`+method+`"`, "", expression)
		require.NoError(t, err)
		return mb
	}
	root := filepath.Join("..", "..", "..")
	base := size(root, "approle", `approle.New("a", approle.SecretIDString("b"))`)
	aws := size(root, "aws", `aws.New("a", nil, "eu-west-1")`)
	official := size(".", "aws/official", `official.New()`)
	figure.AtMost(os.Stdout, "aws-size", (aws-base)/(official-base), "x", 0.05, "oracle=go-build",
		fmt.Sprintf("approle=%.2fMB", base), fmt.Sprintf("aws=+%.2fMB", aws-base), fmt.Sprintf("aws_official=%.2fMB,+%.2fMB", official, official-base))
}
