/** Task writes: results of tasks since a snapshot. */

import type { MessageInitShape } from "@bufbuild/protobuf";

import type { PutTaskWritesRequestSchema } from "../gen/runstore/v1/run_service_pb.js";
import type { TaskWrite as TaskWriteMessage } from "../gen/runstore/v1/snapshots_pb.js";
import { CALL_OPTIONS, type CallOptions } from "../transport/options.js";
import * as check from "../values/arguments.js";
import { optionalPayload, payloadMessage, type Payload, type Value } from "../values/payloads.js";
import { writerFields, type RunRef } from "../values/writers.js";

/** The result of a task that finished since a snapshot. */
export interface NewTaskWrite {
  readonly taskId: string;
  readonly index?: number;
  readonly payload?: Value;
  readonly channel?: string;
  readonly snapshotId?: string;
}

/** A stored result of a task. */
export interface TaskWrite {
  readonly taskId: string;
  readonly index: number;
  readonly payload: Payload | undefined;
  readonly channel: string;
  readonly snapshotId: string;
}

/** Options of a call about one namespace of a run. */
export interface NamespaceOptions extends CallOptions {
  /** By default the one without a name. */
  readonly namespace?: string;
}

export const checkTaskWrites = check.list(
  check.object<NewTaskWrite>("write", {
    taskId: check.text,
    index: check.int32,
    payload: check.anything,
    channel: check.text,
    snapshotId: check.text,
  }),
  "task writes",
);

export const checkNamespaceOptions = check.object<NamespaceOptions>("options", {
  ...CALL_OPTIONS,
  namespace: check.text,
});

export function taskWritesRequest(
  run: RunRef,
  writes: readonly NewTaskWrite[],
  options: NamespaceOptions,
): MessageInitShape<typeof PutTaskWritesRequestSchema> {
  checkNamespaceOptions(options);
  return {
    project: run.project,
    runId: run.runId,
    namespace: options.namespace ?? "",
    writes: taskWriteMessages(writes, "writes"),
    writerEpoch: writerFields(run, undefined).writerEpoch,
  };
}

/** The messages of the argument `name`. */
export function taskWriteMessages(writes: readonly NewTaskWrite[] = [], name: string) {
  checkTaskWrites(writes, name);
  return writes.map((write, n) => taskWriteMessage(write, `${name}[${n}].`));
}

function taskWriteMessage(write: NewTaskWrite, at: string) {
  return {
    snapshotId: write.snapshotId ?? "",
    taskId: write.taskId,
    index: write.index ?? 0,
    channel: write.channel ?? "",
    payload: payloadMessage(write.payload, `${at}payload`),
  };
}

export function taskWriteValue(message: TaskWriteMessage): TaskWrite {
  return {
    taskId: message.taskId,
    index: message.index,
    payload: optionalPayload(message.payload),
    channel: message.channel,
    snapshotId: message.snapshotId,
  };
}
