package runstore_test

import (
	"errors"
	"testing"

	"github.com/runstore/runstore/clients/go"
)

// withSnapshots is a run with snapshots of these ids, each with a part and a task write of its own.
func withSnapshots(t *testing.T, namespace string, ids ...string) *runstore.Run {
	t.Helper()
	run := savedRun(t, dial(t))
	for _, id := range ids {
		_, err := run.PutSnapshot(t.Context(),
			runstore.NewSnapshot{
				SnapshotID: id, Namespace: namespace,
				State: map[string]runstore.Payload{"part": runstore.JSONOf(id)},
			},
			runstore.WithTaskWrites(runstore.TaskWrite{TaskID: "task", Payload: runstore.JSON("1")}),
		)
		require(t, err)
	}
	return run
}

func TestSnapshotsAreDeletedWithWhatOnlyTheyHave(t *testing.T) {
	for _, namespace := range []string{"", "child"} {
		run := withSnapshots(t, namespace, "s-1", "s-2", "s-3")

		gone, err := run.DeleteSnapshotsIn(t.Context(), namespace, "s-1", "s-2", "nobody")
		require(t, err)
		again, err := run.DeleteSnapshotsIn(t.Context(), namespace, "s-1")
		require(t, err)

		equal(t, "snapshots", gone.Snapshots, 2)
		equal(t, "task writes", gone.TaskWrites, 2)
		equal(t, "bytes", gone.FreedBytes > 0, true)
		equal(t, "again", *again, runstore.SnapshotsDeleted{})
		left := collect(t, run.ListSnapshots(t.Context(), runstore.SnapshotsOptions{}))
		equal(t, "left", len(left), 1)
		equal(t, "the last", left[0].SnapshotID, "s-3")
	}
}

func TestASnapshotThatAForkHasIsNotDeleted(t *testing.T) {
	run := withSnapshots(t, "", "s-1")
	_, err := run.Append(t.Context(), ticks(0, 1)...)
	require(t, err)
	fork, err := run.Fork(t.Context(), runstore.ForkOptions{})
	require(t, err)

	_, err = run.DeleteSnapshots(t.Context(), "s-1")

	var inUse *runstore.SnapshotInUseError
	if !errors.As(err, &inUse) || inUse.ForkRunID() != fork.ID() || inUse.SnapshotID() != "s-1" {
		t.Fatalf("got %v", err)
	}
}

func TestAFencedWriterDeletesNothing(t *testing.T) {
	run := withSnapshots(t, "", "s-1")
	_, err := run.Resume(t.Context(), runstore.ResumeOptions{})
	require(t, err)

	_, err = run.DeleteSnapshots(t.Context(), "s-1")

	var fenced *runstore.WriterFencedError
	if !errors.As(err, &fenced) {
		t.Fatalf("got %v", err)
	}
}
