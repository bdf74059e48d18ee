package runstore_test

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"

	runstorev1 "github.com/runstore/runstore/clients/go/v1"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// script is a server that does what a real one does only when things go wrong.
type script struct {
	runstorev1.UnimplementedRunServiceServer
	target string
	stop   func()

	mutex sync.Mutex
	// streams has what each StreamEvents does, one after the other: it sends messages, waits for a
	// channel to be closed, hangs at a nil, and ends with an error.
	streams [][]any
	asked   []int64
	// appends has what each AppendEventStream answers; nil drops it as dropped says.
	appends []answer
	sent    [][]string
	// carried are the bytes that each AppendEventStream has brought.
	carried []int
	dropped error
	// saves has what each SaveRun fails with; nil is a success, errHung no answer.
	saves []error
	saved []string
	// hung is called when a SaveRun gets no answer.
	hung func()
}

type answer func(*runstorev1.AppendEventStreamRequest) *runstorev1.AppendEventStreamResponse

func scripted(t *testing.T) *script {
	t.Helper()
	s := &script{dropped: dropped}
	server := grpc.NewServer()
	runstorev1.RegisterRunServiceServer(server, s)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require(t, err)
	s.target = listener.Addr().String()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener)
	}()
	s.stop = func() {
		server.Stop()
		<-done
	}
	t.Cleanup(s.stop)
	return s
}

func (s *script) StreamEvents(
	request *runstorev1.StreamEventsRequest,
	stream grpc.ServerStreamingServer[runstorev1.StreamEventsResponse],
) error {
	s.mutex.Lock()
	messages := s.streams[len(s.asked)]
	s.asked = append(s.asked, request.FromSeq)
	s.mutex.Unlock()
	for _, message := range messages {
		switch message := message.(type) {
		case *runstorev1.StreamEventsResponse:
			if err := stream.Send(message); err != nil {
				return err
			}
		case error:
			return message
		case chan struct{}:
			<-message
		case nil:
			<-stream.Context().Done()
		}
	}
	return nil
}

func (s *script) AppendEventStream(
	stream grpc.BidiStreamingServer[
		runstorev1.AppendEventStreamRequest, runstorev1.AppendEventStreamResponse,
	],
) error {
	s.mutex.Lock()
	call := len(s.sent)
	answer := s.appends[call]
	s.sent, s.carried = append(s.sent, nil), append(s.carried, 0)
	s.mutex.Unlock()
	for {
		request, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		s.mutex.Lock()
		s.sent[call] = append(s.sent[call], request.Append.Event.EventId)
		s.carried[call] += 5 + proto.Size(request)
		s.mutex.Unlock()
		response := answer(request)
		if response == nil {
			return s.dropped
		}
		if err := stream.Send(response); err != nil {
			return err
		}
	}
}

func (s *script) SaveRun(
	ctx context.Context, request *runstorev1.SaveRunRequest,
) (*runstorev1.SaveRunResponse, error) {
	s.mutex.Lock()
	failure := s.saves[len(s.saved)]
	s.saved = append(s.saved, request.RunId)
	s.mutex.Unlock()
	if errors.Is(failure, errHung) {
		s.hung()
		<-ctx.Done()
	}
	return &runstorev1.SaveRunResponse{Run: &runstorev1.Run{RunId: request.RunId}}, failure
}

// GetRun never answers.
func (s *script) GetRun(
	ctx context.Context, _ *runstorev1.GetRunRequest,
) (*runstorev1.GetRunResponse, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func (s *script) whatWasSent() [][]string {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.sent
}

func (s *script) whatWasAsked() []int64 {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.asked
}

var (
	dropped = status.Error(codes.Unavailable, "dropped")
	errHung = errors.New("hung")
)

func batch(seqs ...int64) *runstorev1.StreamEventsResponse {
	var events []*runstorev1.Event
	for _, seq := range seqs {
		events = append(events, &runstorev1.Event{Seq: seq, Type: "tick"})
	}
	return &runstorev1.StreamEventsResponse{Message: &runstorev1.StreamEventsResponse_Events{
		Events: &runstorev1.EventBatch{Events: events},
	}}
}

func caughtUp(lastSeq int64) *runstorev1.StreamEventsResponse {
	return &runstorev1.StreamEventsResponse{Message: &runstorev1.StreamEventsResponse_CaughtUp{
		CaughtUp: &runstorev1.CaughtUp{LastSeq: lastSeq},
	}}
}

func heartbeat(lastSeq int64) *runstorev1.StreamEventsResponse {
	return &runstorev1.StreamEventsResponse{Message: &runstorev1.StreamEventsResponse_Heartbeat{
		Heartbeat: &runstorev1.Heartbeat{LastSeq: lastSeq},
	}}
}

func endOfRun(lastSeq int64) *runstorev1.StreamEventsResponse {
	return &runstorev1.StreamEventsResponse{Message: &runstorev1.StreamEventsResponse_EndOfRun{
		EndOfRun: &runstorev1.EndOfRun{
			LastSeq: lastSeq, Outcome: runstorev1.Outcome_OUTCOME_SUCCEEDED,
		},
	}}
}

// told is a status as the server makes it.
func told(code codes.Code, reason string, metadata map[string]string) *status.Status {
	with, err := status.New(code, "words").WithDetails(&errdetails.ErrorInfo{
		Reason: reason, Domain: "runstore.v1", Metadata: metadata,
	})
	if err != nil {
		panic(err)
	}
	return with
}
