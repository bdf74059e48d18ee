package runstore

import (
	"context"
	"iter"
	"strings"
	"time"

	runstorev1 "github.com/runstore/runstore/clients/go/v1"
)

// Dimension is what statistics can be grouped by.
type Dimension int32

// The dimensions of statistics.
const (
	DimensionRun   = Dimension(runstorev1.StatisticsDimension_STATISTICS_DIMENSION_RUN)
	DimensionNode  = Dimension(runstorev1.StatisticsDimension_STATISTICS_DIMENSION_NODE)
	DimensionModel = Dimension(runstorev1.StatisticsDimension_STATISTICS_DIMENSION_MODEL)
	DimensionTool  = Dimension(runstorev1.StatisticsDimension_STATISTICS_DIMENSION_TOOL)
	DimensionType  = Dimension(runstorev1.StatisticsDimension_STATISTICS_DIMENSION_TYPE)
	// DimensionDay is the day in UTC on which an event was recorded.
	DimensionDay = Dimension(runstorev1.StatisticsDimension_STATISTICS_DIMENSION_DAY)
)

// String returns the name in the contract, such as "MODEL".
func (d Dimension) String() string {
	return strings.TrimPrefix(runstorev1.StatisticsDimension(d).String(), "STATISTICS_DIMENSION_")
}

// StatisticsOptions say what to count and how to group it; an event must meet all conditions.
type StatisticsOptions struct {
	// By is what to group by, each dimension once; with LabelKey at most 3 in all. Without any
	// there is one row.
	By []Dimension
	// LabelKey groups by the value of this label of the run too.
	LabelKey string
	// RunIDs selects any of these runs; IncludeDescendants, which requires it, their descendants
	// too.
	RunIDs             []string
	IncludeDescendants bool
	PlanID             string
	// Labels and Tags select runs with all of them.
	Labels map[string]string
	Tags   []string
	// Types, Models, Tools and NodeIDs select events with any of them.
	Types   []string
	Models  []string
	Tools   []string
	NodeIDs []string
	// FromDay and ToDay select events recorded from one to the other, both inclusive: days in UTC,
	// such as "2026-01-31".
	FromDay string
	ToDay   string
	// RollUpToRoot counts each run as its topmost ancestor; it requires DimensionRun.
	RollUpToRoot bool
	// After is an event that must be counted before the call answers.
	After *EventPlace
	// MinPosition is a position of the feed that must be counted before the call answers.
	MinPosition int64
	// Wait is how long to wait for them, at most 30 seconds and within the call's deadline; 0 means
	// the server's default. After that it fails with [*StatisticsBehindError].
	Wait time.Duration
	// NoWait fails at once instead of waiting: a Wait of zero seconds.
	NoWait bool
	// PageSize is how many rows are fetched at once; 0 means the server's default.
	PageSize int
}

// StatisticsRow is the counts of one group. Fields that it is not grouped by are empty.
type StatisticsRow struct {
	// RunID is the run, or its topmost ancestor.
	RunID  string
	NodeID string
	Model  string
	Tool   string
	Type   string
	// Day is in UTC, such as "2026-01-31".
	Day        string
	LabelValue string
	// Events counts all events, Errors those of a type whose last word is error or failed,
	// ToolCalls those that name a tool and do not report how a call ended.
	Events    int64
	Errors    int64
	ToolCalls int64
	// Runs counts the runs that have any of these events.
	Runs int64
	// Usage is the sum over the events.
	Usage Usage
}

// GetStatistics yields what events used, added up: a row for each group that has events, in the
// order of the dimensions. If it fails, the last pair holds the error.
func (c *Client) GetStatistics(
	ctx context.Context, options StatisticsOptions,
) iter.Seq2[*StatisticsRow, error] {
	return pages(func(token string) ([]*StatisticsRow, string, error) {
		response, err := send(ctx, c, c.service.GetStatistics, options.request(c.project, token))
		return mapped(response.GetRows(), statisticsRowOf), response.GetNextPageToken(), err
	})
}

func (o StatisticsOptions) request(project, token string) *runstorev1.GetStatisticsRequest {
	return &runstorev1.GetStatisticsRequest{
		Project: project,
		Filter: &runstorev1.StatisticsFilter{
			RunIds:  o.RunIDs,
			PlanId:  o.PlanID,
			Labels:  o.Labels,
			Tags:    o.Tags,
			Types:   o.Types,
			Models:  o.Models,
			Tools:   o.Tools,
			NodeIds: o.NodeIDs,
			FromDay: o.FromDay,
			ToDay:   o.ToDay,
		},
		GroupBy: mapped(o.By, func(by Dimension) runstorev1.StatisticsDimension {
			return runstorev1.StatisticsDimension(by)
		}),
		LabelKey:           o.LabelKey,
		IncludeDescendants: o.IncludeDescendants,
		RollUpToRoot:       o.RollUpToRoot,
		PageSize:           int32Of(o.PageSize),
		PageToken:          token,
		MinPosition:        o.MinPosition,
		After:              o.After.message(),
		Wait:               waiting(o.Wait, o.NoWait),
	}
}

func statisticsRowOf(message *runstorev1.StatisticsRow) *StatisticsRow {
	row := &StatisticsRow{
		RunID:      message.RunId,
		NodeID:     message.NodeId,
		Model:      message.Model,
		Tool:       message.Tool,
		Type:       message.Type,
		Day:        message.Day,
		LabelValue: message.LabelValue,
		Events:     message.Events,
		Errors:     message.Errors,
		ToolCalls:  message.ToolCalls,
		Runs:       message.Runs,
	}
	if usage := usageOf(message.Usage); usage != nil {
		row.Usage = *usage
	}
	return row
}
