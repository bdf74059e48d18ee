package runstore

import (
	"context"
	"time"

	runstorev1 "github.com/runstore/runstore/clients/go/v1"
)

// Limits are what a project may use of one server process, and what it may store; 0 is no limit.
type Limits struct {
	CallsPerSecond  int64
	EventsPerSecond int64
	BytesPerSecond  int64
	Streams         int64
	// StoredBytes may be stored through all processes together.
	StoredBytes int64
}

// ProjectLimits are the limits of a project, and how much it stores.
type ProjectLimits struct {
	Limits Limits
	// UpdatedAt is when they were set; zero if they never were.
	UpdatedAt time.Time
	// StoredBytesUsed lags writes by some seconds.
	StoredBytesUsed int64
}

// SetLimitsOptions say how limits are set.
type SetLimitsOptions struct {
	// RequestID identifies a retry; if empty, the client generates one.
	RequestID string
}

// SetLimits replaces all limits of the project; those that are left out are none.
func (a *Admin) SetLimits(
	ctx context.Context, limits Limits, options SetLimitsOptions,
) (Limits, error) {
	if options.RequestID == "" {
		options.RequestID = newID()
	}
	response, err := send(ctx, a.client, a.service.SetLimits, &runstorev1.SetLimitsRequest{
		Project: a.client.project,
		Limits: &runstorev1.Limits{
			CallsPerSecond:  limits.CallsPerSecond,
			EventsPerSecond: limits.EventsPerSecond,
			BytesPerSecond:  limits.BytesPerSecond,
			Streams:         limits.Streams,
			StoredBytes:     limits.StoredBytes,
		},
		RequestId: options.RequestID,
	})
	if err != nil {
		return Limits{}, err
	}
	return limitsOf(response.Limits), nil
}

// Limits returns the limits of the project, all 0 if none were ever set, and how much it stores.
func (a *Admin) Limits(ctx context.Context) (*ProjectLimits, error) {
	response, err := send(ctx, a.client, a.service.GetLimits, &runstorev1.GetLimitsRequest{
		Project: a.client.project,
	})
	if err != nil {
		return nil, err
	}
	return &ProjectLimits{
		Limits:          limitsOf(response.Limits),
		UpdatedAt:       timeOf(response.UpdatedAt),
		StoredBytesUsed: response.StoredBytesUsed,
	}, nil
}

func limitsOf(message *runstorev1.Limits) Limits {
	return Limits{
		CallsPerSecond:  message.GetCallsPerSecond(),
		EventsPerSecond: message.GetEventsPerSecond(),
		BytesPerSecond:  message.GetBytesPerSecond(),
		Streams:         message.GetStreams(),
		StoredBytes:     message.GetStoredBytes(),
	}
}
