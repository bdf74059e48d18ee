package runstore

import (
	"context"
	"strconv"
	"sync"

	runstorev1 "github.com/runstore/runstore/clients/go/v1"
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
