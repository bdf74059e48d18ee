package runstore

import (
	"context"
	"iter"
	"strings"
	"time"

	runstorev1 "github.com/runstore/runstore/clients/go/v1"
)

// Dimension is what counts are told apart by.
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

// String returns the contract's word, such as "MODEL".
func (d Dimension) String() string {
	return strings.TrimPrefix(runstorev1.StatisticsDimension(d).String(), "STATISTICS_DIMENSION_")
}

// StatisticsOptions says what to count, and what to tell it apart by; conditions are joined by AND.
type StatisticsOptions struct {
	// By is what to tell apart, each once; with LabelKey at most 3 in all. Nothing: one row of all.
	By []Dimension
	// LabelKey tells apart by the value of this label of the run too.
	LabelKey string
	// RunIDs selects any of these runs; IncludeDescendants, which needs them, all runs below them too.
	RunIDs             []string
	IncludeDescendants bool
	PlanID             string
	// Labels and Tags select runs with all of them.
	Labels map[string]string
	Tags   []string
	// Types, Models, Tools and NodeIDs select events of any of them.
	Types   []string
	Models  []string
	Tools   []string
	NodeIDs []string
	// FromDay and ToDay select events recorded from one to the other, both inclusive: days in UTC,
	// such as "2026-01-31".
	FromDay string
	ToDay   string
	// RollUpToRoot counts each run as its topmost ancestor; it needs DimensionRun.
	RollUpToRoot bool
	// After is an event that has to be counted before the answer.
	After *EventPlace
	// MinPosition is a position of the feed that has to be counted.
	MinPosition int64
	// Wait is how long to wait for them, at most 30 seconds and within the call's time; 0 leaves it
	// to the server. When it is over: [*StatisticsBehindError].
	Wait time.Duration
	// NoWait looks only at what there is: Wait of zero seconds.
	NoWait bool
	// PageSize is how many rows are fetched at once; 0 leaves it to the server.
	PageSize int
}

// StatisticsRow is what was counted of one group. What it is not grouped by is empty.
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
	// Events is how many there are, Errors how many of them are of a type whose last word is error or
	// failed, ToolCalls how many name a tool and do not tell how a call ended.
	Events    int64
	Errors    int64
	ToolCalls int64
	// Runs is how many have any of these events.
	Runs int64
	// Usage is the sum over the events.
	Usage Usage
}

// GetStatistics yields what events used, added up: a row for each group that has events, in the order
// of what they are told apart by. A failure is yielded once, as the last.
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
		PageSize:           int32(o.PageSize),
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
