package main

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/runstore/runstore/clients/go"
	runstorev1 "github.com/runstore/runstore/clients/go/v1"
)

const (
	heartbeat   = time.Second
	longestWait = 5 * time.Minute
)

// runner executes the steps of one scenario.
type runner struct {
	client  *runstore.Client
	control string
	watches map[string]*watch
}

// fields is a result that is composed here.
type fields = map[string]any

var operations = map[string]func(*runner, context.Context, *arguments) (any, error){
	"own_client":      ownClient,
	"save_run":        (*runner).saveRun,
	"get_run":         func(r *runner, ctx context.Context, a *arguments) (any, error) { return r.run(a).Get(ctx) },
	"list_runs":       (*runner).listRuns,
	"append":          (*runner).append,
	"append_many":     (*runner).appendMany,
	"append_together": (*runner).appendTogether,
	"pipeline":        (*runner).pipeline,
	"put_snapshot":    (*runner).putSnapshot,
	"put_task_writes": (*runner).putTaskWrites,
	"get_snapshot":    (*runner).getSnapshot,
	"list_snapshots":  (*runner).listSnapshots,
	"resume":          (*runner).resume,
	"complete":        (*runner).complete,
	"get_output": func(r *runner, ctx context.Context, a *arguments) (any, error) {
		return r.run(a).GetOutputRevision(ctx, a.Revision)
	},
	"list_events": func(r *runner, ctx context.Context, a *arguments) (any, error) {
		return r.run(a).ListEventPage(ctx, runstore.ListEventsOptions{
			FromSeq: a.FromSeq, PageSize: a.PageSize, Filter: a.filter(),
			ReadArchive: a.ReadArchive,
		})
	},
	"stream": (*runner).stream,
	"verify": func(r *runner, ctx context.Context, a *arguments) (any, error) {
		return r.run(a).Verify(ctx, runstore.VerifyOptions{ReadArchive: a.ReadArchive})
	},
	"export":         (*runner).export,
	"watch":          (*runner).startWatch,
	"watch_until":    (*runner).watchUntil,
	"watch_end":      (*runner).watchEnd,
	"restart_server": (*runner).restartServer,
	"feed_read": func(r *runner, ctx context.Context, a *arguments) (any, error) {
		return r.client.Feed().Read(ctx, runstore.ReadFeedOptions{
			FromPosition: a.FromPosition, PageSize: a.PageSize, Filter: a.feedFilter(),
			AllowGaps: a.AllowGaps,
		})
	},
	"feed_follow": (*runner).feedFollow,
	"feed_commit": func(r *runner, ctx context.Context, a *arguments) (any, error) {
		return r.client.Feed().Commit(ctx, a.Consumer, a.Position)
	},
	"feed_reset": func(r *runner, ctx context.Context, a *arguments) (any, error) {
		return r.client.Feed().Reset(ctx, a.Consumer, a.Position)
	},
	"feed_consumer": func(r *runner, ctx context.Context, a *arguments) (any, error) {
		return r.client.Feed().Consumer(ctx, a.Consumer)
	},
	"feed_consumers": func(r *runner, ctx context.Context, _ *arguments) (any, error) {
		return listed("consumers", r.client.Feed().Consumers(ctx))
	},
	"search":              (*runner).search,
	"delete_snapshots":    (*runner).deleteSnapshots,
	"replay":              (*runner).replay,
	"fork":                (*runner).fork,
	"statistics":          (*runner).statistics,
	"config_register":     (*runner).registerVersion,
	"config_get":          (*runner).getVersion,
	"config_versions":     (*runner).listVersions,
	"config_list":         (*runner).listConfigs,
	"config_set_label":    (*runner).setLabel,
	"config_remove_label": (*runner).removeLabel,
	"config_label_moves":  (*runner).listLabelMoves,
	"artifact_upload":     (*runner).uploadArtifact,
	"artifact_link":       (*runner).linkArtifact,
	"artifact_get":        (*runner).getArtifact,
	"artifact_download":   (*runner).downloadArtifact,
	"artifact_list":       (*runner).listArtifacts,
	"admin_whoami": func(r *runner, ctx context.Context, _ *arguments) (any, error) {
		return r.client.Admin().WhoAmI(ctx)
	},
	"admin_projects": (*runner).listProjects,
	"token_create":   (*runner).createToken,
	"token_list":     (*runner).listTokens,
	"token_revoke":   (*runner).revokeToken,
	"limits_set":     (*runner).setLimits,
	"limits_get": func(r *runner, ctx context.Context, _ *arguments) (any, error) {
		return r.client.Admin().Limits(ctx)
	},
	"hold_place":    (*runner).placeHold,
	"hold_release":  (*runner).releaseHold,
	"hold_list":     (*runner).listHolds,
	"delete_run":    (*runner).deleteRun,
	"removal_list":  (*runner).listRemovals,
	"erase_events":  (*runner).eraseEvents,
	"erase_subject": (*runner).eraseSubject,
	"erasure_get":   (*runner).erasure,
	"archive_run":   (*runner).archiveRun,
	"archive_wait":  (*runner).awaitArchive,
	"restore_run":   (*runner).restoreRun,

	"policy_put":        (*runner).putPolicy,
	"policy_list":       (*runner).listPolicies,
	"policy_delete":     (*runner).deletePolicy,
	"retention_preview": (*runner).previewRetention,
	"admin_records":     (*runner).listRecords,
	"admin_verify":      (*runner).verifyRecords,
}

// run returns the handle that a step writes with.
func (r *runner) run(a *arguments) *runstore.Run {
	run := r.client.Run(a.RunID)
	if a.WriterEpoch != nil {
		run = run.WithWriterEpoch(*a.WriterEpoch)
	}
	if a.ExpectedSeq != nil {
		run = run.WithExpectedSeq(*a.ExpectedSeq)
	}
	return run
}

func ownClient(_ *runner, ctx context.Context, a *arguments) (any, error) {
	client, err := runstore.Dial(a.Target, runstore.WithTimeout(longestWait))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	if a.IsClosed {
		if err := client.Close(); err != nil {
			return nil, err
		}
	}
	return client.Run("run").Get(ctx)
}

func (r *runner) saveRun(ctx context.Context, a *arguments) (any, error) {
	saved := runstore.NewRun{
		RunID: a.RunID, PlanID: a.PlanID, Plan: a.Plan.Payload,
		ParentRunID: a.ParentRunID, Tags: a.Tags, Labels: a.Labels.values, Subjects: a.Subjects,
		ConfigRefs: mapped(a.ConfigRefs, configRef.value),
	}
	if a.Objective != nil {
		saved.Objective = *a.Objective
	}
	if a.ExternalRef != nil {
		ref := runstore.ExternalRef(*a.ExternalRef)
		saved.ExternalRef = &ref
	}
	if a.Completion != nil {
		end := a.Completion.value()
		saved.Completion = &end
	}
	run, err := r.client.SaveRun(ctx, saved)
	if err != nil {
		return nil, err
	}
	epoch, _ := run.WriterEpoch()
	return fields{"run_id": run.ID(), "writer_epoch": epoch}, nil
}

func (r *runner) listRuns(ctx context.Context, a *arguments) (any, error) {
	options := runstore.RunsOptions{
		Statuses: statusesOf(a.Statuses),
		Tags:     a.Tags, AnyTags: a.AnyTags, Labels: a.Labels.values,
		CreatedFrom: a.CreatedFromTime, CreatedBefore: a.CreatedBeforeTime,
		UpdatedFrom: a.UpdatedFromTime, UpdatedBefore: a.UpdatedBeforeTime,
		CompletedFrom: a.CompletedFromTime, CompletedBefore: a.CompletedBeforeTime,
		PlanID: a.PlanID, Model: a.Model, Tool: a.Tool,
		ParentRunID: a.ParentRunID, RootRunID: a.RootRunID, OldestFirst: a.OldestFirst,
		Order: runstore.RunOrder(runstorev1.RunOrder_value["RUN_ORDER_"+a.Order]),
	}
	if a.Objective != nil {
		options.Objective = *a.Objective
	}
	if a.External != nil {
		options.External = new(runstore.ExternalFilter(*a.External))
	}
	if a.Config != nil {
		options.Config = new(runstore.ConfigFilter(*a.Config))
	}
	return listed("runs", r.client.ListRuns(ctx, options))
}

func (r *runner) append(ctx context.Context, a *arguments) (any, error) {
	appended, err := r.run(a).Append(ctx, a.Event.value())
	if err != nil {
		return nil, err
	}
	return appended[0], nil
}

func (r *runner) appendMany(ctx context.Context, a *arguments) (any, error) {
	appended, err := r.run(a).Append(ctx, a.batch()...)
	return fields{"events": appended}, err
}

func (r *runner) appendTogether(ctx context.Context, a *arguments) (any, error) {
	events := a.batch()
	appended, failures := make([]runstore.Appended, len(events)), make([]error, len(events))
	var all sync.WaitGroup
	for i, event := range events {
		all.Go(func() {
			one, err := r.run(a).Append(ctx, event)
			if failures[i] = err; err == nil {
				appended[i] = one[0]
			}
		})
	}
	all.Wait()
	slices.SortFunc(appended, func(a, b runstore.Appended) int { return cmp.Compare(a.Seq, b.Seq) })
	return fields{"events": appended}, cmp.Or(failures...)
}

func (r *runner) pipeline(ctx context.Context, a *arguments) (any, error) {
	appender := r.client.Appender(ctx, runstore.AppenderOptions{Window: a.Window})
	var sent []*runstore.Pending
	for _, each := range a.batch() {
		pending, err := appender.Append(ctx, r.run(a), each)
		if err != nil {
			return nil, err
		}
		sent = append(sent, pending)
	}
	if err := appender.Close(); err != nil {
		return nil, err
	}
	var appended []runstore.Appended
	for _, pending := range sent {
		answer, err := pending.Wait(ctx)
		if err != nil {
			return nil, err
		}
		appended = append(appended, answer)
	}
	return fields{"events": appended}, nil
}

func (r *runner) putSnapshot(ctx context.Context, a *arguments) (any, error) {
	return r.run(a).PutSnapshot(ctx, a.Snapshot.value(),
		runstore.WithEvents(a.batch()...),
		runstore.WithTaskWrites(mapped(a.TaskWrites, taskWrite.value)...),
	)
}

func (r *runner) putTaskWrites(ctx context.Context, a *arguments) (any, error) {
	writes := mapped(a.Writes, taskWrite.value)
	deduplicated, err := r.run(a).PutTaskWritesIn(ctx, a.namespace(), writes...)
	return fields{"deduplicated": deduplicated}, err
}

func (a *arguments) namespace() string {
	if a.Namespace == nil {
		return ""
	}
	return *a.Namespace
}

func (r *runner) getSnapshot(ctx context.Context, a *arguments) (any, error) {
	which := runstore.LatestSnapshot()
	switch {
	case a.SnapshotID != nil:
		which = runstore.SnapshotByID(*a.SnapshotID)
	case a.PlanVersionID != nil:
		which = runstore.SnapshotOfPlan(*a.PlanVersionID)
	case a.AtSeq != nil:
		which = runstore.SnapshotAtSeq(*a.AtSeq)
	}
	return r.run(a).GetSnapshot(ctx, which.In(a.namespace()))
}

func (r *runner) listSnapshots(ctx context.Context, a *arguments) (any, error) {
	options := runstore.SnapshotsOptions{
		Namespace: a.Namespace, Before: a.Before, IDBelow: a.IDBelow, Metadata: a.Metadata.Payload,
		WithParts: a.WithParts, WithTaskWrites: a.WithTaskWrites,
	}
	if a.RunID == "" {
		return listed("snapshots", r.client.ListSnapshots(ctx, options))
	}
	return listed("snapshots", r.run(a).ListSnapshots(ctx, options))
}

func (r *runner) resume(ctx context.Context, a *arguments) (any, error) {
	resumed, err := r.run(a).Resume(ctx, runstore.ResumeOptions{
		Actor: a.Actor, Namespace: a.namespace(), RequestID: a.RequestID,
	})
	if err != nil {
		return nil, err
	}
	result, err := listed("events", resumed.Events(ctx))
	if err != nil {
		return nil, err
	}
	result["writer_epoch"] = resumed.WriterEpoch
	result["deduplicated"] = resumed.Deduplicated
	result["run"] = resumed.Info
	result["pending_node_ids"] = resumed.PendingNodeIDs
	result["task_writes"] = resumed.TaskWrites
	if resumed.Snapshot != nil {
		result["snapshot_id"] = resumed.Snapshot.SnapshotID
	}
	return result, nil
}

func (r *runner) complete(ctx context.Context, a *arguments) (any, error) {
	end := completion{
		Outcome: a.Outcome, Output: a.Output, Events: a.Events, FinalSnapshot: a.FinalSnapshot,
	}
	return r.run(a).Complete(ctx, end.value())
}

func (a *arguments) filter() runstore.EventFilter {
	return runstore.EventFilter{Types: a.Types, NodeIDs: a.NodeIDs, Tags: a.Tags}
}

func (a *arguments) feedFilter() runstore.FeedFilter {
	return runstore.FeedFilter{Types: a.Types, Tags: a.Tags, Labels: a.Labels.values}
}

func (r *runner) items(
	ctx context.Context, a *arguments, follow bool,
) iter.Seq2[runstore.StreamItem, error] {
	return r.run(a).Stream(ctx, runstore.EventsOptions{
		FromSeq: a.FromSeq, Follow: follow, Filter: a.filter(), Heartbeat: heartbeat,
		Patience: longestWait, ReadArchive: a.ReadArchive,
	})
}

// shown returns what a runner keeps of a stream item; nil for progress, which depends on time.
func shown(item runstore.StreamItem) any {
	switch item := item.(type) {
	case *runstore.Event:
		return fields{"event": item}
	case runstore.EndOfRun:
		return fields{"end_of_run": item}
	}
	return nil
}

func (r *runner) stream(ctx context.Context, a *arguments) (any, error) {
	var items []any
	for item, err := range r.items(ctx, a, a.Follow) {
		if err != nil {
			return nil, err
		}
		if kept := shown(item); kept != nil {
			items = append(items, kept)
		}
	}
	return fields{"items": items}, nil
}

// watch is a stream that is followed in the background.
type watch struct {
	mutex sync.Mutex
	items []any
	grown chan struct{}
	ended chan error
}

func (r *runner) startWatch(ctx context.Context, a *arguments) (any, error) {
	w := &watch{grown: make(chan struct{}, 1), ended: make(chan error, 1)}
	if r.watches == nil {
		r.watches = map[string]*watch{}
	}
	r.watches[a.Watch] = w
	go func() { w.ended <- w.work(r.items(ctx, a, true)) }()
	return fields{}, nil
}

func (w *watch) work(items iter.Seq2[runstore.StreamItem, error]) error {
	for item, err := range items {
		if err != nil {
			return err
		}
		if kept := shown(item); kept != nil {
			w.mutex.Lock()
			w.items = append(w.items, kept)
			w.mutex.Unlock()
			select {
			case w.grown <- struct{}{}:
			default:
			}
		}
	}
	return nil
}

func (w *watch) count() int {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return len(w.items)
}

func (r *runner) watchUntil(_ context.Context, a *arguments) (any, error) {
	w, limit := r.watches[a.Watch], time.After(longestWait)
	for w.count() < a.Count {
		select {
		case <-w.grown:
		case err := <-w.ended:
			return nil, fmt.Errorf("the stream ended early: %w", err)
		case <-limit:
			return nil, fmt.Errorf("only %d items arrived", w.count())
		}
	}
	return fields{}, nil
}

func (r *runner) watchEnd(_ context.Context, a *arguments) (any, error) {
	w := r.watches[a.Watch]
	select {
	case err := <-w.ended:
		return fields{"items": w.items}, err
	case <-time.After(longestWait):
		return nil, fmt.Errorf("the stream did not end after %d items", w.count())
	}
}

func (r *runner) restartServer(_ context.Context, a *arguments) (any, error) {
	answer, err := http.Post(r.control+"/restart?signal="+a.Signal, "", nil)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode >= http.StatusBadRequest {
		return nil, fmt.Errorf("the server was not restarted: %s", answer.Status)
	}
	return fields{}, nil
}

func (r *runner) feedFollow(ctx context.Context, a *arguments) (any, error) {
	var entries []*runstore.FeedEntry
	for entry, err := range r.client.Feed().Entries(ctx, runstore.FollowFeedOptions{
		FromPosition: a.FromPosition, Consumer: a.Consumer, Filter: a.feedFilter(),
		Heartbeat: heartbeat, Patience: longestWait, AllowGaps: a.AllowGaps,
	}) {
		if err != nil {
			return nil, err
		}
		if entries = append(entries, entry); len(entries) == a.Count {
			break
		}
	}
	return fields{"entries": entries}, nil
}

func (r *runner) search(ctx context.Context, a *arguments) (any, error) {
	options := runstore.SearchOptions{
		RunIDs: a.RunIDs, Types: a.Types, NodeIDs: a.NodeIDs, Tags: a.Tags, Model: a.Model,
		Tool: a.Tool, NewestFirst: a.NewestFirst, WithEvents: a.WithEvents,
		RecordedFrom: a.RecordedFromTime, RecordedBefore: a.RecordedBeforeTime,
		MinPosition: a.MinPosition, PageSize: a.PageSize, After: a.after(),
	}
	options.Wait, options.NoWait = a.wait()
	var hits []any
	for hit, err := range r.client.SearchEvents(ctx, a.Query, options) {
		if err != nil {
			return nil, err
		}
		hits = append(hits, fields{
			"run_id": hit.RunID, "seq": hit.Seq, "snippet": hit.Snippet,
			"marked": hit.Marked("[[", "]]"), "event": hit.Event,
		})
	}
	return fields{"hits": hits}, nil
}

// listed returns all items of an iterator under a name.
func listed[Item any](name string, items iter.Seq2[Item, error]) (fields, error) {
	found := []Item{}
	for item, err := range items {
		if err != nil {
			return nil, err
		}
		found = append(found, item)
	}
	return fields{name: found}, nil
}

func statusesOf(names []string) []runstore.RunStatus {
	return mapped(names, func(name string) runstore.RunStatus {
		return runstore.RunStatus(runstorev1.RunStatus_value["RUN_STATUS_"+name])
	})
}
