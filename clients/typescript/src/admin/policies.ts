/** Policies of retention: how long what is kept, and what that would let go. */

import {
  RemovalKind,
  RetentionBlocker,
  type Policy as PolicyMessage,
  type RetentionSum as RetentionSumMessage,
} from "../gen/runstore/v1/admin_pb.js";
import type { PreviewRetentionResponse } from "../gen/runstore/v1/admin_service_pb.js";
import { present } from "../transport/answers.js";
import { CALL_OPTIONS, checkCallOptions, type CallOptions } from "../transport/options.js";
import * as check from "../values/arguments.js";
import { newId } from "../values/ids.js";
import { safeNumber } from "../values/numbers.js";
import { printing } from "../values/printing.js";
import { duration, instantOf, microsOf, type Instant } from "../values/times.js";
import { checkSelection, selectionMessage, selectionValue, type RunSelection } from "./holds.js";
import { principalValue, type Principal } from "./values.js";

/**
 * How long what is stored of the project's runs is kept after they have ended. What no policy names is
 * kept for ever; where several that select a run name the same, the longest time counts. A time that
 * is undefined says nothing; one that is given is at least a second.
 *
 * A `Policy` is one, too, so what was listed can be changed and put again.
 */
export interface NewPolicy {
  /** Identifies the policy in the project. */
  readonly name: string;
  /** After how long the run is removed, as `deleteRun` does. */
  readonly keepRunMs?: number | undefined;
  /** After how long events are archived, as `archiveRun` does; of a restored run, after that. */
  readonly keepEventsMs?: number | undefined;
  readonly keepSnapshotsMs?: number | undefined;
  /** How many of each namespace, the latest, stay when `keepSnapshotsMs` is over. */
  readonly keepLastSnapshots?: number;
  readonly keepArtifactsMs?: number | undefined;
  /** How long events are found by `search`. */
  readonly keepSearchTextMs?: number | undefined;
  /** The runs, as they are when it is applied; by default all. */
  readonly filter?: RunSelection;
  /**
   * Whether it is about runs, too, whose status an external engine owns: their time begins with each
   * write anew.
   */
  readonly includeExternal?: boolean;
}

/** A policy as it was put. A time that is undefined says nothing. */
export interface Policy {
  readonly name: string;
  readonly keepRunMs: number | undefined;
  readonly keepEventsMs: number | undefined;
  readonly keepSnapshotsMs: number | undefined;
  readonly keepLastSnapshots: number;
  readonly keepArtifactsMs: number | undefined;
  readonly keepSearchTextMs: number | undefined;
  readonly filter: Required<RunSelection>;
  readonly includeExternal: boolean;
  readonly putBy: Principal;
  readonly putAt: Instant;
}

/** How a policy is put or deleted. */
export interface PolicyOptions extends CallOptions {
  /** Identifies a retry; by default the client generates one. */
  readonly requestId?: string;
}

/** What would go of one kind, or what one blocker keeps of it. */
export interface RetentionSum {
  readonly kind: RemovalKind;
  /** What keeps it; undefined if it would go. */
  readonly blocker: RetentionBlocker | undefined;
  /** Of how many runs. */
  readonly runs: number;
  /** Events for runs, events and search text, snapshots, or artifacts. */
  readonly items: number;
  /** About how many they take. */
  readonly bytes: number;
  /** The first of the runs, at most ten. */
  readonly sampleRunIds: readonly string[];
}

/** What policies would remove now, and what would stay although its time is over. */
export interface RetentionPreview {
  /** A run that goes is in none of the other kinds' sums. */
  readonly sums: readonly RetentionSum[];
  /** How many of the project's runs were looked at: runs that have ended, or that an engine owns. */
  readonly lookedAtRuns: number;
  /** Whether the project has more of them than a preview looks at. */
  readonly hasMore: boolean;
  /** What keeps policies from being applied at all; usually none. */
  readonly warnings: readonly string[];
}

const checkNewPolicy = check.object<Policy>("policy", {
  name: check.text,
  keepRunMs: check.finiteMilliseconds,
  keepEventsMs: check.finiteMilliseconds,
  keepSnapshotsMs: check.finiteMilliseconds,
  keepLastSnapshots: check.int32,
  keepArtifactsMs: check.finiteMilliseconds,
  keepSearchTextMs: check.finiteMilliseconds,
  filter: checkSelection,
  includeExternal: check.flag,
  // The server sets them anew.
  putBy: check.anything,
  putAt: check.anything,
});
const checkOptions = check.object<PolicyOptions>("options", {
  ...CALL_OPTIONS,
  requestId: check.text,
});

export function putPolicyRequest(
  project: string,
  policy: NewPolicy,
  reason: string,
  options: PolicyOptions,
) {
  checkNewPolicy(policy);
  check.text(reason, "reason");
  checkOptions(options);
  const requestId = options.requestId || newId();
  return { project, policy: policyMessage(policy), reason, requestId };
}

export function deletePolicyRequest(
  project: string,
  name: string,
  reason: string,
  options: PolicyOptions,
) {
  check.text(name, "name");
  check.text(reason, "reason");
  checkOptions(options);
  return { project, name, reason, requestId: options.requestId || newId() };
}

export function previewRequest(
  project: string,
  policy: NewPolicy | undefined,
  options: CallOptions,
) {
  checkCallOptions(options);
  if (policy === undefined) {
    return { project };
  }
  checkNewPolicy(policy);
  return { project, policy: policyMessage(policy) };
}

function policyMessage(policy: NewPolicy) {
  check.text(policy.name, "name");
  return {
    name: policy.name,
    filter: selectionMessage(policy.filter ?? {}),
    keepEvents: keepMessage(policy.keepEventsMs),
    keepSnapshots: keepMessage(policy.keepSnapshotsMs),
    keepLastSnapshots: policy.keepLastSnapshots ?? 0,
    keepArtifacts: keepMessage(policy.keepArtifactsMs),
    keepSearchText: keepMessage(policy.keepSearchTextMs),
    keepRun: keepMessage(policy.keepRunMs),
    includeExternal: policy.includeExternal ?? false,
  };
}

function keepMessage(keepMs: number | undefined) {
  return keepMs === undefined ? undefined : duration(Math.round(keepMs * 1000));
}

const printedPolicy = printing<Policy>();
const printedSum = printing<RetentionSum>({
  kind: ["RemovalKind", RemovalKind],
  blocker: ["RetentionBlocker", RetentionBlocker],
});

export function policyValue(message: PolicyMessage | undefined): Policy {
  const policy = present(message);
  return printedPolicy({
    name: policy.name,
    keepRunMs: keepValue(policy.keepRun),
    keepEventsMs: keepValue(policy.keepEvents),
    keepSnapshotsMs: keepValue(policy.keepSnapshots),
    keepLastSnapshots: policy.keepLastSnapshots,
    keepArtifactsMs: keepValue(policy.keepArtifacts),
    keepSearchTextMs: keepValue(policy.keepSearchText),
    filter: selectionValue(policy.filter),
    includeExternal: policy.includeExternal,
    putBy: principalValue(policy.putBy),
    putAt: instantOf(policy.putAt),
  });
}

function keepValue(message: PolicyMessage["keepRun"]): number | undefined {
  return message && Number(microsOf(message)) / 1000;
}

export function previewValue(message: PreviewRetentionResponse): RetentionPreview {
  return {
    sums: message.sums.map(sumValue),
    lookedAtRuns: safeNumber(message.lookedAtRuns),
    hasMore: message.hasMore,
    warnings: message.warnings,
  };
}

function sumValue(message: RetentionSumMessage): RetentionSum {
  return printedSum({
    kind: message.kind,
    blocker: message.blocker || undefined,
    runs: safeNumber(message.runs),
    items: safeNumber(message.items),
    bytes: safeNumber(message.bytes),
    sampleRunIds: message.sampleRunIds,
  });
}
