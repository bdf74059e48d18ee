package runstore

import (
	"context"
	"iter"
	"strings"
	"time"

	runstorev1 "github.com/runstore/runstore/clients/go/v1"
	"google.golang.org/protobuf/types/known/durationpb"
)

// Policy says how long what is stored of the project's runs is kept after they have ended. What no
// policy names is kept for ever; where several that select a run name the same, the longest time
// counts. A duration of zero says nothing; one that is set is at least a second.
type Policy struct {
	// Name identifies the policy in the project.
	Name string
	// KeepRun is after how long the run is removed, as DeleteRun does.
	KeepRun time.Duration
	// KeepEvents is after how long events are archived, as ArchiveRun does; of a run that was
	// restored, after that.
	KeepEvents    time.Duration
	KeepSnapshots time.Duration
	// KeepLastSnapshots is how many of each namespace, the latest, stay when KeepSnapshots is over.
	KeepLastSnapshots int32
	KeepArtifacts     time.Duration
	// KeepSearchText is how long events are found by Search.
	KeepSearchText time.Duration
	// Filter selects the runs, as they are when it is applied; a zero one selects all.
	Filter RunSelection
	// IncludeExternal is whether it is about runs, too, whose status an external engine owns: their
	// time begins with each write anew.
	IncludeExternal bool
	// PutBy and PutAt are set by the server.
	PutBy Principal
	PutAt time.Time
}

// PutPolicyOptions say how a policy is put.
type PutPolicyOptions struct {
	// RequestID identifies a retry, which returns the same policy; if empty, the client generates one.
	RequestID string
}

// DeletePolicyOptions say how a policy is deleted.
type DeletePolicyOptions struct {
	// RequestID identifies a retry; if empty, the client generates one.
	RequestID string
}

// RetentionBlocker keeps something that policies would let go.
type RetentionBlocker int32

// What keeps something whose time is over.
const (
	// BlockerHeld is a hold on the run.
	BlockerHeld = RetentionBlocker(runstorev1.RetentionBlocker_RETENTION_BLOCKER_HELD)
	// BlockerInUse is a fork whose history begins with the run.
	BlockerInUse = RetentionBlocker(runstorev1.RetentionBlocker_RETENTION_BLOCKER_IN_USE)
	// BlockerUnread is a consumer or a sink that has not read all of the run's events, or that they
	// are not in the feed yet.
	BlockerUnread = RetentionBlocker(runstorev1.RetentionBlocker_RETENTION_BLOCKER_UNREAD)
)

// String returns the blocker as the contract names it, without its prefix: "IN_USE".
func (b RetentionBlocker) String() string {
	return strings.TrimPrefix(runstorev1.RetentionBlocker(b).String(), "RETENTION_BLOCKER_")
}

// RetentionSum counts what would go of one kind, or what one blocker keeps of it.
type RetentionSum struct {
	Kind RemovalKind
	// Blocker is what keeps it; zero if it would go.
	Blocker RetentionBlocker
	// Runs is of how many runs.
	Runs int64
	// Items are events for runs, events and search text, snapshots, or artifacts.
	Items int64
	// Bytes is about how many they take.
	Bytes int64
	// SampleRunIDs are the first of the runs, at most ten.
	SampleRunIDs []string
}

// RetentionPreview is what policies would remove now, and what would stay although its time is over.
type RetentionPreview struct {
	// Sums are what would go, by kind, and what is kept, by kind and blocker. A run that goes is in
	// none of the other kinds' sums.
	Sums []RetentionSum
	// LookedAtRuns is how many of the project's runs were looked at: runs that have ended, or that an
	// engine owns.
	LookedAtRuns int64
	// HasMore is whether the project has more of them than a preview looks at.
	HasMore bool
	// Warnings are what keeps policies from being applied at all; usually none.
	Warnings []string
}

// PutPolicy makes a policy of retention, or replaces the one of its name, and returns it as it was
// put. The reason, of 1 to 1000 characters, is for people. It is applied when the server next looks
// for what may go: [Admin.PreviewRetention] shows what that would be.
func (a *Admin) PutPolicy(
	ctx context.Context, policy Policy, reason string, options PutPolicyOptions,
) (*Policy, error) {
	if options.RequestID == "" {
		options.RequestID = newID()
	}
	response, err := send(ctx, a.client, a.service.PutPolicy, &runstorev1.PutPolicyRequest{
		Project: a.client.project, Policy: policyMessage(policy), Reason: reason,
		RequestId: options.RequestID,
	})
	if err != nil {
		return nil, err
	}
	return policyOf(response.Policy), nil
}

// Policies yields the policies of the project, by name. If it fails, the last pair holds the error.
func (a *Admin) Policies(ctx context.Context) iter.Seq2[*Policy, error] {
	return pages(func(token string) ([]*Policy, string, error) {
		response, err := send(ctx, a.client, a.service.ListPolicies, &runstorev1.ListPoliciesRequest{
			Project: a.client.project, PageSize: adminPage, PageToken: token,
		})
		return mapped(response.GetPolicies(), policyOf), response.GetNextPageToken(), err
	})
}

// DeletePolicy ends a policy. What it has let go stays gone. An unknown one is
// [*PolicyNotFoundError]. The reason, of 1 to 1000 characters, is for people.
func (a *Admin) DeletePolicy(
	ctx context.Context, name, reason string, options DeletePolicyOptions,
) error {
	if options.RequestID == "" {
		options.RequestID = newID()
	}
	_, err := send(ctx, a.client, a.service.DeletePolicy, &runstorev1.DeletePolicyRequest{
		Project: a.client.project, Name: name, Reason: reason, RequestId: options.RequestID,
	})
	return err
}

// PreviewRetention returns what the policies of the project would remove now, and what keeps the
// rest; with a policy, as if that had been put in place of the one of its name. It changes nothing.
func (a *Admin) PreviewRetention(ctx context.Context, policy *Policy) (*RetentionPreview, error) {
	request := &runstorev1.PreviewRetentionRequest{Project: a.client.project}
	if policy != nil {
		request.Policy = policyMessage(*policy)
	}
	response, err := send(ctx, a.client, a.service.PreviewRetention, request)
	if err != nil {
		return nil, err
	}
	return &RetentionPreview{
		Sums:         mapped(response.Sums, retentionSumOf),
		LookedAtRuns: response.LookedAtRuns,
		HasMore:      response.HasMore,
		Warnings:     response.Warnings,
	}, nil
}

func policyMessage(policy Policy) *runstorev1.Policy {
	return &runstorev1.Policy{
		Name:              policy.Name,
		Filter:            selectionMessage(policy.Filter),
		KeepEvents:        keepMessage(policy.KeepEvents),
		KeepSnapshots:     keepMessage(policy.KeepSnapshots),
		KeepLastSnapshots: policy.KeepLastSnapshots,
		KeepArtifacts:     keepMessage(policy.KeepArtifacts),
		KeepSearchText:    keepMessage(policy.KeepSearchText),
		KeepRun:           keepMessage(policy.KeepRun),
		IncludeExternal:   policy.IncludeExternal,
	}
}

// keepMessage is unset for zero: the policy says nothing of it.
func keepMessage(keep time.Duration) *durationpb.Duration {
	if keep == 0 {
		return nil
	}
	return durationpb.New(keep)
}

func policyOf(message *runstorev1.Policy) *Policy {
	return &Policy{
		Name:              message.GetName(),
		KeepRun:           message.GetKeepRun().AsDuration(),
		KeepEvents:        message.GetKeepEvents().AsDuration(),
		KeepSnapshots:     message.GetKeepSnapshots().AsDuration(),
		KeepLastSnapshots: message.GetKeepLastSnapshots(),
		KeepArtifacts:     message.GetKeepArtifacts().AsDuration(),
		KeepSearchText:    message.GetKeepSearchText().AsDuration(),
		Filter:            selectionOf(message.GetFilter()),
		IncludeExternal:   message.GetIncludeExternal(),
		PutBy:             principalOf(message.GetPutBy()),
		PutAt:             timeOf(message.GetPutAt()),
	}
}

func retentionSumOf(message *runstorev1.RetentionSum) RetentionSum {
	return RetentionSum{
		Kind:         RemovalKind(message.GetKind()),
		Blocker:      RetentionBlocker(message.GetBlocker()),
		Runs:         message.GetRuns(),
		Items:        message.GetItems(),
		Bytes:        message.GetBytes(),
		SampleRunIDs: message.GetSampleRunIds(),
	}
}
