package runstore_test

import (
	"errors"
	"fmt"
	"reflect"
	"testing"

	"github.com/runstore/runstore/clients/go"
)

func TestAReplayShowsARunAsItStood(t *testing.T) {
	client := dial(t)
	prompt := registered(t, client, "prompt", "greeting", `"Be kind."`)
	run, err := client.SaveRun(t.Context(), runstore.NewRun{
		ConfigRefs: []runstore.ConfigRef{{Kind: "prompt", Name: "greeting", Version: 1}},
	})
	require(t, err)
	_, err = run.PutSnapshot(t.Context(),
		runstore.NewSnapshot{
			SnapshotID: "s-1", State: map[string]runstore.Payload{"draft": runstore.JSON(`"a"`)},
		},
		runstore.WithEvents(ticks(0, 2)...),
		runstore.WithTaskWrites(runstore.TaskWrite{TaskID: "outline", Payload: runstore.JSON(`1.0`)}),
	)
	require(t, err)
	_, err = run.Append(t.Context(), ticks(2, 7)...)
	require(t, err)
	_, err = run.PutSnapshot(t.Context(), runstore.NewSnapshot{SnapshotID: "s-2"})
	require(t, err)
	_, err = run.Append(t.Context(), ticks(7, 9)...)
	require(t, err)

	then, err := run.Replay(t.Context(), runstore.ReplayOptions{AtSeq: new(int64(6)), PageSize: 2})

	require(t, err)
	equal(t, "at seq", then.AtSeq, 6)
	equal(t, "last seq now", then.Info.LastSeq, 9)
	equal(t, "snapshot", then.Snapshot.SnapshotID, "s-1")
	equal(t, "draft", then.Snapshot.State["draft"].Text(), `"a"`)
	equal(t, "task write", then.TaskWrites[0].Payload.Text(), "1.0")
	equal(t, "pins", len(then.Configs), 1)
	equal(t, "body", then.Configs[0].Body.Text(), `"Be kind."`)
	equal(t, "digest", then.Configs[0].Ref.Digest, prompt.Digest)
	equal(t, "first events", fmt.Sprint(seqs(then.FirstEvents), then.NextFromSeq), "[3 4] 5")
	for range 2 { // it begins anew
		got := seqs(collect(t, then.Events(t.Context())))
		if !reflect.DeepEqual(got, []int64{3, 4, 5, 6}) {
			t.Fatalf("got %v", got)
		}
	}
}

func TestAReplayIsOfNowUnlessAMomentIsGiven(t *testing.T) {
	run := withTicks(t, dial(t), 3)

	now, err := run.Replay(t.Context(), runstore.ReplayOptions{})
	require(t, err)
	before, err := run.Replay(t.Context(), runstore.ReplayOptions{AtSeq: new(int64)})
	require(t, err)

	equal(t, "at seq", now.AtSeq, 3)
	equal(t, "events", len(collect(t, now.Events(t.Context()))), 3)
	equal(t, "no snapshot", now.Snapshot, nil)
	equal(t, "at seq", before.AtSeq, 0)
	equal(t, "events", len(collect(t, before.Events(t.Context()))), 0)
}

func TestAMomentThatIsNotThereYetIsRefused(t *testing.T) {
	run := withTicks(t, dial(t), 3)

	_, err := run.Replay(t.Context(), runstore.ReplayOptions{AtSeq: new(int64(4))})

	var ahead *runstore.SeqAheadError
	if !errors.As(err, &ahead) || ahead.LastSeq() != 3 {
		t.Fatalf("got %v", err)
	}
}
