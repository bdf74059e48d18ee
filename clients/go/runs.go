package runstore

import (
	"context"
	"fmt"
	"strings"
	"time"

	runstorev1 "github.com/runstore/runstore/clients/go/v1"
)

// firstEpoch is the writer epoch of a run that was never resumed.
const firstEpoch = 1

// RunStatus is the status of a run.
type RunStatus int32

// The statuses of a run.
const (
	StatusRunning   = RunStatus(runstorev1.RunStatus_RUN_STATUS_RUNNING)
	StatusPaused    = RunStatus(runstorev1.RunStatus_RUN_STATUS_PAUSED)
	StatusSucceeded = RunStatus(runstorev1.RunStatus_RUN_STATUS_SUCCEEDED)
	StatusFailed    = RunStatus(runstorev1.RunStatus_RUN_STATUS_FAILED)
	StatusCancelled = RunStatus(runstorev1.RunStatus_RUN_STATUS_CANCELLED)
	// StatusExternal is the status of a run whose status another system owns.
	StatusExternal = RunStatus(runstorev1.RunStatus_RUN_STATUS_EXTERNAL)
)

// String returns the name in the contract, such as "RUNNING".
func (s RunStatus) String() string {
	return strings.TrimPrefix(runstorev1.RunStatus(s).String(), "RUN_STATUS_")
}

// ExternalRef is the same execution in another system.
type ExternalRef struct {
	System string
	ID     string
	URL    string
	// OwnsStatus makes the run StatusExternal for good.
	OwnsStatus bool
}

// ConfigRef is a version of a prompt, tool, agent or evaluator that a run is pinned to.
type ConfigRef struct {
	Kind string
	Name string
	// Version and Digest are both set in a saved run. To save a run, set either or both, or only
	// Label.
	Version int64
	Digest  string
	// Label pins the version it points to when the run is saved; it is never returned.
	Label string
}

// NewRun is a run to be saved; none of it can be changed later.
type NewRun struct {
	// RunID identifies the run in the project; if empty, the client generates a UUIDv7.
	RunID       string
	PlanID      string
	Objective   string
	Plan        Payload
	ParentRunID string
	ExternalRef *ExternalRef
	ConfigRefs  []ConfigRef
	Tags        []string
	Labels      map[string]string
	// Completion saves a run that has already ended.
	Completion *Completion
	// Subjects say whom the run is about, so that all about one of them can be found and erased.
	Subjects []string
}

// ForkBase is where a fork begins: it has all events of the run up to Seq.
type ForkBase struct {
	RunID string
	Seq   int64
}

// RunInfo is the current state of a run.
type RunInfo struct {
	Project   string
	RunID     string
	PlanID    string
	Objective string
	// Plan is not returned by ListRuns.
	Plan        Payload
	ParentRunID string
	ExternalRef *ExternalRef
	ConfigRefs  []ConfigRef
	Tags        []string
	Labels      map[string]string
	Status      RunStatus
	Outcome     Outcome
	LastSeq     int64
	LastHash    []byte
	WriterEpoch int64
	// Usage is the sum over the run's events.
	Usage     Usage
	CreatedAt time.Time
	UpdatedAt time.Time
	// CompletedAt is zero while the run is open.
	CompletedAt time.Time
	// ForkBase is nil if the run is not a fork.
	ForkBase *ForkBase
	// Subjects say whom the run is about.
	Subjects []string
	// Salt was hashed with what may be erased; it is empty if the run was saved without one.
	Salt []byte
}

// Run is a handle for a run: its id and the guards of its writes. Making one does not call the
// server.
type Run struct {
	client      *Client
	id          string
	writerEpoch *int64
	expectedSeq *int64
}

// String names the run, its project and, if there is one, the epoch of its writes.
func (r *Run) String() string {
	if r.writerEpoch == nil {
		return fmt.Sprintf("run %q of project %q", r.id, r.client.project)
	}
	return fmt.Sprintf("run %q of project %q, epoch %d", r.id, r.client.project, *r.writerEpoch)
}

// SaveRun saves a run and returns its handle, which writes with the run's first epoch.
//
// Saving the same RunID and content again returns the same run. If the run has been resumed since,
// it belongs to the writer that resumed it, and writes of this handle fail with
// [*WriterFencedError].
func (c *Client) SaveRun(ctx context.Context, run NewRun) (*Run, error) {
	var e encoder
	request := &runstorev1.SaveRunRequest{
		Project:     c.project,
		RunId:       run.RunID,
		PlanId:      run.PlanID,
		Objective:   run.Objective,
		Plan:        e.payload(run.Plan),
		ParentRunId: run.ParentRunID,
		ConfigRefs:  mapped(run.ConfigRefs, configRefMessage),
		Tags:        run.Tags,
		Labels:      run.Labels,
		Completion:  e.completion(run.Completion),
		Subjects:    run.Subjects,
	}
	if request.RunId == "" {
		request.RunId = newID()
	}
	if ref := run.ExternalRef; ref != nil {
		request.ExternalRef = &runstorev1.ExternalRef{
			System: ref.System, Id: ref.ID, Url: ref.URL, OwnsStatus: ref.OwnsStatus,
		}
	}
	if e.err != nil {
		return nil, e.err
	}
	response, err := send(ctx, c, c.service.SaveRun, request)
	if err != nil {
		return nil, err
	}
	return c.Run(response.Run.RunId).WithWriterEpoch(firstEpoch), nil
}

// Run returns a handle for a run without calling the server. Its writes are not fenced; see
// [Run.WithWriterEpoch].
func (c *Client) Run(runID string) *Run { return &Run{client: c, id: runID} }

// ID returns the run's id.
func (r *Run) ID() string { return r.id }

// WriterEpoch returns the epoch that the handle writes with; false if its writes are not fenced.
func (r *Run) WriterEpoch() (int64, bool) {
	if r.writerEpoch == nil {
		return 0, false
	}
	return *r.writerEpoch, true
}

// WithWriterEpoch returns a handle whose writes fail with [*WriterFencedError] once a later resume
// has claimed the run.
func (r *Run) WithWriterEpoch(epoch int64) *Run {
	derived := *r
	derived.writerEpoch = &epoch
	return &derived
}

// WithExpectedSeq returns a handle whose Append, PutSnapshot, Complete and Resume fail with
// [*SeqConflictError] unless seq is the run's last seq before the write; 0 means that the run has
// no events yet.
func (r *Run) WithExpectedSeq(seq int64) *Run {
	derived := *r
	derived.expectedSeq = &seq
	return &derived
}

// Get returns the current state of the run.
func (r *Run) Get(ctx context.Context) (*RunInfo, error) {
	response, err := send(ctx, r.client, r.client.service.GetRun, &runstorev1.GetRunRequest{
		Project: r.client.project, RunId: r.id,
	})
	if err != nil {
		return nil, err
	}
	return runInfoOf(response.Run), nil
}

func configRefMessage(ref ConfigRef) *runstorev1.ConfigRef {
	return &runstorev1.ConfigRef{
		Kind: ref.Kind, Name: ref.Name, Version: ref.Version, Digest: ref.Digest, Label: ref.Label,
	}
}

func configRefOf(message *runstorev1.ConfigRef) ConfigRef {
	return ConfigRef{
		Kind: message.Kind, Name: message.Name, Version: message.Version, Digest: message.Digest,
	}
}

func runInfoOf(message *runstorev1.Run) *RunInfo {
	info := &RunInfo{
		Project:     message.GetProject(),
		RunID:       message.GetRunId(),
		PlanID:      message.GetPlanId(),
		Objective:   message.GetObjective(),
		Plan:        payloadOf(message.GetPlan()),
		ParentRunID: message.GetParentRunId(),
		ConfigRefs:  mapped(message.GetConfigRefs(), configRefOf),
		Tags:        message.GetTags(),
		Labels:      message.GetLabels(),
		Status:      RunStatus(message.GetStatus()),
		Outcome:     Outcome(message.GetOutcome()),
		LastSeq:     message.GetLastSeq(),
		LastHash:    message.GetLastHash(),
		WriterEpoch: message.GetWriterEpoch(),
		CreatedAt:   timeOf(message.GetCreatedAt()),
		UpdatedAt:   timeOf(message.GetUpdatedAt()),
		CompletedAt: timeOf(message.GetCompletedAt()),
		Subjects:    message.GetSubjects(),
		Salt:        message.GetSalt(),
	}
	if usage := usageOf(message.GetUsage()); usage != nil {
		info.Usage = *usage
	}
	if base := message.GetForkBase(); base != nil {
		info.ForkBase = &ForkBase{RunID: base.RunId, Seq: base.Seq}
	}
	if ref := message.GetExternalRef(); ref != nil {
		info.ExternalRef = &ExternalRef{
			System: ref.System, ID: ref.Id, URL: ref.Url, OwnsStatus: ref.OwnsStatus,
		}
	}
	return info
}
