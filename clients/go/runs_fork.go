package runstore

import (
	"context"

	runstorev1 "github.com/runstore/runstore/clients/go/v1"
)

// ForkOptions say where a fork begins and how it differs from the run.
type ForkOptions struct {
	// AtSeq is the last seq of the shared history; 0 means the whole history except a terminal
	// event. One beyond the last event fails with [*SeqAheadError].
	AtSeq int64
	// RunID identifies the fork; if empty, the client generates a UUIDv7. Forking again with the
	// same id and content returns the same fork.
	RunID string
	// Objective is that of the run if nil.
	Objective *string
	// ConfigRefs replace the run's pins of the same kind and name, or are added to them.
	ConfigRefs []ConfigRef
	// Tags and Labels are those of the fork; it does not inherit the run's.
	Tags   []string
	Labels map[string]string
}

// Fork creates a run that begins with this one's history, which is shared, not copied, and is
// independent from there. The handle writes with the fork's first epoch.
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
