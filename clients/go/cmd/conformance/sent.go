package main

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/runstore/runstore/clients/go"
	runstorev1 "github.com/runstore/runstore/clients/go/v1"
)

// arguments are those of all operations; an unknown name is rejected.
type arguments struct {
	Target          string       `json:"target"`
	IsClosed        bool         `json:"is_closed"`
	RunID           string       `json:"run_id"`
	WriterEpoch     *int64       `json:"writer_epoch"`
	ExpectedSeq     *int64       `json:"expected_seq"`
	Objective       *string      `json:"objective"`
	PlanID          string       `json:"plan_id"`
	Plan            payload      `json:"plan"`
	ParentRunID     string       `json:"parent_run_id"`
	ExternalRef     *externalRef `json:"external_ref"`
	ConfigRefs      []configRef  `json:"config_refs"`
	Tags            []string     `json:"tags"`
	Labels          labels       `json:"labels"`
	Subjects        []string     `json:"subjects"`
	Completion      *completion  `json:"completion"`
	Why             string       `json:"why"`
	ReadArchive     bool         `json:"read_archive"`
	AllowGaps       bool         `json:"allow_gaps"`
	Filter          *selection   `json:"filter"`
	HoldID          string       `json:"hold_id"`
	Subject         string       `json:"subject"`
	ErasureID       string       `json:"erasure_id"`
	Seqs            []seqRange   `json:"seqs"`
	ExpectedLastSeq *int64       `json:"expected_last_seq"`
	WithReleased    bool         `json:"include_released"`
	Statuses        []string     `json:"statuses"`
	AnyTags         []string     `json:"any_tags"`
	RootRunID       string       `json:"root_run_id"`
	Order           string       `json:"order"`
	Model           string       `json:"model"`
	Tool            string       `json:"tool"`
	OldestFirst     bool         `json:"oldest_first"`
	Event           event        `json:"event"`
	Events          []event      `json:"events"`
	Times           int          `json:"times"`
	Window          int          `json:"window"`
	Snapshot        newSnapshot  `json:"snapshot"`
	TaskWrites      []taskWrite  `json:"task_writes"`
	Writes          []taskWrite  `json:"writes"`
	Namespace       *string      `json:"namespace"`
	SnapshotID      *string      `json:"snapshot_id"`
	PlanVersionID   *string      `json:"plan_version_id"`
	AtSeq           *int64       `json:"at_seq"`
	Metadata        payload      `json:"metadata"`
	Before          string       `json:"before"`
	IDBelow         string       `json:"id_below"`
	WithParts       bool         `json:"with_parts"`
	WithTaskWrites  bool         `json:"with_task_writes"`
	Actor           string       `json:"actor"`
	RequestID       string       `json:"request_id"`
	Outcome         string       `json:"outcome"`
	Output          output       `json:"output"`
	FinalSnapshot   *newSnapshot `json:"final_snapshot"`
	Revision        int32        `json:"revision"`
	FromSeq         int64        `json:"from_seq"`
	PageSize        int          `json:"page_size"`
	Types           []string     `json:"types"`
	NodeIDs         []string     `json:"node_ids"`
	Follow          bool         `json:"follow"`
	Watch           string       `json:"watch"`
	Count           int          `json:"count"`
	Signal          string       `json:"signal"`
	FromPosition    int64        `json:"from_position"`
	Position        int64        `json:"position"`
	Consumer        string       `json:"consumer"`
	Query           string       `json:"query"`
	NewestFirst     bool         `json:"newest_first"`
	WithEvents      bool         `json:"with_events"`
	After           *eventPlace  `json:"after"`
	MinPosition     int64        `json:"min_position"`
	WaitSeconds     *float64     `json:"wait_seconds"`
	RunIDs          []string     `json:"run_ids"`

	External            *externalFilter `json:"external"`
	Config              *configFilter   `json:"config"`
	CreatedFromTime     time.Time       `json:"created_from_time"`
	CreatedBeforeTime   time.Time       `json:"created_before_time"`
	UpdatedFromTime     time.Time       `json:"updated_from_time"`
	UpdatedBeforeTime   time.Time       `json:"updated_before_time"`
	CompletedFromTime   time.Time       `json:"completed_from_time"`
	CompletedBeforeTime time.Time       `json:"completed_before_time"`
	RecordedFromTime    time.Time       `json:"recorded_from_time"`
	RecordedBeforeTime  time.Time       `json:"recorded_before_time"`

	SnapshotIDs        []string    `json:"snapshot_ids"`
	ForkRunID          string      `json:"fork_run_id"`
	GroupBy            []string    `json:"group_by"`
	IncludeDescendants bool        `json:"include_descendants"`
	RollUpToRoot       bool        `json:"roll_up_to_root"`
	Models             []string    `json:"models"`
	Tools              []string    `json:"tools"`
	FromDay            string      `json:"from_day"`
	ToDay              string      `json:"to_day"`
	LabelKey           string      `json:"label_key"`
	Kind               string      `json:"kind"`
	Name               string      `json:"name"`
	NamePrefix         string      `json:"name_prefix"`
	Body               payload     `json:"body"`
	Description        string      `json:"description"`
	Label              string      `json:"label"`
	Version            wholeNumber `json:"version"`
	ExpectedVersion    *int64      `json:"expected_version"`
	Digest             string      `json:"digest"`
	ArtifactID         string      `json:"artifact_id"`
	Data               payload     `json:"data"`
	Type               string      `json:"type"`
	ContentType        string      `json:"content_type"`
	SHA256             hexadecimal `json:"sha256"`
	Size               *int64      `json:"size"`
	URL                string      `json:"url"`
	Offset             int64       `json:"offset"`
	Length             int64       `json:"length"`
	Among              []string    `json:"among"`
	Grants             []string    `json:"grants"`
	LifetimeSeconds    int64       `json:"lifetime_seconds"`
	OfServer           bool        `json:"of_server"`
	TokenID            string      `json:"token_id"`
	CallsPerSecond     int64       `json:"calls_per_second"`
	EventsPerSecond    int64       `json:"events_per_second"`
	BytesPerSecond     int64       `json:"bytes_per_second"`
	Streams            int64       `json:"streams"`
	StoredBytes        int64       `json:"stored_bytes"`
	FromNumber         int64       `json:"from_number"`

	KeepRunSeconds        float64 `json:"keep_run_seconds"`
	KeepEventsSeconds     float64 `json:"keep_events_seconds"`
	KeepSnapshotsSeconds  float64 `json:"keep_snapshots_seconds"`
	KeepLastSnapshots     int32   `json:"keep_last_snapshots"`
	KeepArtifactsSeconds  float64 `json:"keep_artifacts_seconds"`
	KeepSearchTextSeconds float64 `json:"keep_search_text_seconds"`
	IncludeExternal       bool    `json:"include_external"`
}

// wholeNumber is an integer, which scenarios write as a string if it may be beyond 2^53.
type wholeNumber int64

func (n *wholeNumber) UnmarshalJSON(raw []byte) error {
	number, err := strconv.ParseInt(strings.Trim(string(raw), `"`), 10, 64)
	*n = wholeNumber(number)
	return err
}

// hexadecimal is bytes in hexadecimal.
type hexadecimal []byte

func (h *hexadecimal) UnmarshalText(raw []byte) (err error) {
	*h, err = hex.DecodeString(string(raw))
	return err
}

// labels are the labels of a run, with values, or the names of those of a version.
type labels struct {
	values map[string]string
	names  []string
}

func (l *labels) UnmarshalJSON(raw []byte) error {
	if json.Unmarshal(raw, &l.names) == nil {
		return nil
	}
	return json.Unmarshal(raw, &l.values)
}

type eventPlace struct {
	RunID string `json:"run_id"`
	Seq   int64  `json:"seq"`
}

type externalRef struct {
	System     string `json:"system"`
	ID         string `json:"id"`
	URL        string `json:"url"`
	OwnsStatus bool   `json:"owns_status"`
}

type externalFilter struct {
	System string `json:"system"`
	ID     string `json:"id"`
}

type configFilter struct {
	Kind    string `json:"kind"`
	Name    string `json:"name"`
	Version int64  `json:"version"`
	Digest  string `json:"digest"`
}

type configRef struct {
	Kind    string      `json:"kind"`
	Name    string      `json:"name"`
	Version wholeNumber `json:"version"`
	Digest  string      `json:"digest"`
	Label   string      `json:"label"`
}

func (c configRef) value() runstore.ConfigRef {
	return runstore.ConfigRef{
		Kind: c.Kind, Name: c.Name, Version: int64(c.Version), Digest: c.Digest, Label: c.Label,
	}
}

type event struct {
	Type        string    `json:"type"`
	Payload     payload   `json:"payload"`
	EventID     string    `json:"event_id"`
	NodeID      string    `json:"node_id"`
	Actor       string    `json:"actor"`
	Model       string    `json:"model"`
	Tool        string    `json:"tool"`
	Tags        []string  `json:"tags"`
	Usage       *usage    `json:"usage"`
	TraceParent string    `json:"trace_parent"`
	OccurredAt  time.Time `json:"occurred_at"`
	Subjects    []string  `json:"subjects"`
}

type selection struct {
	Statuses []string `json:"statuses"`
	PlanID   string   `json:"plan_id"`
	Tags     []string `json:"tags"`
	Labels   labels   `json:"labels"`
}

func (s selection) value() runstore.RunSelection {
	return runstore.RunSelection{
		Statuses: statusesOf(s.Statuses), PlanID: s.PlanID, Tags: s.Tags, Labels: s.Labels.values,
	}
}

type usage struct {
	InputTokens       int64 `json:"input_tokens"`
	OutputTokens      int64 `json:"output_tokens"`
	CachedInputTokens int64 `json:"cached_input_tokens"`
	CostMicros        int64 `json:"cost_micros"`
	DurationMicros    int64 `json:"duration_micros"`
}

type newSnapshot struct {
	State            map[string]payload `json:"state"`
	Nodes            []node             `json:"nodes"`
	PendingNodeIDs   []string           `json:"pending_node_ids"`
	PlanVersionID    string             `json:"plan_version_id"`
	Reason           string             `json:"reason"`
	Namespace        string             `json:"namespace"`
	SnapshotID       string             `json:"snapshot_id"`
	ParentSnapshotID string             `json:"parent_snapshot_id"`
	Seq              int64              `json:"seq"`
	Metadata         payload            `json:"metadata"`
}

type node struct {
	NodeID       string   `json:"node_id"`
	Kind         string   `json:"kind"`
	Facets       []string `json:"facets"`
	Status       string   `json:"status"`
	InputSchema  payload  `json:"input_schema"`
	OutputSchema payload  `json:"output_schema"`
	Provenance   payload  `json:"provenance"`
	State        payload  `json:"state"`
}

type taskWrite struct {
	TaskID     string  `json:"task_id"`
	Index      int32   `json:"index"`
	Channel    string  `json:"channel"`
	Payload    payload `json:"payload"`
	SnapshotID string  `json:"snapshot_id"`
}

type output struct {
	Payload       payload `json:"payload"`
	SchemaHash    string  `json:"schema_hash"`
	PlanVersionID string  `json:"plan_version_id"`
	Provenance    payload `json:"provenance"`
	Statistics    payload `json:"statistics"`
}

type completion struct {
	Outcome       string       `json:"outcome"`
	Output        output       `json:"output"`
	Events        []event      `json:"events"`
	FinalSnapshot *newSnapshot `json:"final_snapshot"`
}

// payload is a payload as the scenarios write it.
type payload struct{ runstore.Payload }

func (p *payload) UnmarshalJSON(raw []byte) error {
	var given struct {
		JSON        json.RawMessage `json:"json"`
		Base64      *string         `json:"base64"`
		SHA256      string          `json:"sha256"`
		SHA256Of    *payload        `json:"sha256_of"`
		ContentType string          `json:"content_type"`
	}
	if err := decode(raw, &given); err != nil {
		return err
	}
	switch {
	case given.SHA256Of != nil:
		p.Payload = runstore.Ref(given.SHA256Of.SHA256())
	case given.SHA256 != "":
		hash, err := hex.DecodeString(given.SHA256)
		if err != nil {
			return err
		}
		p.Payload = runstore.Ref([32]byte(hash))
	case given.Base64 != nil:
		data, err := base64.StdEncoding.DecodeString(*given.Base64)
		if err != nil {
			return err
		}
		p.Payload = runstore.Binary(data, given.ContentType)
	default:
		text, err := textOf(given.JSON)
		if err != nil {
			return err
		}
		p.Payload = runstore.JSON(text).WithContentType(given.ContentType)
	}
	return nil
}

// textOf returns a text: as it is, or from strings with the number of their repetitions.
func textOf(raw json.RawMessage) (string, error) {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text, nil
	}
	var pieces struct {
		Repeat [][2]any `json:"repeat"`
	}
	if err := json.Unmarshal(raw, &pieces); err != nil {
		return "", err
	}
	var made strings.Builder
	for _, piece := range pieces.Repeat {
		made.WriteString(strings.Repeat(piece[0].(string), int(piece[1].(float64))))
	}
	return made.String(), nil
}

func mapped[From, To any](from []From, to func(From) To) []To {
	made := make([]To, len(from))
	for index, each := range from {
		made[index] = to(each)
	}
	return made
}

func (e event) value() runstore.NewEvent {
	made := runstore.NewEvent{
		Type: e.Type, Payload: e.Payload.Payload, EventID: e.EventID, NodeID: e.NodeID,
		Actor: e.Actor, Model: e.Model, Tool: e.Tool, Tags: e.Tags,
		TraceParent: e.TraceParent, OccurredAt: e.OccurredAt, Subjects: e.Subjects,
	}
	if u := e.Usage; u != nil {
		made.Usage = &runstore.Usage{
			InputTokens: u.InputTokens, OutputTokens: u.OutputTokens,
			CachedInputTokens: u.CachedInputTokens, CostMicros: u.CostMicros,
			Duration: time.Duration(u.DurationMicros) * time.Microsecond,
		}
	}
	return made
}

// batch returns the events, repeated a.Times.
func (a *arguments) batch() []runstore.NewEvent {
	var made []runstore.NewEvent
	for range max(a.Times, 1) {
		made = append(made, mapped(a.Events, event.value)...)
	}
	return made
}

func (s newSnapshot) value() runstore.NewSnapshot {
	state := make(map[string]runstore.Payload, len(s.State))
	for name, part := range s.State {
		state[name] = part.Payload
	}
	return runstore.NewSnapshot{
		State: state, Nodes: mapped(s.Nodes, node.value), PendingNodeIDs: s.PendingNodeIDs,
		PlanVersionID: s.PlanVersionID, Namespace: s.Namespace, SnapshotID: s.SnapshotID,
		Reason: runstore.SnapshotReason(
			runstorev1.SnapshotReason_value["SNAPSHOT_REASON_"+s.Reason],
		),
		ParentSnapshotID: s.ParentSnapshotID, Seq: s.Seq, Metadata: s.Metadata.Payload,
	}
}

func (n node) value() runstore.PlanNode {
	return runstore.PlanNode{
		NodeID: n.NodeID, Kind: n.Kind, Facets: n.Facets, Status: n.Status,
		InputSchema: n.InputSchema.Payload, OutputSchema: n.OutputSchema.Payload,
		Provenance: n.Provenance.Payload, State: n.State.Payload,
	}
}

func (w taskWrite) value() runstore.TaskWrite {
	return runstore.TaskWrite{
		TaskID: w.TaskID, Index: w.Index, Channel: w.Channel, Payload: w.Payload.Payload,
		SnapshotID: w.SnapshotID,
	}
}

func (c completion) value() runstore.Completion {
	made := runstore.Completion{
		Outcome: runstore.Outcome(runstorev1.Outcome_value["OUTCOME_"+c.Outcome]),
		Events:  mapped(c.Events, event.value),
		Output: runstore.NewOutput{
			Payload: c.Output.Payload.Payload, SchemaHash: c.Output.SchemaHash,
			PlanVersionID: c.Output.PlanVersionID, Provenance: c.Output.Provenance.Payload,
			Statistics: c.Output.Statistics.Payload,
		},
	}
	if c.FinalSnapshot != nil {
		final := c.FinalSnapshot.value()
		made.FinalSnapshot = &final
	}
	return made
}

type seqRange struct {
	FirstSeq int64 `json:"first_seq"`
	LastSeq  int64 `json:"last_seq"`
}
