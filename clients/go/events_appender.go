package runstore

import (
	"context"
	"strconv"
	"sync"

	runstorev1 "github.com/runstore/runstore/clients/go/v1"
	"google.golang.org/protobuf/proto"
)

const (
	defaultWindow = 256

	// maxStreamBytes is how much is sent over one stream. A stream is one HTTP request, and proxies
	// limit the body of one: nginx to 1 MiB by default.
	maxStreamBytes = 768 << 10
	frameBytes     = 5 // what gRPC writes before each message
)

// streamLoad is what the current stream of an appender carries.
type streamLoad struct {
	sent    int // how many of the unanswered appends were sent over it
	carried int // how many were sent over it at all
	bytes   int
	most    int // how many bytes it may carry
	// isFull means that the next append goes over another stream.
	isFull bool
}

// admits reports whether a request may be sent over the stream, and counts it. One always may,
// however large.
func (l *streamLoad) admits(request proto.Message) bool {
	size := proto.Size(request) + frameBytes
	l.isFull = l.carried > 0 && l.bytes+size > l.most
	if l.isFull {
		return false
	}
	l.sent++
	l.carried++
	l.bytes += size
	return true
}

// AppenderOptions configure an appender.
type AppenderOptions struct {
	// Window is how many appends may be in flight; 0 means 256.
	Window int
}

// Appender appends to any number of runs, pipelined over a stream. Close waits for all answers and must
// be called.
//
// A stream ends after 768 KiB, once all is answered, and the next append goes over another one, so that
// it passes proxies that limit the body of a request. An append that is too large for them even alone fails
// with a MessageTooLargeError; the others go on.
//
// If the stream breaks, the appends in flight are sent again in order, with the same event ids. If
// that keeps failing for the client's timeout, the appends in flight, later ones and Close fail.
type Appender struct {
	client *Client
	ctx    context.Context
	cancel context.CancelFunc
	window chan struct{} // holds one token for each append in flight
	done   chan struct{}

	mutex      sync.Mutex
	unanswered []*Pending
	stream     streamLoad
	mostBytes  int // of the next stream
	number     int
	isClosing  bool
	failure    error
	changed    chan struct{} // closed and replaced when there is more to do
}

// Pending is an append in flight.
type Pending struct {
	request  *runstorev1.AppendEventStreamRequest
	answered chan struct{}
	appended Appended
	err      error
}

// Done is closed once the append is answered or given up.
func (p *Pending) Done() <-chan struct{} { return p.answered }

// Wait returns where the event was recorded, or why it was refused. If ctx ends first, the append
// is not cancelled.
func (p *Pending) Wait(ctx context.Context) (Appended, error) {
	select {
	case <-p.answered:
		return p.appended, p.err
	case <-ctx.Done():
		return Appended{}, contextError(ctx)
	}
}

// Appender starts an appender, which runs until it is closed. When ctx ends, the appends in flight
// are given up.
func (c *Client) Appender(ctx context.Context, options AppenderOptions) *Appender {
	if options.Window <= 0 {
		options.Window = defaultWindow
	}
	ctx, cancel := context.WithCancel(ctx)
	a := &Appender{
		client:    c,
		ctx:       ctx,
		cancel:    cancel,
		window:    make(chan struct{}, options.Window),
		done:      make(chan struct{}),
		mostBytes: maxStreamBytes,
		changed:   make(chan struct{}),
	}
	go a.work()
	return a
}

// Append sends one event once the window has room. Events of one run are recorded in the order of
// the calls. A refused append fails its own Pending and does not stop later ones; use
// [Run.WithExpectedSeq] to have those refused too.
func (a *Appender) Append(ctx context.Context, run *Run, event NewEvent) (*Pending, error) {
	request, err := run.appendRequest(event)
	if err != nil {
		return nil, err
	}
	// It would break the stream for all other appends.
	if err := orUnsendable(nil, request); err != nil {
		return nil, err
	}
	select {
	case a.window <- struct{}{}:
	case <-ctx.Done():
		return nil, contextError(ctx)
	case <-a.done:
		return nil, a.whyClosed()
	}
	a.mutex.Lock()
	defer a.mutex.Unlock()
	if a.failure != nil || a.isClosing {
		<-a.window
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

// Close waits for all answers. It fails if appends were given up, but not if one was refused.
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
	<-a.window
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
