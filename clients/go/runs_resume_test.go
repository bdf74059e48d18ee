package runstore_test

import (
	"errors"
	"testing"

	"github.com/runstore/runstore/clients/go"
)

func TestAResumeGivesTheNewWriterWhatItNeeds(t *testing.T) {
	run := withTicks(t, dial(t), 3)
	_, err := run.PutSnapshot(t.Context(),
		runstore.NewSnapshot{
			SnapshotID: "s", Nodes: []runstore.PlanNode{{NodeID: "write"}}, PendingNodeIDs: []string{"write"},
		},
		runstore.WithTaskWrites(runstore.TaskWrite{TaskID: "t"}),
	)
	require(t, err)
	_, err = run.Append(t.Context(), ticks(3, 203)...)
	require(t, err)

	resumed, err := run.Resume(t.Context(), runstore.ResumeOptions{Actor: "second"})
	require(t, err)

	equal(t, "epoch", resumed.WriterEpoch, 2)
	equal(t, "snapshot", resumed.Snapshot.SnapshotID, "s")
	equal(t, "pending", resumed.PendingNodeIDs[0], "write")
	equal(t, "task writes", resumed.TaskWrites[0].TaskID, "t")
	equal(t, "status", resumed.Info.Status, runstore.StatusRunning)
	events := collect(t, resumed.Events(t.Context())) // more than come with the claim
	equal(t, "events", len(events), 201)
	equal(t, "first", events[0].Seq, 4)
	equal(t, "last", events[200].Type, "run.resumed")
	equal(t, "actor", events[200].Actor, "second")
}

func TestAFencedWriterCanWriteNoMore(t *testing.T) {
	client := dial(t)
	old := savedRun(t, client)
	resumed, err := client.Run(old.ID()).Resume(t.Context(), runstore.ResumeOptions{})
	require(t, err)

	_, appended := old.Append(t.Context(), ticks(0, 1)...)
	_, batch := old.Append(t.Context(), ticks(0, 2)...)
	_, put := old.PutSnapshot(t.Context(), runstore.NewSnapshot{})
	_, written := old.PutTaskWrites(t.Context(), runstore.TaskWrite{TaskID: "t"})
	_, completed := old.Complete(t.Context(), runstore.Completion{Outcome: runstore.OutcomeFailed})

	for _, err := range []error{appended, batch, put, written, completed} {
		var fenced *runstore.WriterFencedError
		if !errors.As(err, &fenced) {
			t.Fatalf("got %v", err)
		}
		equal(t, "writer", fenced.WriterEpoch(), 1)
		equal(t, "current", fenced.CurrentEpoch(), 2)
	}
	_, err = resumed.Run.Append(t.Context(), ticks(0, 1)...)
	require(t, err)
}

func TestAnEpochNeverIssuedIsRefused(t *testing.T) {
	_, err := savedRun(t, dial(t)).WithWriterEpoch(9).Append(t.Context(), ticks(0, 1)...)

	var unknown *runstore.WriterEpochUnknownError
	if !errors.As(err, &unknown) {
		t.Fatalf("got %v", err)
	}
}

func TestAHandleWithoutAnEpochWritesUnfenced(t *testing.T) {
	client := dial(t)
	saved := savedRun(t, client)
	_, err := saved.Resume(t.Context(), runstore.ResumeOptions{})
	require(t, err)
	unfenced := client.Run(saved.ID())

	_, err = unfenced.Append(t.Context(), ticks(0, 1)...)

	require(t, err)
	_, isFenced := unfenced.WriterEpoch()
	equal(t, "is fenced", isFenced, false)
	epoch, _ := saved.WriterEpoch()
	equal(t, "epoch", epoch, 1)
}

func TestTheSameRequestClaimsTheSameEpoch(t *testing.T) {
	run := savedRun(t, dial(t))
	claim := runstore.ResumeOptions{RequestID: "claim"}
	one, err := run.Resume(t.Context(), claim)
	require(t, err)

	again, err := run.Resume(t.Context(), claim)

	require(t, err)
	equal(t, "epoch", again.WriterEpoch, one.WriterEpoch)
	equal(t, "deduplicated", again.Deduplicated, true)
}

func TestARunIsClaimedOnlyWhereNobodyWroteSince(t *testing.T) {
	run := withTicks(t, dial(t), 3)

	_, late := run.WithExpectedSeq(2).Resume(t.Context(), runstore.ResumeOptions{})
	resumed, err := run.WithExpectedSeq(3).Resume(t.Context(), runstore.ResumeOptions{})
	require(t, err)
	_, twice := run.WithExpectedSeq(3).Resume(t.Context(), runstore.ResumeOptions{})
	_, written := resumed.Run.Append(t.Context(), ticks(3, 4)...)

	for _, err := range []error{late, twice} {
		var conflict *runstore.SeqConflictError
		if !errors.As(err, &conflict) || conflict.CurrentSeq() < 3 {
			t.Fatalf("got %v", err)
		}
	}
	require(t, written) // the handle of the claim expects no seq
	equal(t, "epoch", resumed.WriterEpoch, 2)
}
