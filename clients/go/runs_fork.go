package runstore

import (
	"context"

	runstorev1 "github.com/runstore/runstore/clients/go/v1"
)

// ForkOptions says where a fork leaves the run, and what is different in it.
type ForkOptions struct {
	// AtSeq is the last seq to have in common; 0 means all there is, without a terminal event. Beyond
	// the last event it is [*SeqAheadError].
	AtSeq int64
	// RunID is the fork's identity; the client makes a UUIDv7 where it is empty. The same one and
	// content again is the same fork.
	RunID string
	// Objective nil means the run's own.
	Objective *string
	// ConfigRefs replace the run's of the same kind and name, or come besides.
	ConfigRefs []ConfigRef
	// Tags and Labels are the fork's; the run's are not taken over.
	Tags   []string
	Labels map[string]string
}

// Fork creates a run that begins with this one's history, shared and not copied, and goes on by
// itself. The handle writes with the fork's first epoch.
func (r *Run) Fork(ctx context.Context, options ForkOptions) (*Run, error) {
	if options.RunID == "" {
		options.RunID = newID()
	}
	response, err := send(ctx, r.client, r.client.service.ForkRun, &runstorev1.ForkRunRequest{
		Project:    r.client.project,
		RunId:      r.id,
		AtSeq:      options.AtSeq,
		ForkRunId:  options.RunID,
		Objective:  options.Objective,
		ConfigRefs: mapped(options.ConfigRefs, configRefMessage),
		Tags:       options.Tags,
		Labels:     options.Labels,
	})
	if err != nil {
		return nil, err
	}
	return r.client.Run(response.Run.RunId).WithWriterEpoch(firstEpoch), nil
}
