/** Usage: what events cost. */

import type { Usage as UsageMessage } from "../gen/runstore/v1/events_pb.js";
import * as check from "./arguments.js";
import { int64, type Int64 } from "./numbers.js";
import { duration, microsOf } from "./times.js";

/** What an event cost, or the sum over several. Costs are millionths of a US dollar. */
export interface Usage {
  readonly inputTokens: bigint;
  readonly outputTokens: bigint;
  readonly cachedInputTokens: bigint;
  readonly costMicros: bigint;
  readonly durationMicros: bigint;
}

/** What an event cost; omitted fields count as 0. */
export type NewUsage = { readonly [Name in keyof Usage]?: Int64 };

export const checkUsage = check.object<NewUsage>("usage", {
  inputTokens: check.int64,
  outputTokens: check.int64,
  cachedInputTokens: check.int64,
  costMicros: check.int64,
  durationMicros: check.int64,
});

export function usageValue(message: UsageMessage | undefined): Usage {
  return {
    inputTokens: message?.inputTokens ?? 0n,
    outputTokens: message?.outputTokens ?? 0n,
    cachedInputTokens: message?.cachedInputTokens ?? 0n,
    costMicros: message?.costMicros ?? 0n,
    durationMicros: microsOf(message?.duration),
  };
}

export function usageMessage(usage: NewUsage) {
  return {
    inputTokens: int64(usage.inputTokens ?? 0),
    outputTokens: int64(usage.outputTokens ?? 0),
    cachedInputTokens: int64(usage.cachedInputTokens ?? 0),
    costMicros: int64(usage.costMicros ?? 0),
    duration: duration(usage.durationMicros ?? 0),
  };
}
