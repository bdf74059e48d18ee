package runstore

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"
)

// timestamp is the message of a time, to the microsecond as the store keeps it; nil for none.
func timestamp(at time.Time) *timestamppb.Timestamp {
	if at.IsZero() {
		return nil
	}
	return timestamppb.New(at.Truncate(time.Microsecond))
}

// timeOf is the time of a message in UTC; the zero time where there is none.
func timeOf(message *timestamppb.Timestamp) time.Time {
	if message == nil {
		return time.Time{}
	}
	return message.AsTime()
}
