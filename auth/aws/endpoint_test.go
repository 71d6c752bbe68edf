package aws

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestA9EachRegionHasTheEndpointThatTheSDKSays reads the SDK's own list of regions, so that
// a new partition of AWS is not missed when the SDK is updated.
// Mutation: leave a partition out.
func TestA9EachRegionHasTheEndpointThatTheSDKSays(t *testing.T) {
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/aws/aws-sdk-go-v2").Output()
	require.NoError(t, err)
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "internal", "endpoints", "awsrulesfn", "partitions.json"))
	require.NoError(t, err)
	var list struct {
		Partitions []struct {
			Outputs struct {
				DNSSuffix string `json:"dnsSuffix"`
			} `json:"outputs"`
			Regions map[string]any `json:"regions"`
		} `json:"partitions"`
	}
	require.NoError(t, json.Unmarshal(text, &list))
	regions := 0
	for _, p := range list.Partitions {
		for region := range p.Regions {
			if strings.HasSuffix(region, "-global") {
				continue // a name for what has no region
			}
			regions++
			u, scope, err := target(region, "")
			require.NoError(t, err, region)
			assert.Equal(t, "https://sts."+region+"."+p.Outputs.DNSSuffix+"/", u.String())
			assert.Equal(t, region, scope)
		}
	}
	assert.Greater(t, regions, 30)
}
