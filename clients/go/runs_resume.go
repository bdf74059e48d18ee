package runstore

import (
	"context"
	"iter"

	runstorev1 "github.com/runstore/runstore/clients/go/v1"
)

// ResumeOptions say who resumes and from where.
type ResumeOptions struct {
	// Actor is who resumes: the actor of the run.resumed event.
	Actor string
	// Namespace is the one whose latest snapshot is returned.
	Namespace string
	// RequestID claims the same epoch again if it is sent again; if empty, the client generates
	// one.
	RequestID string
}

// Resumed is a claimed run and what its new writer needs to continue.
type Resumed struct {
	// Run is the handle that holds the new epoch.
	Run *Run
	// Info is the current state of the run. If a later resume claimed the run before this call was
	// answered, its WriterEpoch is greater than the handle's and writes will be fenced.
	Info *RunInfo
	// WriterEpoch is the claimed epoch.
	WriterEpoch int64
	// Snapshot is the latest one; nil if there is none.
	Snapshot       *Snapshot
	PendingNodeIDs []string
	// TaskWrites are those since the snapshot.
	TaskWrites []TaskWrite
	// Deduplicated means that the same RequestID claimed the epoch before.
	Deduplicated bool

	events      []*Event
	nextFromSeq int64
}

// Resume claims the run: earlier writers are fenced from now on. With [Run.WithExpectedSeq] it
// claims the run only if that is still its last seq, and otherwise fails with [*SeqConflictError].
func (r *Run) Resume(ctx context.Context, options ResumeOptions) (*Resumed, error) {
	if options.RequestID == "" {
		options.RequestID = newID()
	}
	response, err := send(ctx, r.client, r.client.service.ResumeRun, &runstorev1.ResumeRunRequest{
		Project:     r.client.project,
		RunId:       r.id,
		Namespace:   options.Namespace,
		RequestId:   options.RequestID,
		Actor:       options.Actor,
		ExpectedSeq: r.expectedSeq,
	})
	if err != nil {
		return nil, err
	}
	return &Resumed{
		Run:            r.client.Run(r.id).WithWriterEpoch(response.WriterEpoch),
		Info:           runInfoOf(response.Run),
		WriterEpoch:    response.WriterEpoch,
		Snapshot:       snapshotOf(response.Snapshot),
		PendingNodeIDs: response.PendingNodeIds,
		TaskWrites:     mapped(response.TaskWrites, taskWriteOf),
		Deduplicated:   response.Deduplicated,
		events:         mapped(response.Events, eventOf),
		nextFromSeq:    response.NextFromSeq,
	}, nil
}

// Events yields all events after the snapshot, run.resumed included. If it fails, the last pair
// holds the error.
func (r *Resumed) Events(ctx context.Context) iter.Seq2[*Event, error] {
	rest := ListEventsOptions{FromSeq: r.nextFromSeq, PageSize: largestPage}
	return r.Run.eventsFrom(ctx, r.events, rest)
}
