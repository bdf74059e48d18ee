/** Outputs: how a run ends, and its result. */

import type { MessageInitShape } from "@bufbuild/protobuf";

import { checkEvents, eventMessages, type NewEvent } from "../events/values.js";
import { Outcome, type Output as OutputMessage } from "../gen/runstore/v1/outputs_pb.js";
import type { CompletionSchema, CompleteRunResponse } from "../gen/runstore/v1/run_service_pb.js";
import { RunStatus } from "../gen/runstore/v1/runs_pb.js";
import { checkSnapshot, snapshotMessage, type NewSnapshot } from "../snapshots/values.js";
import { CALL_OPTIONS, type CallOptions } from "../transport/options.js";
import * as check from "../values/arguments.js";
import { safeNumber } from "../values/numbers.js";
import { optionalPayload, payloadMessage, type Payload, type Value } from "../values/payloads.js";
import { printing } from "../values/printing.js";
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

/** Which revision of an output to read. */
export interface OutputOptions extends CallOptions {
  /** By default the latest. */
  readonly revision?: number;
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
  /** What was hashed with the revision; empty if it was written without it. */
  readonly salt: Uint8Array;
}

export const checkCompletion = check.object<Completion>("completion", {
  outcome: check.member("Outcome"),
  payload: check.anything,
  schemaHash: check.text,
  planVersionId: check.text,
  provenance: check.anything,
  statistics: check.anything,
  events: checkEvents,
  finalSnapshot: checkSnapshot,
});

export const checkOutputOptions = check.object<OutputOptions>("options", {
  ...CALL_OPTIONS,
  revision: check.int32,
});

/** The fields of a completion at this path. */
export function completionMessage(
  completion: Completion,
  at = "",
): Omit<MessageInitShape<typeof CompletionSchema>, "$typeName" | "$unknown"> {
  return {
    outcome: completion.outcome ?? Outcome.SUCCEEDED,
    events: eventMessages(completion.events, `${at}events`),
    output: {
      payload: payloadMessage(completion.payload, `${at}payload`),
      schemaHash: completion.schemaHash ?? "",
      planVersionId: completion.planVersionId ?? "",
      provenance: payloadMessage(completion.provenance, `${at}provenance`),
      statistics: payloadMessage(completion.statistics, `${at}statistics`),
    },
    finalSnapshot:
      completion.finalSnapshot && snapshotMessage(completion.finalSnapshot, `${at}finalSnapshot.`),
  };
}

const printedCompleted = printing<Completed>({ status: ["RunStatus", RunStatus] });

export function completedValue(message: CompleteRunResponse): Completed {
  return printedCompleted({
    status: message.status,
    seq: safeNumber(message.seq),
    revision: message.revision,
    completedAt: instantOf(message.completedAt),
    deduplicated: message.deduplicated,
  });
}

const printedOutput = printing<Output>({ outcome: ["Outcome", Outcome] });

export function outputValue(message: OutputMessage): Output {
  return printedOutput({
    payload: optionalPayload(message.payload),
    schemaHash: message.schemaHash,
    planVersionId: message.planVersionId,
    provenance: optionalPayload(message.provenance),
    statistics: optionalPayload(message.statistics),
    usage: usageValue(message.usage),
    outcome: message.outcome,
    revision: message.revision,
    completedAt: instantOf(message.completedAt),
    salt: message.salt,
  });
}
