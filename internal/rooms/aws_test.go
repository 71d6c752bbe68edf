package rooms

import (
	"strings"
	"testing"
)

// TestAWSProgramLinksTheCoreOfTheSDKOnly: its config package and its services would make a
// program larger by a third, and version 1 by nearly as much again as it was.
func TestAWSProgramLinksTheCoreOfTheSDKOnly(t *testing.T) {
	t.Parallel()

	signer := false

	for importPath := range list(t, root+"/auth/aws") {
		signer = signer || importPath == "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

		within := func(prefix string) bool { return strings.HasPrefix(importPath, prefix) }
		if within("github.com/aws/") && !within("github.com/aws/smithy-go") &&
			!within("github.com/aws/aws-sdk-go-v2/aws") && !within("github.com/aws/aws-sdk-go-v2/internal") {
			t.Errorf("a program that logs in by AWS links %s", importPath)
		}
	}

	if !signer {
		t.Error("the signer is not there")
	}
}
