package runstore_test

import (
	"errors"
	"iter"
	"reflect"
	"testing"
	"time"

	"github.com/runstore/runstore/clients/go"
)

// collect reads an iterator to its end.
func collect[Item any](t *testing.T, items iter.Seq2[Item, error]) []Item {
	t.Helper()
	var all []Item
	for item, err := range items {
		require(t, err)
		all = append(all, item)
	}
	return all
}

// first reads one item and leaves.
func first[Item any](t *testing.T, items iter.Seq2[Item, error]) Item {
	t.Helper()
	for item, err := range items {
		require(t, err)
		return item
	}
	t.Fatal("there is nothing")
	panic("unreachable")
}

func seqs(events []*runstore.Event) []int64 {
	var all []int64
	for _, event := range events {
		all = append(all, event.Seq)
	}
	return all
}

func TestAnEventComesBackWithAllItsFields(t *testing.T) {
	run := savedRun(t, dial(t))
	sent := runstore.NewEvent{
		Type: "model.called", Payload: runstore.JSON(`{"q": 1.0}`), EventID: "e-1", NodeID: "n",
		Actor: "planner", Model: "gpt", Tool: "search", Tags: []string{"b", "a", "b"},
		Subjects: []string{"user-7"},
		Usage: &runstore.Usage{
			InputTokens: 1, OutputTokens: 2, CachedInputTokens: 3, CostMicros: 4,
			Duration: 5 * time.Microsecond,
		},
		TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		OccurredAt:  time.Date(1969, 12, 31, 23, 59, 59, 999_999_000, time.UTC),
	}

	appended, err := run.Append(t.Context(), sent)
	require(t, err)

	event := first(t, run.ListEvents(t.Context(), runstore.ListEventsOptions{}))
	want := &runstore.Event{
		Seq: 1, Type: sent.Type, Payload: sent.Payload, EventID: sent.EventID, NodeID: sent.NodeID,
		Actor: sent.Actor, Model: sent.Model, Tool: sent.Tool, Tags: sent.Tags, Usage: sent.Usage,
		TraceParent: sent.TraceParent, OccurredAt: sent.OccurredAt,
		RecordedAt: appended[0].RecordedAt, Hash: appended[0].Hash, Subjects: sent.Subjects,
		Salt: event.Salt,
	}
	if !reflect.DeepEqual(event, want) {
		t.Fatalf("got %+v, want %+v", event, want)
	}
	equal(t, "hash bytes", len(event.Hash), 32)
	equal(t, "salt bytes", len(event.Salt), 16)
}

func TestTheSameEventAgainIsTheFirstAnswer(t *testing.T) {
	run := savedRun(t, dial(t))
	events := ticks(0, 2)
	events[0].EventID, events[1].EventID = "a", "b"
	before, err := run.Append(t.Context(), events...)
	require(t, err)
	_, err = run.Append(t.Context(), runstore.NewEvent{Type: "later"})
	require(t, err)

	again, err := run.Append(t.Context(), events...)

	require(t, err)
	for place := range again {
		equal(t, "deduplicated", again[place].Deduplicated, true)
		equal(t, "seq", again[place].Seq, before[place].Seq)
	}
}

func TestTheSameIDWithOtherContentIsRefused(t *testing.T) {
	run := savedRun(t, dial(t))
	_, err := run.Append(t.Context(), runstore.NewEvent{Type: "tick", EventID: "a"})
	require(t, err)

	_, err = run.Append(t.Context(), runstore.NewEvent{Type: "tock", EventID: "a"})

	var mismatch *runstore.IdempotencyMismatchError
	if !errors.As(err, &mismatch) || mismatch.ID() != "a" {
		t.Fatalf("got %v", err)
	}
}

func TestAWriteThatLostARaceIsRefusedWithBothSeqs(t *testing.T) {
	run := withTicks(t, dial(t), 3)

	_, err := run.WithExpectedSeq(2).Append(t.Context(), runstore.NewEvent{Type: "late"})

	var conflict *runstore.SeqConflictError
	if !errors.As(err, &conflict) {
		t.Fatalf("got %v", err)
	}
	equal(t, "expected", conflict.ExpectedSeq(), 2)
	equal(t, "current", conflict.CurrentSeq(), 3)
	appended, err := run.WithExpectedSeq(3).Append(t.Context(), runstore.NewEvent{Type: "on time"})
	require(t, err)
	equal(t, "seq", appended[0].Seq, 4)
}

func TestARefusedBatchWritesNothing(t *testing.T) {
	run := savedRun(t, dial(t))

	_, err := run.Append(t.Context(), runstore.NewEvent{Type: "fine"}, runstore.NewEvent{})

	var invalid *runstore.InvalidRequestError
	if !errors.As(err, &invalid) || invalid.Violations[0].Field != "events[1].type" {
		t.Fatalf("got %v", err)
	}
	info, err := run.Get(t.Context())
	require(t, err)
	equal(t, "last seq", info.LastSeq, 0)
}

func TestListEventsReadsOverPagesFromASeq(t *testing.T) {
	run := withTicks(t, dial(t), 25)

	events := collect(t, run.ListEvents(t.Context(), runstore.ListEventsOptions{
		FromSeq: 3, PageSize: 10,
	}))

	equal(t, "count", len(events), 23)
	for place, event := range events {
		equal(t, "seq", event.Seq, int64(place+3))
	}
}

func TestAPageSaysWhereTheNextBegins(t *testing.T) {
	run := withTicks(t, dial(t), 25)

	page, err := run.ListEventPage(t.Context(), runstore.ListEventsOptions{PageSize: 10})

	require(t, err)
	equal(t, "count", len(page.Events), 10)
	equal(t, "next", page.NextFromSeq, 11)
	equal(t, "last", page.LastSeq, 25)
}

func TestFiltersSelectEvents(t *testing.T) {
	run := savedRun(t, dial(t))
	_, err := run.Append(t.Context(),
		runstore.NewEvent{Type: "a", NodeID: "x"},
		runstore.NewEvent{Type: "b", NodeID: "x", Tags: []string{"t"}},
		runstore.NewEvent{Type: "b", NodeID: "y", Tags: []string{"t", "u"}},
	)
	require(t, err)

	for _, each := range []struct {
		filter runstore.EventFilter
		want   []int64
	}{
		{runstore.EventFilter{Types: []string{"a"}}, []int64{1}},
		{runstore.EventFilter{NodeIDs: []string{"x"}}, []int64{1, 2}},
		{runstore.EventFilter{Tags: []string{"t", "u"}}, []int64{3}},
		{runstore.EventFilter{Types: []string{"b"}, NodeIDs: []string{"x"}}, []int64{2}},
	} {
		listed := collect(t, run.ListEvents(t.Context(), runstore.ListEventsOptions{Filter: each.filter}))
		streamed := collect(t, run.Events(t.Context(), runstore.EventsOptions{Filter: each.filter}))
		for _, found := range [][]*runstore.Event{listed, streamed} {
			if !reflect.DeepEqual(seqs(found), each.want) {
				t.Errorf("%+v: got %v, want %v", each.filter, seqs(found), each.want)
			}
		}
	}
}

func TestAnIteratorBeginsAnewEachTime(t *testing.T) {
	run := withTicks(t, dial(t), 3)
	events := run.Events(t.Context(), runstore.EventsOptions{})

	equal(t, "first reading", len(collect(t, events)), 3)
	equal(t, "second reading", len(collect(t, events)), 3)
}
