package runstore

import (
	"context"
	"iter"
	"time"

	runstorev1 "github.com/runstore/runstore/clients/go/v1"
)

// largestPage is the most events that the server returns at once.
const largestPage = 1000

// NewEvent is an event to append.
type NewEvent struct {
	// Type is the kind of event, such as "tool.called"; the only required field.
	Type    string
	Payload Payload
	// EventID lets the store recognise a retry; if empty, the client generates one.
	EventID string
	NodeID  string
	Actor   string
	Model   string
	Tool    string
	Tags    []string
	Usage   *Usage
	// TraceParent is the W3C trace context of the caller.
	TraceParent string
	// OccurredAt is kept to the microsecond.
	OccurredAt time.Time
	// Subjects say whom the event is about, so that all about one of them can be found and erased.
	Subjects []string
}

// Event is a recorded event.
type Event struct {
	// Seq numbers the events of the run from 1.
	Seq         int64
	Type        string
	Payload     Payload
	EventID     string
	NodeID      string
	Actor       string
	Model       string
	Tool        string
	Tags        []string
	Usage       *Usage
	TraceParent string
	// OccurredAt is zero if the writer did not set it.
	OccurredAt time.Time
	RecordedAt time.Time
	// Hash is the event's link in the hash chain, a SHA-256.
	Hash []byte
	// Subjects say whom the event is about.
	Subjects []string
	// Salt was hashed with what may be erased; it is empty if the event was recorded without one.
	Salt []byte
	// Sealed is the hash of what was erased: payload, actor, tags, subjects and salt. It is empty unless
	// the event was erased, and if it was recorded without a salt.
	Sealed []byte
	// ErasedAt is when what the event said was erased; zero if it was not.
	ErasedAt time.Time
}

// Appended says where an event was recorded.
type Appended struct {
	Seq        int64
	EventID    string
	RecordedAt time.Time
	Hash       []byte
	// Deduplicated means that the event had been recorded before.
	Deduplicated bool
}

// EventFilter selects events that meet all its conditions.
type EventFilter struct {
	// Types and NodeIDs select events with any of them, Tags events with all of them.
	Types   []string
	NodeIDs []string
	Tags    []string
}

// ListEventsOptions says which events to list.
type ListEventsOptions struct {
	// FromSeq is inclusive; 0 and 1 both mean the beginning.
	FromSeq int64
	Filter  EventFilter
	// PageSize is how many events are fetched at once; 0 means the server's default.
	PageSize int
	// ReadArchive reads events that are archived; else they are [*EventsArchivedError].
	ReadArchive bool
}

// EventPage is a page of events in order of seq.
type EventPage struct {
	Events []*Event
	// NextFromSeq is the FromSeq of the next page; 0 if this one reached the run's end.
	NextFromSeq int64
	// LastSeq is the run's last seq when the page was read.
	LastSeq int64
}

// Append appends events, all or none, and returns where each was recorded.
func (r *Run) Append(ctx context.Context, events ...NewEvent) ([]Appended, error) {
	if len(events) == 1 {
		return r.appendOne(ctx, events[0])
	}
	var e encoder
	request := &runstorev1.AppendEventsRequest{
		Project:     r.client.project,
		RunId:       r.id,
		Events:      mapped(events, e.event),
		ExpectedSeq: r.expectedSeq,
		WriterEpoch: r.writerEpoch,
	}
	if e.err != nil {
		return nil, e.err
	}
	response, err := send(ctx, r.client, r.client.service.AppendEvents, request)
	return mapped(response.GetEvents(), appendedOf), err
}

func (r *Run) appendOne(ctx context.Context, event NewEvent) ([]Appended, error) {
	request, err := r.appendRequest(event)
	if err != nil {
		return nil, err
	}
	response, err := send(ctx, r.client, r.client.appendEvent, request)
	if err != nil {
		return nil, err
	}
	return []Appended{appendedOf(response)}, nil
}

func (r *Run) appendRequest(event NewEvent) (*runstorev1.AppendEventRequest, error) {
	var e encoder
	return &runstorev1.AppendEventRequest{
		Project:     r.client.project,
		RunId:       r.id,
		Event:       e.event(event),
		ExpectedSeq: r.expectedSeq,
		WriterEpoch: r.writerEpoch,
	}, e.err
}

// ListEvents yields the run's events up to its current end, in order of seq, page by page. If it
// fails, the last pair holds the error. [Run.Events] streams them.
func (r *Run) ListEvents(ctx context.Context, options ListEventsOptions) iter.Seq2[*Event, error] {
	return func(yield func(*Event, error) bool) {
		for at := options; ; {
			page, err := r.ListEventPage(ctx, at)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, event := range page.Events {
				if !yield(event, nil) {
					return
				}
			}
			if page.NextFromSeq == 0 {
				return
			}
			at.FromSeq = page.NextFromSeq
		}
	}
}

// eventsFrom yields the first events, which came with an answer, and then the rest, from FromSeq on;
// 0 means that there are no more.
func (r *Run) eventsFrom(
	ctx context.Context, first []*Event, rest ListEventsOptions,
) iter.Seq2[*Event, error] {
	return func(yield func(*Event, error) bool) {
		for _, event := range first {
			if !yield(event, nil) {
				return
			}
		}
		if rest.FromSeq > 0 {
			r.ListEvents(ctx, rest)(yield)
		}
	}
}

// ListEventPage returns one page of the run's events.
func (r *Run) ListEventPage(ctx context.Context, options ListEventsOptions) (*EventPage, error) {
	response, err := send(ctx, r.client, r.client.service.ListEvents, &runstorev1.ListEventsRequest{
		Project:     r.client.project,
		RunId:       r.id,
		FromSeq:     options.FromSeq,
		PageSize:    int32Of(options.PageSize),
		Filter:      options.Filter.message(),
		ReadArchive: options.ReadArchive,
	})
	if err != nil {
		return nil, err
	}
	return &EventPage{
		Events:      mapped(response.Events, eventOf),
		NextFromSeq: response.NextFromSeq,
		LastSeq:     response.LastSeq,
	}, nil
}

func (f EventFilter) message() *runstorev1.EventFilter {
	return &runstorev1.EventFilter{Types: f.Types, NodeIds: f.NodeIDs, Tags: f.Tags}
}

func (f EventFilter) isEmpty() bool {
	return len(f.Types)+len(f.NodeIDs)+len(f.Tags) == 0
}

// event returns the message of an event, with a generated id if it has none.
func (e *encoder) event(event NewEvent) *runstorev1.Event {
	if event.EventID == "" {
		event.EventID = newID()
	}
	return &runstorev1.Event{
		EventId:     event.EventID,
		Type:        event.Type,
		Payload:     e.payload(event.Payload),
		NodeId:      event.NodeID,
		Actor:       event.Actor,
		Model:       event.Model,
		Tool:        event.Tool,
		Tags:        event.Tags,
		Usage:       usageMessage(event.Usage),
		TraceParent: event.TraceParent,
		OccurredAt:  timestamp(event.OccurredAt),
		Subjects:    event.Subjects,
	}
}

func eventOf(message *runstorev1.Event) *Event {
	return &Event{
		Seq:         message.Seq,
		Type:        message.Type,
		Payload:     payloadOf(message.Payload),
		EventID:     message.EventId,
		NodeID:      message.NodeId,
		Actor:       message.Actor,
		Model:       message.Model,
		Tool:        message.Tool,
		Tags:        message.Tags,
		Usage:       usageOf(message.Usage),
		TraceParent: message.TraceParent,
		OccurredAt:  timeOf(message.OccurredAt),
		RecordedAt:  timeOf(message.RecordedAt),
		Hash:        message.Hash,
		Subjects:    message.Subjects,
		Salt:        message.Salt,
		Sealed:      message.Sealed,
		ErasedAt:    timeOf(message.ErasedAt),
	}
}

func appendedOf(message *runstorev1.AppendEventResponse) Appended {
	return Appended{
		Seq:          message.Seq,
		EventID:      message.EventId,
		RecordedAt:   timeOf(message.RecordedAt),
		Hash:         message.Hash,
		Deduplicated: message.Deduplicated,
	}
}
