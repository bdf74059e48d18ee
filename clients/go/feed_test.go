package runstore_test

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/runstore/runstore/clients/go"
)

// taken are the first entries of the feed.
func taken(
	t *testing.T, client *runstore.Client, count int, options runstore.FollowFeedOptions,
) []*runstore.FeedEntry {
	t.Helper()
	options.Heartbeat, options.Patience = time.Second, patient
	var entries []*runstore.FeedEntry
	for entry, err := range client.Feed().Entries(soon(t, 3*patient), options) {
		require(t, err)
		if entries = append(entries, entry); len(entries) == count {
			break
		}
	}
	return entries
}

func TestTheFeedHasTheEventsOfAllRunsInOneOrder(t *testing.T) {
	client := dial(t)
	first := withTicks(t, client, 2)
	second, err := client.SaveRun(t.Context(), runstore.NewRun{
		Labels: map[string]string{"team": "a"},
	})
	require(t, err)
	_, err = second.Append(t.Context(), runstore.NewEvent{Type: "tock", Tags: []string{"x"}})
	require(t, err)

	entries := taken(t, client, 3, runstore.FollowFeedOptions{})

	seqs := map[string][]int64{}
	for place, entry := range entries {
		if place > 0 {
			equal(t, "in order", entries[place-1].Position < entry.Position, true)
		}
		seqs[entry.RunID] = append(seqs[entry.RunID], entry.Event.Seq)
	}
	if !slices.Equal(seqs[first.ID()], []int64{1, 2}) || len(seqs[second.ID()]) != 1 {
		t.Fatalf("got %v", seqs)
	}
	filter := runstore.FeedFilter{Tags: []string{"x"}, Labels: map[string]string{"team": "a"}}
	filtered := taken(t, client, 1, runstore.FollowFeedOptions{Filter: filter})
	equal(t, "filtered", filtered[0].RunID, second.ID())
	page, err := client.Feed().Read(t.Context(), runstore.ReadFeedOptions{PageSize: 2})
	require(t, err)
	rest, err := client.Feed().Read(t.Context(), runstore.ReadFeedOptions{
		FromPosition: page.NextPosition,
	})
	require(t, err)
	if !reflect.DeepEqual(append(page.Entries, rest.Entries...), entries) {
		t.Fatal("the pages are not what was followed")
	}
}

func TestAMarkSaysHowFarAStreamOfTheFeedGot(t *testing.T) {
	client := dial(t)
	options := runstore.FollowFeedOptions{
		Filter: runstore.FeedFilter{Types: []string{"none"}}, Heartbeat: 500 * time.Millisecond,
	}

	for item, err := range client.Feed().Follow(soon(t, time.Minute), options) {
		require(t, err)
		if _, isMark := item.(runstore.FeedMark); !isMark {
			t.Fatalf("got %+v", item)
		}
		break
	}
}

func TestAConsumerGoesOnBehindWhatItHasCommitted(t *testing.T) {
	client := dial(t)
	withTicks(t, client, 3)
	entries := taken(t, client, 3, runstore.FollowFeedOptions{})
	feed := client.Feed()

	_, err := feed.Consumer(t.Context(), "reader")
	var missing *runstore.ConsumerNotFoundError
	equal(t, "missing", errors.As(err, &missing), true)
	committed, err := feed.Commit(t.Context(), "reader", entries[0].Position)
	require(t, err)

	equal(t, "committed", committed.Position, entries[0].Position)
	next := taken(t, client, 1, runstore.FollowFeedOptions{Consumer: "reader"})
	equal(t, "next", next[0].Position, entries[1].Position)
	reset, err := feed.Reset(t.Context(), "reader", 0)
	require(t, err)
	equal(t, "reset", reset.Position, 0)
	for consumer, err := range feed.Consumers(t.Context()) {
		require(t, err)
		equal(t, "listed", consumer.Name, "reader")
	}
	_, err = feed.Commit(t.Context(), "reader", 1<<60)
	var ahead *runstore.PositionAheadError
	equal(t, "ahead", errors.As(err, &ahead), true)
}

func TestFollowingTheFeedGoesOnOverRestarts(t *testing.T) {
	s := ownServer(t)
	client := dialTo(t, s.target)
	run := savedRun(t, client)
	restarted := make(chan struct{})
	go func() {
		defer close(restarted)
		for _, signal := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM, syscall.SIGKILL} {
			if _, err := run.Append(t.Context(), ticks(0, 100)...); err != nil {
				t.Error(err)
			}
			s.stopBy(signal)
			if err := s.start(); err != nil {
				t.Error(err)
			}
		}
	}()

	for place, entry := range taken(t, client, 300, runstore.FollowFeedOptions{}) {
		equal(t, "seq", entry.Event.Seq, int64(place+1))
	}
	<-restarted
	require(t, s.waitUntilServing())
}

func TestASearchFindsWhatAnAppendWasAnsweredWith(t *testing.T) {
	client := dial(t)
	run := savedRun(t, client)
	appended, err := run.Append(t.Context(),
		runstore.NewEvent{Type: "note", Payload: runstore.JSON(`{"text":"the quick brown fox"}`)},
		runstore.NewEvent{Type: "note", Payload: runstore.JSON(`{"text":"a slow fox 😀 sleeps"}`)},
	)
	require(t, err)
	after := &runstore.EventPlace{RunID: run.ID(), Seq: appended[1].Seq}

	var seqs []int64
	options := runstore.SearchOptions{After: after, NewestFirst: true, WithEvents: true, PageSize: 1}
	for hit, err := range client.SearchEvents(t.Context(), "fox", options) {
		require(t, err)
		seqs = append(seqs, hit.Seq)
		equal(t, "with its event", hit.Event.Seq, hit.Seq)
	}
	for hit, err := range client.SearchEvents(t.Context(), "sleeps", runstore.SearchOptions{}) {
		require(t, err)
		equal(t, "marked", strings.Contains(hit.Marked("[[", "]]"), "😀 [[sleeps]]"), true)
		equal(t, "without its event", hit.Event, nil)
	}

	equal(t, "newest first", slices.Equal(seqs, []int64{2, 1}), true)
	var behind *runstore.SearchBehindError
	for _, err := range client.SearchEvents(t.Context(), "fox", runstore.SearchOptions{
		MinPosition: 1 << 60, NoWait: true,
	}) {
		equal(t, "behind", errors.As(err, &behind), true)
	}
}
