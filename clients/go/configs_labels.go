package runstore

import (
	"context"
	"iter"
	"time"

	runstorev1 "github.com/runstore/runstore/clients/go/v1"
)

// LabelMove is the move of a label from one version to another; 0 stands for no label. The two are
// equal if the label did not have to move.
type LabelMove struct {
	Label       string
	FromVersion int64
	ToVersion   int64
	Actor       string
	// MovedAt is zero if there was no label to remove.
	MovedAt time.Time
}

// LabelOptions say how a label is moved.
type LabelOptions struct {
	// ExpectedVersion is where the label must point now, or the call fails with
	// [*LabelConflictError]; 0 means that there must be no such label, nil that it may point
	// anywhere.
	ExpectedVersion *int64
	// Actor is who moves it.
	Actor string
	// RequestID identifies a retry; if empty, the client generates one.
	RequestID string
}

// SetLabel points a label to a version. Runs that are already saved keep their pins.
func (c *Configs) SetLabel(
	ctx context.Context, kind, name, label string, version int64, options LabelOptions,
) (*LabelMove, error) {
	if options.RequestID == "" {
		options.RequestID = newID()
	}
	response, err := send(ctx, c.client, c.service.SetLabel, &runstorev1.SetLabelRequest{
		Project:         c.client.project,
		Kind:            kind,
		Name:            name,
		Label:           label,
		Version:         version,
		ExpectedVersion: options.ExpectedVersion,
		Actor:           options.Actor,
		RequestId:       options.RequestID,
	})
	if err != nil {
		return nil, err
	}
	return labelMoveOf(response.Move), nil
}

// RemoveLabel removes a label; its history stays.
func (c *Configs) RemoveLabel(
	ctx context.Context, kind, name, label string, options LabelOptions,
) (*LabelMove, error) {
	if options.RequestID == "" {
		options.RequestID = newID()
	}
	response, err := send(ctx, c.client, c.service.RemoveLabel, &runstorev1.RemoveLabelRequest{
		Project:         c.client.project,
		Kind:            kind,
		Name:            name,
		Label:           label,
		ExpectedVersion: options.ExpectedVersion,
		Actor:           options.Actor,
		RequestId:       options.RequestID,
	})
	if err != nil {
		return nil, err
	}
	return labelMoveOf(response.Move), nil
}

// LabelMoves yields the moves of a label, or of all labels if it is empty, newest first. If it
// fails, the last pair holds the error.
func (c *Configs) LabelMoves(
	ctx context.Context, kind, name, label string,
) iter.Seq2[*LabelMove, error] {
	return pages(func(token string) ([]*LabelMove, string, error) {
		response, err := send(ctx, c.client, c.service.ListLabelMoves,
			&runstorev1.ListLabelMovesRequest{
				Project:   c.client.project,
				Kind:      kind,
				Name:      name,
				Label:     label,
				PageSize:  configPage,
				PageToken: token,
			})
		return mapped(response.GetMoves(), labelMoveOf), response.GetNextPageToken(), err
	})
}

func labelMoveOf(message *runstorev1.LabelMove) *LabelMove {
	return &LabelMove{
		Label:       message.GetLabel(),
		FromVersion: message.GetFromVersion(),
		ToVersion:   message.GetToVersion(),
		Actor:       message.GetActor(),
		MovedAt:     timeOf(message.GetMovedAt()),
	}
}
