package runstore

import (
	"context"
	"strings"
	"time"

	runstorev1 "github.com/runstore/runstore/clients/go/v1"
)

// Outcome is how a run ended.
type Outcome int32

// The outcomes of a run; a run that has not ended has the zero value.
const (
	OutcomeSucceeded = Outcome(runstorev1.Outcome_OUTCOME_SUCCEEDED)
	OutcomeFailed    = Outcome(runstorev1.Outcome_OUTCOME_FAILED)
	OutcomeCancelled = Outcome(runstorev1.Outcome_OUTCOME_CANCELLED)
)

// String returns the name in the contract, such as "SUCCEEDED".
func (o Outcome) String() string {
	return strings.TrimPrefix(runstorev1.Outcome(o).String(), "OUTCOME_")
}

// NewOutput is the result of a run.
type NewOutput struct {
	Payload Payload
	// SchemaHash identifies the schema that the payload was validated against, in the caller's
	// format.
	SchemaHash    string
	PlanVersionID string
	Provenance    Payload
	Statistics    Payload
}

// Completion is how a run ended.
type Completion struct {
	// Outcome is required unless another system owns the status of the run.
	Outcome Outcome
	Output  NewOutput
	// Events are appended before the terminal event.
	Events []NewEvent
	// FinalSnapshot is stored at the terminal event; its reason defaults to ReasonFinal.
	FinalSnapshot *NewSnapshot
}

// Completed is the state of a run after its completion.
type Completed struct {
	Status RunStatus
	// Seq is that of the terminal event.
	Seq int64
	// Revision is the output revision that holds the content.
	Revision    int32
	CompletedAt time.Time
	// Deduplicated means that the same content had been stored before.
	Deduplicated bool
}

// Output is a revision of a run's result.
type Output struct {
	Payload       Payload
	SchemaHash    string
	PlanVersionID string
	Provenance    Payload
	Statistics    Payload
	// Usage is the sum over the run's events.
	Usage       Usage
	Outcome     Outcome
	Revision    int32
	CompletedAt time.Time
	// Salt is hashed with the revision; it is empty if the revision was written without one.
	Salt []byte
}

// Complete ends the run, or revises the output of a run that ended with the same outcome. The last
// events, the output, the final snapshot and the terminal event are written all or none.
func (r *Run) Complete(ctx context.Context, completion Completion) (*Completed, error) {
	var e encoder
	message := e.completion(&completion)
	if e.err != nil {
		return nil, e.err
	}
	response, err := send(ctx, r.client, r.client.service.CompleteRun, &runstorev1.CompleteRunRequest{
		Project:       r.client.project,
		RunId:         r.id,
		Outcome:       message.Outcome,
		Events:        message.Events,
		Output:        message.Output,
		FinalSnapshot: message.FinalSnapshot,
		ExpectedSeq:   r.expectedSeq,
		WriterEpoch:   r.writerEpoch,
	})
	if err != nil {
		return nil, err
	}
	return &Completed{
		Status:       RunStatus(response.Status),
		Seq:          response.Seq,
		Revision:     response.Revision,
		CompletedAt:  timeOf(response.CompletedAt),
		Deduplicated: response.Deduplicated,
	}, nil
}

// GetOutput returns the latest revision of the run's output.
func (r *Run) GetOutput(ctx context.Context) (*Output, error) {
	return r.GetOutputRevision(ctx, 0)
}

// GetOutputRevision returns a revision of the run's output, counted from 1; 0 means the latest.
func (r *Run) GetOutputRevision(ctx context.Context, revision int32) (*Output, error) {
	response, err := send(ctx, r.client, r.client.service.GetOutput, &runstorev1.GetOutputRequest{
		Project: r.client.project, RunId: r.id, Revision: revision,
	})
	if err != nil {
		return nil, err
	}
	return outputOf(response.Output), nil
}

// completion returns the message of a completion; nil for none.
func (e *encoder) completion(completion *Completion) *runstorev1.Completion {
	if completion == nil {
		return nil
	}
	output := completion.Output
	return &runstorev1.Completion{
		Outcome: runstorev1.Outcome(completion.Outcome),
		Events:  mapped(completion.Events, e.event),
		Output: &runstorev1.Output{
			Payload:       e.payload(output.Payload),
			SchemaHash:    output.SchemaHash,
			PlanVersionId: output.PlanVersionID,
			Provenance:    e.payload(output.Provenance),
			Statistics:    e.payload(output.Statistics),
		},
		FinalSnapshot: e.snapshot(completion.FinalSnapshot),
	}
}

func outputOf(message *runstorev1.Output) *Output {
	output := &Output{
		Payload:       payloadOf(message.GetPayload()),
		SchemaHash:    message.GetSchemaHash(),
		PlanVersionID: message.GetPlanVersionId(),
		Provenance:    payloadOf(message.GetProvenance()),
		Statistics:    payloadOf(message.GetStatistics()),
		Outcome:       Outcome(message.GetOutcome()),
		Revision:      message.GetRevision(),
		CompletedAt:   timeOf(message.GetCompletedAt()),
		Salt:          message.GetSalt(),
	}
	if usage := usageOf(message.GetUsage()); usage != nil {
		output.Usage = *usage
	}
	return output
}
