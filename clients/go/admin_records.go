package runstore

import (
	"context"
	"iter"
	"time"

	runstorev1 "github.com/runstore/runstore/clients/go/v1"
)

// AdminRecord says who did what, or was refused it. The records of a project are a hash chain.
type AdminRecord struct {
	Number     int64
	RecordedAt time.Time
	// Method is the RPC, such as "CreateToken".
	Method string
	// Resource is what it was done to, such as "tokens/0g4kqv2m8w1z".
	Resource  string
	Principal Principal
	Grants    []Grant
	Allowed   bool
	// Peer is the address that the call came from.
	Peer      string
	RequestID string
	// CallID is the call's id in the server's log.
	CallID string
	// Request is the request as JSON, without secrets.
	Request string
	// Status is "OK" or the reason of the refusal.
	Status       string
	PreviousHash []byte
	Hash         []byte
}

// ListRecordsOptions say whose records to list.
type ListRecordsOptions struct {
	// OfServer lists those of the server itself.
	OfServer bool
}

// VerifyRecordsOptions say which records to check.
type VerifyRecordsOptions struct {
	// FromNumber is the first to check; 0 and 1 both mean the first there is.
	FromNumber int64
	// OfServer checks those of the server itself.
	OfServer bool
}

// RecordVerification is the result of checking the chain of records. Keep LastNumber and LastHash
// elsewhere: they tell a chain that was made anew.
type RecordVerification struct {
	CheckedRecords int64
	LastNumber     int64
	LastHash       []byte
	// Problem says what is wrong; empty if everything that was checked agrees.
	Problem string
	// ProblemNumber is the first record that is wrong; 0 if there is none.
	ProblemNumber int64
}

// Verified reports whether everything that was checked agrees.
func (v RecordVerification) Verified() bool { return v.Problem == "" }

// Records yields the records of what was done or refused, greatest number first. If it fails, the
// last pair holds the error.
func (a *Admin) Records(
	ctx context.Context, options ListRecordsOptions,
) iter.Seq2[*AdminRecord, error] {
	return pages(func(token string) ([]*AdminRecord, string, error) {
		response, err := send(ctx, a.client, a.service.ListAdminRecords,
			&runstorev1.ListAdminRecordsRequest{
				Project:   a.owner(options.OfServer),
				OfServer:  options.OfServer,
				PageSize:  adminPage,
				PageToken: token,
			})
		return mapped(response.GetRecords(), adminRecordOf), response.GetNextPageToken(), err
	})
}

// VerifyRecords checks the hash chain of the records.
func (a *Admin) VerifyRecords(
	ctx context.Context, options VerifyRecordsOptions,
) (*RecordVerification, error) {
	response, err := send(ctx, a.client, a.service.VerifyAdminRecords,
		&runstorev1.VerifyAdminRecordsRequest{
			Project:    a.owner(options.OfServer),
			OfServer:   options.OfServer,
			FromNumber: options.FromNumber,
		})
	if err != nil {
		return nil, err
	}
	return &RecordVerification{
		CheckedRecords: response.CheckedRecords,
		LastNumber:     response.LastNumber,
		LastHash:       response.LastHash,
		Problem:        response.Problem,
		ProblemNumber:  response.ProblemNumber,
	}, nil
}

func adminRecordOf(message *runstorev1.AdminRecord) *AdminRecord {
	return &AdminRecord{
		Number:       message.GetNumber(),
		RecordedAt:   timeOf(message.GetRecordedAt()),
		Method:       message.GetMethod(),
		Resource:     message.GetResource(),
		Principal:    principalOf(message.GetPrincipal()),
		Grants:       mapped(message.GetGrants(), grantOf),
		Allowed:      message.GetAllowed(),
		Peer:         message.GetPeer(),
		RequestID:    message.GetRequestId(),
		CallID:       message.GetCallId(),
		Request:      message.GetRequest(),
		Status:       message.GetStatus(),
		PreviousHash: message.GetPreviousHash(),
		Hash:         message.GetHash(),
	}
}
