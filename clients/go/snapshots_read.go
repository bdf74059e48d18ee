package runstore

import (
	"context"
	"iter"

	runstorev1 "github.com/runstore/runstore/clients/go/v1"
)

// SnapshotSelector chooses a snapshot; the zero value the latest.
type SnapshotSelector struct {
	namespace string
	choose    func(*runstorev1.GetSnapshotRequest)
}

// LatestSnapshot chooses the one of the greatest seq.
func LatestSnapshot() SnapshotSelector { return SnapshotSelector{} }

// SnapshotByID chooses the one with the id.
func SnapshotByID(snapshotID string) SnapshotSelector {
	return SnapshotSelector{choose: func(request *runstorev1.GetSnapshotRequest) {
		request.Selector = &runstorev1.GetSnapshotRequest_SnapshotId{SnapshotId: snapshotID}
	}}
}

// SnapshotOfPlan chooses the latest of a plan version.
func SnapshotOfPlan(planVersionID string) SnapshotSelector {
	return SnapshotSelector{choose: func(request *runstorev1.GetSnapshotRequest) {
		request.Selector = &runstorev1.GetSnapshotRequest_PlanVersionId{PlanVersionId: planVersionID}
	}}
}

// SnapshotAtSeq chooses the latest at or before a seq.
func SnapshotAtSeq(seq int64) SnapshotSelector {
	return SnapshotSelector{choose: func(request *runstorev1.GetSnapshotRequest) {
		request.Selector = &runstorev1.GetSnapshotRequest_AtSeq{AtSeq: seq}
	}}
}

// In chooses within another namespace than the main one.
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

// SnapshotsOptions says which snapshots to list.
type SnapshotsOptions struct {
	// Namespace nil means all of them.
	Namespace *string
	// Before selects snapshots that stand before the one with this id; only within one run.
	Before string
	// Metadata is a JSON object; a snapshot's has to have each of its members.
	Metadata Payload
	// WithParts fetches nodes and state too; otherwise they are left out.
	WithParts bool
	// PageSize is how many snapshots are fetched at once; 0 leaves it to the server.
	PageSize int
}

// ListSnapshots yields the run's snapshots, greatest seq first. A failure is yielded once, as the
// last.
func (r *Run) ListSnapshots(
	ctx context.Context, options SnapshotsOptions,
) iter.Seq2[*Snapshot, error] {
	return r.client.listSnapshots(ctx, r.id, options)
}

// ListSnapshots yields the project's snapshots, newest first. A failure is yielded once, as the last.
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
			Project:   c.project,
			RunId:     runID,
			Namespace: options.Namespace,
			Before:    options.Before,
			Metadata:  metadata,
			Limit:     int32(options.PageSize),
			PageToken: token,
			WithParts: options.WithParts,
		})
		return mapped(response.GetSnapshots(), snapshotOf), response.GetNextPageToken(), err
	})
}
