package runstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const errorDomain = "runstore.v1"

// ErrClosed is what calls of a closed client, or of a closed appender, fail with.
var ErrClosed = errors.New("closed")

// Error is a failed call. Every error of a call can be taken as an *Error with errors.As; where the
// server named a reason this client knows, it is also of the reason's own type, such as
// [*SeqConflictError].
//
// errors.Is finds context.Canceled and context.DeadlineExceeded where the caller's context, or the
// client's timeout, ended the call.
type Error struct {
	// Code is the gRPC status code.
	Code codes.Code
	// Message is for people; branch on the type or on Reason.
	Message string
	// Reason is that of errors.proto without its prefix, such as "SEQ_CONFLICT"; empty where the
	// server did not say one.
	Reason string
	// Metadata has the keys that errors.proto names for the reason.
	Metadata map[string]string
	// Violations are the fields that break their rules.
	Violations []Violation
	// RequestID finds the call in the server's log; empty where the server did not say it.
	RequestID string
	// RetryAfter is when the server asks to come back; 0 where it does not.
	RetryAfter time.Duration

	cause error
}

// Violation is a field that breaks its rule, by its path in the request.
type Violation struct {
	Field       string
	Description string
}

func (e *Error) Error() string {
	name := e.Reason
	if name == "" {
		name = e.Code.String()
	}
	return fmt.Sprintf("runstore: %s: %s", name, e.Message)
}

// As gives errors.As the plain *Error of every type that holds one.
func (e *Error) As(target any) bool {
	if plain, ok := target.(**Error); ok {
		*plain = e
		return true
	}
	return false
}

// Unwrap returns the context's error, or ErrClosed, where that ended the call.
func (e *Error) Unwrap() error { return e.cause }

// GRPCStatus lets status.FromError and status.Code read the error.
func (e *Error) GRPCStatus() *status.Status { return status.New(e.Code, e.Message) }

func (e *Error) number(key string) int64 {
	number, _ := strconv.ParseInt(e.Metadata[key], 10, 64)
	return number
}

// failure is Error under a name that leaves room for its method Error where it is embedded.
type failure = Error

// UnavailableError says that no server answers, or that it went away; the client has retried.
// StorageUnavailableError and ServerDrainingError are UnavailableErrors too.
type UnavailableError struct{ *failure }

// As lets the reasons that mean unavailable be taken as *UnavailableError.
func (e *UnavailableError) As(target any) bool {
	if unavailable, ok := target.(**UnavailableError); ok {
		*unavailable = e
		return true
	}
	return e.failure.As(target)
}

// StorageUnavailableError says that the server's database does not answer.
type StorageUnavailableError struct{ *UnavailableError }

// ServerDrainingError says that the server is going down.
type ServerDrainingError struct{ *UnavailableError }

// DeadlineExceededError says that the time for the call is over; whether a write happened is
// unknown. errors.Is finds context.DeadlineExceeded.
type DeadlineExceededError struct{ *failure }

// ProtocolError says that the server broke its own contract.
type ProtocolError struct{ *failure }

// InvalidRequestError says that a field breaks its rule: see Violations.
type InvalidRequestError struct{ *failure }

// MalformedMessageError says that the bytes sent are not the message of the call.
type MalformedMessageError struct{ *failure }

// MessageTooLargeError says that the request is larger than the server takes.
type MessageTooLargeError struct{ *failure }

// LimitBytes is the most the server takes.
func (e *MessageTooLargeError) LimitBytes() int64 { return e.number("limit_bytes") }

// SizeBytes is the size of the request.
func (e *MessageTooLargeError) SizeBytes() int64 { return e.number("size_bytes") }

// RunNotFoundError says that the project has no such run.
type RunNotFoundError struct{ *failure }

// RunID is the run that was asked for.
func (e *RunNotFoundError) RunID() string { return e.Metadata["run_id"] }

// SnapshotNotFoundError says that the run has no such snapshot.
type SnapshotNotFoundError struct{ *failure }

// OutputNotFoundError says that the run has no such output revision, or none yet.
type OutputNotFoundError struct{ *failure }

// IdempotencyMismatchError says that an id was used before with other content. Nothing was written;
// it is a defect in how the writer makes its ids.
type IdempotencyMismatchError struct{ *failure }

// ID is the id that was used before.
func (e *IdempotencyMismatchError) ID() string { return e.Metadata["id"] }

// SeqConflictError says that another writer was faster.
type SeqConflictError struct{ *failure }

// ExpectedSeq is what the writer took for the run's last seq.
func (e *SeqConflictError) ExpectedSeq() int64 { return e.number("expected_seq") }

// CurrentSeq is the run's last seq: read on from ExpectedSeq, decide again, retry.
func (e *SeqConflictError) CurrentSeq() int64 { return e.number("current_seq") }

// WriterFencedError says that a later resume claimed the run: stop writing.
type WriterFencedError struct{ *failure }

// WriterEpoch is the epoch the write was made with.
func (e *WriterFencedError) WriterEpoch() int64 { return e.number("writer_epoch") }

// CurrentEpoch is the epoch that owns the run now.
func (e *WriterFencedError) CurrentEpoch() int64 { return e.number("current_epoch") }

// WriterEpochUnknownError says that the run never issued the write's epoch.
type WriterEpochUnknownError struct{ *failure }

// RunCompletedError says that the run is complete and takes nothing but output revisions.
type RunCompletedError struct{ *failure }

// LastSeq is the seq of the terminal event.
func (e *RunCompletedError) LastSeq() int64 { return e.number("last_seq") }

// OutcomeConflictError says that the run was completed with another outcome, which stands.
type OutcomeConflictError struct{ *failure }

// OutcomeRequiredError says that the run was to be completed without an outcome.
type OutcomeRequiredError struct{ *failure }

// SnapshotAheadError says that the snapshot's seq is beyond the run's last event.
type SnapshotAheadError struct{ *failure }

// LastSeq is the run's last seq.
func (e *SnapshotAheadError) LastSeq() int64 { return e.number("last_seq") }

// ConsumerNotFoundError says that the project's feed has no such consumer: it has not committed yet.
type ConsumerNotFoundError struct{ *failure }

// PositionAheadError says that a position is beyond the feed's last one.
type PositionAheadError struct{ *failure }

// UnknownRefError says that a Ref names content the run never stored: send the part in full.
type UnknownRefError struct{ *failure }

// Ref is the hash, in hexadecimal digits.
func (e *UnknownRefError) Ref() string { return e.Metadata["ref"] }

// OverloadedError says that more writes wait than the server holds; the client has retried.
type OverloadedError struct{ *failure }

// InternalError is a defect of the service; its log has the details under RequestID.
type InternalError struct{ *failure }

var byReason = map[string]func(*Error) error{
	"INVALID_REQUEST":      func(e *Error) error { return &InvalidRequestError{e} },
	"MALFORMED_MESSAGE":    func(e *Error) error { return &MalformedMessageError{e} },
	"MESSAGE_TOO_LARGE":    func(e *Error) error { return &MessageTooLargeError{e} },
	"RUN_NOT_FOUND":        func(e *Error) error { return &RunNotFoundError{e} },
	"SNAPSHOT_NOT_FOUND":   func(e *Error) error { return &SnapshotNotFoundError{e} },
	"OUTPUT_NOT_FOUND":     func(e *Error) error { return &OutputNotFoundError{e} },
	"IDEMPOTENCY_MISMATCH": func(e *Error) error { return &IdempotencyMismatchError{e} },
	"SEQ_CONFLICT":         func(e *Error) error { return &SeqConflictError{e} },
	"WRITER_FENCED":        func(e *Error) error { return &WriterFencedError{e} },
	"WRITER_EPOCH_UNKNOWN": func(e *Error) error { return &WriterEpochUnknownError{e} },
	"RUN_COMPLETED":        func(e *Error) error { return &RunCompletedError{e} },
	"OUTCOME_CONFLICT":     func(e *Error) error { return &OutcomeConflictError{e} },
	"OUTCOME_REQUIRED":     func(e *Error) error { return &OutcomeRequiredError{e} },
	"SNAPSHOT_AHEAD":       func(e *Error) error { return &SnapshotAheadError{e} },
	"CONSUMER_NOT_FOUND":   func(e *Error) error { return &ConsumerNotFoundError{e} },
	"POSITION_AHEAD":       func(e *Error) error { return &PositionAheadError{e} },
	"UNKNOWN_REF":          func(e *Error) error { return &UnknownRefError{e} },
	"OVERLOADED":           func(e *Error) error { return &OverloadedError{e} },
	"STORAGE_UNAVAILABLE": func(e *Error) error {
		return &StorageUnavailableError{&UnavailableError{e}}
	},
	"SERVER_DRAINING": func(e *Error) error { return &ServerDrainingError{&UnavailableError{e}} },
	"INTERNAL":        func(e *Error) error { return &InternalError{e} },
}

// errorOf is the error of a failed gRPC call that ran under ctx.
func errorOf(ctx context.Context, err error) error {
	told, _ := status.FromError(err)
	return errorOfStatus(ctx, told)
}

func errorOfStatus(ctx context.Context, told *status.Status) error {
	e := read(told)
	if typed, ok := byReason[e.Reason]; ok {
		return typed(e)
	}
	if e.Reason != "" {
		return e
	}
	switch e.Code {
	case codes.Canceled:
		if ctx.Err() != nil {
			return contextError(ctx)
		}
		// gRPC answers a call that reaches a server just as it stops with a bare CANCELLED, and no
		// handler of the service sees it: the server went away.
		return &UnavailableError{e}
	case codes.Unavailable:
		return &UnavailableError{e}
	case codes.DeadlineExceeded:
		e.cause = context.DeadlineExceeded
		return &DeadlineExceededError{e}
	}
	return e
}

// contextError is the error of a call that its context ended.
func contextError(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return &DeadlineExceededError{&Error{
			Code: codes.DeadlineExceeded, Message: "the time for the call is over", cause: ctx.Err(),
		}}
	}
	return &Error{Code: codes.Canceled, Message: "the caller cancelled the call", cause: ctx.Err()}
}

func closedError(what string) error {
	return &Error{Code: codes.Canceled, Message: "the " + what + " is closed", cause: ErrClosed}
}

func protocolError(format string, values ...any) error {
	return &ProtocolError{&Error{Code: codes.Internal, Message: fmt.Sprintf(format, values...)}}
}

// brokenStream is a stream that ended without a status of the server's.
func brokenStream(message string) error {
	return &UnavailableError{&Error{Code: codes.Unavailable, Message: message}}
}

func read(told *status.Status) *Error {
	e := &Error{Code: told.Code(), Message: told.Message()}
	for _, detail := range told.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			if detail.Domain == errorDomain {
				e.Reason, e.Metadata = detail.Reason, detail.Metadata
			}
		case *errdetails.RequestInfo:
			e.RequestID = detail.RequestId
		case *errdetails.RetryInfo:
			e.RetryAfter = detail.RetryDelay.AsDuration()
		case *errdetails.BadRequest:
			for _, each := range detail.FieldViolations {
				e.Violations = append(e.Violations, Violation{each.Field, each.Description})
			}
		}
	}
	return e
}
