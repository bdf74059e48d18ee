package runstore

import (
	"context"
	"iter"

	runstorev1 "github.com/runstore/runstore/clients/go/v1"
)

// ReplayOptions say which moment of a run to replay.
type ReplayOptions struct {
	// AtSeq is the moment right after this event; 0 is before the first event, nil after the last
	// one. One beyond the last event fails with [*SeqAheadError].
	AtSeq *int64
	// Namespace is that of the snapshot.
	Namespace string
	// PageSize is how many events are fetched at once; 0 means 1000.
	PageSize int
	// ReadArchive reads events that are archived; else they are [*EventsArchivedError].
	ReadArchive bool
}

// PinnedConfig is a config version that a run is pinned to.
type PinnedConfig struct {
	Ref ConfigRef
	// Body is the zero Payload if it is stored elsewhere.
	Body Payload
}

// Replayed is the state of a run at a moment.
type Replayed struct {
	// Info is the current state of the run; its pins never change.
	Info *RunInfo
	// AtSeq is the moment that was replayed.
	AtSeq int64
	// Snapshot is the latest one at or before the moment; nil if there is none.
	Snapshot *Snapshot
	// TaskWrites are those since the snapshot, up to the moment.
	TaskWrites []TaskWrite
	// Configs are in the order of the run's ConfigRefs.
	Configs []PinnedConfig
	// FirstEvents are those of the first page after the snapshot; Events yields all.
	FirstEvents []*Event
	// NextFromSeq is where ListEvents continues, up to AtSeq; 0 if FirstEvents reached it.
	NextFromSeq int64

	run     *Run
	options ReplayOptions
}

// Replay returns the state of the run right after an event. It changes nothing.
func (r *Run) Replay(ctx context.Context, options ReplayOptions) (*Replayed, error) {
	if options.PageSize == 0 {
		options.PageSize = largestPage
	}
	response, err := send(ctx, r.client, r.client.service.ReplayRun, &runstorev1.ReplayRunRequest{
		Project:     r.client.project,
		RunId:       r.id,
		AtSeq:       options.AtSeq,
		Namespace:   options.Namespace,
		PageSize:    int32Of(options.PageSize),
		ReadArchive: options.ReadArchive,
	})
	if err != nil {
		return nil, err
	}
	return &Replayed{
		Info:        runInfoOf(response.Run),
		AtSeq:       response.AtSeq,
		Snapshot:    snapshotOf(response.Snapshot),
		TaskWrites:  mapped(response.TaskWrites, taskWriteOf),
		Configs:     mapped(response.Configs, pinnedConfigOf),
		FirstEvents: mapped(response.Events, eventOf),
		NextFromSeq: response.NextFromSeq,
		run:         r,
		options:     options,
	}, nil
}

// Events yields the events after the snapshot up to the moment. If it fails, the last pair holds
// the error.
func (r *Replayed) Events(ctx context.Context) iter.Seq2[*Event, error] {
	rest := ListEventsOptions{
		FromSeq: r.NextFromSeq, PageSize: r.options.PageSize, ReadArchive: r.options.ReadArchive,
	}
	return func(yield func(*Event, error) bool) {
		for event, err := range r.run.eventsFrom(ctx, r.FirstEvents, rest) {
			if err == nil && event.Seq > r.AtSeq || !yield(event, err) {
				return
			}
		}
	}
}

func pinnedConfigOf(message *runstorev1.PinnedConfig) PinnedConfig {
	return PinnedConfig{Ref: configRefOf(message.Ref), Body: payloadOf(message.Body)}
}
