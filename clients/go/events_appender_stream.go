package runstore

import (
	"context"
	"errors"
	"io"
	"time"

	runstorev1 "github.com/runstore/runstore/clients/go/v1"
	"google.golang.org/grpc/status"
)

// work opens one stream after the other until the appender is closed or gives up.
func (a *Appender) work() {
	defer close(a.done)
	defer a.cancel()
	left := &patience{limit: a.client.timeout, backoff: a.client.backoff}
	for a.hasWork(left) {
		err := a.runStream(left)
		if err == nil {
			continue
		}
		delay, isRetryable := left.delay(err)
		if isRetryable && a.client.mayRetry(a.ctx, err) {
			err = a.client.wait(a.ctx, delay, err)
		}
		if err != nil {
			a.giveUp(a.client.final(err, time.Time{}))
			return
		}
	}
}

// hasWork waits for an append; false if there will be none.
func (a *Appender) hasWork(left *patience) bool {
	for wasIdle := false; ; wasIdle = true {
		a.mutex.Lock()
		isIdle, isClosing, changed := len(a.unanswered) == 0, a.isClosing, a.changed
		a.mutex.Unlock()
		if !isIdle || isClosing {
			if wasIdle {
				left.renew()
			}
			return !isIdle
		}
		select {
		case <-changed:
		case <-a.ctx.Done():
			a.giveUp(contextError(a.ctx))
			return false
		case <-a.client.closed:
			a.giveUp(closedError("client"))
			return false
		}
	}
}

// runStream sends and receives over one stream until it breaks, is full, or the appender is closed and
// done.
func (a *Appender) runStream(left *patience) error {
	ctx, cancel := context.WithCancel(a.client.outgoing(a.ctx))
	stream, err := a.client.service.AppendEventStream(ctx)
	if err != nil {
		cancel()
		return a.client.judged(ctx, a.client.errorOf(a.ctx, err))
	}
	a.mutex.Lock()
	a.stream = streamLoad{most: a.mostBytes}
	a.mutex.Unlock()
	sending := make(chan error, 1)
	go func() { sending <- a.sendAll(ctx, cancel, stream) }()

	err = a.client.judged(ctx, a.receiveAll(stream, left))
	cancel()
	if unsendable := <-sending; unsendable != nil {
		return unsendable
	}
	return a.orRefused(err)
}

type appendStream interface {
	Send(*runstorev1.AppendEventStreamRequest) error
	Recv() (*runstorev1.AppendEventStreamResponse, error)
	CloseSend() error
}

// sendAll sends the unanswered appends and those that are added, until the stream breaks or is full.
// It fails only if a request cannot be encoded.
func (a *Appender) sendAll(ctx context.Context, cancel func(), stream appendStream) error {
	for {
		a.mutex.Lock()
		var next *Pending
		if waiting := a.unanswered[a.stream.sent:]; len(waiting) > 0 && a.stream.admits(waiting[0].request) {
			next = waiting[0]
		}
		isOver, changed := a.isClosing || a.stream.isFull, a.changed
		a.mutex.Unlock()
		switch {
		case next != nil:
			if err := stream.Send(next.request); err != nil {
				if err == io.EOF || ctx.Err() != nil { // receiveAll gets the reason
					return nil
				}
				cancel()
				return a.client.errorOf(a.ctx, err)
			}
		case isOver:
			_ = stream.CloseSend()
			return nil
		default:
			select {
			case <-changed:
			case <-ctx.Done():
				return nil
			}
		}
	}
}

func (a *Appender) receiveAll(stream appendStream, left *patience) error {
	for {
		response, err := stream.Recv()
		if err == io.EOF {
			return a.ended()
		}
		if err != nil {
			return a.client.requestsErrorOf(a.ctx, err)
		}
		if err := a.take(response); err != nil {
			return err
		}
		left.renew()
		a.client.reach.reached()
	}
}

// take settles the oldest append. It fails if the server refused it because it is shutting down: it
// refuses all later ones too, so sending them again to another server keeps their order.
func (a *Appender) take(response *runstorev1.AppendEventStreamResponse) error {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	if a.stream.sent == 0 {
		return protocolError("the server answered an append that was not sent")
	}
	oldest := a.unanswered[0]
	answered, expected := response.CorrelationId, oldest.request.CorrelationId
	if answered != expected && answered != "" { // empty if the server could not decode the request
		return protocolError("expected the answer to append %s, got that to %s", expected, answered)
	}
	switch result := response.Result.(type) {
	case *runstorev1.AppendEventStreamResponse_Appended:
		oldest.appended = appendedOf(result.Appended)
	case *runstorev1.AppendEventStreamResponse_Error:
		oldest.err = errorOfStatus(a.ctx, status.FromProto(result.Error))
	default:
		return protocolError("the answer to append %s is empty", expected)
	}
	var draining *ServerDrainingError
	if errors.As(oldest.err, &draining) {
		err := oldest.err
		oldest.err = nil
		return err
	}
	a.unanswered = a.unanswered[1:]
	a.stream.sent--
	a.settleLocked(oldest)
	return nil
}

// orRefused returns an error as it is, or nil once the append that was too large for its stream is refused.
// Where the stream carried several, later ones carry at most half as much, in the end one append each.
func (a *Appender) orRefused(err error) error {
	var large *MessageTooLargeError
	if !errors.As(err, &large) {
		return err
	}
	a.mutex.Lock()
	defer a.mutex.Unlock()
	switch {
	case a.stream.carried > 1:
		a.mostBytes = a.stream.bytes / 2
	case a.stream.sent == 1:
		oldest := a.unanswered[0]
		oldest.err = err
		a.unanswered = a.unanswered[1:]
		a.settleLocked(oldest)
	default:
		return brokenStream(large.Message)
	}
	return nil
}

// ended is called when the server ends the stream with OK, which is right once everything that was sent
// is answered and either the appender is closing or the stream is full.
func (a *Appender) ended() error {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	mayEnd := a.stream.isFull || a.isClosing && len(a.unanswered) == 0
	if !mayEnd || a.stream.sent > 0 {
		return protocolError("the server ended the append stream before its last answer")
	}
	return nil
}
