package runstore

import (
	"context"
	"errors"
	"io"

	runstorev1 "github.com/runstore/runstore/clients/go/v1"
	"google.golang.org/grpc/status"
)

func (a *Appender) work() {
	defer close(a.done)
	defer a.cancel()
	left := &patience{limit: a.client.timeout, backoff: a.client.backoff}
	for a.hasWork(left) {
		err := a.converse(left)
		if err == nil {
			continue
		}
		delay, mayHelp := left.delay(err)
		if mayHelp {
			err = a.client.wait(a.ctx, delay, err)
		}
		if err != nil {
			a.giveUp(err)
			return
		}
	}
}

// hasWork waits for an append; false when there will be none.
func (a *Appender) hasWork(left *patience) bool {
	for isRested := false; ; isRested = true {
		a.mutex.Lock()
		isIdle, isClosing, changed := len(a.unanswered) == 0, a.isClosing, a.changed
		a.mutex.Unlock()
		if !isIdle || isClosing {
			if isRested {
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

// converse sends and receives over one stream until it breaks or the appender is closed and done.
func (a *Appender) converse(left *patience) error {
	ctx, cancel := context.WithCancel(a.client.outgoing(a.ctx))
	stream, err := a.client.service.AppendEventStream(ctx)
	if err != nil {
		cancel()
		return a.client.errorOf(a.ctx, err)
	}
	a.mutex.Lock()
	a.sent = 0
	a.mutex.Unlock()
	sending := make(chan error, 1)
	go func() { sending <- a.sendAll(ctx, cancel, stream) }()

	err = a.receiveAll(stream, left)
	cancel()
	if unsendable := <-sending; unsendable != nil {
		return unsendable
	}
	return err
}

type appendStream interface {
	Send(*runstorev1.AppendEventStreamRequest) error
	Recv() (*runstorev1.AppendEventStreamResponse, error)
	CloseSend() error
}

// sendAll sends what is not answered, and what is added, until the stream breaks. It returns only a
// failure of a request that cannot be put on the wire.
func (a *Appender) sendAll(ctx context.Context, cancel func(), stream appendStream) error {
	for {
		a.mutex.Lock()
		var next *Pending
		if a.sent < len(a.unanswered) {
			next = a.unanswered[a.sent]
			a.sent++
		}
		isClosing, changed := a.isClosing, a.changed
		a.mutex.Unlock()
		switch {
		case next != nil:
			if err := stream.Send(next.request); err != nil {
				if err == io.EOF || ctx.Err() != nil { // the receiver learns why
					return nil
				}
				cancel()
				return a.client.errorOf(a.ctx, err)
			}
		case isClosing:
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
			return toldOrBroken(a.client.errorOf(a.ctx, err))
		}
		if err := a.take(response); err != nil {
			return err
		}
		left.renew()
	}
}

// take settles the oldest append. It fails where the server refused it because it goes down: it
// refuses all that follow too, so that sending them again elsewhere keeps their order.
func (a *Appender) take(response *runstorev1.AppendEventStreamResponse) error {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	if a.sent == 0 {
		return protocolError("the server answered an append that was not sent")
	}
	oldest := a.unanswered[0]
	answered, expected := response.CorrelationId, oldest.request.CorrelationId
	if answered != expected && answered != "" { // empty where the server could not read the request
		return protocolError("expected the answer of append %s, got %s", expected, answered)
	}
	switch result := response.Result.(type) {
	case *runstorev1.AppendEventStreamResponse_Appended:
		oldest.appended = appendedOf(result.Appended)
	case *runstorev1.AppendEventStreamResponse_Error:
		oldest.err = errorOfStatus(a.ctx, status.FromProto(result.Error))
	default:
		return protocolError("the answer of append %s is empty", expected)
	}
	var draining *ServerDrainingError
	if errors.As(oldest.err, &draining) {
		err := oldest.err
		oldest.err = nil
		return err
	}
	a.unanswered = a.unanswered[1:]
	a.sent--
	a.settleLocked(oldest)
	return nil
}

// ended is the server's end of the stream with OK: right when all is said and answered.
func (a *Appender) ended() error {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	if !a.isClosing || len(a.unanswered) > 0 {
		return protocolError("the server ended the append stream before its last answer")
	}
	return nil
}
