package runstore

import (
	"context"
	"iter"
	"strings"
	"time"

	runstorev1 "github.com/runstore/runstore/clients/go/v1"
)

// ConfigFilter selects runs pinned to a config, or to one version of it if set.
type ConfigFilter struct {
	Kind    string
	Name    string
	Version int64
	Digest  string
}

// ExternalFilter selects runs by their execution in another system; without an ID, any there.
type ExternalFilter struct {
	System string
	ID     string
}

// RunOrder is the order in which runs are listed.
type RunOrder int32

// The orders of runs; those by completion omit runs that have not ended.
const (
	NewestCreated   = RunOrder(runstorev1.RunOrder_RUN_ORDER_CREATED_DESC)
	OldestCreated   = RunOrder(runstorev1.RunOrder_RUN_ORDER_CREATED_ASC)
	NewestUpdated   = RunOrder(runstorev1.RunOrder_RUN_ORDER_UPDATED_DESC)
	OldestUpdated   = RunOrder(runstorev1.RunOrder_RUN_ORDER_UPDATED_ASC)
	NewestCompleted = RunOrder(runstorev1.RunOrder_RUN_ORDER_COMPLETED_DESC)
	OldestCompleted = RunOrder(runstorev1.RunOrder_RUN_ORDER_COMPLETED_ASC)
)

// String returns the name in the contract, such as "CREATED_DESC".
func (o RunOrder) String() string {
	return strings.TrimPrefix(runstorev1.RunOrder(o).String(), "RUN_ORDER_")
}

// RunsOptions say which runs to list; a run must meet all conditions.
type RunsOptions struct {
	// Statuses selects runs with any of them, Tags and Labels runs with all of them.
	Statuses []RunStatus
	Tags     []string
	Labels   map[string]string
	// CreatedFrom is inclusive, CreatedBefore exclusive.
	CreatedFrom   time.Time
	CreatedBefore time.Time
	PlanID        string
	// Model and Tool select runs that have an event with them.
	Model       string
	Tool        string
	ParentRunID string
	// Config selects runs that are pinned to it.
	Config *ConfigFilter
	// AnyTags selects runs with at least one of them.
	AnyTags []string
	// RootRunID selects a run and all its descendants.
	RootRunID string
	// External selects runs by their execution in another system.
	External *ExternalFilter
	// UpdatedFrom and CompletedFrom are inclusive, UpdatedBefore and CompletedBefore exclusive.
	// Either bound on completion excludes runs that have not ended.
	UpdatedFrom     time.Time
	UpdatedBefore   time.Time
	CompletedFrom   time.Time
	CompletedBefore time.Time
	// Objective searches the objective: words, "a phrase" in quotes, a OR b, -word.
	Objective string
	// OldestFirst means OldestCreated; it is ignored if Order is set.
	OldestFirst bool
	// Order defaults to NewestCreated.
	Order RunOrder
	// PageSize is how many runs are fetched at once; 0 means 100.
	PageSize int
}

// ListRuns yields the project's runs, newest first unless the options say otherwise. If it fails,
// the last pair holds the error.
func (c *Client) ListRuns(ctx context.Context, options RunsOptions) iter.Seq2[*RunInfo, error] {
	if options.PageSize == 0 {
		options.PageSize = 100
	}
	filter, order := options.filter(), options.order()
	return pages(func(token string) ([]*RunInfo, string, error) {
		response, err := send(ctx, c, c.service.ListRuns, &runstorev1.ListRunsRequest{
			Project:   c.project,
			Filter:    filter,
			Order:     order,
			PageSize:  int32Of(options.PageSize),
			PageToken: token,
		})
		return mapped(response.GetRuns(), runInfoOf), response.GetNextPageToken(), err
	})
}

func (o RunsOptions) order() runstorev1.RunOrder {
	switch {
	case o.Order != 0:
		return runstorev1.RunOrder(o.Order)
	case o.OldestFirst:
		return runstorev1.RunOrder_RUN_ORDER_CREATED_ASC
	}
	return runstorev1.RunOrder_RUN_ORDER_CREATED_DESC
}

func (o RunsOptions) filter() *runstorev1.RunFilter {
	filter := &runstorev1.RunFilter{
		Statuses: mapped(o.Statuses, func(status RunStatus) runstorev1.RunStatus {
			return runstorev1.RunStatus(status)
		}),
		Tags:                o.Tags,
		AnyTags:             o.AnyTags,
		Labels:              o.Labels,
		CreatedFromTime:     timestamp(o.CreatedFrom),
		CreatedBeforeTime:   timestamp(o.CreatedBefore),
		UpdatedFromTime:     timestamp(o.UpdatedFrom),
		UpdatedBeforeTime:   timestamp(o.UpdatedBefore),
		CompletedFromTime:   timestamp(o.CompletedFrom),
		CompletedBeforeTime: timestamp(o.CompletedBefore),
		PlanId:              o.PlanID,
		Model:               o.Model,
		Tool:                o.Tool,
		ParentRunId:         o.ParentRunID,
		RootRunId:           o.RootRunID,
		Objective:           o.Objective,
	}
	if config := o.Config; config != nil {
		filter.Config = &runstorev1.ConfigFilter{
			Kind: config.Kind, Name: config.Name, Version: config.Version, Digest: config.Digest,
		}
	}
	if external := o.External; external != nil {
		filter.External = &runstorev1.ExternalFilter{System: external.System, Id: external.ID}
	}
	return filter
}
