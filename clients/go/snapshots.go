package runstore

import (
	"context"
	"strings"
	"time"

	runstorev1 "github.com/runstore/runstore/clients/go/v1"
)

// SnapshotReason says why a snapshot was taken.
type SnapshotReason int32

// The reasons of a snapshot; where none is given it is a checkpoint.
const (
	ReasonCheckpoint = SnapshotReason(runstorev1.SnapshotReason_SNAPSHOT_REASON_CHECKPOINT)
	// ReasonPause sets the run StatusPaused and appends run.paused.
	ReasonPause = SnapshotReason(runstorev1.SnapshotReason_SNAPSHOT_REASON_PAUSE)
	// ReasonReplan sets the run StatusRunning and appends run.replanned.
	ReasonReplan = SnapshotReason(runstorev1.SnapshotReason_SNAPSHOT_REASON_REPLAN)
	ReasonError  = SnapshotReason(runstorev1.SnapshotReason_SNAPSHOT_REASON_ERROR)
	ReasonFinal  = SnapshotReason(runstorev1.SnapshotReason_SNAPSHOT_REASON_FINAL)
)

// String returns the contract's word, such as "CHECKPOINT".
func (r SnapshotReason) String() string {
	return strings.TrimPrefix(runstorev1.SnapshotReason(r).String(), "SNAPSHOT_REASON_")
}

// PlanNode is a plan node in a snapshot. To be put, its payloads may be a [Ref].
type PlanNode struct {
	NodeID       string
	Kind         string
	Facets       []string
	Status       string
	InputSchema  Payload
	OutputSchema Payload
	Provenance   Payload
	State        Payload
}

// NewSnapshot is a plan version and state to be stored.
type NewSnapshot struct {
	// State has the named parts; a part may be a [Ref] to one stored before.
	State          map[string]Payload
	Nodes          []PlanNode
	PendingNodeIDs []string
	PlanVersionID  string
	Reason         SnapshotReason
	// Namespace separates snapshots of nested graphs; empty is the main one.
	Namespace string
	// SnapshotID is made by the server where it is empty.
	SnapshotID       string
	ParentSnapshotID string
	// Seq is the last event this state includes; 0 means the run's last one.
	Seq int64
	// Metadata is a JSON object that ListSnapshots can filter by.
	Metadata Payload
}

// Snapshot is a stored plan version and state.
type Snapshot struct {
	RunID            string
	Namespace        string
	SnapshotID       string
	ParentSnapshotID string
	Seq              int64
	PlanVersionID    string
	Reason           SnapshotReason
	Nodes            []PlanNode
	PendingNodeIDs   []string
	State            map[string]Payload
	Metadata         Payload
	CreatedAt        time.Time
	// ContentHash is the SHA-256 of the snapshot.
	ContentHash []byte
	// TaskWrites are those since the snapshot; only GetSnapshot fills them in.
	TaskWrites []TaskWrite
}

// SnapshotPut says what was stored.
type SnapshotPut struct {
	SnapshotID  string
	Seq         int64
	ContentHash []byte
	CreatedAt   time.Time
	// LastSeq is the run's last seq after the write.
	LastSeq int64
	// Deduplicated tells that it was there already.
	Deduplicated bool
}

// StepOption adds to the step that PutSnapshot stores.
type StepOption func(*step)

type step struct {
	events     []NewEvent
	taskWrites []TaskWrite
}

// WithEvents appends events of the step before the snapshot.
func WithEvents(events ...NewEvent) StepOption {
	return func(s *step) { s.events = append(s.events, events...) }
}

// WithTaskWrites keeps results of the step's tasks.
func WithTaskWrites(writes ...TaskWrite) StepOption {
	return func(s *step) { s.taskWrites = append(s.taskWrites, writes...) }
}

// PutSnapshot stores a snapshot with the step's events and task writes before it: all or none.
func (r *Run) PutSnapshot(
	ctx context.Context, snapshot NewSnapshot, options ...StepOption,
) (*SnapshotPut, error) {
	var s step
	for _, option := range options {
		option(&s)
	}
	var e encoder
	request := &runstorev1.PutSnapshotRequest{
		Project:     r.client.project,
		RunId:       r.id,
		Snapshot:    e.snapshot(&snapshot),
		Events:      mapped(s.events, e.event),
		TaskWrites:  mapped(s.taskWrites, e.taskWrite),
		ExpectedSeq: r.expectedSeq,
		WriterEpoch: r.writerEpoch,
	}
	// A snapshot's own id recognises it also when another process puts it again.
	if snapshot.SnapshotID == "" {
		request.RequestId = newID()
	}
	if e.err != nil {
		return nil, e.err
	}
	response, err := send(ctx, r.client, r.client.service.PutSnapshot, request)
	if err != nil {
		return nil, err
	}
	return &SnapshotPut{
		SnapshotID:   response.SnapshotId,
		Seq:          response.Seq,
		ContentHash:  response.ContentHash,
		CreatedAt:    timeOf(response.CreatedAt),
		LastSeq:      response.LastSeq,
		Deduplicated: response.Deduplicated,
	}, nil
}

// snapshot is the message of a snapshot; nil for none.
func (e *encoder) snapshot(snapshot *NewSnapshot) *runstorev1.Snapshot {
	if snapshot == nil {
		return nil
	}
	message := &runstorev1.Snapshot{
		Namespace:        snapshot.Namespace,
		SnapshotId:       snapshot.SnapshotID,
		ParentSnapshotId: snapshot.ParentSnapshotID,
		Seq:              snapshot.Seq,
		PlanVersionId:    snapshot.PlanVersionID,
		Reason:           runstorev1.SnapshotReason(snapshot.Reason),
		Nodes:            mapped(snapshot.Nodes, e.node),
		PendingNodeIds:   snapshot.PendingNodeIDs,
		State:            make(map[string]*runstorev1.Payload, len(snapshot.State)),
		Metadata:         e.payload(snapshot.Metadata),
	}
	for name, part := range snapshot.State {
		message.State[name] = e.part(part)
	}
	return message
}

func (e *encoder) node(node PlanNode) *runstorev1.PlanNode {
	return &runstorev1.PlanNode{
		NodeId:       node.NodeID,
		Kind:         node.Kind,
		Facets:       node.Facets,
		Status:       node.Status,
		InputSchema:  e.payload(node.InputSchema),
		OutputSchema: e.payload(node.OutputSchema),
		Provenance:   e.payload(node.Provenance),
		State:        e.payload(node.State),
	}
}

func snapshotOf(message *runstorev1.Snapshot) *Snapshot {
	if message == nil {
		return nil
	}
	state := make(map[string]Payload, len(message.State))
	for name, part := range message.State {
		state[name] = payloadOf(part)
	}
	return &Snapshot{
		RunID:            message.RunId,
		Namespace:        message.Namespace,
		SnapshotID:       message.SnapshotId,
		ParentSnapshotID: message.ParentSnapshotId,
		Seq:              message.Seq,
		PlanVersionID:    message.PlanVersionId,
		Reason:           SnapshotReason(message.Reason),
		Nodes:            mapped(message.Nodes, nodeOf),
		PendingNodeIDs:   message.PendingNodeIds,
		State:            state,
		Metadata:         payloadOf(message.Metadata),
		CreatedAt:        timeOf(message.CreatedAt),
		ContentHash:      message.ContentHash,
	}
}

func nodeOf(message *runstorev1.PlanNode) PlanNode {
	return PlanNode{
		NodeID:       message.NodeId,
		Kind:         message.Kind,
		Facets:       message.Facets,
		Status:       message.Status,
		InputSchema:  payloadOf(message.InputSchema),
		OutputSchema: payloadOf(message.OutputSchema),
		Provenance:   payloadOf(message.Provenance),
		State:        payloadOf(message.State),
	}
}
