package runstore_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc/credentials/insecure"

	runstore "github.com/runstore/runstore/clients/go"
)

const tlsTarget = "grpcs://localhost:7411"

func TestFilesOfTheEnvironmentThatCannotBeUsedAreRefusedByName(t *testing.T) {
	folder := t.TempDir()
	text := filepath.Join(folder, "text")
	if err := os.WriteFile(text, []byte("no PEM"), 0o600); err != nil {
		t.Fatal(err)
	}
	const ca, cert, key = "RUNSTORE_CA_FILE", "RUNSTORE_CLIENT_CERT_FILE", "RUNSTORE_CLIENT_KEY_FILE"
	for name, each := range map[string]struct {
		named   map[string]string
		problem string
	}{
		"missing":     {map[string]string{ca: filepath.Join(folder, "none")}, ca + ": cannot be read"},
		"no PEM":      {map[string]string{ca: text}, ca + ": holds no PEM certificate"},
		"no key":      {map[string]string{cert: text}, cert + ": must be set together with " + key},
		"no cert":     {map[string]string{key: text}, cert + ": must be set together with " + key},
		"not a pair":  {map[string]string{cert: text, key: text}, cert + ": cannot be used"},
		"none at all": {map[string]string{cert: "none", key: "none"}, cert + ": cannot be used"},
	} {
		t.Run(name, func(t *testing.T) {
			for variable, path := range each.named {
				t.Setenv(variable, path)
			}
			_, err := runstore.Dial(tlsTarget)
			var refused *runstore.InvalidArgumentError
			if !errors.As(err, &refused) || !strings.Contains(err.Error(), each.problem) {
				t.Errorf("Dial: %v, want %q", err, each.problem)
			}
			client, err := runstore.Dial("localhost:7411") // has no use for them
			if err != nil {
				t.Fatal(err)
			}
			client.Close()
		})
	}
}

func TestATargetThatAsksForTLSIsNotConnectedToWithoutIt(t *testing.T) {
	plain := runstore.WithTransportCredentials(insecure.NewCredentials())
	var refused *runstore.InvalidArgumentError
	if _, err := runstore.Dial(tlsTarget, plain); !errors.As(err, &refused) || refused.Field != "target" {
		t.Errorf("Dial: %v", err)
	}
}

func TestTheAddressBehindTheSchemeIsCheckedAsAny(t *testing.T) {
	for _, target := range []string{"grpcs://localhost", "grpcs://", "grpcs://grpcs://localhost:1"} {
		var refused *runstore.InvalidArgumentError
		if _, err := runstore.Dial(target); !errors.As(err, &refused) || refused.Field != "target" {
			t.Errorf("Dial(%q): %v", target, err)
		}
	}
}
