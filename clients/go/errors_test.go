package runstore

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	runstorev1 "github.com/runstore/runstore/clients/go/v1"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

func reasons() map[string]bool {
	all := map[string]bool{}
	for _, name := range runstorev1.ErrorReason_name {
		all[strings.TrimPrefix(name, "ERROR_REASON_")] = true
	}
	delete(all, "UNSPECIFIED")
	return all
}

func statusOf(code codes.Code, reason string, metadata map[string]string) *status.Status {
	made, err := status.New(code, "words").WithDetails(
		&errdetails.ErrorInfo{Reason: reason, Domain: errorDomain, Metadata: metadata},
		&errdetails.RequestInfo{RequestId: "r-1"},
		&errdetails.RetryInfo{RetryDelay: durationpb.New(time.Second)},
		&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{
			{Field: "event.type", Description: "is required"},
		}},
	)
	if err != nil {
		panic(err)
	}
	return made
}

func TestEveryReasonOfTheContractHasItsType(t *testing.T) {
	types := map[reflect.Type]bool{}
	for reason := range byReason {
		if !reasons()[reason] {
			t.Errorf("the contract has no %s", reason)
		}
	}
	for reason := range reasons() {
		err := errorOfStatus(t.Context(), statusOf(codes.Unknown, reason, nil))
		if _, isPlain := err.(*Error); isPlain {
			t.Errorf("%s has no type", reason)
		}
		types[reflect.TypeOf(err)] = true
		words := strings.ReplaceAll(strings.ToLower(reason), "_", "") + "error"
		if got := strings.ToLower(reflect.TypeOf(err).Elem().Name()); got != words {
			if reason != "INTERNAL" || got != "internalerror" {
				t.Errorf("%s is a %s", reason, got)
			}
		}
	}
	if len(types) != len(reasons()) {
		t.Errorf("%d types for %d reasons", len(types), len(reasons()))
	}
}

func TestAnyErrorCanBeTakenAsThePlainOne(t *testing.T) {
	for reason := range reasons() {
		err := errorOfStatus(t.Context(), statusOf(codes.Aborted, reason, map[string]string{"k": "v"}))

		var plain *Error
		if !errors.As(err, &plain) {
			t.Fatalf("%s is no *Error", reason)
		}
		want := &Error{
			Code: codes.Aborted, Message: "words", Reason: reason,
			Metadata:   map[string]string{"k": "v"},
			Violations: []Violation{{"event.type", "is required"}},
			RequestID:  "r-1", RetryAfter: time.Second,
		}
		if !reflect.DeepEqual(plain, want) {
			t.Errorf("got %+v, want %+v", plain, want)
		}
		if status.Code(err) != codes.Aborted || !strings.Contains(err.Error(), reason) {
			t.Errorf("%s: %v has code %v", reason, err, status.Code(err))
		}
	}
}

func TestWhatMeansUnavailableCanBeTakenAsThat(t *testing.T) {
	for _, reason := range []string{"STORAGE_UNAVAILABLE", "SERVER_DRAINING"} {
		var unavailable *UnavailableError
		err := errorOfStatus(t.Context(), statusOf(codes.Unavailable, reason, nil))
		if !errors.As(err, &unavailable) || unavailable.Reason != reason {
			t.Errorf("%s: got %v", reason, err)
		}
	}
	var unavailable *UnavailableError
	if errors.As(errorOfStatus(t.Context(), statusOf(codes.Unavailable, "OVERLOADED", nil)), &unavailable) {
		t.Error("OVERLOADED is taken for unavailable")
	}
}

func TestAnExpiredCredentialCanBeTakenAsOneThatIsNotTaken(t *testing.T) {
	var unauthenticated *UnauthenticatedError
	err := errorOfStatus(t.Context(), statusOf(codes.Unauthenticated, "CREDENTIAL_EXPIRED", nil))
	if !errors.As(err, &unauthenticated) || unauthenticated.Reason != "CREDENTIAL_EXPIRED" {
		t.Errorf("got %v", err)
	}
	var expired *CredentialExpiredError
	if errors.As(errorOfStatus(t.Context(), statusOf(codes.Unauthenticated, "UNAUTHENTICATED", nil)), &expired) {
		t.Error("UNAUTHENTICATED is taken for an expired credential")
	}
}

func TestADenialSaysWhatWouldBeNeededAndAQuotaWhichLimitItIs(t *testing.T) {
	var denied *PermissionDeniedError
	needed := map[string]string{"project": "acme", "role": "writer"}
	err := errorOfStatus(t.Context(), statusOf(codes.PermissionDenied, "PERMISSION_DENIED", needed))
	if !errors.As(err, &denied) || denied.Project() != "acme" || denied.Role() != "writer" {
		t.Errorf("got %v", err)
	}
	var exceeded *QuotaExceededError
	limit := map[string]string{"limit": "events"}
	err = errorOfStatus(t.Context(), statusOf(codes.ResourceExhausted, "QUOTA_EXCEEDED", limit))
	if !errors.As(err, &exceeded) || exceeded.Limit() != "events" {
		t.Errorf("got %v", err)
	}
}

func TestAnUnknownReasonIsAPlainErrorThatNamesIt(t *testing.T) {
	told := statusOf(codes.Unavailable, "NEW_IN_VERSION_TWO", nil)

	err := errorOfStatus(t.Context(), told)

	plain, isPlain := err.(*Error)
	if !isPlain || plain.Reason != "NEW_IN_VERSION_TWO" {
		t.Fatalf("got %#v", err)
	}
}

func TestAReasonOfAnotherDomainIsNotOurs(t *testing.T) {
	told, _ := status.New(codes.Aborted, "words").WithDetails(
		&errdetails.ErrorInfo{Reason: "SEQ_CONFLICT", Domain: "example.com"},
	)

	if _, isPlain := errorOfStatus(t.Context(), told).(*Error); !isPlain {
		t.Fatal("another domain's reason has a type of ours")
	}
}

func TestWithoutAReasonTheCodeDecides(t *testing.T) {
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, each := range []struct {
		ctx  context.Context
		code codes.Code
		want error
		is   error
	}{
		{t.Context(), codes.Unavailable, &UnavailableError{}, nil},
		{t.Context(), codes.Canceled, &UnavailableError{}, nil},
		{cancelled, codes.Canceled, &Error{}, context.Canceled},
		{t.Context(), codes.DeadlineExceeded, &DeadlineExceededError{}, context.DeadlineExceeded},
		{t.Context(), codes.Internal, &Error{}, nil},
	} {
		err := errorOf(each.ctx, status.Error(each.code, "words"))
		if reflect.TypeOf(err) != reflect.TypeOf(each.want) {
			t.Errorf("%v: got %T, want %T", each.code, err, each.want)
		}
		if each.is != nil && !errors.Is(err, each.is) {
			t.Errorf("%v is not %v", err, each.is)
		}
	}
}

func TestNumbersAreReadFromTheMetadata(t *testing.T) {
	told := statusOf(codes.ResourceExhausted, "MESSAGE_TOO_LARGE", map[string]string{
		"limit_bytes": "10", "size_bytes": "12",
	})

	var large *MessageTooLargeError
	if !errors.As(errorOfStatus(t.Context(), told), &large) {
		t.Fatal("not too large")
	}
	if large.LimitBytes() != 10 || large.SizeBytes() != 12 {
		t.Fatalf("got %d, %d", large.LimitBytes(), large.SizeBytes())
	}
}
