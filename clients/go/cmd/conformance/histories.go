package main

import (
	"context"

	"github.com/runstore/runstore/clients/go"
)

func (r *runner) deleteSnapshots(ctx context.Context, a *arguments) (any, error) {
	deleted, err := r.run(a).DeleteSnapshotsIn(ctx, a.namespace(), a.SnapshotIDs...)
	if err != nil {
		return nil, err
	}
	return fields{
		"deleted_snapshots": deleted.Snapshots, "deleted_task_writes": deleted.TaskWrites,
		"freed_bytes": deleted.FreedBytes,
	}, nil
}

func (r *runner) replay(ctx context.Context, a *arguments) (any, error) {
	then, err := r.run(a).Replay(ctx, runstore.ReplayOptions{
		AtSeq: a.AtSeq, Namespace: a.namespace(), PageSize: a.PageSize,
		ReadArchive: a.ReadArchive,
	})
	if err != nil {
		return nil, err
	}
	return fields{
		"run": then.Info, "at_seq": then.AtSeq, "snapshot": then.Snapshot,
		"task_writes": then.TaskWrites, "events": then.FirstEvents,
		"next_from_seq": then.NextFromSeq, "configs": then.Configs,
	}, nil
}

func (r *runner) fork(ctx context.Context, a *arguments) (any, error) {
	options := runstore.ForkOptions{
		RunID: a.ForkRunID, Objective: a.Objective, Tags: a.Tags, Labels: a.Labels.values,
		ConfigRefs: mapped(a.ConfigRefs, configRef.value),
	}
	if a.AtSeq != nil {
		options.AtSeq = *a.AtSeq
	}
	fork, err := r.run(a).Fork(ctx, options)
	if err != nil {
		return nil, err
	}
	epoch, _ := fork.WriterEpoch()
	return fields{"run_id": fork.ID(), "writer_epoch": epoch}, nil
}
