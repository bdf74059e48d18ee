package runstore

// UnavailableError means that no server answers or that it went away; the client has retried.
// errors.As finds it in a StorageUnavailableError and in a ServerDrainingError too.
type UnavailableError struct{ *failure }

// As lets errors.As find an *UnavailableError in the reasons that mean unavailable.
func (e *UnavailableError) As(target any) bool {
	if unavailable, ok := target.(**UnavailableError); ok {
		*unavailable = e
		return true
	}
	return e.failure.As(target)
}

// StorageUnavailableError says that the server's database does not answer.
type StorageUnavailableError struct{ *UnavailableError }

// ServerDrainingError says that the server is shutting down.
type ServerDrainingError struct{ *UnavailableError }

// DeadlineExceededError says that the deadline of the call has passed; a write may have happened or
// not. errors.Is finds context.DeadlineExceeded.
type DeadlineExceededError struct{ *failure }

// ProtocolError says that the server broke its own contract.
type ProtocolError struct{ *failure }

// UnauthenticatedError says that the call has no credential, or one that the server does not know or no
// longer takes. errors.As finds it in a CredentialExpiredError too.
type UnauthenticatedError struct{ *failure }

// As lets errors.As find an *UnauthenticatedError in the reasons that mean unauthenticated.
func (e *UnauthenticatedError) As(target any) bool {
	if unauthenticated, ok := target.(**UnauthenticatedError); ok {
		*unauthenticated = e
		return true
	}
	return e.failure.As(target)
}

// CredentialExpiredError says that the credential was valid and has expired: get a new one.
type CredentialExpiredError struct{ *UnauthenticatedError }

// PermissionDeniedError says that no grant of the caller allows this call, whether or not there is such a
// project.
type PermissionDeniedError struct{ *failure }

// Project is the project that the call is about; empty if it is about the server.
func (e *PermissionDeniedError) Project() string { return e.Metadata["project"] }

// Role is the least role that the call needs.
func (e *PermissionDeniedError) Role() string { return e.Metadata["role"] }

// InvalidRequestError says that a field is invalid: see Violations.
type InvalidRequestError struct{ *failure }

// MalformedMessageError says that the bytes sent do not decode as the call's request message.
type MalformedMessageError struct{ *failure }

// MessageTooLargeError says that the request is larger than the server, or a proxy before it, accepts.
type MessageTooLargeError struct{ *failure }

// LimitBytes is the most that the server accepts; 0 if a proxy refused the request.
func (e *MessageTooLargeError) LimitBytes() int64 { return e.number("limit_bytes") }

// SizeBytes is the size of the request; 0 if a proxy refused it.
func (e *MessageTooLargeError) SizeBytes() int64 { return e.number("size_bytes") }

// RunNotFoundError says that the project has no such run.
type RunNotFoundError struct{ *failure }

// RunID is the requested run.
func (e *RunNotFoundError) RunID() string { return e.Metadata["run_id"] }

// SnapshotNotFoundError says that the run has no such snapshot.
type SnapshotNotFoundError struct{ *failure }

// OutputNotFoundError says that the run has no such output revision, or no output yet.
type OutputNotFoundError struct{ *failure }

// IdempotencyMismatchError says that an id was used before with other content. Nothing was written;
// there is a bug in how the writer generates its ids.
type IdempotencyMismatchError struct{ *failure }

// ID is the id that was used before.
func (e *IdempotencyMismatchError) ID() string { return e.Metadata["id"] }

// SeqConflictError says that another writer wrote to the run first.
type SeqConflictError struct{ *failure }

// ExpectedSeq is the last seq that the writer expected.
func (e *SeqConflictError) ExpectedSeq() int64 { return e.number("expected_seq") }

// CurrentSeq is the run's last seq: read the events after ExpectedSeq, decide again, retry.
func (e *SeqConflictError) CurrentSeq() int64 { return e.number("current_seq") }

// WriterFencedError says that a later resume claimed the run: stop writing.
type WriterFencedError struct{ *failure }

// WriterEpoch is the epoch the write was made with.
func (e *WriterFencedError) WriterEpoch() int64 { return e.number("writer_epoch") }

// CurrentEpoch is the epoch that owns the run now.
func (e *WriterFencedError) CurrentEpoch() int64 { return e.number("current_epoch") }

// WriterEpochUnknownError says that the run never issued the write's epoch.
type WriterEpochUnknownError struct{ *failure }

// RunCompletedError says that the run is complete and accepts only output revisions.
type RunCompletedError struct{ *failure }

// LastSeq is the seq of the terminal event.
func (e *RunCompletedError) LastSeq() int64 { return e.number("last_seq") }

// OutcomeConflictError says that the run was completed with another outcome, which is final.
type OutcomeConflictError struct{ *failure }

// OutcomeRequiredError says that the completion of the run lacks an outcome.
type OutcomeRequiredError struct{ *failure }

// SnapshotAheadError says that the snapshot's seq is beyond the run's last event.
type SnapshotAheadError struct{ *failure }

// LastSeq is the run's last seq.
func (e *SnapshotAheadError) LastSeq() int64 { return e.number("last_seq") }

// ConsumerNotFoundError says that the project's feed has no such consumer: it has never committed.
type ConsumerNotFoundError struct{ *failure }

// PositionAheadError says that a position is beyond the end of the feed.
type PositionAheadError struct{ *failure }

// UnknownRefError says that a Ref names content that the run never stored: send the part in full.
type UnknownRefError struct{ *failure }

// Ref is the hash in hexadecimal.
func (e *UnknownRefError) Ref() string { return e.Metadata["ref"] }

// SnapshotInUseError says that a fork has the snapshot in its history: nothing was deleted.
type SnapshotInUseError struct{ *failure }

// SnapshotID is the snapshot.
func (e *SnapshotInUseError) SnapshotID() string { return e.Metadata["snapshot_id"] }

// ForkRunID is a fork that has the snapshot in its history.
func (e *SnapshotInUseError) ForkRunID() string { return e.Metadata["fork_run_id"] }

// ConfigNotFoundError says that the project has no config of that kind and name.
type ConfigNotFoundError struct{ *failure }

// ConfigVersionNotFoundError says that the config has no such version.
type ConfigVersionNotFoundError struct{ *failure }

// ConfigLabelNotFoundError says that the config has no such label.
type ConfigLabelNotFoundError struct{ *failure }

// LabelConflictError says that the label was moved by someone else.
type LabelConflictError struct{ *failure }

// CurrentVersion is the version that the label points to; 0 if there is no such label.
func (e *LabelConflictError) CurrentVersion() int64 { return e.number("current_version") }

// ArtifactNotFoundError says that the project has no such artifact.
type ArtifactNotFoundError struct{ *failure }

// ContentMismatchError says that the bytes changed while they were uploaded.
type ContentMismatchError struct{ *failure }

// RangeBeyondEndError says that the requested range is not within the artifact.
type RangeBeyondEndError struct{ *failure }

// ArtifactIsLinkError says that the artifact's bytes are stored elsewhere.
type ArtifactIsLinkError struct{ *failure }

// URL is where the bytes are.
func (e *ArtifactIsLinkError) URL() string { return e.Metadata["url"] }

// SearchBehindError says that the awaited event or position is not searchable yet.
type SearchBehindError struct{ *failure }

// IndexedPosition is the position up to which the feed is searchable.
func (e *SearchBehindError) IndexedPosition() int64 { return e.number("indexed_position") }

// SeqAheadError says that the run has not reached this seq.
type SeqAheadError struct{ *failure }

// LastSeq is the run's last seq.
func (e *SeqAheadError) LastSeq() int64 { return e.number("last_seq") }

// StatisticsBehindError says that the awaited event or position is not counted yet.
type StatisticsBehindError struct{ *failure }

// CountedPosition is the position up to which the feed is counted.
func (e *StatisticsBehindError) CountedPosition() int64 { return e.number("counted_position") }

// OverloadedError says that too many writes are waiting at the server; the client has retried.
type OverloadedError struct{ *failure }

// QuotaExceededError says that the project has used up one of its limits; the client has retried.
type QuotaExceededError struct{ *failure }

// Limit names the limit.
func (e *QuotaExceededError) Limit() string { return e.Metadata["limit"] }

// TokenNotFoundError says that the project, or the server, has no such token.
type TokenNotFoundError struct{ *failure }

// RunHeldError says that a hold holds the run, so nothing of it may be removed.
type RunHeldError struct{ *failure }

// HoldID is one of the holds.
func (e *RunHeldError) HoldID() string { return e.Metadata["hold_id"] }

// RunOpenError says that the run has not ended, and only what has ended is removed.
type RunOpenError struct{ *failure }

// RunInUseError says that a fork's history begins with the run, so it may not be removed.
type RunInUseError struct{ *failure }

// ForkRunID is one of the forks.
func (e *RunInUseError) ForkRunID() string { return e.Metadata["fork_run_id"] }

// RunIDReservedError says that a run of this id was deleted: no other run ever gets its id.
type RunIDReservedError struct{ *failure }

// EventsArchivedError says that events that were asked for are in the archive: read it, or go on after
// them.
type EventsArchivedError struct{ *failure }

// FirstSeq is the run's first event that is not archived.
func (e *EventsArchivedError) FirstSeq() int64 { return e.number("first_seq") }

// SnapshotSeq is the seq of the run's latest snapshot; 0 if it has none.
func (e *EventsArchivedError) SnapshotSeq() int64 { return e.number("snapshot_seq") }

// FirstPosition is the position of the feed from which on nothing is archived; 0 if a run was read.
func (e *EventsArchivedError) FirstPosition() int64 { return e.number("first_position") }

// ArchiveNotFoundError says that the run is not archived, or has no events that could be.
type ArchiveNotFoundError struct{ *failure }

// ArchiveInvalidError says that an archive is not what was written: something else changed it.
type ArchiveInvalidError struct{ *failure }

// File is the file that is not.
func (e *ArchiveInvalidError) File() string { return e.Metadata["file"] }

// Problem is what is wrong with it, for people.
func (e *ArchiveInvalidError) Problem() string { return e.Metadata["problem"] }

// HoldNotFoundError says that the project has no such hold.
type HoldNotFoundError struct{ *failure }

// PolicyNotFoundError says that the project has no such policy.
type PolicyNotFoundError struct{ *failure }

// ErasureNotFoundError says that the project has no such erasure.
type ErasureNotFoundError struct{ *failure }

// TokenSecretLostError says that a token was made, but the only answer with its secret did not arrive:
// revoke the token.
type TokenSecretLostError struct{ *failure }

// TokenID is the token to revoke.
func (e *TokenSecretLostError) TokenID() string { return e.Metadata["token_id"] }

// InternalError is a bug in the server; its log has the details under RequestID.
type InternalError struct{ *failure }

var byReason = map[string]func(*Error) error{
	"INVALID_REQUEST":          func(e *Error) error { return &InvalidRequestError{e} },
	"MALFORMED_MESSAGE":        func(e *Error) error { return &MalformedMessageError{e} },
	"MESSAGE_TOO_LARGE":        func(e *Error) error { return &MessageTooLargeError{e} },
	"RUN_NOT_FOUND":            func(e *Error) error { return &RunNotFoundError{e} },
	"SNAPSHOT_NOT_FOUND":       func(e *Error) error { return &SnapshotNotFoundError{e} },
	"OUTPUT_NOT_FOUND":         func(e *Error) error { return &OutputNotFoundError{e} },
	"IDEMPOTENCY_MISMATCH":     func(e *Error) error { return &IdempotencyMismatchError{e} },
	"SEQ_CONFLICT":             func(e *Error) error { return &SeqConflictError{e} },
	"WRITER_FENCED":            func(e *Error) error { return &WriterFencedError{e} },
	"WRITER_EPOCH_UNKNOWN":     func(e *Error) error { return &WriterEpochUnknownError{e} },
	"RUN_COMPLETED":            func(e *Error) error { return &RunCompletedError{e} },
	"OUTCOME_CONFLICT":         func(e *Error) error { return &OutcomeConflictError{e} },
	"OUTCOME_REQUIRED":         func(e *Error) error { return &OutcomeRequiredError{e} },
	"SNAPSHOT_AHEAD":           func(e *Error) error { return &SnapshotAheadError{e} },
	"CONSUMER_NOT_FOUND":       func(e *Error) error { return &ConsumerNotFoundError{e} },
	"POSITION_AHEAD":           func(e *Error) error { return &PositionAheadError{e} },
	"UNKNOWN_REF":              func(e *Error) error { return &UnknownRefError{e} },
	"SNAPSHOT_IN_USE":          func(e *Error) error { return &SnapshotInUseError{e} },
	"CONFIG_NOT_FOUND":         func(e *Error) error { return &ConfigNotFoundError{e} },
	"CONFIG_VERSION_NOT_FOUND": func(e *Error) error { return &ConfigVersionNotFoundError{e} },
	"CONFIG_LABEL_NOT_FOUND":   func(e *Error) error { return &ConfigLabelNotFoundError{e} },
	"LABEL_CONFLICT":           func(e *Error) error { return &LabelConflictError{e} },
	"ARTIFACT_NOT_FOUND":       func(e *Error) error { return &ArtifactNotFoundError{e} },
	"CONTENT_MISMATCH":         func(e *Error) error { return &ContentMismatchError{e} },
	"RANGE_BEYOND_END":         func(e *Error) error { return &RangeBeyondEndError{e} },
	"ARTIFACT_IS_LINK":         func(e *Error) error { return &ArtifactIsLinkError{e} },
	"SEARCH_BEHIND":            func(e *Error) error { return &SearchBehindError{e} },
	"SEQ_AHEAD":                func(e *Error) error { return &SeqAheadError{e} },
	"STATISTICS_BEHIND":        func(e *Error) error { return &StatisticsBehindError{e} },
	"UNAUTHENTICATED":          func(e *Error) error { return &UnauthenticatedError{e} },
	"CREDENTIAL_EXPIRED": func(e *Error) error {
		return &CredentialExpiredError{&UnauthenticatedError{e}}
	},
	"PERMISSION_DENIED": func(e *Error) error { return &PermissionDeniedError{e} },
	"QUOTA_EXCEEDED":    func(e *Error) error { return &QuotaExceededError{e} },
	"TOKEN_NOT_FOUND":   func(e *Error) error { return &TokenNotFoundError{e} },
	"RUN_HELD":          func(e *Error) error { return &RunHeldError{e} },
	"RUN_OPEN":          func(e *Error) error { return &RunOpenError{e} },
	"RUN_IN_USE":        func(e *Error) error { return &RunInUseError{e} },
	"RUN_ID_RESERVED":   func(e *Error) error { return &RunIDReservedError{e} },
	"EVENTS_ARCHIVED":   func(e *Error) error { return &EventsArchivedError{e} },
	"ARCHIVE_NOT_FOUND": func(e *Error) error { return &ArchiveNotFoundError{e} },
	"ARCHIVE_INVALID":   func(e *Error) error { return &ArchiveInvalidError{e} },
	"HOLD_NOT_FOUND":    func(e *Error) error { return &HoldNotFoundError{e} },
	"POLICY_NOT_FOUND":  func(e *Error) error { return &PolicyNotFoundError{e} },
	"ERASURE_NOT_FOUND": func(e *Error) error { return &ErasureNotFoundError{e} },
	"OVERLOADED":        func(e *Error) error { return &OverloadedError{e} },
	"STORAGE_UNAVAILABLE": func(e *Error) error {
		return &StorageUnavailableError{&UnavailableError{e}}
	},
	"SERVER_DRAINING": func(e *Error) error { return &ServerDrainingError{&UnavailableError{e}} },
	"INTERNAL":        func(e *Error) error { return &InternalError{e} },
}
