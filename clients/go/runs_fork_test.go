package runstore_test

import (
	"errors"
	"reflect"
	"testing"

	"github.com/runstore/runstore/clients/go"
)

func TestAForkBeginsWithTheRunsHistoryAndGoesOnByItself(t *testing.T) {
	client := dial(t)
	run := withTicks(t, client, 5)

	fork, err := run.Fork(t.Context(), runstore.ForkOptions{
		AtSeq: 3, RunID: "fork", Objective: new("try again"),
		Tags: []string{"fork"}, Labels: map[string]string{"of": "run"},
		ConfigRefs: []runstore.ConfigRef{{Kind: "k", Name: "n", Version: 1, Digest: "d"}},
	})
	require(t, err)
	appended, err := fork.Append(t.Context(), runstore.NewEvent{Type: "other"})
	require(t, err)

	equal(t, "seq", appended[0].Seq, 4)
	epoch, isFenced := fork.WriterEpoch()
	equal(t, "epoch", epoch, 1)
	equal(t, "fenced", isFenced, true)
	info, err := fork.Get(t.Context())
	require(t, err)
	equal(t, "id", info.RunID, "fork")
	equal(t, "base", *info.ForkBase, runstore.ForkBase{RunID: run.ID(), Seq: 3})
	equal(t, "objective", info.Objective, "try again")
	equal(t, "tag", info.Tags[0], "fork")
	equal(t, "label", info.Labels["of"], "run")
	equal(t, "pin", info.ConfigRefs[0], runstore.ConfigRef{Kind: "k", Name: "n", Version: 1, Digest: "d"})
	got := seqs(collect(t, fork.Events(t.Context(), runstore.EventsOptions{})))
	if !reflect.DeepEqual(got, []int64{1, 2, 3, 4}) {
		t.Fatalf("got %v", got)
	}
	found, err := fork.Verify(t.Context(), runstore.VerifyOptions{})
	require(t, err)
	equal(t, "verified", found.Verified, true)
}

func TestAForkIsOfEverythingUnlessTold(t *testing.T) {
	run := withTicks(t, dial(t), 5)

	fork, err := run.Fork(t.Context(), runstore.ForkOptions{})

	require(t, err)
	info, err := fork.Get(t.Context())
	require(t, err)
	equal(t, "last seq", info.LastSeq, 5)
	equal(t, "objective", info.Objective, "be tested")
}

func TestAForkMadeAgainIsTheSameFork(t *testing.T) {
	run := withTicks(t, dial(t), 5)
	first, err := run.Fork(t.Context(), runstore.ForkOptions{RunID: "fork", AtSeq: 2})
	require(t, err)

	again, err := run.Fork(t.Context(), runstore.ForkOptions{RunID: "fork", AtSeq: 2})
	require(t, err)
	_, other := run.Fork(t.Context(), runstore.ForkOptions{RunID: "fork", AtSeq: 3})

	equal(t, "id", again.ID(), first.ID())
	var mismatch *runstore.IdempotencyMismatchError
	if !errors.As(other, &mismatch) {
		t.Fatalf("got %v", other)
	}
}

func TestARunIsNotForkedBeyondItsEndNorAtIt(t *testing.T) {
	run := withTicks(t, dial(t), 2)
	_, err := run.Complete(t.Context(), runstore.Completion{Outcome: runstore.OutcomeSucceeded})
	require(t, err)

	_, beyond := run.Fork(t.Context(), runstore.ForkOptions{AtSeq: 4})
	_, at := run.Fork(t.Context(), runstore.ForkOptions{AtSeq: 3})

	var ahead *runstore.SeqAheadError
	if !errors.As(beyond, &ahead) {
		t.Fatalf("got %v", beyond)
	}
	var completed *runstore.RunCompletedError
	if !errors.As(at, &completed) {
		t.Fatalf("got %v", at)
	}
}
