package runstore

import (
	"context"
	"iter"
	"time"

	runstorev1 "github.com/runstore/runstore/clients/go/v1"
)

// LabelMove is a label's way from one version to another; 0 stands for no label. The two are equal
// where nothing had to be moved.
type LabelMove struct {
	Label       string
	FromVersion int64
	ToVersion   int64
	Actor       string
	// MovedAt is zero where there was no label to remove.
	MovedAt time.Time
}

// LabelOptions says how a label is moved.
type LabelOptions struct {
	// ExpectedVersion is where the label has to be now, otherwise it is [*LabelConflictError]; 0
	// means that there must be no such label, nil that it may be anywhere.
	ExpectedVersion *int64
	// Actor is who moves it.
	Actor string
	// RequestID recognises a retry; the client makes one where it is empty.
	RequestID string
}

// SetLabel points a label to a version; no run that is saved changes by it.
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

// LabelMoves yields who moved a label, or any where it is empty, and when, newest first. A failure is
// yielded once, as the last.
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
