package runstore_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/runstore/runstore/clients/go"
	"google.golang.org/grpc/codes"
)

func TestWhatCannotBeAnAddressIsRefusedByDial(t *testing.T) {
	for _, target := range []string{
		"localhost", "localhost:", ":7411", "localhost:port", "localhost:0", "localhost:65536",
		"localhost:99999999999999999999", "localhost:7411/", "local host:7411", "localhost:7411\n",
		"::1:7411", "a:1,b:2", "http://localhost:7411", "grpc://localhost:7411", "user@localhost:7411",
	} {
		_, err := runstore.Dial(target)

		var invalid *runstore.InvalidArgumentError
		if !errors.As(err, &invalid) || invalid.Field != "target" {
			t.Errorf("%q: got %v", target, err)
		}
	}
	for _, target := range []string{
		"localhost:7411", "[::1]:7411", "a.b-c.svc.cluster.local:7411", "dns:///runstore:7411",
		"passthrough:///x", "unix:/run/runstore.sock",
	} {
		client, err := runstore.Dial(target)
		require(t, err)
		require(t, client.Close())
	}
}

const dead = "127.0.0.1:1"

var triedFor = regexp.MustCompile(` \(127\.0\.0\.1:\d+, tried for \d+\.\d s\)$`)

// lost is a client of a server that has answered it and is gone.
func lost(t *testing.T, options ...runstore.Option) *runstore.Client {
	t.Helper()
	s := scripted(t)
	s.saves = []error{nil}
	client := dialTo(t, s.target, options...)
	_, err := client.SaveRun(soon(t, time.Minute), runstore.NewRun{})
	require(t, err)
	s.stop()
	return client
}

// calls are one of each way to reach a server.
var calls = map[string]func(context.Context, *runstore.Client) error{
	"call": func(ctx context.Context, client *runstore.Client) error {
		_, err := client.Run("r").Get(ctx)
		return err
	},
	"stream": func(ctx context.Context, client *runstore.Client) (failure error) {
		for _, err := range client.Run("r").Events(ctx, runstore.EventsOptions{Follow: true}) {
			failure = err
		}
		return failure
	},
	"append": func(ctx context.Context, client *runstore.Client) error {
		appender := client.Appender(ctx, runstore.AppenderOptions{})
		_, err := appender.Append(ctx, client.Run("r"), runstore.NewEvent{Type: "tick"})
		return errors.Join(err, appender.Close())
	},
	"upload": func(ctx context.Context, client *runstore.Client) error {
		data := strings.NewReader("data")
		_, err := client.Artifacts().Upload(ctx, "r", "name", data, runstore.ArtifactOptions{})
		return err
	},
	"download": func(ctx context.Context, client *runstore.Client) error {
		which := runstore.ArtifactRef{RunID: "r", Name: "name"}
		_, err := client.Artifacts().Download(ctx, which, runstore.DownloadOptions{})
		return err
	},
	"health": func(ctx context.Context, client *runstore.Client) error {
		_, err := client.Healthy(ctx)
		return err
	},
}

func TestAFirstCallThatReachesNoServerIsTriedOnceAndNamesItsTarget(t *testing.T) {
	ofHTTP := httptest.NewServer(http.NotFoundHandler())
	defer ofHTTP.Close()
	for what, target := range map[string]string{
		"dead port": dead,
		"HTTP port": ofHTTP.Listener.Addr().String(),
		"no host":   "nowhere.invalid:7411",
	} {
		for name, call := range calls {
			t.Run(what+" "+name, func(t *testing.T) {
				client := dialTo(t, target, runstore.WithTimeout(time.Hour))

				err := call(soon(t, time.Minute), client)

				var unavailable *runstore.UnavailableError
				if !errors.As(err, &unavailable) {
					t.Fatalf("got %v", err)
				}
				want := "no server answers at " + target + ", tried once: "
				if strings.Count(unavailable.Message, want) != 1 {
					t.Fatalf("got %v", err)
				}
			})
		}
	}
}

func TestAServerThatIsLostLaterIsNamedWithTheTimeItWasTried(t *testing.T) {
	client := lost(t, runstore.WithTimeout(time.Second))

	_, err := client.SaveRun(t.Context(), runstore.NewRun{})

	var unavailable *runstore.UnavailableError
	if !errors.As(err, &unavailable) || !triedFor.MatchString(unavailable.Message) {
		t.Fatalf("got %v", err)
	}
}

func TestAfterARefusalAServerThatIsLostIsWaitedFor(t *testing.T) {
	s := scripted(t)
	s.saves = []error{told(codes.NotFound, "RUN_NOT_FOUND", nil).Err()}
	client := dialTo(t, s.target, runstore.WithTimeout(time.Second))
	_, refused := client.SaveRun(soon(t, time.Minute), runstore.NewRun{})
	s.stop()

	_, err := client.SaveRun(t.Context(), runstore.NewRun{})

	equal(t, "refusal", refused.Error(), "runstore: RUN_NOT_FOUND: words")
	if !triedFor.MatchString(err.Error()) {
		t.Fatalf("got %v", err)
	}
}

func TestAClosedClientSaysSo(t *testing.T) {
	for name, call := range calls {
		client := dialTo(t, sharedTarget)
		require(t, client.Close())

		if err := call(soon(t, time.Minute), client); !errors.Is(err, runstore.ErrClosed) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
