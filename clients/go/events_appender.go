package runstore

import (
	"context"
	"errors"
	"io"
	"strconv"
	"sync"

	runstorev1 "github.com/runstore/runstore/clients/go/v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

const defaultWindow = 256

// AppenderOptions says how an appender works.
type AppenderOptions struct {
	// Window is how many appends may be unanswered; 0 means 256.
	Window int
}

// Appender appends to any runs, pipelined over one stream. Close waits for all answers and has to be
// called.
//
// When the stream breaks, what is not answered is sent again in order, with the same event ids. When
// that has failed for the client's timeout, open appends, later ones and Close fail.
type Appender struct {
	client *Client
	ctx    context.Context
	cancel context.CancelFunc
	room   chan struct{}
	done   chan struct{}

	mutex      sync.Mutex
	unanswered []*Pending
	sent       int // of unanswered, over the stream that is open
	number     int
	isClosing  bool
	failure    error
	changed    chan struct{} // closed and replaced when there is more to do
}

// Pending is an append under way.
type Pending struct {
	request  *runstorev1.AppendEventStreamRequest
	answered chan struct{}
	appended Appended
	err      error
}

// Done is closed when the answer is there.
func (p *Pending) Done() <-chan struct{} { return p.answered }

// Wait returns where the event stands, or why it was refused. Where ctx ends first the append goes
// on.
func (p *Pending) Wait(ctx context.Context) (Appended, error) {
	select {
	case <-p.answered:
		return p.appended, p.err
	case <-ctx.Done():
		return Appended{}, contextError(ctx)
	}
}

// Appender starts an appender, which lives until it is closed. The end of ctx gives up what is not
// answered.
func (c *Client) Appender(ctx context.Context, options AppenderOptions) *Appender {
	if options.Window <= 0 {
		options.Window = defaultWindow
	}
	ctx, cancel := context.WithCancel(ctx)
	a := &Appender{
		client:  c,
		ctx:     ctx,
		cancel:  cancel,
		room:    make(chan struct{}, options.Window),
		done:    make(chan struct{}),
		changed: make(chan struct{}),
	}
	go a.work()
	return a
}

// Append sends one event, once the window has room. Events of one run are recorded in the order of
// the calls. A refusal is that of its own Pending and stops no other append; a writer to whom that
// matters appends with [Run.WithExpectedSeq].
func (a *Appender) Append(ctx context.Context, run *Run, event NewEvent) (*Pending, error) {
	request, err := run.appendRequest(event)
	if err != nil {
		return nil, err
	}
	// What cannot be put on the wire would break the stream of all others.
	if _, err := proto.Marshal(request); err != nil {
		return nil, errorf("the event cannot be sent: %w", err)
	}
	select {
	case a.room <- struct{}{}:
	case <-ctx.Done():
		return nil, contextError(ctx)
	case <-a.done:
		return nil, a.whyClosed()
	}
	a.mutex.Lock()
	defer a.mutex.Unlock()
	if a.failure != nil || a.isClosing {
		<-a.room
		return nil, a.whyClosedLocked()
	}
	a.number++
	pending := &Pending{
		request: &runstorev1.AppendEventStreamRequest{
			CorrelationId: strconv.Itoa(a.number), Append: request,
		},
		answered: make(chan struct{}),
	}
	a.unanswered = append(a.unanswered, pending)
	a.signalLocked()
	return pending, nil
}

// Close waits for all answers. It fails where appends had to be given up, not where one was refused.
func (a *Appender) Close() error {
	a.mutex.Lock()
	if !a.isClosing {
		a.isClosing = true
		a.signalLocked()
	}
	a.mutex.Unlock()
	<-a.done
	a.mutex.Lock()
	defer a.mutex.Unlock()
	return a.failure
}

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

func (a *Appender) giveUp(err error) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.failure, a.isClosing = err, true
	for _, pending := range a.unanswered {
		pending.err = err
		a.settleLocked(pending)
	}
	a.unanswered = nil
}

func (a *Appender) settleLocked(pending *Pending) {
	close(pending.answered)
	<-a.room
}

func (a *Appender) signalLocked() {
	close(a.changed)
	a.changed = make(chan struct{})
}

func (a *Appender) whyClosed() error {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	return a.whyClosedLocked()
}

func (a *Appender) whyClosedLocked() error {
	if a.failure != nil {
		return a.failure
	}
	return closedError("appender")
}
