package runstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
)

const (
	defaultHeartbeat = 10 * time.Second
	defaultPatience  = 60 * time.Second
	missedHeartbeats = 3
)

// follows is a stream that goes on after it broke, whatever it brings.
type follows[Message, Item any] interface {
	// open opens it once, asking for everything not delivered yet.
	open(ctx context.Context) (grpc.ServerStreamingClient[Message], error)
	// take yields what a message brings, each item once, and notes how far the stream got; false
	// when no more is wanted.
	take(message *Message, yield func(Item, error) bool) (isWanted bool, err error)
	// hasEnded tells that everything was delivered.
	hasEnded() bool
	// ended is the server's end of the stream with OK, and what is wrong with that.
	ended() error
}

// streaming drives a stream until it has ended, over connections that break or fall silent.
type streaming[Message, Item any] struct {
	client   *Client
	silence  time.Duration
	patience patience
	follows  follows[Message, Item]
}

// stream is the iterator of what start brings; it begins anew each time it is ranged over.
func stream[Message, Item any](
	ctx context.Context,
	client *Client,
	heartbeat, limit time.Duration,
	start func() follows[Message, Item],
) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		s := streaming[Message, Item]{
			client:   client,
			silence:  heartbeat * missedHeartbeats,
			patience: patience{limit: limit, backoff: client.backoff},
			follows:  start(),
		}
		for !s.follows.hasEnded() {
			isWanted, err := s.receive(ctx, yield)
			if !isWanted {
				return
			}
			if err == nil || s.follows.hasEnded() {
				continue
			}
			if err = s.rest(ctx, err); err != nil {
				var none Item
				yield(none, err)
				return
			}
		}
	}
}

var errSilent = errors.New("silent for too long")

// receive opens the stream once and yields what it brings; false when no more is wanted.
func (s *streaming[Message, Item]) receive(
	ctx context.Context, yield func(Item, error) bool,
) (isWanted bool, err error) {
	opened, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := time.AfterFunc(s.silence, func() { cancel(errSilent) })
	defer watch.Stop()
	broken := func(err error) error {
		if context.Cause(opened) == errSilent {
			return brokenStream(fmt.Sprintf("the stream was silent for %v", s.silence))
		}
		return s.client.errorOf(ctx, err)
	}

	messages, err := s.follows.open(s.client.outgoing(opened))
	if err != nil {
		return true, broken(err)
	}
	for {
		// A caller who is slow between two messages is no silence.
		watch.Reset(s.silence)
		message, err := messages.Recv()
		watch.Stop()
		if err == io.EOF {
			return true, s.follows.ended()
		}
		if err != nil {
			return true, toldOrBroken(broken(err))
		}
		s.patience.renew()
		if isWanted, err := s.follows.take(message, yield); !isWanted || err != nil {
			return isWanted, err
		}
	}
}

// rest waits before the stream is opened again; it returns what to fail with when it is given up.
func (s *streaming[Message, Item]) rest(ctx context.Context, err error) error {
	delay, mayHelp := s.patience.delay(err)
	if !mayHelp {
		return err
	}
	return s.client.wait(ctx, delay, err)
}

// toldOrBroken is the server's own failure, or that the stream broke: a bare INTERNAL is the
// transport's, for the server's has a reason.
func toldOrBroken(err error) error {
	var told *Error
	if errors.As(err, &told) && told.Code == codes.Internal && told.Reason == "" {
		return brokenStream(told.Message)
	}
	return err
}
