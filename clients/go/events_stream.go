package runstore

import (
	"cmp"
	"context"
	"iter"
	"time"

	runstorev1 "github.com/runstore/runstore/clients/go/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"
)

// EventsOptions says which events to stream.
type EventsOptions struct {
	// FromSeq is inclusive; 0 and 1 both mean the beginning.
	FromSeq int64
	// Follow goes on with events as they are committed, until the run's end.
	Follow bool
	Filter EventFilter
	// WaitForRun waits for a run that does not exist yet; needs Follow.
	WaitForRun bool
	// Heartbeat is the longest silence of a followed stream that is alive; 0 means 10 seconds. A
	// stream that is silent three times as long is opened again.
	Heartbeat time.Duration
	// Patience is how long to go on failing, from the first failure after a message, before one is
	// yielded; 0 means a minute.
	Patience time.Duration
}

// StreamItem is what a stream brings: an *[Event], or one of the marks [CaughtUp], [Heartbeat] and
// [EndOfRun], which come in order with the events.
type StreamItem interface{ streamItem() }

// CaughtUp says that everything up to LastSeq was delivered; the stream is live from here.
type CaughtUp struct{ LastSeq int64 }

// Heartbeat says that the stream is alive and that everything up to LastSeq was delivered.
type Heartbeat struct{ LastSeq int64 }

// EndOfRun says that the run is complete and that everything was delivered; it is the last item.
type EndOfRun struct {
	LastSeq int64
	Outcome Outcome
}

func (*Event) streamItem()    {}
func (CaughtUp) streamItem()  {}
func (Heartbeat) streamItem() {}
func (EndOfRun) streamItem()  {}

// Events yields events from FromSeq on, each once and in order. A stream that breaks, or falls
// silent, is opened again after the last event delivered, over server restarts too.
//
// It ends at the run's current end, or with Follow after its terminal event. A failure that does not
// pass, and the end of ctx, is yielded once, as the last. The default timeout does not count here.
func (r *Run) Events(ctx context.Context, options EventsOptions) iter.Seq2[*Event, error] {
	return only[*Event](r.Stream(ctx, options))
}

// only is the items of one kind, and the error that ends them.
func only[Kind, Item any](items iter.Seq2[Item, error]) iter.Seq2[Kind, error] {
	return func(yield func(Kind, error) bool) {
		for item, err := range items {
			found, isKind := any(item).(Kind)
			if (err != nil || isKind) && !yield(found, err) {
				return
			}
		}
	}
}

// Stream is Events with the marks between them.
func (r *Run) Stream(ctx context.Context, options EventsOptions) iter.Seq2[StreamItem, error] {
	options.Heartbeat = cmp.Or(options.Heartbeat, defaultHeartbeat)
	options.Patience = cmp.Or(options.Patience, defaultPatience)
	return stream(ctx, r.client, options.Heartbeat, options.Patience,
		func() follows[runstorev1.StreamEventsResponse, StreamItem] {
			return &following{run: r, options: options, nextSeq: max(options.FromSeq, 1)}
		})
}

// following is where a stream stands.
type following struct {
	run     *Run
	options EventsOptions
	nextSeq int64
	isOver  bool
}

func (f *following) hasEnded() bool { return f.isOver }

func (f *following) open(
	ctx context.Context,
) (grpc.ServerStreamingClient[runstorev1.StreamEventsResponse], error) {
	return f.run.client.service.StreamEvents(ctx, f.request())
}

// request asks for everything not delivered yet.
func (f *following) request() *runstorev1.StreamEventsRequest {
	return &runstorev1.StreamEventsRequest{
		Project:           f.run.client.project,
		RunId:             f.run.id,
		FromSeq:           f.nextSeq,
		Filter:            f.options.Filter.message(),
		Follow:            f.options.Follow,
		WaitForRun:        f.options.WaitForRun,
		HeartbeatInterval: durationpb.New(f.options.Heartbeat),
	}
}

func (f *following) take(
	message *runstorev1.StreamEventsResponse, yield func(StreamItem, error) bool,
) (isWanted bool, err error) {
	switch kind := message.Message.(type) {
	case *runstorev1.StreamEventsResponse_Events:
		return f.takeEvents(kind.Events.Events, yield)
	case *runstorev1.StreamEventsResponse_CaughtUp:
		last := kind.CaughtUp.LastSeq
		return f.takeMark(last, CaughtUp{last}, yield)
	case *runstorev1.StreamEventsResponse_Heartbeat:
		last := kind.Heartbeat.LastSeq
		return f.takeMark(last, Heartbeat{last}, yield)
	case *runstorev1.StreamEventsResponse_EndOfRun:
		end := EndOfRun{kind.EndOfRun.LastSeq, Outcome(kind.EndOfRun.Outcome)}
		isWanted, err := f.takeMark(end.LastSeq, end, yield)
		f.isOver = err == nil
		return isWanted, err
	}
	return true, nil
}

func (f *following) takeEvents(
	messages []*runstorev1.Event, yield func(StreamItem, error) bool,
) (isWanted bool, err error) {
	for _, message := range messages {
		if message.Seq < f.nextSeq {
			continue
		}
		if message.Seq > f.nextSeq && f.options.Filter.isEmpty() {
			return true, protocolError("expected event %d, got %d", f.nextSeq, message.Seq)
		}
		f.nextSeq = message.Seq + 1
		if !yield(eventOf(message), nil) {
			return false, nil
		}
	}
	return true, nil
}

// takeMark yields a mark that says everything up to lastSeq was delivered.
func (f *following) takeMark(
	lastSeq int64, mark StreamItem, yield func(StreamItem, error) bool,
) (isWanted bool, err error) {
	if lastSeq >= f.nextSeq && f.options.Filter.isEmpty() {
		return true, protocolError("events from %d to %d were left out", f.nextSeq, lastSeq)
	}
	f.nextSeq = max(f.nextSeq, lastSeq+1)
	return yield(mark, nil), nil
}

// ended is the server's end of a stream with OK: right for one that does not follow.
func (f *following) ended() error {
	if f.options.Follow && !f.isOver {
		return protocolError("the server ended a followed stream before the run's end")
	}
	f.isOver = true
	return nil
}
