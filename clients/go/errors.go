package runstore

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const errorDomain = "runstore.v1"

// ErrClosed is the cause of errors from a closed client, appender or download.
var ErrClosed = errors.New("closed")

// Error is a failed call. errors.As finds an *Error in every error of a call. If the server gave a
// reason that this client knows, errors.As also finds the reason's own type, such as
// [*SeqConflictError].
//
// errors.Is finds context.Canceled or context.DeadlineExceeded if the caller's context, or the
// client's timeout, ended the call.
type Error struct {
	// Code is the gRPC status code.
	Code codes.Code
	// Message is for people; branch on the type or on Reason.
	Message string
	// Reason is the one in errors.proto without its prefix, such as "SEQ_CONFLICT"; empty if the
	// server gave none.
	Reason string
	// Metadata has the keys that errors.proto lists for the reason.
	Metadata map[string]string
	// Violations are the invalid fields.
	Violations []Violation
	// RequestID identifies the call in the server's log; empty if the server did not send it.
	RequestID string
	// RetryAfter is how long the server asks the caller to wait; 0 if it does not say.
	RetryAfter time.Duration

	// isOfReplacedToken means that the call was refused with a token that the client no longer has, so
	// that it is repeated.
	isOfReplacedToken bool
	cause             error
}

// Violation is an invalid field, by its path in the request.
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

// As lets errors.As find the *Error in every type that embeds one.
func (e *Error) As(target any) bool {
	if plain, ok := target.(**Error); ok {
		*plain = e
		return true
	}
	return false
}

// Unwrap returns the context's error, or ErrClosed, if that ended the call.
func (e *Error) Unwrap() error { return e.cause }

// GRPCStatus makes status.FromError and status.Code work on the error.
func (e *Error) GRPCStatus() *status.Status { return status.New(e.Code, e.Message) }

func (e *Error) number(key string) int64 {
	number, _ := strconv.ParseInt(e.Metadata[key], 10, 64)
	return number
}

// failure is Error by a name that, when embedded, does not collide with the method Error.
type failure = Error

// errorOf is the error of a failed gRPC call that ran under ctx.
func errorOf(ctx context.Context, err error) error {
	reported, _ := status.FromError(err)
	return errorOfStatus(ctx, reported)
}

func errorOfStatus(ctx context.Context, reported *status.Status) error {
	e := read(reported)
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
		// gRPC answers a call that reaches a stopping server with a bare CANCELLED, before any
		// handler of the service sees it: the server is unavailable.
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
			Code: codes.DeadlineExceeded, Message: "the deadline of the call has passed", cause: ctx.Err(),
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

// brokenStream is the error of a stream that ended without a status from the server.
func brokenStream(message string) error {
	return &UnavailableError{&Error{Code: codes.Unavailable, Message: message}}
}

// orBrokenPath returns an error as it is, or as that of a server that cannot be reached if it has no
// reason and one of these codes.
//
// The server gives a reason with every status. Without one, gRPC and proxies end a call with
// INTERNAL where a stream was reset, and with UNKNOWN where a response is not gRPC's, such as a
// proxy's error page.
func orBrokenPath(err error, made ...codes.Code) error {
	var failed *Error
	if errors.As(err, &failed) && failed.Reason == "" && slices.Contains(made, failed.Code) {
		return &UnavailableError{&Error{Code: failed.Code, Message: failed.Message}}
	}
	return err
}

// What gRPC says of HTTP 413. It is the only sign of a proxy that limits the body of a request.
var bodyTooLarge = regexp.MustCompile(`HTTP status code received from server: 413\b`)

// What gRPC says of a message that is far beyond the server's limit, before the server sees it.
const messageTooLarge = "SERVER: Received message larger than max"

// orTooLarge returns an error as it is, or as that of a request that is too large if a proxy or gRPC has
// said so: the same request would be refused again.
func orTooLarge(err error) error {
	var failed *Error
	if !errors.As(err, &failed) || failed.Reason != "" {
		return err
	}
	if strings.HasPrefix(failed.Message, messageTooLarge) {
		return &MessageTooLargeError{failed}
	}
	if bodyTooLarge.MatchString(failed.Message) {
		return &MessageTooLargeError{&Error{
			Code: codes.ResourceExhausted,
			Message: "the request is larger than a proxy lets pass (HTTP 413): raise the proxy's limit of a " +
				"request body, such as client_max_body_size of nginx",
		}}
	}
	return err
}

func read(reported *status.Status) *Error {
	e := &Error{Code: reported.Code(), Message: reported.Message()}
	for _, detail := range reported.Details() {
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
