/** Snapshots: a run's plan and state at a seq, and results of tasks since. */

import type { MessageInitShape } from "@bufbuild/protobuf";

import {
  checkEvents,
  eventMessages,
  WRITE_OPTIONS,
  type NewEvent,
  type WriteOptions,
} from "../events/values.js";
import type {
  DeleteSnapshotsRequestSchema,
  DeleteSnapshotsResponse,
  PutSnapshotRequestSchema,
  PutSnapshotResponse,
} from "../gen/runstore/v1/run_service_pb.js";
import {
  SnapshotReason,
  type Snapshot as SnapshotMessage,
  type SnapshotSchema,
  type TaskWrite as TaskWriteMessage,
} from "../gen/runstore/v1/snapshots_pb.js";
import * as check from "../values/arguments.js";
import { newId } from "../values/ids.js";
import { int64, safeNumber, type Int64 } from "../values/numbers.js";
import { memberPath } from "../values/json.js";
import {
  optionalPayload,
  payloadMessage,
  payloadValue,
  type Payload,
  type Value,
} from "../values/payloads.js";
import { printing } from "../values/printing.js";
import { instantOf, type Instant } from "../values/times.js";
import { writerFields, type RunRef } from "../values/writers.js";
import { checkNode, nodeMessage, nodeValue, type NewPlanNode, type PlanNode } from "./nodes.js";
import {
  checkNamespaceOptions,
  checkTaskWrites,
  taskWriteMessages,
  taskWriteValue,
  type NamespaceOptions,
  type NewTaskWrite,
  type TaskWrite,
} from "./writes.js";

/** A snapshot to be stored; values of `state` may be `Ref`s to parts stored before. */
export interface NewSnapshot {
  readonly state?: Readonly<Record<string, Value>>;
  readonly nodes?: readonly NewPlanNode[];
  readonly pendingNodeIds?: readonly string[];
  readonly planVersionId?: string;
  readonly reason?: SnapshotReason;
  readonly namespace?: string;
  readonly snapshotId?: string;
  readonly parentSnapshotId?: string;
  /** The last event that the state includes; by default the run's last one. */
  readonly seq?: Int64;
  /** A JSON object that `listSnapshots` can filter by. */
  readonly metadata?: Value;
}

/** The step that led to a snapshot: committed with it, all or none. */
export interface Step extends WriteOptions {
  readonly events?: readonly NewEvent[];
  readonly taskWrites?: readonly NewTaskWrite[];
}

/** A stored plan version and state. */
export interface Snapshot {
  readonly runId: string;
  readonly namespace: string;
  readonly snapshotId: string;
  readonly parentSnapshotId: string;
  readonly seq: number;
  readonly planVersionId: string;
  readonly reason: SnapshotReason;
  readonly nodes: readonly PlanNode[];
  readonly pendingNodeIds: readonly string[];
  readonly state: Readonly<Record<string, Payload>>;
  readonly metadata: Payload | undefined;
  readonly createdAt: Instant;
  readonly contentHash: Uint8Array;
  /** What was hashed with the snapshot; empty if it was put without it. */
  readonly salt: Uint8Array;
  /** Results since the snapshot; empty in lists. */
  readonly taskWrites: readonly TaskWrite[];
}

/** How a snapshot was stored. */
export interface SnapshotPut {
  readonly snapshotId: string;
  readonly seq: number;
  readonly contentHash: Uint8Array;
  readonly createdAt: Instant;
  readonly lastSeq: number;
  readonly deduplicated: boolean;
}

/** What one call deleted; `freedBytes` is the stored size of the deleted parts. */
export interface SnapshotsDeleted {
  readonly snapshots: number;
  readonly taskWrites: number;
  readonly freedBytes: number;
}

export const checkSnapshot = check.object<NewSnapshot>("snapshot", {
  state: check.record(check.anything),
  nodes: check.list(checkNode, "nodes"),
  pendingNodeIds: check.texts,
  planVersionId: check.text,
  reason: check.member("SnapshotReason"),
  namespace: check.text,
  snapshotId: check.text,
  parentSnapshotId: check.text,
  seq: check.int64,
  metadata: check.anything,
});

const checkStep = check.object<Step>("step", {
  ...WRITE_OPTIONS,
  events: checkEvents,
  taskWrites: checkTaskWrites,
});

/** The request to put a snapshot, with an id that makes it safe to repeat. */
export function putRequest(
  run: RunRef,
  snapshot: NewSnapshot,
  step: Step,
): MessageInitShape<typeof PutSnapshotRequestSchema> {
  checkSnapshot(snapshot);
  checkStep(step);
  return {
    project: run.project,
    runId: run.runId,
    snapshot: snapshotMessage(snapshot),
    events: eventMessages(step.events),
    taskWrites: taskWriteMessages(step.taskWrites, "taskWrites"),
    // A snapshot with its own id is recognised even if another process puts it again.
    requestId: snapshot.snapshotId ? "" : newId(),
    ...writerFields(run, step.expectedSeq),
  };
}

export function deleteRequest(
  run: RunRef,
  snapshotIds: readonly string[],
  options: NamespaceOptions,
): MessageInitShape<typeof DeleteSnapshotsRequestSchema> {
  check.texts(snapshotIds, "snapshotIds");
  checkNamespaceOptions(options);
  return {
    project: run.project,
    runId: run.runId,
    namespace: options.namespace ?? "",
    snapshotIds: [...snapshotIds],
    writerEpoch: writerFields(run, undefined).writerEpoch,
  };
}

/** The message of the snapshot at this path. */
export function snapshotMessage(
  snapshot: NewSnapshot,
  at = "",
): MessageInitShape<typeof SnapshotSchema> {
  return {
    namespace: snapshot.namespace ?? "",
    snapshotId: snapshot.snapshotId ?? "",
    parentSnapshotId: snapshot.parentSnapshotId ?? "",
    seq: int64(snapshot.seq ?? 0),
    planVersionId: snapshot.planVersionId ?? "",
    reason: snapshot.reason ?? SnapshotReason.UNSPECIFIED,
    nodes: (snapshot.nodes ?? []).map((node, n) => nodeMessage(node, `${at}nodes[${n}].`)),
    pendingNodeIds: [...(snapshot.pendingNodeIds ?? [])],
    state: Object.fromEntries(
      Object.entries(snapshot.state ?? {}).flatMap(([name, value]) => {
        const part = payloadMessage(value, memberPath(`${at}state`, name));
        return part ? [[name, part]] : [];
      }),
    ),
    metadata: payloadMessage(snapshot.metadata, `${at}metadata`),
  };
}

const printedSnapshot = printing<Snapshot>({ reason: ["SnapshotReason", SnapshotReason] });

export function snapshotValue(
  message: SnapshotMessage,
  taskWrites: readonly TaskWriteMessage[] = [],
): Snapshot {
  return printedSnapshot({
    runId: message.runId,
    namespace: message.namespace,
    snapshotId: message.snapshotId,
    parentSnapshotId: message.parentSnapshotId,
    seq: safeNumber(message.seq),
    planVersionId: message.planVersionId,
    reason: message.reason,
    nodes: message.nodes.map(nodeValue),
    pendingNodeIds: message.pendingNodeIds,
    state: Object.fromEntries(
      Object.entries(message.state).map(([name, part]) => [name, payloadValue(part)]),
    ),
    metadata: optionalPayload(message.metadata),
    createdAt: instantOf(message.createdAt),
    contentHash: message.contentHash,
    salt: message.salt,
    taskWrites: taskWrites.map(taskWriteValue),
  });
}

const printedPut = printing<SnapshotPut>();

export function putValue(message: PutSnapshotResponse): SnapshotPut {
  return printedPut({
    snapshotId: message.snapshotId,
    seq: safeNumber(message.seq),
    contentHash: message.contentHash,
    createdAt: instantOf(message.createdAt),
    lastSeq: safeNumber(message.lastSeq),
    deduplicated: message.deduplicated,
  });
}

export function deletedValue(message: DeleteSnapshotsResponse): SnapshotsDeleted {
  return {
    snapshots: safeNumber(message.deletedSnapshots),
    taskWrites: safeNumber(message.deletedTaskWrites),
    freedBytes: safeNumber(message.freedBytes),
  };
}
