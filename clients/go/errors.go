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
