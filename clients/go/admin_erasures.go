package runstore

import (
	"context"
	"strings"
	"time"

	runstorev1 "github.com/runstore/runstore/clients/go/v1"
)

// ErasureState says how far an erasure has come.
type ErasureState int32

// The states of an erasure.
const (
	ErasurePending  = ErasureState(runstorev1.ErasureState_ERASURE_STATE_PENDING)
	ErasureBlocked  = ErasureState(runstorev1.ErasureState_ERASURE_STATE_BLOCKED)
	ErasureRemoving = ErasureState(runstorev1.ErasureState_ERASURE_STATE_REMOVING)
	ErasureDone     = ErasureState(runstorev1.ErasureState_ERASURE_STATE_DONE)
)

// String returns the state as the contract names it, without its prefix: "DONE".
func (s ErasureState) String() string {
	return strings.TrimPrefix(runstorev1.ErasureState(s).String(), "ERASURE_STATE_")
}

// SeqRange is events from the first to the last, both inclusive.
type SeqRange struct {
	FirstSeq int64
	LastSeq  int64
}

// EventErasure names events to erase.
type EventErasure struct {
	RunID string
	Seqs  []SeqRange
	// Reason is why, for people, in 1 to 1000 characters. It is kept, so it should name nobody.
	Reason string
	// RequestID identifies a retry, which returns the same erasure; if empty, the client generates
	// one.
	RequestID string
}

// SubjectErasure names whom to forget.
type SubjectErasure struct {
	// Subject is whom, as events name it; it is not kept.
	Subject string
	// Reason is why, for people, in 1 to 1000 characters. It is kept, so it should name nobody.
	Reason string
	// RequestID identifies a retry, which returns the same erasure; if empty, the client generates
	// one.
	RequestID string
}

// ErasureBlocker is what keeps a run from being erased.
type ErasureBlocker struct {
	RunID string
	// HoldID is a hold of the run, or of a fork of the one that is erased; if empty, the run is open
	// or archived.
	HoldID string
	// Archived says that the run is, or a fork of the one that is erased: it is restored for that, and
	// archived again.
	Archived bool
}

// Erasure is what was asked to be erased, in numbers: nothing of what it was.
type Erasure struct {
	ErasureID string
	State     ErasureState
	// Record is the number of the record that says who asked for it, and why.
	Record int64
	// At is when it was asked for.
	At time.Time
	// Runs is of how many runs events are erased.
	Runs int64
	// ErasedEvents is how many events can no longer be read.
	ErasedEvents int64
	// Blockers are what it waits for.
	Blockers []ErasureBlocker
	// DoneAt is when all of it was gone; zero before that.
	DoneAt time.Time
}

// EraseEvents erases, for good, what events said: payloads, actors, tags and subjects. Their places in
// the chain stay. It is done after the call, once the run is neither open nor held; Erasure says how
// far it has come. An unknown run is [*RunNotFoundError].
func (a *Admin) EraseEvents(ctx context.Context, erasure EventErasure) (*Erasure, error) {
	if erasure.RequestID == "" {
		erasure.RequestID = newID()
	}
	request := &runstorev1.EraseEventsRequest{
		Project: a.client.project, RunId: erasure.RunID, Reason: erasure.Reason,
		RequestId: erasure.RequestID,
	}
	for _, each := range erasure.Seqs {
		request.Seqs = append(request.Seqs, &runstorev1.SeqRange{
			FirstSeq: each.FirstSeq, LastSeq: each.LastSeq,
		})
	}
	response, err := send(ctx, a.client, a.service.EraseEvents, request)
	if err != nil {
		return nil, err
	}
	return erasureOf(response.Erasure), nil
}

// EraseSubject erases, as EraseEvents does, every event of the project that names a subject, in the runs
// that do so now.
func (a *Admin) EraseSubject(ctx context.Context, erasure SubjectErasure) (*Erasure, error) {
	if erasure.RequestID == "" {
		erasure.RequestID = newID()
	}
	response, err := send(ctx, a.client, a.service.EraseSubject, &runstorev1.EraseSubjectRequest{
		Project: a.client.project, Subject: erasure.Subject, Reason: erasure.Reason,
		RequestId: erasure.RequestID,
	})
	if err != nil {
		return nil, err
	}
	return erasureOf(response.Erasure), nil
}

// Erasure returns an erasure as far as it has come. An unknown one is [*ErasureNotFoundError].
func (a *Admin) Erasure(ctx context.Context, erasureID string) (*Erasure, error) {
	response, err := send(ctx, a.client, a.service.GetErasure, &runstorev1.GetErasureRequest{
		Project: a.client.project, ErasureId: erasureID,
	})
	if err != nil {
		return nil, err
	}
	return erasureOf(response.Erasure), nil
}

func erasureOf(message *runstorev1.Erasure) *Erasure {
	return &Erasure{
		ErasureID:    message.GetErasureId(),
		State:        ErasureState(message.GetState()),
		Record:       message.GetRecord(),
		At:           timeOf(message.GetAt()),
		Runs:         message.GetRuns(),
		ErasedEvents: message.GetErasedEvents(),
		Blockers: mapped(message.GetBlockers(), func(each *runstorev1.ErasureBlocker) ErasureBlocker {
			return ErasureBlocker{RunID: each.GetRunId(), HoldID: each.GetHoldId(), Archived: each.GetArchived()}
		}),
		DoneAt: timeOf(message.GetDoneAt()),
	}
}
