package runstore

import (
	"context"
	"iter"

	runstorev1 "github.com/runstore/runstore/clients/go/v1"
)

// SnapshotSelector selects a snapshot; the zero value selects the latest.
type SnapshotSelector struct {
	namespace string
	choose    func(*runstorev1.GetSnapshotRequest)
}

// LatestSnapshot selects the one with the greatest seq.
func LatestSnapshot() SnapshotSelector { return SnapshotSelector{} }

// SnapshotByID selects the one with the id.
func SnapshotByID(snapshotID string) SnapshotSelector {
	return SnapshotSelector{choose: func(request *runstorev1.GetSnapshotRequest) {
		request.Selector = &runstorev1.GetSnapshotRequest_SnapshotId{SnapshotId: snapshotID}
	}}
}

// SnapshotOfPlan selects the latest of a plan version.
func SnapshotOfPlan(planVersionID string) SnapshotSelector {
	return SnapshotSelector{choose: func(request *runstorev1.GetSnapshotRequest) {
		request.Selector = &runstorev1.GetSnapshotRequest_PlanVersionId{PlanVersionId: planVersionID}
	}}
}

// SnapshotAtSeq selects the latest at or before a seq.
func SnapshotAtSeq(seq int64) SnapshotSelector {
	return SnapshotSelector{choose: func(request *runstorev1.GetSnapshotRequest) {
		request.Selector = &runstorev1.GetSnapshotRequest_AtSeq{AtSeq: seq}
	}}
}

// In selects in another namespace than the main one.
func (s SnapshotSelector) In(namespace string) SnapshotSelector {
	s.namespace = namespace
	return s
}

// GetSnapshot returns one snapshot in full, with the task writes since.
func (r *Run) GetSnapshot(ctx context.Context, which SnapshotSelector) (*Snapshot, error) {
	request := &runstorev1.GetSnapshotRequest{
		Project: r.client.project, RunId: r.id, Namespace: which.namespace,
	}
	if which.choose != nil {
		which.choose(request)
	}
	response, err := send(ctx, r.client, r.client.service.GetSnapshot, request)
	if err != nil {
		return nil, err
	}
	snapshot := snapshotOf(response.Snapshot)
	snapshot.TaskWrites = mapped(response.TaskWrites, taskWriteOf)
	return snapshot, nil
}

// SnapshotsOptions say which snapshots to list.
type SnapshotsOptions struct {
	// Namespace is the only one to list; nil means all of them.
	Namespace *string
	// Before selects snapshots that precede the one with this id in the order of the run. It is
	// valid only for the snapshots of one run.
	Before string
	// IDBelow selects ids that are smaller, compared by code points.
	IDBelow string
	// Metadata is a JSON object; it selects snapshots whose metadata has all its members.
	Metadata Payload
	// WithParts fetches nodes and state too.
	WithParts bool
	// WithTaskWrites fetches the task writes since each snapshot too.
	WithTaskWrites bool
	// PageSize is how many snapshots are fetched at once; 0 means the server's default.
	PageSize int
}

// ListSnapshots yields the run's snapshots, greatest seq first. If it fails, the last pair holds
// the error.
func (r *Run) ListSnapshots(
	ctx context.Context, options SnapshotsOptions,
) iter.Seq2[*Snapshot, error] {
	return r.client.listSnapshots(ctx, r.id, options)
}

// ListSnapshots yields the project's snapshots, newest first. If it fails, the last pair holds the
// error.
func (c *Client) ListSnapshots(
	ctx context.Context, options SnapshotsOptions,
) iter.Seq2[*Snapshot, error] {
	return c.listSnapshots(ctx, "", options)
}

func (c *Client) listSnapshots(
	ctx context.Context, runID string, options SnapshotsOptions,
) iter.Seq2[*Snapshot, error] {
	var e encoder
	metadata := e.payload(options.Metadata)
	return pages(func(token string) ([]*Snapshot, string, error) {
		if e.err != nil {
			return nil, "", e.err
		}
		response, err := send(ctx, c, c.service.ListSnapshots, &runstorev1.ListSnapshotsRequest{
			Project:        c.project,
			RunId:          runID,
			Namespace:      options.Namespace,
			Before:         options.Before,
			IdBelow:        options.IDBelow,
			Metadata:       metadata,
			Limit:          int32Of(options.PageSize),
			PageToken:      token,
			WithParts:      options.WithParts,
			WithTaskWrites: options.WithTaskWrites,
		})
		return listedSnapshots(response), response.GetNextPageToken(), err
	})
}

// listedSnapshots are the snapshots of a page, with their task writes if they were asked for.
func listedSnapshots(page *runstorev1.ListSnapshotsResponse) []*Snapshot {
	snapshots := mapped(page.GetSnapshots(), snapshotOf)
	for i, since := range page.GetTaskWrites() {
		snapshots[i].TaskWrites = mapped(since.TaskWrites, taskWriteOf)
	}
	return snapshots
}
