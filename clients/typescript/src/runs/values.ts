/** Runs: what one is saved or forked with, and its state. */

import type { MessageInitShape } from "@bufbuild/protobuf";

import { Outcome } from "../gen/runstore/v1/outputs_pb.js";
import type {
  ForkRunRequestSchema,
  SaveRunRequestSchema,
} from "../gen/runstore/v1/run_service_pb.js";
import {
  RunStatus,
  type ConfigRef as ConfigRefMessage,
  type Run as RunMessage,
} from "../gen/runstore/v1/runs_pb.js";
import { checkCompletion, completionMessage, type Completion } from "../outputs/values.js";
import { present } from "../transport/answers.js";
import * as check from "../values/arguments.js";
import { newId } from "../values/ids.js";
import { int64, safeNumber, type Int64 } from "../values/numbers.js";
import { optionalPayload, payloadMessage, type Payload, type Value } from "../values/payloads.js";
import { printing } from "../values/printing.js";
import { instantOf, optionalInstant, type Instant } from "../values/times.js";
import { usageValue, type Usage } from "../values/usage.js";
import type { RunRef } from "../values/writers.js";

/** The same execution in another system; if that owns the status, the run is EXTERNAL. */
export interface ExternalRef {
  readonly system: string;
  readonly id: string;
  readonly url?: string;
  readonly ownsStatus?: boolean;
}

/** A pinned version of a prompt, tool, agent or evaluator; as returned its version is a bigint. */
export interface ConfigRef {
  readonly kind: string;
  readonly name: string;
  readonly version: Int64;
  readonly digest: string;
}

/** What to pin a run to: a number, a digest, both, or only a label. */
export interface NewConfigRef {
  readonly kind: string;
  readonly name: string;
  readonly version?: Int64;
  readonly digest?: string;
  /** Pins the version that it points to when the run is saved. */
  readonly label?: string;
}

/** A run to be saved; with `completion` it is saved as already ended. */
export interface NewRun {
  /** Identifies the run in the project; by default the client generates a UUIDv7. */
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
  /** Whom the run is about, so that all about one of them can be found and erased. */
  readonly subjects?: readonly string[];
}

/** How a fork differs from its base; it does not inherit tags and labels. */
export interface NewFork {
  /** The last seq of the shared history; by default all of it except a terminal event. */
  readonly atSeq?: Int64;
  /** Identifies the run in the project; by default the client generates a UUIDv7. */
  readonly runId?: string;
  /** By default that of the base. */
  readonly objective?: string;
  /** Replace the pins of the same kind and name, or are added. */
  readonly configRefs?: readonly NewConfigRef[];
  readonly tags?: readonly string[];
  readonly labels?: Readonly<Record<string, string>>;
}

/** Where a fork begins: it has all events of the run up to `seq`. */
export interface ForkBase {
  readonly runId: string;
  readonly seq: number;
}

/** The state of a run; lists do not return `plan`. */
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
  readonly subjects: readonly string[];
  /** What was hashed with what may be erased; empty if the run was saved without it. */
  readonly salt: Uint8Array;
}

const NEW_CONFIG_REF: check.Checks<NewConfigRef> = {
  kind: check.text,
  name: check.text,
  version: check.int64,
  digest: check.text,
  label: check.text,
};
const checkConfigRefs = check.list(check.object("configRef", NEW_CONFIG_REF), "references");

const checkNewRun = check.object<NewRun>("run", {
  runId: check.text,
  objective: check.text,
  planId: check.text,
  plan: check.anything,
  parentRunId: check.text,
  externalRef: check.object<ExternalRef>("externalRef", {
    system: check.text,
    id: check.text,
    url: check.text,
    ownsStatus: check.flag,
  }),
  configRefs: checkConfigRefs,
  tags: check.texts,
  labels: check.record(check.text),
  completion: checkCompletion,
  subjects: check.texts,
});

const checkNewFork = check.object<NewFork>("fork", {
  atSeq: check.int64,
  runId: check.text,
  objective: check.text,
  configRefs: checkConfigRefs,
  tags: check.texts,
  labels: check.record(check.text),
});

/** The request to save a run, with an id that makes it safe to repeat. */
export function saveRequest(
  project: string,
  run: NewRun,
): MessageInitShape<typeof SaveRunRequestSchema> {
  checkNewRun(run);
  return {
    project,
    runId: run.runId || newId(),
    planId: run.planId ?? "",
    objective: run.objective ?? "",
    plan: payloadMessage(run.plan, "plan"),
    parentRunId: run.parentRunId ?? "",
    externalRef: run.externalRef,
    configRefs: (run.configRefs ?? []).map(configRefMessage),
    tags: [...(run.tags ?? [])],
    labels: { ...run.labels },
    completion: run.completion && completionMessage(run.completion, "completion."),
    subjects: [...(run.subjects ?? [])],
  };
}

/** The request to fork a run, with an id that makes it safe to repeat. */
export function forkRequest(
  run: RunRef,
  fork: NewFork,
): MessageInitShape<typeof ForkRunRequestSchema> {
  checkNewFork(fork);
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

const printedRun = printing<RunInfo>({
  status: ["RunStatus", RunStatus],
  outcome: ["Outcome", Outcome],
});

export function runValue(message: RunMessage): RunInfo {
  const { externalRef: ref, forkBase: base } = message;
  return printedRun({
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
    subjects: message.subjects,
    salt: message.salt,
  });
}

/** A reference in a response: a pin with number and digest. */
export function configRefValue(message: ConfigRefMessage | undefined): ConfigRef {
  const { kind, name, version, digest } = present(message);
  return { kind, name, version, digest };
}
