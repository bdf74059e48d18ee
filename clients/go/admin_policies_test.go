package runstore_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/runstore/runstore/clients/go"
	runstorev1 "github.com/runstore/runstore/clients/go/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

const day = 24 * time.Hour

// policyNames are those of the client's policies, as they are listed.
func policyNames(t *testing.T, client *runstore.Client) []string {
	t.Helper()
	var names []string
	for _, each := range collect(t, client.Admin().Policies(t.Context())) {
		names = append(names, each.Name)
	}
	return names
}

func TestAPolicyIsPutListedReplacedAndDeleted(t *testing.T) {
	client := dial(t)
	admin := client.Admin()
	whole := runstore.Policy{
		Name: "b", KeepRun: 400 * day, KeepSnapshots: 30*day + 500*time.Millisecond, KeepLastSnapshots: 3,
		KeepEvents: 20 * day, KeepArtifacts: 90 * day, KeepSearchText: 60 * day, IncludeExternal: true,
		Filter: runstore.RunSelection{
			Statuses: []runstore.RunStatus{runstore.StatusFailed}, PlanID: "plan",
			Tags: []string{"x"}, Labels: map[string]string{"team": "search"},
		},
	}

	put, err := admin.PutPolicy(t.Context(), whole, "case 7", runstore.PutPolicyOptions{})
	require(t, err)
	_, err = admin.PutPolicy(
		t.Context(), runstore.Policy{Name: "a", KeepRun: day}, "case 8", runstore.PutPolicyOptions{})
	require(t, err)

	equal(t, "put by", put.PutBy.Kind, runstore.PrincipalAnybody)
	equal(t, "put at", put.PutAt.IsZero(), false)
	whole.PutBy, whole.PutAt = put.PutBy, put.PutAt
	equal(t, "put", put.String(), whole.String())
	listed := collect(t, admin.Policies(t.Context()))
	equal(t, "listed", fmt.Sprint(policyNames(t, client)), "[a b]")
	equal(t, "listed whole", listed[1].String(), whole.String())
	equal(t, "says nothing of snapshots", listed[0].KeepSnapshots, 0)

	changed := *listed[1]
	changed.KeepSnapshots, changed.KeepLastSnapshots = 0, 0
	_, err = admin.PutPolicy(t.Context(), changed, "case 9", runstore.PutPolicyOptions{})
	require(t, err)
	require(t, admin.DeletePolicy(t.Context(), "a", "case 8 is over", runstore.DeletePolicyOptions{}))

	left := collect(t, admin.Policies(t.Context()))
	equal(t, "left", len(left), 1)
	equal(t, "replaced", left[0].KeepSnapshots, 0)
	equal(t, "kept", left[0].KeepArtifacts, 90*day)
}

func TestAPolicyIsPutAndDeletedOnce(t *testing.T) {
	client := dial(t)
	admin := client.Admin()
	policy := runstore.Policy{Name: "short", KeepRun: day}
	once := runstore.PutPolicyOptions{RequestID: "put"}
	first, err := admin.PutPolicy(t.Context(), policy, "case 7", once)
	require(t, err)

	again, err := admin.PutPolicy(t.Context(), policy, "case 7", once)
	require(t, err)
	gone := runstore.DeletePolicyOptions{RequestID: "delete"}
	require(t, admin.DeletePolicy(t.Context(), "short", "case 7 is over", gone))
	require(t, admin.DeletePolicy(t.Context(), "short", "case 7 is over", gone))

	equal(t, "again", [2]any{again.Name, again.KeepRun}, [2]any{first.Name, first.KeepRun})
	equal(t, "left", len(policyNames(t, client)), 0)
	policy.KeepRun = 2 * day
	_, err = admin.PutPolicy(t.Context(), policy, "case 7", once)
	var mismatch *runstore.IdempotencyMismatchError
	equal(t, "mismatch", errors.As(err, &mismatch), true)
	err = admin.DeletePolicy(t.Context(), "short", "again", runstore.DeletePolicyOptions{})
	var notFound *runstore.PolicyNotFoundError
	if !errors.As(err, &notFound) {
		t.Fatalf("got %v, want a PolicyNotFoundError", err)
	}
	equal(t, "name", notFound.Metadata["name"], "short")
}

func TestAPolicyThatKeepsNothingIsRefused(t *testing.T) {
	admin := dial(t).Admin()
	for _, each := range []struct {
		policy runstore.Policy
		field  string
	}{
		{runstore.Policy{Name: "p"}, "policy.keep_run"},
		{runstore.Policy{Name: "p", KeepRun: day, KeepLastSnapshots: 1}, "policy.keep_snapshots"},
		{runstore.Policy{Name: "p", KeepArtifacts: time.Millisecond}, "policy.keep_artifacts"},
		{runstore.Policy{Name: "p", KeepEvents: time.Millisecond}, "policy.keep_events"},
		{runstore.Policy{Name: "p", KeepSearchText: -time.Second}, "policy.keep_search_text"},
	} {
		_, err := admin.PutPolicy(t.Context(), each.policy, "case 7", runstore.PutPolicyOptions{})

		var invalid *runstore.InvalidRequestError
		if !errors.As(err, &invalid) {
			t.Fatalf("got %v, want an InvalidRequestError for %s", err, each.field)
		}
		equal(t, "field", invalid.Violations[0].Field, each.field)
	}
}

func TestAPreviewCountsWhatAPolicyWouldLetGoAndWhatIsHeld(t *testing.T) {
	client := dial(t)
	admin := client.Admin()
	ended := withTicks(t, client, 2)
	_, err := ended.Complete(t.Context(), runstore.Completion{Outcome: runstore.OutcomeSucceeded})
	require(t, err)
	held, err := client.SaveRun(t.Context(), runstore.NewRun{Tags: []string{"held"}})
	require(t, err)
	_, err = held.Complete(t.Context(), runstore.Completion{Outcome: runstore.OutcomeSucceeded})
	require(t, err)
	_, err = admin.PlaceHold(t.Context(), runstore.NewHold{Reason: "case 7", RunID: held.ID()})
	require(t, err)
	short := &runstore.Policy{Name: "short", KeepRun: time.Second}

	// Their time is over once they have ended a second ago and their events are in the feed.
	ctx := soon(t, patient)
	var found *runstore.RetentionPreview
	for found == nil || len(found.Sums) < 2 || found.Sums[1].Blocker != runstore.BlockerHeld {
		found, err = admin.PreviewRetention(ctx, short)
		require(t, err)
	}
	nothing, err := admin.PreviewRetention(t.Context(), nil)
	require(t, err)
	short.Filter.Tags = []string{"held"}
	one, err := admin.PreviewRetention(t.Context(), short)
	require(t, err)

	goes, stays := found.Sums[0], found.Sums[1]
	equal(t, "kinds", [2]runstore.RemovalKind{goes.Kind, stays.Kind},
		[2]runstore.RemovalKind{runstore.RemovalOfRun, runstore.RemovalOfRun})
	equal(t, "goes", goes.Blocker, 0)
	equal(t, "runs", [2]int64{goes.Runs, stays.Runs}, [2]int64{1, 1})
	equal(t, "items", goes.Items, 3)
	equal(t, "bytes", goes.Bytes > 0, true)
	equal(t, "samples", fmt.Sprint(goes.SampleRunIDs, stays.SampleRunIDs),
		fmt.Sprintf("[%s] [%s]", ended.ID(), held.ID()))
	equal(t, "looked at", found.LookedAtRuns, 2)
	equal(t, "has more", found.HasMore, false)
	equal(t, "nothing goes", len(nothing.Sums), 0)
	equal(t, "of the filter", fmt.Sprint(one.Sums[0].SampleRunIDs), "["+held.ID()+"]")
}

func TestBlockersPrintTheirNames(t *testing.T) {
	equal(t, "in use", runstore.BlockerInUse.String(), "IN_USE")
	equal(t, "unread", runstore.BlockerUnread.String(), "UNREAD")
	equal(t, "kind", runstore.RemovalOfSearchText.String(), "SEARCH_TEXT")
	equal(t, "state", runstore.RemovalStopped.String(), "STOPPED")
	equal(t, "duty", runstore.PrincipalDuty.String(), "DUTY")
}

func TestPoliciesAreListedOverPages(t *testing.T) {
	client := dial(t)
	for number := range 101 { // a page is 100
		policy := runstore.Policy{Name: fmt.Sprintf("%03d", number), KeepRun: day}
		_, err := client.Admin().PutPolicy(t.Context(), policy, "case 7", runstore.PutPolicyOptions{})
		require(t, err)
	}

	names := policyNames(t, client)

	equal(t, "policies", len(names), 101)
	equal(t, "last", names[100], "100")
}

func TestAPreviewSaysWhatItDidNotLookAtAndWhatKeepsPoliciesFromBeingApplied(t *testing.T) {
	answer := func(
		_ context.Context, _ string, _, reply any, _ *grpc.ClientConn, _ grpc.UnaryInvoker,
		_ ...grpc.CallOption,
	) error {
		proto.Merge(reply.(proto.Message), &runstorev1.PreviewRetentionResponse{
			Sums: []*runstorev1.RetentionSum{{
				Kind:    runstorev1.RemovalKind_REMOVAL_KIND_SNAPSHOTS,
				Blocker: runstorev1.RetentionBlocker_RETENTION_BLOCKER_UNREAD,
				Runs:    1, Items: 2, Bytes: 3, SampleRunIds: []string{"a"},
			}},
			LookedAtRuns: 10_000, HasMore: true, Warnings: []string{"no server does"},
		})
		return nil
	}
	client := dial(t, runstore.WithDialOptions(grpc.WithUnaryInterceptor(answer)))

	found, err := client.Admin().PreviewRetention(t.Context(), nil)

	require(t, err)
	equal(t, "found", found.String(), "RetentionPreview{Sums: [RetentionSum{Kind: SNAPSHOTS, "+
		`Blocker: UNREAD, Runs: 1, Items: 2, Bytes: 3, SampleRunIDs: ["a"]}], `+
		`LookedAtRuns: 10000, HasMore: true, Warnings: ["no server does"]}`)
}
