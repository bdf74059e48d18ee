package runstore

import (
	"cmp"
	"context"
	"iter"

	runstorev1 "github.com/runstore/runstore/clients/go/v1"
)

const verifySlice = 10_000

// Verification is the result of checking the hash chain.
type Verification struct {
	// Verified means that everything checked is intact.
	Verified bool
	// CheckedEvents counts the events of all slices so far.
	CheckedEvents int64
	LastSeq       int64
	// LastHash is that of the last event checked.
	LastHash []byte
	// Problem describes what is wrong, for people; empty if verified.
	Problem string
	// ProblemSeq is where the problem is.
	ProblemSeq int64
	// NextFromSeq is where the next slice begins; 0 if the check is finished.
	NextFromSeq int64
	// ErasedEvents counts those of the checked events that were erased: of these, what is left is
	// checked.
	ErasedEvents int64
}

// VerifyOptions says how to verify a run.
type VerifyOptions struct {
	// SliceSize is how many events are checked at once; 0 means 10000.
	SliceSize int
	// ReadArchive reads events that are archived; else they are [*EventsArchivedError].
	ReadArchive bool
}

// Verify recomputes the run's whole hash chain. A broken chain is not an error: see Verified.
func (r *Run) Verify(ctx context.Context, options VerifyOptions) (*Verification, error) {
	var found *Verification
	for slice, err := range r.VerifySlices(ctx, options) {
		if err != nil {
			return nil, err
		}
		found = slice
	}
	return found, nil
}

// VerifySlices verifies a long run in slices and yields the result up to the end of each; the last
// result is that of the whole run.
func (r *Run) VerifySlices(
	ctx context.Context, options VerifyOptions,
) iter.Seq2[*Verification, error] {
	return func(yield func(*Verification, error) bool) {
		var checked, erased int64
		for fromSeq := int64(1); fromSeq != 0; {
			found, err := r.verifySlice(ctx, fromSeq, options)
			if err != nil {
				yield(nil, err)
				return
			}
			checked += found.CheckedEvents
			erased += found.ErasedEvents
			found.CheckedEvents, found.ErasedEvents = checked, erased
			fromSeq = found.NextFromSeq
			if !yield(found, nil) {
				return
			}
		}
	}
}

func (r *Run) verifySlice(
	ctx context.Context, fromSeq int64, options VerifyOptions,
) (*Verification, error) {
	response, err := send(ctx, r.client, r.client.service.VerifyRun, &runstorev1.VerifyRunRequest{
		Project: r.client.project, RunId: r.id, FromSeq: fromSeq,
		MaxEvents: int32Of(cmp.Or(options.SliceSize, verifySlice)), ReadArchive: options.ReadArchive,
	})
	if err != nil {
		return nil, err
	}
	return &Verification{
		Verified:      response.Verified,
		CheckedEvents: response.CheckedEvents,
		LastSeq:       response.LastSeq,
		LastHash:      response.LastHash,
		Problem:       response.FirstBreak.GetProblem(),
		ProblemSeq:    response.FirstBreak.GetSeq(),
		NextFromSeq:   response.NextFromSeq,
		ErasedEvents:  response.ErasedEvents,
	}, nil
}
