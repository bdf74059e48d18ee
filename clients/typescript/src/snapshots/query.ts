/** Which snapshots to read: one, or a list. */

import type { MessageInitShape } from "@bufbuild/protobuf";

import {
  RunService,
  type GetSnapshotRequestSchema,
  type ListSnapshotsRequestSchema,
} from "../gen/runstore/v1/run_service_pb.js";
import { pages } from "../transport/answers.js";
import type { Connection } from "../transport/connection.js";
import { CALL_OPTIONS, type CallOptions } from "../transport/options.js";
import * as check from "../values/arguments.js";
import { int64, type Int64 } from "../values/numbers.js";
import { payloadMessage, type Value } from "../values/payloads.js";
import type { RunRef } from "../values/writers.js";
import { snapshotValue, type Snapshot } from "./values.js";

/** Selects a snapshot by at most one of id, plan version and seq; by default the latest. */
export interface SnapshotChoice extends CallOptions {
  readonly snapshotId?: string;
  readonly planVersionId?: string;
  /** The latest at or before this seq. */
  readonly atSeq?: Int64;
  readonly namespace?: string;
}

/** Which snapshots to list; a snapshot must meet all conditions. */
export interface ListSnapshotsOptions extends CallOptions {
  /** Only this namespace; by default all. */
  readonly namespace?: string;
  /** Only snapshots that precede the one with this id in the run's order. */
  readonly before?: string;
  /** Only snapshots whose id is smaller than this one, compared by code points. */
  readonly idBelow?: string;
  /** A JSON object; only snapshots whose metadata has all its members, with equal values. */
  readonly metadata?: Value;
  /** Whether to get nodes and state too. */
  readonly withParts?: boolean;
  /** Whether to get the task writes since each snapshot too. */
  readonly withTaskWrites?: boolean;
}

const checkChoice = check.object<SnapshotChoice>("choice", {
  ...CALL_OPTIONS,
  snapshotId: check.text,
  planVersionId: check.text,
  atSeq: check.int64,
  namespace: check.text,
});

const checkOptions = check.object<ListSnapshotsOptions>("options", {
  ...CALL_OPTIONS,
  namespace: check.text,
  before: check.text,
  idBelow: check.text,
  metadata: check.anything,
  withParts: check.flag,
  withTaskWrites: check.flag,
});

export function choiceRequest(
  run: RunRef,
  choice: SnapshotChoice,
): MessageInitShape<typeof GetSnapshotRequestSchema> {
  checkChoice(choice);
  const { snapshotId, planVersionId, atSeq, namespace = "" } = choice;
  const selectors = [
    snapshotId !== undefined && ({ case: "snapshotId", value: snapshotId } as const),
    planVersionId !== undefined && ({ case: "planVersionId", value: planVersionId } as const),
    atSeq !== undefined && ({ case: "atSeq", value: int64(atSeq) } as const),
  ].filter((each) => each !== false);
  if (selectors.length > 1) {
    const names = selectors.map((each) => each.case).join(" and ");
    throw new check.InvalidArgument(names, "only one of them selects a snapshot");
  }
  const [selector = { case: undefined }] = selectors;
  return { project: run.project, runId: run.runId, namespace, selector };
}

/** Yield the snapshots of a run, or of the project if the run's id is empty. */
export function snapshotPages(
  connection: Connection,
  run: RunRef,
  options: ListSnapshotsOptions,
): AsyncGenerator<Snapshot, void, undefined> {
  const { listSnapshots } = RunService.method;
  return pages(
    (token) => connection.send(listSnapshots, listRequest(run, options, token), options),
    (page) =>
      page.snapshots.map((each, index) => snapshotValue(each, page.taskWrites[index]?.taskWrites)),
  );
}

function listRequest(
  run: RunRef,
  options: ListSnapshotsOptions,
  pageToken: string,
): MessageInitShape<typeof ListSnapshotsRequestSchema> {
  checkOptions(options);
  return {
    project: run.project,
    runId: run.runId,
    ...(options.namespace === undefined ? {} : { namespace: options.namespace }),
    before: options.before ?? "",
    idBelow: options.idBelow ?? "",
    metadata: payloadMessage(options.metadata, "metadata"),
    withParts: options.withParts ?? false,
    withTaskWrites: options.withTaskWrites ?? false,
    pageToken,
  };
}
