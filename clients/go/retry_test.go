package runstore_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/runstore/runstore/clients/go"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

func TestAWriteIsSentAgainUnderTheSameID(t *testing.T) {
	s := scripted(t)
	s.saves = []error{
		dropped,
		status.Error(codes.Canceled, ""),
		status.Error(codes.Internal, "stream terminated by RST_STREAM with error code: INTERNAL_ERROR"),
		status.Error(codes.Unknown, "unexpected HTTP status code received from server: 502"),
		told(codes.ResourceExhausted, "OVERLOADED", nil).Err(),
		told(codes.ResourceExhausted, "QUOTA_EXCEEDED", nil).Err(),
		told(codes.Unavailable, "SERVER_DRAINING", nil).Err(),
		told(codes.Unavailable, "STORAGE_UNAVAILABLE", nil).Err(),
		nil,
	}

	run, err := dialTo(t, s.target).SaveRun(t.Context(), runstore.NewRun{})

	require(t, err)
	equal(t, "calls", len(s.saved), 9)
	for _, id := range s.saved {
		equal(t, "id", id, run.ID())
	}
	equal(t, "version", uuid.MustParse(run.ID()).Version(), 7)
}

func TestARefusalIsNotSentAgain(t *testing.T) {
	for _, refusal := range []error{
		told(codes.ResourceExhausted, "MESSAGE_TOO_LARGE", nil).Err(),
		told(codes.Aborted, "SEQ_CONFLICT", nil).Err(),
		told(codes.Unauthenticated, "UNAUTHENTICATED", nil).Err(),
		told(codes.Unauthenticated, "CREDENTIAL_EXPIRED", nil).Err(),
		told(codes.PermissionDenied, "PERMISSION_DENIED", nil).Err(),
		told(codes.Internal, "INTERNAL", nil).Err(),
		status.Error(codes.ResourceExhausted, "a proxy's"),
	} {
		s := scripted(t)
		s.saves = []error{refusal, nil}

		_, err := dialTo(t, s.target).SaveRun(t.Context(), runstore.NewRun{})

		if status.Code(err) != status.Code(refusal) || len(s.saved) != 1 {
			t.Errorf("got %v after %d calls", err, len(s.saved))
		}
	}
}

func TestARequestThatCannotBeEncodedIsNotSentAgain(t *testing.T) {
	client := dialTo(t, scripted(t).target, runstore.WithTimeout(time.Hour))

	_, err := client.SaveRun(soon(t, time.Minute), runstore.NewRun{Objective: "\xff"})

	var invalid *runstore.InvalidArgumentError
	if !errors.As(err, &invalid) || invalid.Field != "objective" {
		t.Fatalf("got %v", err)
	}
}

func TestAStringThatCannotBeSentIsNamedWhereverItIs(t *testing.T) {
	run := dialTo(t, scripted(t).target, runstore.WithTimeout(time.Hour)).Run("run")
	for field, call := range map[string]func(context.Context) error{
		"events[1].tags[0]": func(ctx context.Context) error {
			bad := runstore.NewEvent{Type: "t", Tags: []string{"\xff"}}
			_, err := run.Append(ctx, runstore.NewEvent{Type: "t"}, bad)
			return err
		},
		`snapshot.state["\xff"]`: func(ctx context.Context) error {
			state := map[string]runstore.Payload{"\xff": runstore.JSON("1")}
			_, err := run.PutSnapshot(ctx, runstore.NewSnapshot{State: state})
			return err
		},
	} {
		var invalid *runstore.InvalidArgumentError
		if err := call(soon(t, time.Minute)); !errors.As(err, &invalid) || invalid.Field != field {
			t.Errorf("%s: got %v", field, err)
		}
	}
}

func TestARequestThatAProxyFindsTooLargeIsNotSentAgain(t *testing.T) {
	s := scripted(t)
	s.saves = []error{
		status.Error(codes.Unknown, "unexpected HTTP status code received from server: 413 (Request Entity "+
			`Too Large); transport: received unexpected content-type "text/html"`),
		nil,
	}

	_, err := dialTo(t, s.target).SaveRun(t.Context(), runstore.NewRun{})

	var large *runstore.MessageTooLargeError
	if !errors.As(err, &large) || !strings.Contains(large.Message, "client_max_body_size") {
		t.Fatalf("got %v", err)
	}
	equal(t, "calls", len(s.saved), 1)
}

func TestTheServersTimeToComeBackIsWaitedFor(t *testing.T) {
	s := scripted(t)
	overloaded, err := told(codes.ResourceExhausted, "OVERLOADED", nil).WithDetails(
		&errdetails.RetryInfo{RetryDelay: durationpb.New(400 * time.Millisecond)},
	)
	require(t, err)
	s.saves = []error{overloaded.Err(), nil}

	began := time.Now()
	_, err = dialTo(t, s.target).SaveRun(t.Context(), runstore.NewRun{})

	require(t, err)
	equal(t, "waited", time.Since(began) >= 400*time.Millisecond, true)
}

func TestRetriesEndWithTheClientsTimeout(t *testing.T) {
	client := lost(t, runstore.WithTimeout(time.Second))

	began := time.Now()
	_, err := client.SaveRun(t.Context(), runstore.NewRun{})

	var unavailable *runstore.UnavailableError
	if !errors.As(err, &unavailable) {
		t.Fatalf("got %v", err)
	}
	equal(t, "in time", time.Since(began) < time.Minute, true)
}

func TestALastAttemptWithoutAnAnswerDoesNotHideWhyTheOneBeforeItFailed(t *testing.T) {
	s := scripted(t)
	s.saves = []error{told(codes.ResourceExhausted, "OVERLOADED", nil).Err(), errHung}
	ctx := newLate(t)
	s.hung = ctx.pass

	_, err := dialTo(t, s.target).SaveRun(ctx, runstore.NewRun{})

	var overloaded *runstore.OverloadedError
	if !errors.As(err, &overloaded) {
		t.Fatalf("got %v", err)
	}
}

func TestTheContextsDeadlineGoesBeforeTheClientsTimeout(t *testing.T) {
	client := lost(t, runstore.WithTimeout(time.Hour))
	_, err := client.SaveRun(soon(t, 300*time.Millisecond), runstore.NewRun{})

	var unavailable *runstore.UnavailableError
	if !errors.As(err, &unavailable) && !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
}

func TestAServerThatDoesNotAnswerIsADeadline(t *testing.T) {
	client := dialTo(t, scripted(t).target, runstore.WithTimeout(500*time.Millisecond))

	_, err := client.Run("run").Get(t.Context())

	var late *runstore.DeadlineExceededError
	if !errors.As(err, &late) || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
}

func TestACancelledCallEndsAtOnce(t *testing.T) {
	for name, client := range map[string]*runstore.Client{
		"waiting":  dialTo(t, scripted(t).target, runstore.WithTimeout(time.Hour)),
		"retrying": lost(t, runstore.WithTimeout(time.Hour)),
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(300*time.Millisecond, cancel)

			began := time.Now()
			_, err := client.Run("run").Get(ctx)

			if !errors.Is(err, context.Canceled) {
				t.Fatalf("got %v", err)
			}
			equal(t, "at once", time.Since(began) < time.Minute, true)
		})
	}
}

func TestAClosedClientEndsItsCalls(t *testing.T) {
	client := lost(t, runstore.WithTimeout(time.Hour))
	time.AfterFunc(100*time.Millisecond, func() { _ = client.Close() })

	_, retried := client.SaveRun(t.Context(), runstore.NewRun{})
	_, later := client.SaveRun(t.Context(), runstore.NewRun{})

	for _, err := range []error{retried, later} {
		if !errors.Is(err, runstore.ErrClosed) {
			t.Fatalf("got %v", err)
		}
	}
}

func TestWritersSurviveRestartsAndWriteOnce(t *testing.T) {
	s := ownServer(t)
	client := dialTo(t, s.target)
	const writers, each = 8, 100
	run, err := client.SaveRun(t.Context(), runstore.NewRun{})
	require(t, err)
	var running sync.WaitGroup
	failures := make(chan error, writers)
	for writer := range writers {
		running.Go(func() {
			for number := range each {
				event := runstore.NewEvent{
					Type: "tick", Payload: runstore.JSONOf(writer*each + number),
				}
				if _, err := run.Append(context.WithoutCancel(t.Context()), event); err != nil {
					failures <- err
					return
				}
			}
		})
	}

	seen := map[string]bool{}
	for event, err := range run.Events(soon(t, 3*patient), runstore.EventsOptions{
		Follow: true, Patience: patient,
	}) {
		require(t, err)
		if seen[event.Payload.Text()] {
			t.Fatalf("%s was written twice", event.Payload.Text())
		}
		seen[event.Payload.Text()] = true
		if event.Seq == 200 || event.Seq == 500 {
			s.stopBy(map[int64]syscall.Signal{200: syscall.SIGTERM, 500: syscall.SIGKILL}[event.Seq])
			require(t, s.start())
		}
		if event.Seq == writers*each {
			break
		}
	}

	running.Wait()
	equal(t, "failures", len(failures), 0)
	equal(t, "events", len(seen), writers*each)
}
