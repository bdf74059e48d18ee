package runstore

import (
	"context"
	"strings"
	"time"

	runstorev1 "github.com/runstore/runstore/clients/go/v1"
)

// ArchiveState says how far an archive has come.
type ArchiveState int32

// The states of an archive.
const (
	ArchivePlanned   = ArchiveState(runstorev1.ArchiveState_ARCHIVE_STATE_PLANNED)
	ArchiveArchived  = ArchiveState(runstorev1.ArchiveState_ARCHIVE_STATE_ARCHIVED)
	ArchiveSwitched  = ArchiveState(runstorev1.ArchiveState_ARCHIVE_STATE_SWITCHED)
	ArchiveRemoving  = ArchiveState(runstorev1.ArchiveState_ARCHIVE_STATE_REMOVING)
	ArchiveDone      = ArchiveState(runstorev1.ArchiveState_ARCHIVE_STATE_DONE)
	ArchiveRestored  = ArchiveState(runstorev1.ArchiveState_ARCHIVE_STATE_RESTORED)
	ArchiveCancelled = ArchiveState(runstorev1.ArchiveState_ARCHIVE_STATE_CANCELLED)
	ArchiveReplaced  = ArchiveState(runstorev1.ArchiveState_ARCHIVE_STATE_REPLACED)
)

// String returns the state as the contract names it, without its prefix: "DONE".
func (s ArchiveState) String() string {
	return strings.TrimPrefix(runstorev1.ArchiveState(s).String(), "ARCHIVE_STATE_")
}

// Archiving names a run to archive.
type Archiving struct {
	RunID string
	// Reason is why, for people, in 1 to 1000 characters. It is kept, so it should name nobody.
	Reason string
	// ExpectedLastSeq archives the run only if this is its last seq; if nil, whatever it is.
	ExpectedLastSeq *int64
	// RequestID identifies a retry, which returns how far the archive has come; if empty, the client
	// generates one.
	RequestID string
}

// Restoration names a run to restore.
type Restoration struct {
	RunID string
	// Reason is why, for people, in 1 to 1000 characters. It is kept, so it should name nobody.
	Reason string
	// RequestID identifies a retry, which returns the same archive; if empty, the client generates
	// one.
	RequestID string
}

// Archive is a run's history as files in the object store. From [ArchiveSwitched] on its events
// FirstSeq to LastSeq are read from there.
type Archive struct {
	RunID string
	// Number counts the archives of the run: 1, 2, 3 ...
	Number   int32
	State    ArchiveState
	FirstSeq int64
	LastSeq  int64
	// Record is the number of the record that says who asked for it, and why.
	Record int64
	// BegunAt is when it was decided, ChangedAt when its state changed last.
	BegunAt   time.Time
	ChangedAt time.Time
	// ManifestHash is the SHA-256 of its manifest, and Size that of all files in bytes, once they are
	// written.
	ManifestHash []byte
	Size         int64
	// RemovedEvents is how many events have no row any more.
	RemovedEvents int64
}

// ArchiveRun moves the events of a run that has ended to the object store. It returns once that is
// decided. It fails as DeleteRun does, and with [*ArchiveNotFoundError] if the run has no events.
func (a *Admin) ArchiveRun(ctx context.Context, archiving Archiving) (*Archive, error) {
	if archiving.RequestID == "" {
		archiving.RequestID = newID()
	}
	response, err := send(ctx, a.client, a.service.ArchiveRun, &runstorev1.ArchiveRunRequest{
		Project: a.client.project, RunId: archiving.RunID, Reason: archiving.Reason,
		ExpectedLastSeq: archiving.ExpectedLastSeq, RequestId: archiving.RequestID,
	})
	if err != nil {
		return nil, err
	}
	return archiveOf(response.Archive), nil
}

// RestoreRun puts a run's archived events back into the database as they were, all or none. A run
// that has none is [*ArchiveNotFoundError], one whose archive was changed [*ArchiveInvalidError].
func (a *Admin) RestoreRun(ctx context.Context, restoration Restoration) (*Archive, error) {
	if restoration.RequestID == "" {
		restoration.RequestID = newID()
	}
	response, err := send(ctx, a.client, a.service.RestoreRun, &runstorev1.RestoreRunRequest{
		Project: a.client.project, RunId: restoration.RunID, Reason: restoration.Reason,
		RequestId: restoration.RequestID,
	})
	if err != nil {
		return nil, err
	}
	return archiveOf(response.Archive), nil
}

func archiveOf(message *runstorev1.Archive) *Archive {
	return &Archive{
		RunID:         message.GetRunId(),
		Number:        message.GetNumber(),
		State:         ArchiveState(message.GetState()),
		FirstSeq:      message.GetFirstSeq(),
		LastSeq:       message.GetLastSeq(),
		Record:        message.GetRecord(),
		BegunAt:       timeOf(message.GetBegunAt()),
		ChangedAt:     timeOf(message.GetChangedAt()),
		ManifestHash:  message.GetManifestHash(),
		Size:          message.GetSize(),
		RemovedEvents: message.GetRemovedEvents(),
	}
}
