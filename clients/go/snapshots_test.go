package runstore_test

import (
	"errors"
	"reflect"
	"testing"

	"github.com/runstore/runstore/clients/go"
)

func TestASnapshotComesBackWithAllItsFields(t *testing.T) {
	run := withTicks(t, dial(t), 2)
	sent := runstore.NewSnapshot{
		State: map[string]runstore.Payload{
			"draft": runstore.JSON(`"x"`), "blob": runstore.Binary([]byte{0, 255}, "application/x"),
		},
		Nodes: []runstore.PlanNode{{
			NodeID: "n", Kind: "tool", Facets: []string{"f"}, Status: "pending",
			InputSchema: runstore.JSON(`{"i":1}`), OutputSchema: runstore.JSON(`{"o":1}`),
			Provenance: runstore.JSON(`{"p":1}`), State: runstore.JSON(`{"s":1}`),
		}},
		PendingNodeIDs: []string{"n"}, PlanVersionID: "v1", Reason: runstore.ReasonError,
		Namespace: "sub", SnapshotID: "s-1", ParentSnapshotID: "s-0", Seq: 1,
		Metadata: runstore.JSON(`{"step": 3}`),
	}

	put, err := run.PutSnapshot(t.Context(), sent)
	require(t, err)

	found, err := run.GetSnapshot(t.Context(), runstore.LatestSnapshot().In("sub"))
	require(t, err)
	want := &runstore.Snapshot{
		RunID: run.ID(), Namespace: sent.Namespace, SnapshotID: sent.SnapshotID,
		ParentSnapshotID: sent.ParentSnapshotID, Seq: 1, PlanVersionID: sent.PlanVersionID,
		Reason: sent.Reason, Nodes: sent.Nodes, PendingNodeIDs: sent.PendingNodeIDs,
		State: sent.State, Metadata: sent.Metadata,
		CreatedAt: put.CreatedAt, ContentHash: put.ContentHash, Salt: found.Salt,
	}
	if !reflect.DeepEqual(found, want) {
		t.Fatalf("got %+v, want %+v", found, want)
	}
	equal(t, "salt bytes", len(found.Salt), 16)
	equal(t, "last seq", put.LastSeq, 2)
}

func TestAStepIsStoredAllOrNone(t *testing.T) {
	run := withTicks(t, dial(t), 1)

	put, err := run.WithExpectedSeq(1).PutSnapshot(t.Context(),
		runstore.NewSnapshot{Reason: runstore.ReasonPause},
		runstore.WithEvents(ticks(1, 3)...),
		runstore.WithTaskWrites(runstore.TaskWrite{TaskID: "t", Index: -1, Channel: "c"}),
	)
	require(t, err)
	_, refused := run.PutSnapshot(t.Context(),
		runstore.NewSnapshot{Seq: 100}, runstore.WithEvents(ticks(3, 4)...))

	equal(t, "seq", put.Seq, 4) // run.paused included
	equal(t, "last seq", put.LastSeq, 4)
	var ahead *runstore.SnapshotAheadError
	if !errors.As(refused, &ahead) {
		t.Fatalf("got %v", refused)
	}
	info, err := run.Get(t.Context())
	require(t, err)
	equal(t, "status", info.Status, runstore.StatusPaused)
	equal(t, "last seq", info.LastSeq, 4)
	snapshot, err := run.GetSnapshot(t.Context(), runstore.LatestSnapshot())
	require(t, err)
	want := runstore.TaskWrite{TaskID: "t", Index: -1, Channel: "c", SnapshotID: snapshot.SnapshotID}
	equal(t, "task write", snapshot.TaskWrites[0], want)
}

func TestASnapshotIsChosen(t *testing.T) {
	run := withTicks(t, dial(t), 9)
	for _, snapshot := range []runstore.NewSnapshot{
		{SnapshotID: "a", Seq: 2, PlanVersionID: "v1"},
		{SnapshotID: "b", Seq: 5, PlanVersionID: "v1"},
		{SnapshotID: "c", Seq: 8, PlanVersionID: "v2"},
	} {
		_, err := run.PutSnapshot(t.Context(), snapshot)
		require(t, err)
	}

	for want, which := range map[string]runstore.SnapshotSelector{
		"a": runstore.SnapshotByID("a"),
		"b": runstore.SnapshotOfPlan("v1"),
		"c": runstore.LatestSnapshot(),
	} {
		found, err := run.GetSnapshot(t.Context(), which)
		require(t, err)
		equal(t, "id", found.SnapshotID, want)
	}
	found, err := run.GetSnapshot(t.Context(), runstore.SnapshotAtSeq(7))
	require(t, err)
	equal(t, "at seq 7", found.SnapshotID, "b")
	_, err = run.GetSnapshot(t.Context(), runstore.SnapshotAtSeq(1))
	var missing *runstore.SnapshotNotFoundError
	if !errors.As(err, &missing) {
		t.Fatalf("got %v", err)
	}
}

func TestSnapshotsAreListedOverPages(t *testing.T) {
	client := dial(t)
	run := withTicks(t, client, 30)
	for seq := range 25 {
		_, err := run.PutSnapshot(t.Context(), runstore.NewSnapshot{
			Seq: int64(seq + 1), State: map[string]runstore.Payload{"seq": runstore.JSONOf(seq)},
			Metadata: runstore.JSONOf(map[string]bool{"even": seq%2 == 0}),
		})
		require(t, err)
	}

	all := collect(t, run.ListSnapshots(t.Context(), runstore.SnapshotsOptions{PageSize: 10}))
	even := collect(t, client.ListSnapshots(t.Context(), runstore.SnapshotsOptions{
		Metadata: runstore.JSON(`{"even": true}`), WithParts: true,
	}))
	before := collect(t, run.ListSnapshots(t.Context(), runstore.SnapshotsOptions{
		Before: all[20].SnapshotID, Namespace: new(string),
	}))

	equal(t, "count", len(all), 25)
	equal(t, "greatest seq", all[0].Seq, 25)
	equal(t, "without parts", len(all[0].State), 0)
	equal(t, "even", len(even), 13)
	equal(t, "with parts", even[0].State["seq"].Text(), "24")
	equal(t, "before", len(before), 4)
}

func TestTaskWritesAreKeptOnce(t *testing.T) {
	run := savedRun(t, dial(t))
	write := runstore.TaskWrite{TaskID: "t", Payload: runstore.JSONOf("done")}
	known, err := run.PutTaskWrites(t.Context(), write)
	require(t, err)

	again, err := run.PutTaskWrites(t.Context(), write)
	require(t, err)
	write.Payload = runstore.JSONOf("other")
	_, other := run.PutTaskWrites(t.Context(), write)

	equal(t, "first", known, false)
	equal(t, "again", again, true)
	var mismatch *runstore.IdempotencyMismatchError
	if !errors.As(other, &mismatch) {
		t.Fatalf("got %v", other)
	}
}
