package runstore

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"
)

// timestamp returns the message for a time, cut to the microsecond as the store keeps it; nil for
// the zero time.
func timestamp(at time.Time) *timestamppb.Timestamp {
	if at.IsZero() {
		return nil
	}
	return timestamppb.New(at.Truncate(time.Microsecond))
}

// timeOf returns the time of a message in UTC; the zero time for nil.
func timeOf(message *timestamppb.Timestamp) time.Time {
	if message == nil {
		return time.Time{}
	}
	return message.AsTime()
}
