package main

import (
	"context"
	"time"

	"github.com/runstore/runstore/clients/go"
)

func (r *runner) putPolicy(ctx context.Context, a *arguments) (any, error) {
	policy, err := r.client.Admin().PutPolicy(
		ctx, a.policy(), a.Why, runstore.PutPolicyOptions{RequestID: a.RequestID},
	)
	if err != nil {
		return nil, err
	}
	return seenPolicy(policy), nil
}

func (r *runner) listPolicies(ctx context.Context, _ *arguments) (any, error) {
	var found []fields
	for policy, err := range r.client.Admin().Policies(ctx) {
		if err != nil {
			return nil, err
		}
		found = append(found, seenPolicy(policy))
	}
	return fields{"policies": found}, nil
}

func (r *runner) deletePolicy(ctx context.Context, a *arguments) (any, error) {
	return fields{}, r.client.Admin().DeletePolicy(
		ctx, a.Name, a.Why, runstore.DeletePolicyOptions{RequestID: a.RequestID},
	)
}

func (r *runner) previewRetention(ctx context.Context, a *arguments) (any, error) {
	var asked *runstore.Policy
	if a.Name != "" {
		policy := a.policy()
		asked = &policy
	}
	found, err := r.client.Admin().PreviewRetention(ctx, asked)
	if err != nil {
		return nil, err
	}
	var sums []fields
	for _, each := range found.Sums {
		sums = append(sums, seenSum(each))
	}
	return fields{
		"sums":           sums,
		"looked_at_runs": found.LookedAtRuns,
		"has_more":       found.HasMore,
		"warnings":       found.Warnings,
	}, nil
}

func (a *arguments) policy() runstore.Policy {
	made := runstore.Policy{
		Name:              a.Name,
		KeepRun:           seconds(a.KeepRunSeconds),
		KeepEvents:        seconds(a.KeepEventsSeconds),
		KeepSnapshots:     seconds(a.KeepSnapshotsSeconds),
		KeepLastSnapshots: a.KeepLastSnapshots,
		KeepArtifacts:     seconds(a.KeepArtifactsSeconds),
		KeepSearchText:    seconds(a.KeepSearchTextSeconds),
		IncludeExternal:   a.IncludeExternal,
	}
	if a.Filter != nil {
		made.Filter = a.Filter.value()
	}
	return made
}

func seconds(number float64) time.Duration {
	return time.Duration(number * float64(time.Second))
}

func seenPolicy(policy *runstore.Policy) fields {
	made := fields{
		"name":                policy.Name,
		"filter":              policy.Filter,
		"keep_last_snapshots": policy.KeepLastSnapshots,
		"include_external":    policy.IncludeExternal,
		"put_by":              policy.PutBy,
		"put_at":              policy.PutAt,
	}
	for name, keep := range map[string]time.Duration{
		"keep_run_seconds":         policy.KeepRun,
		"keep_events_seconds":      policy.KeepEvents,
		"keep_snapshots_seconds":   policy.KeepSnapshots,
		"keep_artifacts_seconds":   policy.KeepArtifacts,
		"keep_search_text_seconds": policy.KeepSearchText,
	} {
		if keep != 0 {
			made[name] = int64(keep / time.Second)
		}
	}
	return made
}

func seenSum(sum runstore.RetentionSum) fields {
	made := fields{
		"kind":           sum.Kind,
		"runs":           sum.Runs,
		"items":          sum.Items,
		"bytes":          sum.Bytes,
		"sample_run_ids": sum.SampleRunIDs,
	}
	if sum.Blocker != 0 {
		made["blocker"] = sum.Blocker
	}
	return made
}
