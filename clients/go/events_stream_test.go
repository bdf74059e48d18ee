package runstore_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/runstore/runstore/clients/go"
	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// show reads a scripted stream to its end: seqs of events, names of marks.
func show(t *testing.T, s *script, options runstore.EventsOptions) (shown []string, failure error) {
	t.Helper()
	run := dialTo(t, s.target).Run("run")
	for item, err := range run.Stream(soon(t, time.Minute), options) {
		switch item := item.(type) {
		case nil:
			failure = err
		case *runstore.Event:
			shown = append(shown, fmt.Sprint(item.Seq))
		default:
			_, name, _ := strings.Cut(fmt.Sprintf("%T", item), ".")
			shown = append(shown, name)
		}
	}
	return shown, failure
}

func follow(t *testing.T, s *script, options runstore.EventsOptions) string {
	t.Helper()
	options.Follow = true
	shown, err := show(t, s, options)
	require(t, err)
	return strings.Join(shown, " ")
}

func askedFrom(t *testing.T, s *script, want ...int64) {
	t.Helper()
	if got := s.whatWasAsked(); !reflect.DeepEqual(got, want) {
		t.Fatalf("asked from %v, want %v", got, want)
	}
}

func TestADroppedStreamGoesOnAtTheNextSeq(t *testing.T) {
	s := scripted(t)
	s.streams = [][]any{{batch(1, 2), dropped}, {dropped}, {batch(3), endOfRun(3)}}

	equal(t, "shown", follow(t, s, runstore.EventsOptions{}), "1 2 3 EndOfRun")

	askedFrom(t, s, 1, 3, 3)
}

func TestAStreamThatABrokenPathEndsGoesOnAtTheNextSeq(t *testing.T) {
	for _, code := range []codes.Code{
		codes.Unavailable, codes.Canceled, codes.Internal, codes.Unknown, codes.DeadlineExceeded,
	} {
		s := scripted(t)
		broken := status.Error(code, "a proxy's")
		s.streams = [][]any{{batch(1, 2), broken}, {broken}, {batch(3), endOfRun(3)}}

		equal(t, code.String(), follow(t, s, runstore.EventsOptions{}), "1 2 3 EndOfRun")

		askedFrom(t, s, 1, 3, 3)
	}
}

func TestAStreamThatTheServerRefusesIsNotOpenedAgain(t *testing.T) {
	s := scripted(t)
	s.streams = [][]any{{told(codes.Internal, "INTERNAL", nil).Err()}}

	_, err := show(t, s, runstore.EventsOptions{Follow: true})

	var internal *runstore.InternalError
	if !errors.As(err, &internal) {
		t.Fatalf("got %v", err)
	}
	askedFrom(t, s, 1)
}

func TestAStreamWhoseRequestCannotBeEncodedIsNotOpenedAgain(t *testing.T) {
	s := scripted(t)

	_, err := show(t, s, runstore.EventsOptions{
		Follow: true, Filter: runstore.EventFilter{Types: []string{"\xff"}},
	})

	var invalid *runstore.InvalidArgumentError
	if !errors.As(err, &invalid) || invalid.Field != "filter.types[0]" {
		t.Fatalf("got %v", err)
	}
}

func TestWhatAStoppingServerSaysIsNoEnd(t *testing.T) {
	s := scripted(t)
	s.streams = [][]any{
		{batch(1), told(codes.Unavailable, "SERVER_DRAINING", nil).Err()},
		{batch(2), status.Error(codes.Canceled, "")},
		{batch(3), told(codes.Unavailable, "STORAGE_UNAVAILABLE", nil).Err()},
		{batch(4), endOfRun(4)},
	}

	equal(t, "shown", follow(t, s, runstore.EventsOptions{}), "1 2 3 4 EndOfRun")

	askedFrom(t, s, 1, 2, 3, 4)
}

func TestAnEventThatComesAgainIsLeftOut(t *testing.T) {
	s := scripted(t)
	s.streams = [][]any{{batch(1, 2), batch(2, 3), batch(1), endOfRun(3)}}

	equal(t, "shown", follow(t, s, runstore.EventsOptions{}), "1 2 3 EndOfRun")
}

func TestMarksMoveAFilteredStreamForward(t *testing.T) {
	s := scripted(t)
	s.streams = [][]any{
		{batch(2), caughtUp(5), dropped}, {heartbeat(9), dropped}, {batch(12), endOfRun(13)},
	}

	shown := follow(t, s, runstore.EventsOptions{Filter: runstore.EventFilter{Types: []string{"tick"}}})

	equal(t, "shown", shown, "2 CaughtUp Heartbeat 12 EndOfRun")
	askedFrom(t, s, 1, 6, 10)
}

func TestAnEventLeftOutOfAnUnfilteredStreamIsAnError(t *testing.T) {
	for name, messages := range map[string][]any{
		"event":      {batch(1), batch(3)},
		"heartbeat":  {batch(1), heartbeat(2)},
		"caught up":  {batch(1), caughtUp(2)},
		"end of run": {batch(1), endOfRun(2)},
		"just ends":  {batch(1)},
	} {
		t.Run(name, func(t *testing.T) {
			s := scripted(t)
			s.streams = [][]any{messages}

			_, err := show(t, s, runstore.EventsOptions{Follow: true})

			var broken *runstore.ProtocolError
			if !errors.As(err, &broken) {
				t.Fatalf("got %v", err)
			}
		})
	}
}

func TestASilentStreamIsOpenedAgain(t *testing.T) {
	s := scripted(t)
	s.streams = [][]any{{batch(1), nil}, {batch(2), endOfRun(2)}}

	shown := follow(t, s, runstore.EventsOptions{Heartbeat: time.Second})

	equal(t, "shown", shown, "1 2 EndOfRun")
	askedFrom(t, s, 1, 2)
}

func TestASlowCallerIsNoSilence(t *testing.T) {
	s := scripted(t)
	wasSlow := make(chan struct{})
	s.streams = [][]any{{batch(1), wasSlow, batch(2), endOfRun(2)}}
	run := dialTo(t, s.target).Run("run")

	for event, err := range run.Events(t.Context(), runstore.EventsOptions{
		Follow: true, Heartbeat: 500 * time.Millisecond,
	}) {
		require(t, err)
		if event.Seq == 1 {
			<-soon(t, 2*time.Second).Done()
			close(wasSlow)
		}
	}

	askedFrom(t, s, 1)
}

func TestAStreamThatDoesNotFollowEndsWithTheServers(t *testing.T) {
	s := scripted(t)
	s.streams = [][]any{{batch(1, 2), caughtUp(2)}}

	shown, err := show(t, s, runstore.EventsOptions{})

	require(t, err)
	equal(t, "shown", strings.Join(shown, " "), "1 2 CaughtUp")
}

func TestAFailureAfterTheEndOfTheRunIsNone(t *testing.T) {
	for _, failure := range []error{dropped, status.Error(codes.Unknown, "")} {
		s := scripted(t)
		s.streams = [][]any{{batch(1), endOfRun(1), failure}}

		equal(t, "shown", follow(t, s, runstore.EventsOptions{}), "1 EndOfRun")

		askedFrom(t, s, 1)
	}
}

func TestPatienceEndsWithTheLastFailure(t *testing.T) {
	run := lost(t).Run("run")

	var failure error
	for _, err := range run.Events(t.Context(), runstore.EventsOptions{Patience: 100 * time.Millisecond}) {
		failure = err
	}

	var unavailable *runstore.UnavailableError
	if !errors.As(failure, &unavailable) {
		t.Fatalf("got %v", failure)
	}
}

func TestAStreamEndsWithItsContext(t *testing.T) {
	client := dial(t)
	run := withTicks(t, client, 2)
	before := goleak.IgnoreCurrent()
	for name, want := range map[string]error{
		"cancelled": context.Canceled, "too late": context.DeadlineExceeded,
	} {
		t.Run(name, func(t *testing.T) {
			ctx, end := context.WithCancel(t.Context())
			defer end()
			if want == context.DeadlineExceeded {
				late := newLate(t)
				ctx, end = late, late.pass
			}

			var seen, failures int
			for event, err := range run.Events(ctx, runstore.EventsOptions{Follow: true}) {
				switch {
				case event != nil:
					seen++
				case errors.Is(err, want):
					failures++
				default:
					t.Fatalf("got %v", err)
				}
				if seen == 2 {
					end()
				}
			}

			equal(t, "events", seen, 2)
			equal(t, "failures", failures, 1)
		})
	}
	leavesNothing(t, before)
}

func TestLeavingAStreamLeavesNothingBehind(t *testing.T) {
	run := withTicks(t, dial(t), 5)
	before := goleak.IgnoreCurrent()

	for range 20 {
		first(t, run.Events(t.Context(), runstore.EventsOptions{Follow: true}))
	}

	leavesNothing(t, before)
}

func TestAStreamWaitsForARunThatDoesNotExistYet(t *testing.T) {
	client := dial(t)
	run := client.Run("later")
	go func() {
		_, _ = client.SaveRun(t.Context(), runstore.NewRun{RunID: "later"})
		_, _ = run.Append(t.Context(), ticks(0, 1)...)
		_, _ = run.Complete(t.Context(), runstore.Completion{Outcome: runstore.OutcomeFailed})
	}()

	events := collect(t, run.Events(soon(t, time.Minute), runstore.EventsOptions{
		Follow: true, WaitForRun: true,
	}))

	equal(t, "last", events[1].Type, "run.completed")
}

func TestAStreamOfARunThatDoesNotExistFails(t *testing.T) {
	_, err := next(dial(t).Run("nobody").Events(t.Context(), runstore.EventsOptions{}))

	var missing *runstore.RunNotFoundError
	if !errors.As(err, &missing) || missing.RunID() != "nobody" {
		t.Fatalf("got %v", err)
	}
}

func TestAFilteredStreamShowsProgressMarks(t *testing.T) {
	run := withTicks(t, dial(t), 3)
	filter := runstore.EventFilter{Types: []string{"never"}}

	item := first(t, run.Stream(t.Context(), runstore.EventsOptions{Follow: true, Filter: filter}))

	equal(t, "mark", item, runstore.StreamItem(runstore.CaughtUp{LastSeq: 3}))
}

func next[Item any](items func(func(Item, error) bool)) (item Item, err error) {
	for item, err = range items {
		return item, err
	}
	return item, err
}

const (
	manyEvents = 10_000
	perBatch   = 50
)

func TestAStreamSurvivesThreeRestartsWithoutLossOrRepeat(t *testing.T) {
	s := ownServer(t)
	writer := dialTo(t, s.target)
	run, err := writer.SaveRun(t.Context(), runstore.NewRun{})
	require(t, err)
	ctx := soon(t, 3*patient)
	written := make(chan error, 1)
	go func() { written <- writeAll(ctx, run) }()

	restarts := map[int64]syscall.Signal{
		2000: syscall.SIGKILL, 4500: syscall.SIGTERM, 7000: syscall.SIGKILL,
	}
	var last int64
	for event, err := range run.Events(ctx, runstore.EventsOptions{
		FromSeq: 1, Follow: true, Patience: patient,
	}) {
		require(t, err)
		if event.Seq != last+1 {
			t.Fatalf("event %d after %d", event.Seq, last)
		}
		last = event.Seq
		if event.Type == "tick" {
			equal(t, "payload", event.Payload.Text(), fmt.Sprint(event.Seq-1))
		}
		if signal, ok := restarts[event.Seq]; ok {
			s.stopBy(signal)
			require(t, s.start())
		}
	}

	require(t, <-written)
	equal(t, "last seq", last, manyEvents+1)
	found, err := run.Verify(ctx, runstore.VerifyOptions{})
	require(t, err)
	equal(t, "verified", found.Verified, true)
}

func writeAll(ctx context.Context, run *runstore.Run) error {
	// A context without a deadline: the client's timeout counts for each call.
	ctx = context.WithoutCancel(ctx)
	for number := 0; number < manyEvents; number += perBatch {
		if _, err := run.Append(ctx, ticks(number, number+perBatch)...); err != nil {
			return err
		}
	}
	_, err := run.Complete(ctx, runstore.Completion{Outcome: runstore.OutcomeSucceeded})
	return err
}
