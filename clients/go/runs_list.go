package runstore

import (
	"context"
	"iter"
	"strings"
	"time"

	runstorev1 "github.com/runstore/runstore/clients/go/v1"
)

// ConfigFilter selects pins: of a config, where given of one version of it.
type ConfigFilter struct {
	Kind    string
	Name    string
	Version int64
	Digest  string
}

// ExternalFilter selects runs that are this in another system; without an ID, anything there.
type ExternalFilter struct {
	System string
	ID     string
}

// RunOrder is the order of a listing of runs.
type RunOrder int32

// The orders of runs; those by completion leave out runs that have not ended.
const (
	NewestCreated   = RunOrder(runstorev1.RunOrder_RUN_ORDER_CREATED_DESC)
	OldestCreated   = RunOrder(runstorev1.RunOrder_RUN_ORDER_CREATED_ASC)
	NewestUpdated   = RunOrder(runstorev1.RunOrder_RUN_ORDER_UPDATED_DESC)
	OldestUpdated   = RunOrder(runstorev1.RunOrder_RUN_ORDER_UPDATED_ASC)
	NewestCompleted = RunOrder(runstorev1.RunOrder_RUN_ORDER_COMPLETED_DESC)
	OldestCompleted = RunOrder(runstorev1.RunOrder_RUN_ORDER_COMPLETED_ASC)
)

// String returns the contract's word, such as "CREATED_DESC".
func (o RunOrder) String() string {
	return strings.TrimPrefix(runstorev1.RunOrder(o).String(), "RUN_ORDER_")
}

// RunsOptions says which runs to list; conditions are joined by AND.
type RunsOptions struct {
	// Statuses selects runs of any of them, Tags and Labels runs with all of them.
	Statuses []RunStatus
	Tags     []string
	Labels   map[string]string
	// CreatedFrom is inclusive, CreatedBefore exclusive.
	CreatedFrom   time.Time
	CreatedBefore time.Time
	PlanID        string
	// Model and Tool select runs with an event of them.
	Model       string
	Tool        string
	ParentRunID string
	// Config selects runs that are pinned to it.
	Config *ConfigFilter
	// AnyTags selects runs with at least one of them.
	AnyTags []string
	// RootRunID selects a run and all below it.
	RootRunID string
	// External selects the same execution in another system.
	External *ExternalFilter
	// UpdatedFrom and CompletedFrom are inclusive, UpdatedBefore and CompletedBefore exclusive; a run
	// that has not ended was not completed at any time.
	UpdatedFrom     time.Time
	UpdatedBefore   time.Time
	CompletedFrom   time.Time
	CompletedBefore time.Time
	// Objective are words of the objective: words, "a phrase" in quotes, a OR b, -word.
	Objective string
	// OldestFirst is the order OldestCreated, and counts where Order is not given.
	OldestFirst bool
	// Order is NewestCreated where neither is given.
	Order RunOrder
	// PageSize is how many runs are fetched at once; 0 means 100.
	PageSize int
}

// ListRuns yields the project's runs, newest first unless the options say otherwise. A failure is
// yielded once, as the last.
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
			PageSize:  int32(options.PageSize),
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
