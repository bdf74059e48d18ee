package runstore_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/runstore/runstore/clients/go"
	runstorev1 "github.com/runstore/runstore/clients/go/v1"
	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func accept(request *runstorev1.AppendEventStreamRequest) *runstorev1.AppendEventStreamResponse {
	return &runstorev1.AppendEventStreamResponse{
		CorrelationId: request.CorrelationId,
		Result: &runstorev1.AppendEventStreamResponse_Appended{
			Appended: &runstorev1.AppendEventResponse{Seq: 1, EventId: request.Append.Event.EventId},
		},
	}
}

// refuse answers the events from an id on with a status, and accepts those before.
func refuse(from, to string, with *status.Status) answer {
	return func(request *runstorev1.AppendEventStreamRequest) *runstorev1.AppendEventStreamResponse {
		if id := request.Append.Event.EventId; id < from || id > to {
			return accept(request)
		}
		if with == nil {
			return nil
		}
		return &runstorev1.AppendEventStreamResponse{
			CorrelationId: request.CorrelationId,
			Result:        &runstorev1.AppendEventStreamResponse_Error{Error: with.Proto()},
		}
	}
}

// appendAll appends events of these ids; their ids, or errors, by an appender that is then closed.
func appendAll(
	t *testing.T, client *runstore.Client, window int, ids ...string,
) (answers []string, refusals []error, closed error) {
	t.Helper()
	appender := client.Appender(t.Context(), runstore.AppenderOptions{Window: window})
	var all []*runstore.Pending
	for _, id := range ids {
		pending, err := appender.Append(t.Context(), client.Run("run"), runstore.NewEvent{
			Type: "tick", EventID: id,
		})
		if err != nil {
			refusals = append(refusals, err)
			continue
		}
		all = append(all, pending)
	}
	closed = appender.Close()
	for _, pending := range all {
		appended, err := pending.Wait(t.Context())
		answers, refusals = append(answers, appended.EventID), append(refusals, err)
	}
	return answers, refusals, closed
}

func TestAppendsAreSentInOrderAndAnsweredEach(t *testing.T) {
	for _, window := range []int{1, 2, 0} {
		s := scripted(t)
		s.appends = []answer{accept}
		ids := strings.Split("a b c d e f g", " ")

		answers, _, err := appendAll(t, dialTo(t, s.target), window, ids...)

		require(t, err)
		if !reflect.DeepEqual(answers, ids) || !reflect.DeepEqual(s.whatWasSent(), [][]string{ids}) {
			t.Fatalf("answered %v, sent %v", answers, s.whatWasSent())
		}
	}
}

func TestWhatABrokenStreamDidNotAnswerIsSentAgainInOrder(t *testing.T) {
	s := scripted(t)
	s.appends = []answer{refuse("b", "b", nil), refuse("a", "z", nil), accept}

	answers, _, err := appendAll(t, dialTo(t, s.target), 0, "a", "b", "c")

	require(t, err)
	equal(t, "answers", strings.Join(answers, ""), "abc")
	equal(t, "sent last", fmt.Sprint(s.whatWasSent()[2]), "[b c]")
}

func TestWhatABrokenPathDidNotAnswerIsSentAgainInOrder(t *testing.T) {
	for _, code := range []codes.Code{
		codes.Canceled, codes.Internal, codes.Unknown, codes.DeadlineExceeded,
	} {
		s := scripted(t)
		s.dropped = status.Error(code, "a proxy's")
		s.appends = []answer{refuse("b", "b", nil), refuse("a", "z", nil), accept}

		answers, _, err := appendAll(t, dialTo(t, s.target), 0, "a", "b", "c")

		require(t, err)
		equal(t, code.String(), strings.Join(answers, ""), "abc")
		equal(t, "sent last", fmt.Sprint(s.whatWasSent()[2]), "[b c]")
	}
}

// carrying appends so many events with the payload; the ids and the bytes that each stream brought.
func carrying(t *testing.T, count int, payload string) (sent [][]string, bytes []int) {
	t.Helper()
	s := scripted(t)
	for range count {
		s.appends = append(s.appends, accept)
	}
	appender := dialTo(t, s.target).Appender(t.Context(), runstore.AppenderOptions{})
	run := dialTo(t, s.target).Run("run")
	for number := range count {
		_, err := appender.Append(t.Context(), run, runstore.NewEvent{
			Type: "tick", EventID: fmt.Sprint(number), Payload: runstore.JSONOf(payload),
		})
		require(t, err)
	}
	require(t, appender.Close())
	return s.whatWasSent(), s.carried
}

func TestAStreamEndsBeforeAProxyWouldRefuseItsBody(t *testing.T) {
	const count, limit = 100, 768 << 10

	sent, bytes := carrying(t, count, strings.Repeat("x", 50_000))

	var all []string
	for place, ids := range sent {
		all = append(all, ids...)
		isLast := place == len(sent)-1
		if bytes[place] > limit || !isLast && bytes[place] < limit-51_000 {
			t.Errorf("stream %d has brought %d bytes", place, bytes[place])
		}
	}
	for number := range count {
		equal(t, "event", all[number], fmt.Sprint(number))
	}
	equal(t, "events", len(all), count)
}

func TestAnAppendBeyondTheLimitOfAStreamHasOneOfItsOwn(t *testing.T) {
	sent, _ := carrying(t, 2, strings.Repeat("x", 1<<20))

	equal(t, "sent", fmt.Sprint(sent), "[[0] [1]]")
}

// tooLarge is what gRPC makes of a proxy's HTTP 413.
var tooLarge = status.Error(codes.Unknown, "unexpected HTTP status code received from server: 413")

func TestAnAppendThatNoProxyLetsPassFailsAloneAndAtOnce(t *testing.T) {
	s := scripted(t)
	s.dropped = tooLarge
	for range 10 {
		s.appends = append(s.appends, refuse("b", "b", nil))
	}

	answers, refusals, err := appendAll(t, dialTo(t, s.target), 0, "a", "b", "c")

	require(t, err)
	equal(t, "answers", strings.Join(answers, ""), "ac")
	var large *runstore.MessageTooLargeError
	if !errors.As(refusals[1], &large) {
		t.Fatalf("got %v", refusals)
	}
	sent := s.whatWasSent()
	equal(t, "sent last", fmt.Sprint(sent[len(sent)-2:]), "[[b] [c]]")
}

func TestAppendsThatAreTooLargeForAProxyOnlyTogetherAreAllRecorded(t *testing.T) {
	s := scripted(t)
	s.dropped = tooLarge
	for range 10 {
		taken := 0
		s.appends = append(s.appends,
			func(request *runstorev1.AppendEventStreamRequest) *runstorev1.AppendEventStreamResponse {
				if taken++; taken > 2 {
					return nil
				}
				return accept(request)
			})
	}

	answers, _, err := appendAll(t, dialTo(t, s.target), 0, strings.Split("a b c d e f g h", " ")...)

	require(t, err)
	equal(t, "answers", strings.Join(answers, ""), "abcdefgh")
}

func TestAFullStreamThatBreaksLosesAndRepeatsNothing(t *testing.T) {
	s := scripted(t)
	s.appends = []answer{refuse("b", "b", nil), accept}
	client := dialTo(t, s.target)
	appender := client.Appender(t.Context(), runstore.AppenderOptions{})
	for _, id := range []string{"a", "b", "c"} {
		_, err := appender.Append(t.Context(), client.Run("run"), runstore.NewEvent{
			Type: "tick", EventID: id, Payload: runstore.JSONOf(strings.Repeat("x", 300_000)),
		})
		require(t, err)
	}

	require(t, appender.Close())

	equal(t, "sent", fmt.Sprint(s.whatWasSent()), "[[a b] [b c]]")
}

func TestWhatADrainingServerRefusedIsSentToTheNext(t *testing.T) {
	s := scripted(t)
	draining := told(codes.Unavailable, "SERVER_DRAINING", nil)
	s.appends = []answer{refuse("b", "z", draining), accept}

	answers, _, err := appendAll(t, dialTo(t, s.target), 0, "a", "b", "c")

	require(t, err)
	equal(t, "answers", strings.Join(answers, ""), "abc")
	equal(t, "sent last", fmt.Sprint(s.whatWasSent()[1]), "[b c]")
}

func TestARefusalIsItsOwnAppendsAlone(t *testing.T) {
	s := scripted(t)
	s.appends = []answer{refuse("b", "b", told(codes.Aborted, "SEQ_CONFLICT", nil))}

	answers, refusals, err := appendAll(t, dialTo(t, s.target), 0, "a", "b", "c")

	require(t, err)
	equal(t, "answers", strings.Join(answers, ","), "a,,c")
	var conflict *runstore.SeqConflictError
	if !errors.As(refusals[1], &conflict) || refusals[0] != nil || refusals[2] != nil {
		t.Fatalf("got %v", refusals)
	}
}

func TestNothingUnexpectedIsTakenForSuccess(t *testing.T) {
	for name, odd := range map[string]func(string) *runstorev1.AppendEventStreamResponse{
		"another's answer": func(string) *runstorev1.AppendEventStreamResponse {
			return accept(&runstorev1.AppendEventStreamRequest{
				CorrelationId: "other", Append: &runstorev1.AppendEventRequest{Event: &runstorev1.Event{}},
			})
		},
		"an empty answer": func(id string) *runstorev1.AppendEventStreamResponse {
			return &runstorev1.AppendEventStreamResponse{CorrelationId: id}
		},
		"an unknown reason": func(id string) *runstorev1.AppendEventStreamResponse {
			return &runstorev1.AppendEventStreamResponse{
				CorrelationId: id,
				Result: &runstorev1.AppendEventStreamResponse_Error{
					Error: told(codes.Aborted, "NEW", nil).Proto(),
				},
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := scripted(t)
			s.appends = []answer{
				func(r *runstorev1.AppendEventStreamRequest) *runstorev1.AppendEventStreamResponse {
					return odd(r.CorrelationId)
				},
			}

			_, refusals, _ := appendAll(t, dialTo(t, s.target), 0, "a")

			var failed *runstore.Error
			if !errors.As(refusals[0], &failed) {
				t.Fatalf("got %v", refusals)
			}
		})
	}
}

func TestAppendsThatNoServerTakesFailWithClose(t *testing.T) {
	client := lost(t, runstore.WithTimeout(time.Second))

	_, refusals, err := appendAll(t, client, 1, "a", "b", "c")

	for _, err := range append(refusals, err) {
		var unavailable *runstore.UnavailableError
		if !errors.As(err, &unavailable) {
			t.Fatalf("got %v", err)
		}
	}
}

func TestAnAppenderEndsWithItsContextAndLeavesNothingBehind(t *testing.T) {
	client := lost(t, runstore.WithTimeout(time.Hour))
	before := goleak.IgnoreCurrent()
	ctx, cancel := context.WithCancel(t.Context())
	appender := client.Appender(ctx, runstore.AppenderOptions{})
	pending, err := appender.Append(ctx, client.Run("run"), runstore.NewEvent{Type: "tick"})
	require(t, err)

	cancel()

	_, waited := pending.Wait(t.Context())
	for _, err := range []error{waited, appender.Close()} {
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v", err)
		}
	}
	require(t, client.Close())
	leavesNothing(t, before)
}

func TestAClosedAppenderTakesNothing(t *testing.T) {
	client := dial(t)
	appender := client.Appender(t.Context(), runstore.AppenderOptions{})
	require(t, appender.Close())

	_, err := appender.Append(t.Context(), client.Run("run"), runstore.NewEvent{Type: "tick"})

	if !errors.Is(err, runstore.ErrClosed) {
		t.Fatalf("got %v", err)
	}
}

func TestAClosedClientEndsItsAppenders(t *testing.T) {
	client := dial(t)
	appender := client.Appender(t.Context(), runstore.AppenderOptions{})
	run := savedRun(t, client)
	pending, err := appender.Append(t.Context(), run, runstore.NewEvent{Type: "tick"})
	require(t, err)
	_, err = pending.Wait(t.Context())
	require(t, err)

	require(t, client.Close())

	if err := appender.Close(); err != nil && !errors.Is(err, runstore.ErrClosed) {
		t.Fatalf("got %v", err)
	}
}

func TestAnEventThatCannotBeSentBreaksNoOther(t *testing.T) {
	client := dial(t)
	run := savedRun(t, client)
	appender := client.Appender(t.Context(), runstore.AppenderOptions{})
	fine, err := appender.Append(t.Context(), run, runstore.NewEvent{Type: "tick"})
	require(t, err)

	_, refused := appender.Append(t.Context(), run, runstore.NewEvent{Type: "\xff"})

	require(t, appender.Close())
	_, err = fine.Wait(t.Context())
	require(t, err)
	var invalid *runstore.InvalidArgumentError
	if !errors.As(refused, &invalid) || invalid.Field != "event.type" {
		t.Fatalf("got %v", refused)
	}
}

func TestPipelinedAppendsAreFencedOneByOne(t *testing.T) {
	client := dial(t)
	old, other := savedRun(t, client), savedRun(t, client)
	_, err := old.Resume(t.Context(), runstore.ResumeOptions{})
	require(t, err)
	appender := client.Appender(t.Context(), runstore.AppenderOptions{})

	late, err := appender.Append(t.Context(), old, runstore.NewEvent{Type: "late"})
	require(t, err)
	fine, err := appender.Append(t.Context(), other, runstore.NewEvent{Type: "fine"})
	require(t, err)

	require(t, appender.Close())
	var fenced *runstore.WriterFencedError
	if _, err := late.Wait(t.Context()); !errors.As(err, &fenced) {
		t.Fatalf("got %v", err)
	}
	appended, err := fine.Wait(t.Context())
	require(t, err)
	equal(t, "seq", appended.Seq, 1)
}

func TestPipelinedAppendsSurviveRestartsOnceAndInOrder(t *testing.T) {
	const runs, each = 3, 1000
	s := ownServer(t)
	client := dialTo(t, s.target)
	appender := client.Appender(t.Context(), runstore.AppenderOptions{Window: 50})
	var running sync.WaitGroup
	progress := make(chan struct{}, runs*each)
	var written [runs]*runstore.Run
	for place := range runs {
		run, err := client.SaveRun(t.Context(), runstore.NewRun{})
		require(t, err)
		written[place] = run
		running.Go(func() {
			for number := range each {
				if _, err := appender.Append(t.Context(), run, ticks(number, number+1)[0]); err != nil {
					t.Error(err)
					return
				}
				progress <- struct{}{}
			}
		})
	}

	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		for range runs * each / 3 {
			<-progress
		}
		s.stopBy(signal)
		require(t, s.start())
	}
	running.Wait()
	require(t, appender.Close())

	for _, run := range written {
		events := collect(t, run.ListEvents(t.Context(), runstore.ListEventsOptions{}))
		equal(t, "count", len(events), each)
		for place, event := range events {
			equal(t, "payload", event.Payload.Text(), fmt.Sprint(place))
		}
	}
}
