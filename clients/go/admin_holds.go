package runstore

import (
	"context"
	"iter"
	"time"

	runstorev1 "github.com/runstore/runstore/clients/go/v1"
)

// RunSelection selects runs by what they are when it is applied; a zero one selects all runs.
type RunSelection struct {
	// Statuses selects runs with any of them, Tags and Labels runs with all of them.
	Statuses []RunStatus
	PlanID   string
	Tags     []string
	Labels   map[string]string
}

// NewHold is a hold to be placed, either on a run or on those that are selected.
type NewHold struct {
	// Reason is why, for people: a case number, for instance.
	Reason string
	// RunID is the run to be held; empty if Filter says what is.
	RunID string
	// Filter selects what is to be held whenever something is to be removed.
	Filter *RunSelection
	// RequestID identifies a retry; if empty, the client generates one.
	RequestID string
}

// Hold keeps what it holds from being removed, by anybody, until it is released.
type Hold struct {
	HoldID string
	// RunID is the run that is held; empty if Filter selects what is.
	RunID string
	// Filter is nil if RunID is held.
	Filter   *RunSelection
	Reason   string
	PlacedBy Principal
	PlacedAt time.Time
	// ReleasedBy is nil while it holds.
	ReleasedBy *Principal
	// ReleasedAt is zero while it holds.
	ReleasedAt time.Time
}

// ListHoldsOptions says which holds to list.
type ListHoldsOptions struct {
	// RunID lists those that hold this run; if empty, all of the project.
	RunID string
	// IncludeReleased lists those that were released, too.
	IncludeReleased bool
}

// PlaceHold keeps a run, or all runs that a filter selects, from being removed by anybody. Once it
// returns nothing of them is being removed, nor will be until the hold is released: such calls fail
// with [*RunHeldError].
func (a *Admin) PlaceHold(ctx context.Context, hold NewHold) (*Hold, error) {
	if (hold.RunID == "") == (hold.Filter == nil) {
		return nil, &InvalidArgumentError{"hold.RunID", "must be given, or a Filter, and not both"}
	}
	if hold.RequestID == "" {
		hold.RequestID = newID()
	}
	request := &runstorev1.PlaceHoldRequest{
		Project: a.client.project, Reason: hold.Reason, RequestId: hold.RequestID,
	}
	if hold.Filter == nil {
		request.Target = &runstorev1.PlaceHoldRequest_RunId{RunId: hold.RunID}
	} else {
		filter := selectionMessage(*hold.Filter)
		request.Target = &runstorev1.PlaceHoldRequest_Filter{Filter: filter}
	}
	response, err := send(ctx, a.client, a.service.PlaceHold, request)
	if err != nil {
		return nil, err
	}
	return holdOf(response.Hold), nil
}

// ReleaseHold ends a hold for good, or returns one that was released before. An unknown one is
// [*HoldNotFoundError].
func (a *Admin) ReleaseHold(ctx context.Context, holdID string) (*Hold, error) {
	response, err := send(ctx, a.client, a.service.ReleaseHold, &runstorev1.ReleaseHoldRequest{
		Project: a.client.project, HoldId: holdID, RequestId: newID(),
	})
	if err != nil {
		return nil, err
	}
	return holdOf(response.Hold), nil
}

// Holds yields the holds of the project, or those that hold a run, newest first. If it fails, the
// last pair holds the error.
func (a *Admin) Holds(ctx context.Context, options ListHoldsOptions) iter.Seq2[*Hold, error] {
	return pages(func(token string) ([]*Hold, string, error) {
		response, err := send(ctx, a.client, a.service.ListHolds, &runstorev1.ListHoldsRequest{
			Project: a.client.project, RunId: options.RunID,
			IncludeReleased: options.IncludeReleased, PageSize: adminPage, PageToken: token,
		})
		return mapped(response.GetHolds(), holdOf), response.GetNextPageToken(), err
	})
}

func selectionMessage(where RunSelection) *runstorev1.RunSelection {
	return &runstorev1.RunSelection{
		Statuses: mapped(where.Statuses, func(status RunStatus) runstorev1.RunStatus {
			return runstorev1.RunStatus(status)
		}),
		PlanId: where.PlanID, Tags: where.Tags, Labels: where.Labels,
	}
}

func selectionOf(message *runstorev1.RunSelection) RunSelection {
	return RunSelection{
		Statuses: mapped(message.GetStatuses(), func(status runstorev1.RunStatus) RunStatus {
			return RunStatus(status)
		}),
		PlanID: message.GetPlanId(), Tags: message.GetTags(), Labels: message.GetLabels(),
	}
}

func holdOf(message *runstorev1.Hold) *Hold {
	hold := &Hold{
		HoldID:     message.GetHoldId(),
		RunID:      message.GetRunId(),
		Reason:     message.GetReason(),
		PlacedBy:   principalOf(message.GetPlacedBy()),
		PlacedAt:   timeOf(message.GetPlacedAt()),
		ReleasedAt: timeOf(message.GetReleasedAt()),
	}
	if filter := message.GetFilter(); filter != nil {
		selection := selectionOf(filter)
		hold.Filter = &selection
	}
	if released := message.GetReleasedBy(); released != nil {
		by := principalOf(released)
		hold.ReleasedBy = &by
	}
	return hold
}
