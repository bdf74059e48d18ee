package runstore

import (
	"time"

	runstorev1 "github.com/runstore/runstore/clients/go/v1"
	"google.golang.org/protobuf/types/known/durationpb"
)

// Usage is what an event cost, or the sum over several.
type Usage struct {
	InputTokens       int64
	OutputTokens      int64
	CachedInputTokens int64
	// CostMicros is in millionths of a US dollar.
	CostMicros int64
	Duration   time.Duration
}

func usageMessage(usage *Usage) *runstorev1.Usage {
	if usage == nil {
		return nil
	}
	return &runstorev1.Usage{
		InputTokens:       usage.InputTokens,
		OutputTokens:      usage.OutputTokens,
		CachedInputTokens: usage.CachedInputTokens,
		CostMicros:        usage.CostMicros,
		Duration:          durationpb.New(usage.Duration),
	}
}

func usageOf(message *runstorev1.Usage) *Usage {
	if message == nil {
		return nil
	}
	return &Usage{
		InputTokens:       message.InputTokens,
		OutputTokens:      message.OutputTokens,
		CachedInputTokens: message.CachedInputTokens,
		CostMicros:        message.CostMicros,
		Duration:          message.Duration.AsDuration(),
	}
}
