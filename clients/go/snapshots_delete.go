package runstore

import (
	"context"

	runstorev1 "github.com/runstore/runstore/clients/go/v1"
)

// SnapshotsDeleted counts what one call deleted; after a retry that may be nothing.
type SnapshotsDeleted struct {
	// Snapshots counts the snapshots, TaskWrites the task writes deleted with them.
	Snapshots  int64
	TaskWrites int64
	// FreedBytes is the stored size of the parts that no snapshot of the run refers to any more.
	FreedBytes int64
}

// DeleteSnapshots deletes 1 to 1000 snapshots of the main namespace with their task writes, and the
// parts that only they had: all or none. Unknown ids are ignored. If a fork has one of the
// snapshots in its history, it fails with [*SnapshotInUseError].
func (r *Run) DeleteSnapshots(ctx context.Context, snapshotIDs ...string) (*SnapshotsDeleted, error) {
	return r.DeleteSnapshotsIn(ctx, "", snapshotIDs...)
}

// DeleteSnapshotsIn is DeleteSnapshots for snapshots of another namespace.
func (r *Run) DeleteSnapshotsIn(
	ctx context.Context, namespace string, snapshotIDs ...string,
) (*SnapshotsDeleted, error) {
	response, err := send(ctx, r.client, r.client.service.DeleteSnapshots,
		&runstorev1.DeleteSnapshotsRequest{
			Project:     r.client.project,
			RunId:       r.id,
			Namespace:   namespace,
			SnapshotIds: snapshotIDs,
			WriterEpoch: r.writerEpoch,
		})
	if err != nil {
		return nil, err
	}
	return &SnapshotsDeleted{
		Snapshots:  response.DeletedSnapshots,
		TaskWrites: response.DeletedTaskWrites,
		FreedBytes: response.FreedBytes,
	}, nil
}
