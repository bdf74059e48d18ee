/** Runs: what one is saved with, how it stands, which are listed. */

import type { MessageInitShape } from "@bufbuild/protobuf";

import type { Outcome } from "../gen/runstore/v1/outputs_pb.js";
import type {
  ForkRunRequestSchema,
  SaveRunRequestSchema,
} from "../gen/runstore/v1/run_service_pb.js";
import type {
  ConfigRef as ConfigRefMessage,
  Run as RunMessage,
  RunStatus,
} from "../gen/runstore/v1/runs_pb.js";
import { completionMessage, type Completion } from "../outputs/values.js";
import { present } from "../transport/answers.js";
import { newId } from "../values/ids.js";
import { int64, safeNumber, type Int64 } from "../values/numbers.js";
import { optionalPayload, payloadMessage, type Payload, type Value } from "../values/payloads.js";
import { instantOf, optionalInstant, type Instant } from "../values/times.js";
import { usageValue, type Usage } from "../values/usage.js";
import type { RunRef } from "../values/writers.js";

/** The same execution in another system; one that owns the status makes the run EXTERNAL. */
export interface ExternalRef {
  readonly system: string;
  readonly id: string;
  readonly url?: string;
  readonly ownsStatus?: boolean;
}

/** A pinned version of a prompt, tool, agent or evaluator; read back its version is a bigint. */
export interface ConfigRef {
  readonly kind: string;
  readonly name: string;
  readonly version: Int64;
  readonly digest: string;
}

/** What a run is to be pinned to: by number, by digest, by both, or by a label alone. */
export interface NewConfigRef {
  readonly kind: string;
  readonly name: string;
  readonly version?: Int64;
  readonly digest?: string;
  /** Pins the version it points to when the run is saved. */
  readonly label?: string;
}

/** What a run may be saved with; with `completion` it is stored as already finished. */
export interface NewRun {
  /** Identity within the project; without one the client makes a UUIDv7. */
  readonly runId?: string;
  readonly objective?: string;
  readonly planId?: string;
  readonly plan?: Value;
  readonly parentRunId?: string;
  readonly externalRef?: ExternalRef;
  readonly configRefs?: readonly NewConfigRef[];
  readonly tags?: readonly string[];
  readonly labels?: Readonly<Record<string, string>>;
  readonly completion?: Completion;
}

/** What is different in a fork; tags and labels are not taken over. */
export interface NewFork {
  /** The last seq to have in common; left out, all there is without a terminal event. */
  readonly atSeq?: Int64;
  /** Identity within the project; without one the client makes a UUIDv7. */
  readonly runId?: string;
  /** Left out, the other run's. */
  readonly objective?: string;
  /** Replace those of the same kind and name. */
  readonly configRefs?: readonly NewConfigRef[];
  readonly tags?: readonly string[];
  readonly labels?: Readonly<Record<string, string>>;
}

/** Where a fork left another run: they have all events up to `seq` in common. */
export interface ForkBase {
  readonly runId: string;
  readonly seq: number;
}

/** A run as it stands; lists leave `plan` out. */
export interface RunInfo {
  readonly project: string;
  readonly runId: string;
  readonly planId: string;
  readonly objective: string;
  readonly plan: Payload | undefined;
  readonly parentRunId: string;
  readonly externalRef: Required<ExternalRef> | undefined;
  readonly configRefs: readonly ConfigRef[];
  readonly tags: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  readonly status: RunStatus;
  readonly outcome: Outcome;
  readonly lastSeq: number;
  readonly lastHash: Uint8Array;
  readonly writerEpoch: number;
  readonly usage: Usage;
  readonly createdAt: Instant;
  readonly updatedAt: Instant;
  readonly completedAt: Instant | undefined;
  readonly forkBase: ForkBase | undefined;
}

/** The request that saves a run, with an id that makes it safe to send again. */
export function saveRequest(
  project: string,
  run: NewRun,
): MessageInitShape<typeof SaveRunRequestSchema> {
  return {
    project,
    runId: run.runId || newId(),
    planId: run.planId ?? "",
    objective: run.objective ?? "",
    plan: payloadMessage(run.plan),
    parentRunId: run.parentRunId ?? "",
    externalRef: run.externalRef,
    configRefs: (run.configRefs ?? []).map(configRefMessage),
    tags: [...(run.tags ?? [])],
    labels: { ...run.labels },
    completion: run.completion && completionMessage(run.completion),
  };
}

/** The request that forks a run, with an id that makes it safe to send again. */
export function forkRequest(
  run: RunRef,
  fork: NewFork,
): MessageInitShape<typeof ForkRunRequestSchema> {
  return {
    project: run.project,
    runId: run.runId,
    atSeq: int64(fork.atSeq ?? 0),
    forkRunId: fork.runId || newId(),
    ...(fork.objective === undefined ? {} : { objective: fork.objective }),
    configRefs: (fork.configRefs ?? []).map(configRefMessage),
    tags: [...(fork.tags ?? [])],
    labels: { ...fork.labels },
  };
}

function configRefMessage(ref: NewConfigRef) {
  return { ...ref, version: int64(ref.version ?? 0) };
}

export function runValue(message: RunMessage): RunInfo {
  const { externalRef: ref, forkBase: base } = message;
  return {
    project: message.project,
    runId: message.runId,
    planId: message.planId,
    objective: message.objective,
    plan: optionalPayload(message.plan),
    parentRunId: message.parentRunId,
    externalRef: ref && {
      system: ref.system,
      id: ref.id,
      url: ref.url,
      ownsStatus: ref.ownsStatus,
    },
    configRefs: message.configRefs.map(configRefValue),
    tags: message.tags,
    labels: message.labels,
    status: message.status,
    outcome: message.outcome,
    lastSeq: safeNumber(message.lastSeq),
    lastHash: message.lastHash,
    writerEpoch: safeNumber(message.writerEpoch),
    usage: usageValue(message.usage),
    createdAt: instantOf(message.createdAt),
    updatedAt: instantOf(message.updatedAt),
    completedAt: optionalInstant(message.completedAt),
    forkBase: base && { runId: base.runId, seq: safeNumber(base.seq) },
  };
}

/** A reference as it stands in an answer: a pin by number and digest. */
export function configRefValue(message: ConfigRefMessage | undefined): ConfigRef {
  const { kind, name, version, digest } = present(message);
  return { kind, name, version, digest };
}
