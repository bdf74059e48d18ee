package runstore

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	runstorev1 "github.com/runstore/runstore/clients/go/v1"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

type manyAnswer func(*runstorev1.AppendManyRequest) (*runstorev1.AppendManyResponse, error)

// gatherServer keeps the requests. It answers AppendEvent once it is open, and AppendMany as scripted.
type gatherServer struct {
	runstorev1.UnimplementedRunServiceServer
	open chan struct{}

	mutex   sync.Mutex
	answers []manyAnswer
	// sizes has how many appends each request had; 0 stands for AppendEvent.
	sizes []int
	types []string
	ids   map[string][]string
}

func (s *gatherServer) seen(size int, appends ...*runstorev1.AppendEventRequest) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.sizes = append(s.sizes, size)
	for _, each := range appends {
		s.types = append(s.types, each.Event.Type)
		s.ids[each.Event.Type] = append(s.ids[each.Event.Type], each.Event.EventId)
	}
}

func (s *gatherServer) requests() []int {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return slices.Clone(s.sizes)
}

func (s *gatherServer) AppendEvent(
	ctx context.Context, request *runstorev1.AppendEventRequest,
) (*runstorev1.AppendEventResponse, error) {
	s.seen(0, request)
	select {
	case <-s.open:
	case <-ctx.Done():
	}
	return &runstorev1.AppendEventResponse{Seq: 1, EventId: request.Event.EventId}, nil
}

func (s *gatherServer) AppendMany(
	_ context.Context, request *runstorev1.AppendManyRequest,
) (*runstorev1.AppendManyResponse, error) {
	s.seen(len(request.Appends), request.Appends...)
	s.mutex.Lock()
	answer := manyAnswer(eachAppended)
	if len(s.answers) > 0 {
		answer, s.answers = s.answers[0], s.answers[1:]
	}
	s.mutex.Unlock()
	return answer(request)
}

func eachAppended(request *runstorev1.AppendManyRequest) (*runstorev1.AppendManyResponse, error) {
	response := &runstorev1.AppendManyResponse{}
	for _, each := range request.Appends {
		response.Results = append(response.Results, &runstorev1.AppendResult{
			Result: &runstorev1.AppendResult_Appended{
				Appended: &runstorev1.AppendEventResponse{Seq: 1, EventId: each.Event.EventId},
			},
		})
	}
	return response, nil
}

func failing(code codes.Code, message string) manyAnswer {
	return func(*runstorev1.AppendManyRequest) (*runstorev1.AppendManyResponse, error) {
		return nil, status.Error(code, message)
	}
}

func refusing(code codes.Code, reason string) manyAnswer {
	return func(*runstorev1.AppendManyRequest) (*runstorev1.AppendManyResponse, error) {
		return nil, statusOf(code, reason, nil).Err()
	}
}

// gatherer is a client that has a request on its way, for which what it appends now waits.
type gatherer struct {
	*gatherServer
	t         *testing.T
	client    *Client
	gathering *gathering
	first     chan error
}

func newGatherer(t *testing.T, patience time.Duration, answers ...manyAnswer) *gatherer {
	t.Helper()
	s := &gatherServer{open: make(chan struct{}), answers: answers, ids: map[string][]string{}}
	server := grpc.NewServer()
	runstorev1.RegisterRunServiceServer(server, s)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	client, err := Dial(listener.Addr().String(), WithTimeout(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	made := &gatherer{gatherServer: s, t: t, client: client}
	made.gathering = &gathering{client: client, patience: patience}
	client.appendEvent = made.gathering.append
	made.first = made.start("first")
	made.until(func() bool { return len(s.requests()) == 1 })
	return made
}

func (g *gatherer) until(isSo func() bool) {
	g.t.Helper()
	for limit := time.Now().Add(time.Minute); !isSo(); time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			g.t.Fatal("waited for a minute")
		}
	}
}

func (g *gatherer) start(name string) chan error {
	return g.append(context.Background(), NewEvent{Type: name})
}

func (g *gatherer) append(ctx context.Context, event NewEvent) chan error {
	failed := make(chan error, 1)
	go func() {
		_, err := g.client.Run("r").Append(ctx, event)
		failed <- err
	}()
	return failed
}

func (g *gatherer) held() int {
	g.gathering.mutex.Lock()
	defer g.gathering.mutex.Unlock()
	return len(g.gathering.waiting)
}

// waiting appends these events and returns when all wait.
func (g *gatherer) waiting(names ...string) []chan error {
	g.t.Helper()
	var all []chan error
	for _, each := range names {
		before := g.held()
		all = append(all, g.start(each))
		g.until(func() bool { return g.held() > before })
	}
	return all
}

// release lets the request on its way be answered, and returns what became of the others.
func (g *gatherer) release(waiting ...chan error) []error {
	g.t.Helper()
	close(g.open)
	if err := <-g.first; err != nil {
		g.t.Fatal(err)
	}
	var failures []error
	for _, each := range waiting {
		failures = append(failures, <-each)
	}
	return failures
}

func (g *gatherer) expect(sizes ...int) {
	g.t.Helper()
	if got := g.requests(); !slices.Equal(got, sizes) {
		g.t.Fatalf("got requests of %v, want %v", got, sizes)
	}
}

func noFailures(t *testing.T, failures []error) {
	t.Helper()
	if err := errors.Join(failures...); err != nil {
		t.Fatal(err)
	}
}

func TestWhatWaitsGoesTogetherWhenTheRequestBeforeIsAnswered(t *testing.T) {
	g := newGatherer(t, time.Hour)
	waiting := g.waiting("a", "b", "c")
	g.expect(0)

	noFailures(t, g.release(waiting...))

	g.expect(0, 3)
	if got := strings.Join(g.types, " "); got != "first a b c" {
		t.Fatalf("got %q", got)
	}
}

func TestOneThatWaitsAloneGoesAsACallOfItsOwn(t *testing.T) {
	g := newGatherer(t, time.Hour)

	noFailures(t, g.release(g.waiting("a")...))

	g.expect(0, 0)
}

func TestWhatWaitsGoesWhenTheRequestBeforeTakesLong(t *testing.T) {
	g := newGatherer(t, 50*time.Millisecond)

	waiting := []chan error{g.start("a"), g.start("b"), g.start("c")}

	g.until(func() bool {
		appends := 0
		for _, size := range g.requests() {
			appends += max(size, 1)
		}
		return appends == 4
	})
	noFailures(t, g.release(waiting...))
}

func TestARefusalIsItsOwnCallers(t *testing.T) {
	g := newGatherer(t, time.Hour, func(request *runstorev1.AppendManyRequest) (
		*runstorev1.AppendManyResponse, error,
	) {
		response, err := eachAppended(request)
		refusal, _ := status.New(codes.FailedPrecondition, "over").WithDetails(&errdetails.ErrorInfo{
			Reason: "RUN_COMPLETED", Domain: errorDomain, Metadata: map[string]string{"last_seq": "7"},
		})
		response.Results[1].Result = &runstorev1.AppendResult_Error{Error: refusal.Proto()}
		return response, err
	})

	failures := g.release(g.waiting("a", "b", "c")...)

	var completed *RunCompletedError
	if !errors.As(failures[1], &completed) || completed.LastSeq() != 7 {
		t.Fatalf("got %v", failures[1])
	}
	noFailures(t, []error{failures[0], failures[2]})
}

func TestARequestThatMayBeRepeatedIsForEachOfItsAppends(t *testing.T) {
	for _, code := range []codes.Code{codes.Unavailable, codes.Internal, codes.Unknown, codes.Canceled} {
		g := newGatherer(t, time.Hour, failing(code, "scripted"))

		noFailures(t, g.release(g.waiting("a", "b", "c")...))

		for _, name := range []string{"a", "b", "c"} {
			if ids := g.ids[name]; len(ids) != 2 || ids[0] != ids[1] {
				t.Errorf("%v: %s was sent as %v", code, name, ids)
			}
		}
	}
}

func TestWhatCanBeTheRequestsOwnFaultIsTriedByEachItself(t *testing.T) {
	for code, message := range map[codes.Code]string{
		codes.Unimplemented:     "unknown method AppendMany",
		codes.Unknown:           "unexpected HTTP status code received from server: 413",
		codes.ResourceExhausted: "larger than max",
	} {
		g := newGatherer(t, time.Hour, failing(code, message))

		noFailures(t, g.release(g.waiting("a", "b", "c")...))

		g.expect(0, 3, 0, 0, 0)
	}
}

func TestARefusalOfTheCallerIsOneOfEachAppend(t *testing.T) {
	for code, reason := range map[codes.Code]string{
		codes.Unauthenticated: "CREDENTIAL_EXPIRED", codes.PermissionDenied: "PERMISSION_DENIED",
	} {
		g := newGatherer(t, time.Hour, refusing(code, reason))

		for _, err := range g.release(g.waiting("a", "b", "c")...) {
			if status.Code(err) != code {
				t.Errorf("got %v", err)
			}
		}
		g.expect(0, 3)
	}
}

func TestAServerWithoutTheCallIsAskedOnce(t *testing.T) {
	g := newGatherer(t, time.Hour, failing(codes.Unimplemented, "unknown method AppendMany"))
	noFailures(t, g.release(g.waiting("a", "b")...))

	var later []chan error
	for range 10 {
		later = append(later, g.start("later"))
	}

	for _, each := range later {
		noFailures(t, []error{<-each})
	}
	g.expect(0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
}

func TestALargeAppendWaitsForNoneAndTakesNoneAlong(t *testing.T) {
	g := newGatherer(t, time.Hour)
	waiting := g.waiting("a", "b")
	large := NewEvent{Type: "large", Payload: JSON(strings.Repeat("x", largeAppend))}

	sent := g.append(context.Background(), large)

	g.until(func() bool { return len(g.requests()) == 2 })
	g.expect(0, 0)
	noFailures(t, g.release(append(waiting, sent)...))
	g.expect(0, 0, 2)
}

func TestACallerThatGivesUpWaitingSendsNothing(t *testing.T) {
	g := newGatherer(t, time.Hour)
	waiting := g.waiting("a", "b")
	ctx, cancel := context.WithCancel(context.Background())
	given := g.append(ctx, NewEvent{Type: "given up"})
	g.until(func() bool { return g.held() == 3 })

	cancel()

	if err := <-given; !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	noFailures(t, g.release(waiting...))
	if slices.Contains(g.types, "given up") {
		t.Fatal("it was sent")
	}
}

func TestACallerWhoseTimeIsOverFailsThoughOthersWaitOn(t *testing.T) {
	g := newGatherer(t, time.Hour)
	waiting := g.waiting("patient")
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()

	err := <-g.append(ctx, NewEvent{Type: "hasty"})

	var late *DeadlineExceededError
	if !errors.As(err, &late) {
		t.Fatalf("got %v", err)
	}
	noFailures(t, g.release(waiting...))
}

func TestGatheringCanBeTurnedOff(t *testing.T) {
	g := newGatherer(t, time.Hour)
	client, err := Dial(g.client.conn.Target(), WithoutGathering())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	close(g.open)

	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			if _, err := client.Run("r").Append(context.Background(), NewEvent{Type: "a"}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	<-g.first

	g.expect(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
}
