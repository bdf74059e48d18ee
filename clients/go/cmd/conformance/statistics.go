package main

import (
	"context"
	"time"

	"github.com/runstore/runstore/clients/go"
	runstorev1 "github.com/runstore/runstore/clients/go/v1"
)

// after returns the event that an answer waits for.
func (a *arguments) after() *runstore.EventPlace {
	if a.After == nil {
		return nil
	}
	return &runstore.EventPlace{RunID: a.After.RunID, Seq: a.After.Seq}
}

func (a *arguments) wait() (wait time.Duration, noWait bool) {
	if a.WaitSeconds == nil {
		return 0, false
	}
	wait = time.Duration(*a.WaitSeconds * float64(time.Second))
	return wait, wait == 0
}

func (r *runner) statistics(ctx context.Context, a *arguments) (any, error) {
	options := runstore.StatisticsOptions{
		By: mapped(a.GroupBy, func(name string) runstore.Dimension {
			return runstore.Dimension(
				runstorev1.StatisticsDimension_value["STATISTICS_DIMENSION_"+name],
			)
		}),
		LabelKey: a.LabelKey, RunIDs: a.RunIDs, IncludeDescendants: a.IncludeDescendants,
		PlanID: a.PlanID, Labels: a.Labels.values, Tags: a.Tags, Types: a.Types,
		Models: a.Models, Tools: a.Tools, NodeIDs: a.NodeIDs, FromDay: a.FromDay, ToDay: a.ToDay,
		RollUpToRoot: a.RollUpToRoot, After: a.after(), MinPosition: a.MinPosition,
		PageSize: a.PageSize,
	}
	options.Wait, options.NoWait = a.wait()
	return listed("rows", r.client.GetStatistics(ctx, options))
}
