package runstore_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/runstore/runstore/clients/go"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	code, err := runTests(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// runTests runs them on a server of their own; a goroutine left behind fails them.
func runTests(m *testing.M) (code int, err error) {
	if sharedDatabase, err = startDatabase(); err != nil {
		return 1, err
	}
	defer func() {
		if stopped := sharedDatabase.stop(); err == nil {
			err = stopped
		}
	}()
	folder, err := os.MkdirTemp("", "runstore-go-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(folder)
	shared := newServer(sharedDatabase, filepath.Join(folder, "server.log"))
	if err := shared.start(); err != nil {
		return 1, err
	}
	defer shared.stopBy(syscall.SIGTERM)
	if err := shared.waitUntilServing(); err != nil {
		return 1, err
	}
	sharedTarget = shared.target
	os.Setenv(runstore.TargetVariable, sharedTarget)
	if code := m.Run(); code != 0 {
		return code, nil
	}
	return 0, withoutLeaks()
}

// dial is a client of the shared server, in a project no other test writes to.
func dial(t *testing.T, options ...runstore.Option) *runstore.Client {
	t.Helper()
	return dialTo(t, sharedTarget, options...)
}

func dialTo(t *testing.T, target string, options ...runstore.Option) *runstore.Client {
	t.Helper()
	own := []runstore.Option{
		runstore.WithProject("test/" + uuid.NewString()),
		runstore.WithTimeout(patient),
	}
	client, err := runstore.Dial(target, append(own, options...)...)
	require(t, err)
	t.Cleanup(func() { require(t, client.Close()) })
	return client
}

// patient is how long to wait for what a busy machine does: a server takes a minute to start there.
const patient = 5 * time.Minute

// savedRun is a fresh run.
func savedRun(t *testing.T, client *runstore.Client) *runstore.Run {
	t.Helper()
	run, err := client.SaveRun(t.Context(), runstore.NewRun{Objective: "be tested"})
	require(t, err)
	return run
}

// withTicks is a fresh run with so many events of the type "tick".
func withTicks(t *testing.T, client *runstore.Client, count int) *runstore.Run {
	t.Helper()
	run := savedRun(t, client)
	_, err := run.Append(t.Context(), ticks(0, count)...)
	require(t, err)
	return run
}

// ticks are events that hold the numbers from first up to last, exclusive.
func ticks(first, last int) []runstore.NewEvent {
	var events []runstore.NewEvent
	for number := first; number < last; number++ {
		events = append(events, runstore.NewEvent{Type: "tick", Payload: runstore.JSONOf(number)})
	}
	return events
}

func soon(t *testing.T, limit time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return ctx
}

// late is a context whose deadline passes when the test says so, however slow the machine is.
type late struct {
	context.Context
	deadline time.Time
	pass     func()
	passed   chan struct{}
}

func newLate(t *testing.T) *late {
	t.Helper()
	passed := make(chan struct{})
	pass := sync.OnceFunc(func() { close(passed) })
	t.Cleanup(pass)
	return &late{t.Context(), time.Now().Add(time.Hour), pass, passed}
}

func (l *late) Deadline() (time.Time, bool) { return l.deadline, true }

func (l *late) Done() <-chan struct{} { return l.passed }

func (l *late) Err() error {
	select {
	case <-l.passed:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// leavesNothing fails if goroutines that were not there before go on.
func leavesNothing(t *testing.T, before goleak.Option) {
	t.Helper()
	require(t, withoutLeaks(before))
}

// withoutLeaks gives goroutines that are about to end a minute; goleak's own second is too short for
// a busy machine.
func withoutLeaks(options ...goleak.Option) error {
	for give := time.Now().Add(time.Minute); ; {
		if err := goleak.Find(options...); err == nil || time.Now().After(give) {
			return err
		}
	}
}

func require(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal[Value comparable](t *testing.T, what string, got, want Value) {
	t.Helper()
	if got != want {
		t.Fatalf("%s: got %v, want %v", what, got, want)
	}
}
