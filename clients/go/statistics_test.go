package runstore_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/runstore/runstore/clients/go"
)

// used is a run of a team with a model call, a tool call and its failure, all counted.
func used(t *testing.T, client *runstore.Client, parent, team string) (*runstore.Run, *runstore.EventPlace) {
	t.Helper()
	run, err := client.SaveRun(t.Context(), runstore.NewRun{
		PlanID: "plan", ParentRunID: parent, Labels: map[string]string{"team": team},
		Tags: []string{team},
	})
	require(t, err)
	appended, err := run.Append(t.Context(),
		runstore.NewEvent{
			Type: "model.called", Model: "gpt", NodeID: "write",
			Usage: &runstore.Usage{
				InputTokens: 7, OutputTokens: 2, CachedInputTokens: 1, CostMicros: 30,
				Duration: 4 * time.Microsecond,
			},
		},
		runstore.NewEvent{Type: "tool.called", Tool: "search"},
		runstore.NewEvent{Type: "tool.failed", Tool: "search"},
	)
	require(t, err)
	return run, &runstore.EventPlace{RunID: run.ID(), Seq: appended[2].Seq}
}

func TestStatisticsAddUpWhatEventsUsed(t *testing.T) {
	client := dial(t)
	used(t, client, "", "red")
	_, after := used(t, client, "", "blue")

	row := first(t, client.GetStatistics(t.Context(), runstore.StatisticsOptions{After: after}))

	equal(t, "row", *row, runstore.StatisticsRow{
		Events: 6, Errors: 2, ToolCalls: 2, Runs: 2, Usage: runstore.Usage{
			InputTokens: 14, OutputTokens: 4, CachedInputTokens: 2, CostMicros: 60,
			Duration: 8 * time.Microsecond,
		},
	})
}

func TestStatisticsAreToldApart(t *testing.T) {
	client := dial(t)
	run, after := used(t, client, "", "red")
	today := time.Now().UTC().Format(time.DateOnly)
	for name, each := range map[string]struct {
		options runstore.StatisticsOptions
		want    []runstore.StatisticsRow
	}{
		"by type": {
			runstore.StatisticsOptions{By: []runstore.Dimension{runstore.DimensionType}},
			[]runstore.StatisticsRow{{Type: "model.called"}, {Type: "tool.called"}, {Type: "tool.failed"}},
		},
		"by tool and model": {
			runstore.StatisticsOptions{By: []runstore.Dimension{
				runstore.DimensionTool, runstore.DimensionModel,
			}},
			[]runstore.StatisticsRow{{Model: "gpt"}, {Tool: "search"}},
		},
		"by run, node and label": {
			runstore.StatisticsOptions{
				By:       []runstore.Dimension{runstore.DimensionRun, runstore.DimensionNode},
				LabelKey: "team",
			},
			[]runstore.StatisticsRow{
				{RunID: run.ID(), LabelValue: "red"}, {RunID: run.ID(), NodeID: "write", LabelValue: "red"},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			each.options.After, each.options.PageSize = after, 1

			var got []runstore.StatisticsRow
			for _, row := range collect(t, client.GetStatistics(t.Context(), each.options)) {
				got = append(got, runstore.StatisticsRow{
					RunID: row.RunID, NodeID: row.NodeID, Model: row.Model, Tool: row.Tool, Type: row.Type,
					LabelValue: row.LabelValue,
				})
			}

			equal(t, "rows", fmt.Sprint(got), fmt.Sprint(each.want))
		})
	}
	byDay := runstore.StatisticsOptions{By: []runstore.Dimension{runstore.DimensionDay}, After: after}
	for _, row := range collect(t, client.GetStatistics(t.Context(), byDay)) {
		if row.Day < today { // past midnight by now
			t.Fatalf("got %q", row.Day)
		}
	}
	equal(t, "dimension", runstore.DimensionModel.String(), "MODEL")
}

func TestStatisticsSelectRunsAndEvents(t *testing.T) {
	client := dial(t)
	root, _ := used(t, client, "", "red")
	_, after := used(t, client, root.ID(), "blue")
	for name, each := range map[string]struct {
		options runstore.StatisticsOptions
		events  int64
	}{
		"run":         {runstore.StatisticsOptions{RunIDs: []string{root.ID()}}, 3},
		"descendants": {runstore.StatisticsOptions{RunIDs: []string{root.ID()}, IncludeDescendants: true}, 6},
		"plan":        {runstore.StatisticsOptions{PlanID: "other"}, 0},
		"labels":      {runstore.StatisticsOptions{Labels: map[string]string{"team": "blue"}}, 3},
		"tags":        {runstore.StatisticsOptions{Tags: []string{"red"}}, 3},
		"types":       {runstore.StatisticsOptions{Types: []string{"tool.called", "tool.failed"}}, 4},
		"models":      {runstore.StatisticsOptions{Models: []string{"gpt"}}, 2},
		"tools":       {runstore.StatisticsOptions{Tools: []string{"search"}}, 4},
		"nodes":       {runstore.StatisticsOptions{NodeIDs: []string{"write"}}, 2},
		"days":        {runstore.StatisticsOptions{FromDay: "2000-01-01", ToDay: "2000-01-02"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			each.options.After = after

			row := first(t, client.GetStatistics(t.Context(), each.options))

			equal(t, "events", row.Events, each.events)
		})
	}
	rolledUp := collect(t, client.GetStatistics(t.Context(), runstore.StatisticsOptions{
		By: []runstore.Dimension{runstore.DimensionRun}, RollUpToRoot: true, After: after,
	}))
	equal(t, "roots", len(rolledUp), 1)
	equal(t, "root", rolledUp[0].RunID, root.ID())
	equal(t, "events", rolledUp[0].Events, 6)
}

func TestStatisticsThatAreBehindSayHowFarTheyAre(t *testing.T) {
	client := dial(t)

	_, err := next(client.GetStatistics(t.Context(), runstore.StatisticsOptions{
		MinPosition: 1 << 40, NoWait: true,
	}))

	var behind *runstore.StatisticsBehindError
	if !errors.As(err, &behind) || behind.CountedPosition() >= 1<<40 {
		t.Fatalf("got %v", err)
	}
}
