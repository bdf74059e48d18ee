package runstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

const (
	defaultHeartbeat = 10 * time.Second
	defaultPatience  = 60 * time.Second
	missedHeartbeats = 3
)

// streamState is how far a stream has got, so that it continues after it broke.
type streamState[Message, Item any] interface {
	// open opens the stream once, requesting everything not delivered yet.
	open(ctx context.Context) (grpc.ServerStreamingClient[Message], error)
	// take yields the items of a message, each once, and records how far the stream has got; false
	// if the caller wants no more.
	take(message *Message, yield func(Item, error) bool) (isWanted bool, err error)
	// hasEnded reports whether everything was delivered.
	hasEnded() bool
	// ended is called when the server ends the stream with OK; it fails if that is too early.
	ended() error
}

// streamReader reads a stream to its end, across connections that break or fall silent.
type streamReader[Message, Item any] struct {
	client   *Client
	silence  time.Duration
	patience patience
	state    streamState[Message, Item]
}

// stream yields the items of a stream; each range over it begins with the state that start returns.
func stream[Message, Item any](
	ctx context.Context,
	client *Client,
	heartbeat, limit time.Duration,
	start func() streamState[Message, Item],
) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		s := streamReader[Message, Item]{
			client:   client,
			silence:  heartbeat * missedHeartbeats,
			patience: patience{limit: limit, backoff: client.backoff},
			state:    start(),
		}
		for !s.state.hasEnded() {
			isWanted, err := s.receive(ctx, yield)
			if !isWanted {
				return
			}
			if err == nil || s.state.hasEnded() {
				continue
			}
			if err = s.waitToReopen(ctx, err); err != nil {
				var none Item
				yield(none, s.client.final(err, time.Time{}))
				return
			}
		}
	}
}

var errSilent = errors.New("silent for too long")

// receive opens the stream once and yields its items; false if the caller wants no more.
func (s *streamReader[Message, Item]) receive(
	ctx context.Context, yield func(Item, error) bool,
) (isWanted bool, err error) {
	opened, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := time.AfterFunc(s.silence, func() { cancel(errSilent) })
	defer watch.Stop()
	orSilent := func(err error) error {
		if context.Cause(opened) == errSilent {
			return brokenStream(fmt.Sprintf("the stream was silent for %v", s.silence))
		}
		return err
	}

	sent := s.client.outgoing(opened)
	messages, err := s.state.open(sent)
	if err != nil {
		return true, orSilent(s.client.judged(sent, s.client.errorOf(ctx, err)))
	}
	for {
		// The time that a slow caller takes between two messages does not count as silence.
		watch.Reset(s.silence)
		message, err := messages.Recv()
		watch.Stop()
		if err == io.EOF {
			return true, s.state.ended()
		}
		if err != nil {
			return true, orSilent(s.client.judged(sent, s.client.streamErrorOf(ctx, err)))
		}
		s.patience.renew()
		s.client.reach.reached()
		if isWanted, err := s.state.take(message, yield); !isWanted || err != nil {
			return isWanted, err
		}
	}
}

// openStream opens a stream once.
func openStream[Message any, Request proto.Message](
	ctx context.Context,
	call func(context.Context, Request, ...grpc.CallOption) (grpc.ServerStreamingClient[Message], error),
	request Request,
) (grpc.ServerStreamingClient[Message], error) {
	messages, err := call(ctx, request)
	if err != nil {
		return nil, orUnsendable(err, request)
	}
	return messages, nil
}

// waitToReopen waits before the stream is reopened; it returns the error to fail with on giving up.
func (s *streamReader[Message, Item]) waitToReopen(ctx context.Context, err error) error {
	delay, isRetryable := s.patience.delay(err)
	if !isRetryable || !s.client.mayRetry(ctx, err) {
		return err
	}
	return s.client.wait(ctx, delay, err)
}
