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
	// Follow continues with events as they are committed, until the run's end.
	Follow bool
	Filter EventFilter
	// WaitForRun waits for a run that does not exist yet; needs Follow.
	WaitForRun bool
	// ReadArchive reads events that are archived; else they are [*EventsArchivedError].
	ReadArchive bool
	// Heartbeat is how often a followed stream shows that it is alive; 0 means every 10 seconds. A
	// stream that is silent three times as long is reopened.
	Heartbeat time.Duration
	// Patience is how long to keep retrying, from the first failure after a message, before the
	// error is yielded; 0 means a minute.
	Patience time.Duration
}

// StreamItem is an item of a stream: an *[Event], or progress: [CaughtUp], [Heartbeat] or
// [EndOfRun], in order with the events.
type StreamItem interface{ streamItem() }

// CaughtUp says that everything up to LastSeq was delivered and that the stream is live from here.
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

// Events yields events from FromSeq on, each once and in order. A stream that breaks or falls
// silent is reopened after the last event delivered, also across server restarts.
//
// It ends at the run's current end, or with Follow after the terminal event. If it fails for good,
// or ctx ends, the last pair holds the error. The default timeout does not apply.
func (r *Run) Events(ctx context.Context, options EventsOptions) iter.Seq2[*Event, error] {
	return itemsOf[*Event](r.Stream(ctx, options))
}

// itemsOf yields the items of one kind, and the error that ends them.
func itemsOf[Kind, Item any](items iter.Seq2[Item, error]) iter.Seq2[Kind, error] {
	return func(yield func(Kind, error) bool) {
		for item, err := range items {
			found, isKind := any(item).(Kind)
			if (err != nil || isKind) && !yield(found, err) {
				return
			}
		}
	}
}

// Stream is Events with progress between the events.
func (r *Run) Stream(ctx context.Context, options EventsOptions) iter.Seq2[StreamItem, error] {
	options.Heartbeat = cmp.Or(options.Heartbeat, defaultHeartbeat)
	options.Patience = cmp.Or(options.Patience, defaultPatience)
	return stream(ctx, r.client, options.Heartbeat, options.Patience,
		func() streamState[runstorev1.StreamEventsResponse, StreamItem] {
			return &eventStream{run: r, options: options, nextSeq: max(options.FromSeq, 1)}
		})
}

// eventStream is how far a stream of events has got.
type eventStream struct {
	run     *Run
	options EventsOptions
	nextSeq int64
	isOver  bool
}

func (f *eventStream) hasEnded() bool { return f.isOver }

func (f *eventStream) open(
	ctx context.Context,
) (grpc.ServerStreamingClient[runstorev1.StreamEventsResponse], error) {
	return openStream(ctx, f.run.client.service.StreamEvents, f.request())
}

// request returns the request for everything not delivered yet.
func (f *eventStream) request() *runstorev1.StreamEventsRequest {
	return &runstorev1.StreamEventsRequest{
		Project:           f.run.client.project,
		RunId:             f.run.id,
		FromSeq:           f.nextSeq,
		Filter:            f.options.Filter.message(),
		Follow:            f.options.Follow,
		WaitForRun:        f.options.WaitForRun,
		ReadArchive:       f.options.ReadArchive,
		HeartbeatInterval: durationpb.New(f.options.Heartbeat),
	}
}

func (f *eventStream) take(
	message *runstorev1.StreamEventsResponse, yield func(StreamItem, error) bool,
) (isWanted bool, err error) {
	switch kind := message.Message.(type) {
	case *runstorev1.StreamEventsResponse_Events:
		return f.takeEvents(kind.Events.Events, yield)
	case *runstorev1.StreamEventsResponse_CaughtUp:
		last := kind.CaughtUp.LastSeq
		return f.takeProgress(last, CaughtUp{last}, yield)
	case *runstorev1.StreamEventsResponse_Heartbeat:
		last := kind.Heartbeat.LastSeq
		return f.takeProgress(last, Heartbeat{last}, yield)
	case *runstorev1.StreamEventsResponse_EndOfRun:
		end := EndOfRun{kind.EndOfRun.LastSeq, Outcome(kind.EndOfRun.Outcome)}
		isWanted, err := f.takeProgress(end.LastSeq, end, yield)
		f.isOver = err == nil
		return isWanted, err
	}
	return true, nil
}

func (f *eventStream) takeEvents(
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

// takeProgress yields an item that says that everything up to lastSeq was delivered.
func (f *eventStream) takeProgress(
	lastSeq int64, item StreamItem, yield func(StreamItem, error) bool,
) (isWanted bool, err error) {
	if lastSeq >= f.nextSeq && f.options.Filter.isEmpty() {
		return true, protocolError("the server skipped events %d to %d", f.nextSeq, lastSeq)
	}
	f.nextSeq = max(f.nextSeq, lastSeq+1)
	return yield(item, nil), nil
}

// ended is right for a stream that does not follow.
func (f *eventStream) ended() error {
	if f.options.Follow && !f.isOver {
		return protocolError("the server ended a followed stream before the run's end")
	}
	f.isOver = true
	return nil
}
