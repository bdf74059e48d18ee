/** Outputs: how a run ends, and its result. */

import type { MessageInitShape } from "@bufbuild/protobuf";

import { eventMessages, type NewEvent } from "../events/values.js";
import { Outcome, type Output as OutputMessage } from "../gen/runstore/v1/outputs_pb.js";
import type { CompletionSchema, CompleteRunResponse } from "../gen/runstore/v1/run_service_pb.js";
import type { RunStatus } from "../gen/runstore/v1/runs_pb.js";
import { snapshotMessage, type NewSnapshot } from "../snapshots/values.js";
import { safeNumber } from "../values/numbers.js";
import { optionalPayload, payloadMessage, type Payload, type Value } from "../values/payloads.js";
import { instantOf, type Instant } from "../values/times.js";
import { usageValue, type Usage } from "../values/usage.js";

/** How a run ended: its outcome (by default SUCCEEDED), output, last events and state. */
export interface Completion {
  readonly outcome?: Outcome;
  readonly payload?: Value;
  readonly schemaHash?: string;
  readonly planVersionId?: string;
  readonly provenance?: Value;
  readonly statistics?: Value;
  readonly events?: readonly NewEvent[];
  readonly finalSnapshot?: NewSnapshot;
}

/** The state of a run after its completion. */
export interface Completed {
  readonly status: RunStatus;
  readonly seq: number;
  readonly revision: number;
  readonly completedAt: Instant;
  readonly deduplicated: boolean;
}

/** A revision of a run's result. */
export interface Output {
  readonly payload: Payload | undefined;
  readonly schemaHash: string;
  readonly planVersionId: string;
  readonly provenance: Payload | undefined;
  readonly statistics: Payload | undefined;
  readonly usage: Usage;
  readonly outcome: Outcome;
  readonly revision: number;
  readonly completedAt: Instant;
}

export function completionMessage(
  completion: Completion,
): Omit<MessageInitShape<typeof CompletionSchema>, "$typeName" | "$unknown"> {
  return {
    outcome: completion.outcome ?? Outcome.SUCCEEDED,
    events: eventMessages(completion.events),
    output: {
      payload: payloadMessage(completion.payload, "payload"),
      schemaHash: completion.schemaHash ?? "",
      planVersionId: completion.planVersionId ?? "",
      provenance: payloadMessage(completion.provenance, "provenance"),
      statistics: payloadMessage(completion.statistics, "statistics"),
    },
    finalSnapshot:
      completion.finalSnapshot && snapshotMessage(completion.finalSnapshot, "finalSnapshot."),
  };
}

export function completedValue(message: CompleteRunResponse): Completed {
  return {
    status: message.status,
    seq: safeNumber(message.seq),
    revision: message.revision,
    completedAt: instantOf(message.completedAt),
    deduplicated: message.deduplicated,
  };
}

export function outputValue(message: OutputMessage): Output {
  return {
    payload: optionalPayload(message.payload),
    schemaHash: message.schemaHash,
    planVersionId: message.planVersionId,
    provenance: optionalPayload(message.provenance),
    statistics: optionalPayload(message.statistics),
    usage: usageValue(message.usage),
    outcome: message.outcome,
    revision: message.revision,
    completedAt: instantOf(message.completedAt),
  };
}
