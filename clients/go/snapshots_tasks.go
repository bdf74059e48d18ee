package runstore

import (
	"context"

	runstorev1 "github.com/runstore/runstore/clients/go/v1"
)

// TaskWrite is the result of a task that finished since a snapshot.
type TaskWrite struct {
	TaskID string
	// Index: 0 and above are written once; below 0 a later write replaces an earlier one.
	Index   int32
	Channel string
	Payload Payload
	// SnapshotID is the snapshot the task started from. Empty means the beginning of the run in
	// PutTaskWrites, and the snapshot being put in PutSnapshot.
	SnapshotID string
}

// PutTaskWrites stores results of tasks since a snapshot of the main namespace, all or none; true
// means that all had been stored before.
func (r *Run) PutTaskWrites(ctx context.Context, writes ...TaskWrite) (bool, error) {
	return r.PutTaskWritesIn(ctx, "", writes...)
}

// PutTaskWritesIn is PutTaskWrites for snapshots of another namespace.
func (r *Run) PutTaskWritesIn(
	ctx context.Context, namespace string, writes ...TaskWrite,
) (bool, error) {
	var e encoder
	request := &runstorev1.PutTaskWritesRequest{
		Project:     r.client.project,
		RunId:       r.id,
		Namespace:   namespace,
		Writes:      mapped(writes, e.taskWrite),
		WriterEpoch: r.writerEpoch,
	}
	if e.err != nil {
		return false, e.err
	}
	response, err := send(ctx, r.client, r.client.service.PutTaskWrites, request)
	return response.GetDeduplicated(), err
}

func (e *encoder) taskWrite(write TaskWrite) *runstorev1.TaskWrite {
	return &runstorev1.TaskWrite{
		SnapshotId: write.SnapshotID,
		TaskId:     write.TaskID,
		Index:      write.Index,
		Channel:    write.Channel,
		Payload:    e.payload(write.Payload),
	}
}

func taskWriteOf(message *runstorev1.TaskWrite) TaskWrite {
	return TaskWrite{
		SnapshotID: message.SnapshotId,
		TaskID:     message.TaskId,
		Index:      message.Index,
		Channel:    message.Channel,
		Payload:    payloadOf(message.Payload),
	}
}
