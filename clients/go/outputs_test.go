package runstore_test

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/runstore/runstore/clients/go"
)

func TestAnOutputComesBackWithAllItsFields(t *testing.T) {
	run := savedRun(t, dial(t))
	usage := runstore.Usage{InputTokens: 7, Duration: time.Second}
	sent := runstore.NewOutput{
		Payload: runstore.JSON(`{"answer": 42.0}`), SchemaHash: "h", PlanVersionID: "v1",
		Provenance: runstore.JSON(`{"p":1}`), Statistics: runstore.JSON(`{"s":1}`),
	}

	completed, err := run.Complete(t.Context(), runstore.Completion{
		Outcome:       runstore.OutcomeSucceeded,
		Output:        sent,
		Events:        []runstore.NewEvent{{Type: "model.called", Usage: &usage}},
		FinalSnapshot: &runstore.NewSnapshot{State: map[string]runstore.Payload{"a": sent.Payload}},
	})
	require(t, err)

	found, err := run.GetOutput(t.Context())
	require(t, err)
	want := &runstore.Output{
		Payload: sent.Payload, SchemaHash: "h", PlanVersionID: "v1", Provenance: sent.Provenance,
		Statistics: sent.Statistics, Usage: usage, Outcome: runstore.OutcomeSucceeded, Revision: 1,
		CompletedAt: completed.CompletedAt, Salt: found.Salt,
	}
	if !reflect.DeepEqual(found, want) {
		t.Fatalf("got %+v, want %+v", found, want)
	}
	equal(t, "salt bytes", len(found.Salt), 16)
	equal(t, "status", completed.Status, runstore.StatusSucceeded)
	equal(t, "seq", completed.Seq, 2)
	final, err := run.GetSnapshot(t.Context(), runstore.LatestSnapshot())
	require(t, err)
	equal(t, "reason", final.Reason, runstore.ReasonFinal)
	equal(t, "snapshot's seq", final.Seq, 2)
}

func TestOtherContentIsANewRevision(t *testing.T) {
	run := savedRun(t, dial(t))
	complete := func(answer int) *runstore.Completed {
		completed, err := run.Complete(t.Context(), runstore.Completion{
			Outcome: runstore.OutcomeSucceeded,
			Output:  runstore.NewOutput{Payload: runstore.JSONOf(answer)},
		})
		require(t, err)
		return completed
	}

	first, again, second := complete(1), complete(1), complete(2)

	equal(t, "again", again.Deduplicated, true)
	equal(t, "same revision", again.Revision, first.Revision)
	equal(t, "second", second.Revision, 2)
	old, err := run.GetOutputRevision(t.Context(), 1)
	require(t, err)
	equal(t, "old", old.Payload.Text(), "1")
}

func TestACompletedRunTakesNothingElse(t *testing.T) {
	run := withTicks(t, dial(t), 1)
	_, err := run.GetOutput(t.Context())
	var none *runstore.OutputNotFoundError
	if !errors.As(err, &none) {
		t.Fatalf("got %v", err)
	}
	_, err = run.Complete(t.Context(), runstore.Completion{})
	var required *runstore.OutcomeRequiredError
	if !errors.As(err, &required) {
		t.Fatalf("got %v", err)
	}
	_, err = run.Complete(t.Context(), runstore.Completion{Outcome: runstore.OutcomeCancelled})
	require(t, err)

	_, appended := run.Append(t.Context(), ticks(0, 1)...)
	_, other := run.Complete(t.Context(), runstore.Completion{Outcome: runstore.OutcomeFailed})

	var completed *runstore.RunCompletedError
	if !errors.As(appended, &completed) || completed.LastSeq() != 2 {
		t.Fatalf("got %v", appended)
	}
	var conflict *runstore.OutcomeConflictError
	if !errors.As(other, &conflict) {
		t.Fatalf("got %v", other)
	}
}

func TestVerifyChecksTheWholeChainInSlices(t *testing.T) {
	run := withTicks(t, dial(t), 25)

	var progress []int64
	for found, err := range run.VerifySlices(t.Context(), runstore.VerifyOptions{SliceSize: 10}) {
		require(t, err)
		progress = append(progress, found.CheckedEvents)
	}
	whole, err := run.Verify(t.Context(), runstore.VerifyOptions{})
	require(t, err)

	if !reflect.DeepEqual(progress, []int64{10, 20, 25}) {
		t.Fatalf("got %v", progress)
	}
	equal(t, "verified", whole.Verified, true)
	equal(t, "checked", whole.CheckedEvents, 25)
	info, err := run.Get(t.Context())
	require(t, err)
	equal(t, "hash", string(whole.LastHash), string(info.LastHash))
}
