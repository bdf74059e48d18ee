package runstore

import (
	"context"
	"iter"
	"strings"
	"time"

	runstorev1 "github.com/runstore/runstore/clients/go/v1"
)

// RemovalKind says what is removed.
type RemovalKind int32

// What is removed.
const (
	// RemovalOfRun removes a run with all that is stored of it.
	RemovalOfRun = RemovalKind(runstorev1.RemovalKind_REMOVAL_KIND_RUN)
	// RemovalOfArchivedEvents removes the rows of a run's events, which are in its archive.
	RemovalOfArchivedEvents = RemovalKind(runstorev1.RemovalKind_REMOVAL_KIND_EVENTS)
	// RemovalOfSnapshots removes snapshots of a run, with the task writes that were put since them.
	RemovalOfSnapshots = RemovalKind(runstorev1.RemovalKind_REMOVAL_KIND_SNAPSHOTS)
	RemovalOfArtifacts = RemovalKind(runstorev1.RemovalKind_REMOVAL_KIND_ARTIFACTS)
	// RemovalOfSearchText removes what a run's events were found by in a search.
	RemovalOfSearchText = RemovalKind(runstorev1.RemovalKind_REMOVAL_KIND_SEARCH_TEXT)
	// RemovalOfEvents removes what events of a run said.
	RemovalOfEvents = RemovalKind(runstorev1.RemovalKind_REMOVAL_KIND_EVENTS_ERASED)
)

// String returns the kind as the contract names it, without its prefix: "RUN".
func (k RemovalKind) String() string {
	return strings.TrimPrefix(runstorev1.RemovalKind(k).String(), "REMOVAL_KIND_")
}

// RemovalState says how far a removal has come.
type RemovalState int32

// The states of a removal.
const (
	RemovalRemoving = RemovalState(runstorev1.RemovalState_REMOVAL_STATE_REMOVING)
	RemovalDone     = RemovalState(runstorev1.RemovalState_REMOVAL_STATE_DONE)
	// RemovalStopped has removed some of it, and what is left stays: meanwhile the run was held, forked
	// or deleted, or the policies let it go no longer.
	RemovalStopped = RemovalState(runstorev1.RemovalState_REMOVAL_STATE_STOPPED)
)

// String returns the state as the contract names it, without its prefix: "DONE".
func (s RemovalState) String() string {
	return strings.TrimPrefix(runstorev1.RemovalState(s).String(), "REMOVAL_STATE_")
}

// Deletion names a run to delete.
type Deletion struct {
	RunID string
	// Reason is why, for people, in 1 to 1000 characters. It is kept, so it should name nobody.
	Reason string
	// ExpectedLastSeq deletes the run only if this is its last seq; if nil, whatever it is.
	ExpectedLastSeq *int64
	// RequestID identifies a retry, which returns the same removal; if empty, the client generates
	// one.
	RequestID string
}

// Removal is what is removed, in numbers and hashes: nothing of what it was.
type Removal struct {
	RemovalID string
	Kind      RemovalKind
	State     RemovalState
	// Birth is the hash that the run's chain began with.
	Birth []byte
	// FirstSeq and LastSeq are those of the events that are removed; 0 if there are none.
	FirstSeq int64
	LastSeq  int64
	// Record is the number of the record that says who asked for it, and why.
	Record int64
	// At is when it was decided. From then on a run could no longer be read; of one that stays, each
	// thing can be until it is gone.
	At time.Time
	// RemovedEvents is how many events are gone so far.
	RemovedEvents int64
	// DoneAt is when all of it was gone, or the rest was left; zero before that.
	DoneAt time.Time
}

// ListRemovalsOptions says which removals to list.
type ListRemovalsOptions struct {
	// RunID lists those of this run; if empty, all of the project.
	RunID string
}

// DeleteRun deletes a run that has ended, for good, with all that is stored of it. Once it returns
// the run is [*RunNotFoundError], and its id is never used again; Removals says when all of it is
// gone. A run that has not ended is [*RunOpenError], one that is held [*RunHeldError], one that has
// forks [*RunInUseError], and one that is not at ExpectedLastSeq [*SeqConflictError].
func (a *Admin) DeleteRun(ctx context.Context, deletion Deletion) (*Removal, error) {
	if deletion.RequestID == "" {
		deletion.RequestID = newID()
	}
	response, err := send(ctx, a.client, a.service.DeleteRun, &runstorev1.DeleteRunRequest{
		Project: a.client.project, RunId: deletion.RunID, Reason: deletion.Reason,
		ExpectedLastSeq: deletion.ExpectedLastSeq, RequestId: deletion.RequestID,
	})
	if err != nil {
		return nil, err
	}
	return removalOf(response.Removal), nil
}

// Removals yields what was removed of the project, or of a run that it had, newest first. A run that
// it never had is [*RunNotFoundError]. If it fails, the last pair holds the error.
func (a *Admin) Removals(
	ctx context.Context, options ListRemovalsOptions,
) iter.Seq2[*Removal, error] {
	return pages(func(token string) ([]*Removal, string, error) {
		response, err := send(ctx, a.client, a.service.ListRemovals, &runstorev1.ListRemovalsRequest{
			Project: a.client.project, RunId: options.RunID, PageSize: adminPage, PageToken: token,
		})
		return mapped(response.GetRemovals(), removalOf), response.GetNextPageToken(), err
	})
}

func removalOf(message *runstorev1.Removal) *Removal {
	return &Removal{
		RemovalID:     message.GetRemovalId(),
		Kind:          RemovalKind(message.GetKind()),
		State:         RemovalState(message.GetState()),
		Birth:         message.GetBirth(),
		FirstSeq:      message.GetFirstSeq(),
		LastSeq:       message.GetLastSeq(),
		Record:        message.GetRecord(),
		At:            timeOf(message.GetAt()),
		RemovedEvents: message.GetRemovedEvents(),
		DoneAt:        timeOf(message.GetDoneAt()),
	}
}
