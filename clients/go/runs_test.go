package runstore_test

import (
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/runstore/runstore/clients/go"
)

func TestARunComesBackWithAllItsFields(t *testing.T) {
	client := dial(t)
	parent := savedRun(t, client)
	sent := runstore.NewRun{
		RunID: "run-1", PlanID: "plan", Objective: "answer", Plan: runstore.JSON(`{"b":1.0,"a":2}`),
		ParentRunID: parent.ID(),
		ExternalRef: &runstore.ExternalRef{System: "temporal", ID: "w-1", URL: "https://t/w-1"},
		ConfigRefs:  []runstore.ConfigRef{{Kind: "prompt", Name: "p", Version: 3, Digest: "sha256:4e"}},
		Tags:        []string{"a", "b"},
		Labels:      map[string]string{"team": "search"},
		Subjects:    []string{"user-7"},
	}

	run, err := client.SaveRun(t.Context(), sent)
	require(t, err)

	info, err := run.Get(t.Context())
	require(t, err)
	want := &runstore.RunInfo{
		Project: client.Project(), RunID: sent.RunID, PlanID: sent.PlanID, Objective: sent.Objective,
		Plan: sent.Plan, ParentRunID: sent.ParentRunID, ExternalRef: sent.ExternalRef,
		ConfigRefs: sent.ConfigRefs, Tags: sent.Tags, Labels: sent.Labels,
		Subjects: sent.Subjects, Salt: info.Salt,
		Status: runstore.StatusRunning, WriterEpoch: 1,
		LastHash: info.LastHash, CreatedAt: info.CreatedAt, UpdatedAt: info.UpdatedAt,
	}
	if !reflect.DeepEqual(info, want) {
		t.Fatalf("got %+v, want %+v", info, want)
	}
	equal(t, "salt bytes", len(info.Salt), 16)
	equal(t, "recently", time.Since(info.CreatedAt) < time.Minute, true)
}

func TestTheSameRunAgainIsTheSameRun(t *testing.T) {
	client := dial(t)
	_, err := client.SaveRun(t.Context(), runstore.NewRun{RunID: "run", Objective: "a"})
	require(t, err)

	_, again := client.SaveRun(t.Context(), runstore.NewRun{RunID: "run", Objective: "a"})
	_, other := client.SaveRun(t.Context(), runstore.NewRun{RunID: "run", Objective: "b"})

	require(t, again)
	var mismatch *runstore.IdempotencyMismatchError
	if !errors.As(other, &mismatch) {
		t.Fatalf("got %v", other)
	}
}

func TestARunMayBeSavedAsAlreadyFinished(t *testing.T) {
	run, err := dial(t).SaveRun(t.Context(), runstore.NewRun{Completion: &runstore.Completion{
		Outcome:       runstore.OutcomeSucceeded,
		Output:        runstore.NewOutput{Payload: runstore.JSONOf(42)},
		Events:        ticks(0, 2),
		FinalSnapshot: &runstore.NewSnapshot{PlanVersionID: "v1"},
	}})
	require(t, err)

	info, err := run.Get(t.Context())
	require(t, err)
	equal(t, "status", info.Status, runstore.StatusSucceeded)
	equal(t, "last seq", info.LastSeq, 3)
}

func TestARunThatNobodySavedIsNotFound(t *testing.T) {
	_, err := dial(t).Run("nobody").Get(t.Context())

	var missing *runstore.RunNotFoundError
	if !errors.As(err, &missing) || missing.RunID() != "nobody" {
		t.Fatalf("got %v", err)
	}
}

func TestListRunsReadsOverPages(t *testing.T) {
	client := dial(t)
	for number := range 25 {
		_, err := client.SaveRun(t.Context(), runstore.NewRun{RunID: fmt.Sprintf("run-%02d", number)})
		require(t, err)
	}

	newest := collect(t, client.ListRuns(t.Context(), runstore.RunsOptions{PageSize: 10}))
	oldest := collect(t, client.ListRuns(t.Context(), runstore.RunsOptions{OldestFirst: true}))

	equal(t, "count", len(newest), 25)
	equal(t, "newest", newest[0].RunID, "run-24")
	equal(t, "oldest", oldest[0].RunID, "run-00")
	equal(t, "left early", first(t, client.ListRuns(t.Context(), runstore.RunsOptions{})).RunID, "run-24")
}

func TestListRunsSelects(t *testing.T) {
	client := dial(t)
	one, err := client.SaveRun(t.Context(), runstore.NewRun{
		RunID: "one", Tags: []string{"t"}, Labels: map[string]string{"k": "v"}, PlanID: "p",
	})
	require(t, err)
	two, err := client.SaveRun(t.Context(), runstore.NewRun{RunID: "two", ParentRunID: "one"})
	require(t, err)
	_, err = two.Append(t.Context(), runstore.NewEvent{Type: "t", Model: "m", Tool: "s"})
	require(t, err)
	_, err = one.Complete(t.Context(), runstore.Completion{Outcome: runstore.OutcomeFailed})
	require(t, err)
	info, err := two.Get(t.Context())
	require(t, err)

	for _, each := range []struct {
		want    string
		options runstore.RunsOptions
	}{
		{"[one]", runstore.RunsOptions{Statuses: []runstore.RunStatus{runstore.StatusFailed}}},
		{"[one]", runstore.RunsOptions{Tags: []string{"t"}, PlanID: "p"}},
		{"[one]", runstore.RunsOptions{Labels: map[string]string{"k": "v"}}},
		{"[two]", runstore.RunsOptions{Model: "m", Tool: "s"}},
		{"[two]", runstore.RunsOptions{ParentRunID: "one"}},
		{"[two]", runstore.RunsOptions{CreatedFrom: info.CreatedAt}},
		{"[one]", runstore.RunsOptions{CreatedBefore: info.CreatedAt}},
		{"[two one]", runstore.RunsOptions{}},
	} {
		var ids []string
		for _, run := range collect(t, client.ListRuns(t.Context(), each.options)) {
			ids = append(ids, run.RunID)
		}
		equal(t, fmt.Sprintf("%+v", each.options), fmt.Sprint(ids), each.want)
	}
}

func TestListRunsSelectsByWhatHappenedSince(t *testing.T) {
	client := dial(t)
	one, err := client.SaveRun(t.Context(), runstore.NewRun{
		RunID: "one", Tags: []string{"t", "u"}, Objective: "find a red fish",
		ExternalRef: &runstore.ExternalRef{System: "dbos", ID: "w-1"},
	})
	require(t, err)
	two, err := client.SaveRun(t.Context(), runstore.NewRun{
		RunID: "two", ParentRunID: "one", Objective: "find a blue fish",
	})
	require(t, err)
	_, err = two.Complete(t.Context(), runstore.Completion{Outcome: runstore.OutcomeFailed})
	require(t, err)
	_, err = one.Complete(t.Context(), runstore.Completion{Outcome: runstore.OutcomeFailed})
	require(t, err)
	_, err = client.SaveRun(t.Context(), runstore.NewRun{RunID: "three"})
	require(t, err)
	last, err := one.Get(t.Context())
	require(t, err)

	for _, each := range []struct {
		want    string
		options runstore.RunsOptions
	}{
		{"[one]", runstore.RunsOptions{AnyTags: []string{"other", "u"}}},
		{"[two one]", runstore.RunsOptions{RootRunID: "one"}},
		{"[one]", runstore.RunsOptions{External: &runstore.ExternalFilter{System: "dbos"}}},
		{"[]", runstore.RunsOptions{External: &runstore.ExternalFilter{System: "dbos", ID: "w-2"}}},
		{"[two]", runstore.RunsOptions{Objective: "fish -red"}},
		{"[three one]", runstore.RunsOptions{UpdatedFrom: last.UpdatedAt}},
		{"[two]", runstore.RunsOptions{UpdatedBefore: last.UpdatedAt}},
		{"[one]", runstore.RunsOptions{CompletedFrom: last.CompletedAt}},
		{"[two]", runstore.RunsOptions{CompletedBefore: last.CompletedAt}},
		{"[three two one]", runstore.RunsOptions{Order: runstore.NewestCreated}},
		{"[one two three]", runstore.RunsOptions{Order: runstore.OldestCreated}},
		{"[three one two]", runstore.RunsOptions{Order: runstore.NewestUpdated}},
		{"[two one three]", runstore.RunsOptions{Order: runstore.OldestUpdated}},
		{"[one two]", runstore.RunsOptions{Order: runstore.NewestCompleted}},
		{"[two one]", runstore.RunsOptions{Order: runstore.OldestCompleted, OldestFirst: true}},
	} {
		var ids []string
		for _, run := range collect(t, client.ListRuns(t.Context(), each.options)) {
			ids = append(ids, run.RunID)
		}
		equal(t, fmt.Sprintf("%+v", each.options), fmt.Sprint(ids), each.want)
	}
}

func TestAFailureOfAListIsYieldedOnce(t *testing.T) {
	var failures int
	for run, err := range dial(t).ListRuns(t.Context(), runstore.RunsOptions{PageSize: 101}) {
		var invalid *runstore.InvalidRequestError
		if run != nil || !errors.As(err, &invalid) {
			t.Fatalf("got %v, %v", run, err)
		}
		failures++
	}

	equal(t, "failures", failures, 1)
}

func TestWordsAreTheContracts(t *testing.T) {
	equal(t, "status", fmt.Sprint(runstore.StatusPaused), "PAUSED")
	equal(t, "outcome", fmt.Sprint(runstore.OutcomeCancelled), "CANCELLED")
	equal(t, "reason", fmt.Sprint(runstore.ReasonReplan), "REPLAN")
	equal(t, "order", fmt.Sprint(runstore.NewestUpdated), "UPDATED_DESC")
}
