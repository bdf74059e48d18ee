package runstore_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/runstore/runstore/clients/go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const (
	oldToken, newToken = "rs1_old", "rs1_new"
	far                = "runstore.example.com:7411"
)

// work is what a client does over each kind of call, and what it gets.
var work = map[string]func(context.Context, *runstore.Client) (string, error){
	"append": func(ctx context.Context, client *runstore.Client) (string, error) {
		appended, err := client.Run("run").Append(ctx, runstore.NewEvent{Type: "tick"})
		if err != nil {
			return "", err
		}
		return fmt.Sprint(appended[0].Seq), nil
	},
	"events": func(ctx context.Context, client *runstore.Client) (string, error) {
		var seqs []int64
		for event, err := range client.Run("run").Events(ctx, runstore.EventsOptions{Follow: true}) {
			if err != nil {
				return "", err
			}
			seqs = append(seqs, event.Seq)
		}
		return fmt.Sprint(seqs), nil
	},
	"feed": func(ctx context.Context, client *runstore.Client) (string, error) {
		var positions []int64
		for entry, err := range client.Feed().Entries(ctx, runstore.FollowFeedOptions{}) {
			if err != nil {
				return "", err
			}
			if positions = append(positions, entry.Position); len(positions) == 2 {
				break
			}
		}
		return fmt.Sprint(positions), nil
	},
	"appender": func(ctx context.Context, client *runstore.Client) (string, error) {
		appender := client.Appender(ctx, runstore.AppenderOptions{})
		var seqs []int64
		for range 2 {
			pending, err := appender.Append(ctx, client.Run("run"), runstore.NewEvent{Type: "tick"})
			if err != nil {
				return "", errors.Join(appender.Close(), err)
			}
			appended, err := pending.Wait(ctx)
			if err != nil {
				return "", errors.Join(appender.Close(), err)
			}
			seqs = append(seqs, appended.Seq)
		}
		return fmt.Sprint(seqs), appender.Close()
	},
	"upload": func(ctx context.Context, client *runstore.Client) (string, error) {
		put, err := client.Artifacts().Upload(
			ctx, "run", "name", strings.NewReader(content), runstore.ArtifactOptions{},
		)
		if err != nil {
			return "", err
		}
		return fmt.Sprint(*put.Artifact.Size), nil
	},
	"download": func(ctx context.Context, client *runstore.Client) (string, error) {
		which := runstore.ArtifactRef{ArtifactID: "a"}
		download, err := client.Artifacts().Download(ctx, which, runstore.DownloadOptions{})
		if err != nil {
			return "", err
		}
		defer download.Close()
		read, err := io.ReadAll(download)
		return string(read), err
	},
}

var done = map[string]string{
	"append": "1", "events": "[1 2]", "feed": "[1 2]", "appender": "[1 1]",
	"upload": fmt.Sprint(len(content)), "download": content,
}

func clearTokens(t *testing.T) {
	for _, name := range []string{"RUNSTORE_TOKEN", "RUNSTORE_TOKEN_FILE", "RUNSTORE_ALLOW_INSECURE_TOKEN"} {
		t.Setenv(name, "")
	}
}

// holding is the path of a file that holds something.
func holding(t *testing.T, held string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "token")
	put(t, path, held)
	return path
}

func put(t *testing.T, path, held string) {
	t.Helper()
	require(t, os.WriteFile(path, []byte(held), 0o600))
}

// rotating puts a new token into a file the first time that the gate refuses.
func rotating(t *testing.T, g *gate, path string) {
	g.refusing = func() {
		g.refusing = func() {}
		put(t, path, newToken+"\n")
	}
}

func appendTo(t *testing.T, target string, options ...runstore.Option) error {
	t.Helper()
	_, err := work["append"](t.Context(), dialTo(t, target, options...))
	return err
}

func TestEveryKindOfCallCarriesTheToken(t *testing.T) {
	clearTokens(t)
	for kind, do := range work {
		g := gated(t, newToken)

		got, err := do(t.Context(), dialTo(t, g.target, runstore.WithToken(newToken)))

		require(t, err)
		equal(t, kind, got, done[kind])
		equal(t, kind, g.tokens(), newToken)
	}
}

func TestTheQuestionForHealthCarriesItToo(t *testing.T) {
	clearTokens(t)
	g := gated(t)

	_, err := dialTo(t, g.target, runstore.WithToken(newToken)).Healthy(t.Context())

	require(t, err)
	equal(t, "shown", g.tokens(), newToken)
}

func TestAFileHoldsTheTokenWithOrWithoutTheEndOfALine(t *testing.T) {
	clearTokens(t)
	for _, end := range []string{"", "\n", "\r\n"} {
		g := gated(t, newToken)
		require(t, appendTo(t, g.target, runstore.WithTokenFile(holding(t, newToken+end))))
		equal(t, "shown", g.tokens(), newToken)
	}
}

func TestTheEnvironmentNamesTheTokenUnlessAnOptionDoes(t *testing.T) {
	clearTokens(t)
	g := gated(t, newToken)
	t.Setenv("RUNSTORE_TOKEN_FILE", holding(t, newToken))
	require(t, appendTo(t, g.target))
	t.Setenv("RUNSTORE_TOKEN_FILE", "")
	t.Setenv("RUNSTORE_TOKEN", newToken+"\n")
	require(t, appendTo(t, g.target))
	equal(t, "shown", g.tokens(), newToken+" "+newToken)

	t.Setenv("RUNSTORE_TOKEN", oldToken)
	t.Setenv("RUNSTORE_TOKEN_FILE", "/none")
	require(t, appendTo(t, g.target, runstore.WithToken(newToken)))
	require(t, appendTo(t, g.target, runstore.WithTokenFile(holding(t, newToken))))
	require(t, appendTo(t, g.target, runstore.WithMetadata("Authorization", "Bearer "+newToken)))
	equal(t, "shown", g.tokens(), strings.Repeat(newToken+" ", 4)+newToken)
}

func TestTheCallersOwnAuthorizationIsSentInsteadOfTheToken(t *testing.T) {
	clearTokens(t)
	g := gated(t, newToken)
	client := dialTo(t, g.target, runstore.WithToken(oldToken))
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+newToken)

	_, err := work["append"](ctx, client)

	require(t, err)
	equal(t, "shown", g.tokens(), newToken)
}

func TestWhatIsNoTokenIsRefusedInALineThatDoesNotShowIt(t *testing.T) {
	empty, held := holding(t, "\n"), holding(t, "Secret")
	for name, each := range map[string]struct {
		options   []runstore.Option
		variables map[string]string
		problem   string
	}{
		"both": {
			[]runstore.Option{runstore.WithToken("Secret"), runstore.WithTokenFile(held)}, nil,
			"token: must not be set together with a token file",
		},
		"both variables": {
			nil, map[string]string{"RUNSTORE_TOKEN": "Secret", "RUNSTORE_TOKEN_FILE": held},
			"RUNSTORE_TOKEN: must not be set together with RUNSTORE_TOKEN_FILE",
		},
		"beside its own metadata": {
			[]runstore.Option{runstore.WithToken("Secret"), runstore.WithMetadata("authorization", "x")}, nil,
			"token: must not be set together with authorization in metadata",
		},
		"nothing":       {[]runstore.Option{runstore.WithToken("")}, nil, "token: must not be empty"},
		"no file":       {[]runstore.Option{runstore.WithTokenFile("/none")}, nil, "token file: cannot be read: "},
		"a folder":      {[]runstore.Option{runstore.WithTokenFile("/")}, nil, "token file: cannot be read: "},
		"an empty file": {[]runstore.Option{runstore.WithTokenFile(empty)}, nil, "token file: has no token: "},
		"no file of a variable": {
			nil, map[string]string{"RUNSTORE_TOKEN_FILE": "/none"}, "RUNSTORE_TOKEN_FILE: cannot be read: ",
		},
		"a file without an end": {
			[]runstore.Option{runstore.WithTokenFile("/dev/zero")}, nil,
			"token file: must be a token of at most 8192 characters",
		},
		"words":      {[]runstore.Option{runstore.WithToken("Bearer Secret")}, nil, "token: must be a token of printable"},
		"two lines":  {[]runstore.Option{runstore.WithToken("Secret\nx")}, nil, "token: must be a token of printable"},
		"a letter":   {[]runstore.Option{runstore.WithToken("Secr\u00e9t")}, nil, "token: must be a token of printable"},
		"a variable": {nil, map[string]string{"RUNSTORE_TOKEN": "Secret x"}, "RUNSTORE_TOKEN: must be a token of printable"},
		"a long one": {
			[]runstore.Option{runstore.WithToken(strings.Repeat("Secret", 8192))}, nil,
			"token: must be a token of at most 8192",
		},
	} {
		t.Run(name, func(t *testing.T) {
			clearTokens(t)
			for variable, value := range each.variables {
				t.Setenv(variable, value)
			}

			_, err := runstore.Dial("localhost:7411", each.options...)

			var refused *runstore.InvalidArgumentError
			if !errors.As(err, &refused) || !strings.HasPrefix(err.Error(), "runstore: "+each.problem) {
				t.Fatalf("got %v, want %q", err, each.problem)
			}
			if strings.Contains(err.Error(), "Secr") || strings.Contains(err.Error(), "\n") {
				t.Fatalf("got %q", err)
			}
		})
	}
}

func TestATokenIsNotSentInPlainTextUnlessThatIsAllowed(t *testing.T) {
	clearTokens(t)
	token := runstore.WithToken(oldToken)
	_, err := runstore.Dial(far, token)
	for _, words := range []string{"token: is not sent in plain text", "grpcs://" + far, "WithInsecureToken", "RUNSTORE_ALLOW_INSECURE_TOKEN=true"} {
		if err == nil || !strings.Contains(err.Error(), words) || strings.Contains(err.Error(), oldToken) {
			t.Fatalf("got %v, want %s", err, words)
		}
	}
	plain := runstore.WithDialOptions(grpc.WithTransportCredentials(insecure.NewCredentials()))
	if _, err := runstore.Dial("grpcs://"+far, token, plain); err == nil {
		t.Fatal("a dial option has a token sent in plain text")
	}
	t.Setenv("RUNSTORE_ALLOW_INSECURE_TOKEN", "perhaps")
	if _, err := runstore.Dial(far, token); err == nil || !strings.Contains(err.Error(), "must be true or false") {
		t.Fatalf("got %v", err)
	}

	t.Setenv("RUNSTORE_ALLOW_INSECURE_TOKEN", "true")
	require(t, opened(runstore.Dial(far, token)))
	t.Setenv("RUNSTORE_ALLOW_INSECURE_TOKEN", "")
	require(t, opened(runstore.Dial(far, token, runstore.WithInsecureToken())))
	require(t, opened(runstore.Dial("grpcs://"+far, token)))
	require(t, opened(runstore.Dial(far, token, runstore.WithTLS(&tls.Config{}))))
	require(t, opened(runstore.Dial("[::1]:7411", token)))
}

func opened(client *runstore.Client, err error) error {
	if err != nil {
		return err
	}
	return client.Close()
}

func TestACallThatWasRefusedIsRepeatedOnceTheFileHasChanged(t *testing.T) {
	clearTokens(t)
	for _, refusal := range []error{
		unknownToken, expiredToken, withdrawn, status.Error(codes.Unauthenticated, "a proxy's"),
	} {
		g := gated(t, newToken)
		path := holding(t, oldToken)
		g.refusedAs = refusal
		rotating(t, g, path)

		require(t, appendTo(t, g.target, runstore.WithTokenFile(path)))

		equal(t, "shown", g.tokens(), oldToken+" "+newToken)
	}
}

func TestARefusalIsNotRepeatedWhileTheFileIsTheSame(t *testing.T) {
	clearTokens(t)
	for kind, do := range work {
		g := gated(t, newToken)

		_, err := do(t.Context(), dialTo(t, g.target, runstore.WithTokenFile(holding(t, oldToken))))

		var refused *runstore.UnauthenticatedError
		if !errors.As(err, &refused) || g.tokens() != oldToken {
			t.Errorf("%s: got %v after %s", kind, err, g.tokens())
		}
		if strings.Contains(err.Error(), oldToken) {
			t.Errorf("%s shows the token: %v", kind, err)
		}
	}
}

func TestARefusalIsRepeatedOnceForEachChangeOfTheFile(t *testing.T) {
	clearTokens(t)
	g := gated(t)
	path := holding(t, oldToken)
	rotating(t, g, path)

	err := appendTo(t, g.target, runstore.WithTokenFile(path))

	equal(t, "code", status.Code(err), codes.Unauthenticated)
	equal(t, "shown", g.tokens(), oldToken+" "+newToken)
}

func TestAStreamWhoseTokenHasExpiredGoesOnWithTheNext(t *testing.T) {
	clearTokens(t)
	for kind, do := range work {
		for _, ending := range []error{expiredToken, withdrawn} {
			if kind == "append" {
				continue
			}
			g := gated(t, oldToken, newToken)
			g.ended[oldToken], g.ending = true, ending
			path := holding(t, oldToken)
			rotating(t, g, path)

			got, err := do(t.Context(), dialTo(t, g.target, runstore.WithTokenFile(path)))

			require(t, err)
			equal(t, kind, got, done[kind])
			equal(t, kind, g.tokens(), oldToken+" "+newToken)
		}
	}
}

func TestAStreamWhoseTokenHasExpiredEndsWhileThereIsNoNext(t *testing.T) {
	clearTokens(t)
	for kind, do := range work {
		if kind == "append" {
			continue
		}
		g := gated(t, oldToken)
		g.ended[oldToken] = true

		_, err := do(t.Context(), dialTo(t, g.target, runstore.WithTokenFile(holding(t, oldToken))))

		var expired *runstore.CredentialExpiredError
		if !errors.As(err, &expired) || g.tokens() != oldToken {
			t.Errorf("%s: got %v after %s", kind, err, g.tokens())
		}
	}
}

func TestDataThatCanBeReadOnceIsNotSentAgain(t *testing.T) {
	clearTokens(t)
	g := gated(t, newToken)
	path := holding(t, oldToken)
	rotating(t, g, path)
	client := dialTo(t, g.target, runstore.WithTokenFile(path))

	_, err := client.Artifacts().Upload(
		t.Context(), "run", "name", once{strings.NewReader(content)}, runstore.ArtifactOptions{},
	)

	equal(t, "code", status.Code(err), codes.Unauthenticated)
	equal(t, "shown", g.tokens(), oldToken)
}

func TestAFileThatCannotBeReadLeavesTheTokenAndIsTold(t *testing.T) {
	clearTokens(t)
	g := gated(t)
	path := holding(t, oldToken)
	client := dialTo(t, g.target, runstore.WithTokenFile(path))
	put(t, path, "")

	_, err := work["append"](t.Context(), client)

	if err == nil || !strings.Contains(err.Error(), "token file: has no token: ") {
		t.Fatalf("got %v", err)
	}
	put(t, path, newToken)
	g.known[newToken] = true
	_, err = work["append"](t.Context(), client)
	require(t, err)
	equal(t, "shown", g.tokens(), oldToken+" "+oldToken+" "+newToken)
}

func TestAClientDoesNotPrintItsToken(t *testing.T) {
	clearTokens(t)
	client := dialTo(t, "localhost:7411", runstore.WithToken(oldToken))

	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if said := fmt.Sprintf(format, client); strings.Contains(said, oldToken) {
			t.Errorf("%s: %s", format, said)
		}
	}
}
