/** Claims: what a resume takes and returns. */

import { eventValue, type Event } from "../events/values.js";
import type { ResumeRunResponse } from "../gen/runstore/v1/run_service_pb.js";
import { snapshotValue, type Snapshot } from "../snapshots/values.js";
import { taskWriteValue, type TaskWrite } from "../snapshots/writes.js";
import { CALL_OPTIONS, type CallOptions } from "../transport/options.js";
import * as check from "../values/arguments.js";
import { safeNumber, type Int64 } from "../values/numbers.js";
import type { RunInfo } from "./values.js";

/** How a run is claimed. */
export interface ResumeOptions extends CallOptions {
  /** The namespace whose latest snapshot is returned. */
  readonly namespace?: string;
  /** Who resumes. */
  readonly actor?: string;
  /** Identifies a retry, which claims the same epoch; by default the client generates one. */
  readonly requestId?: string;
  /** What the run's last seq must be; otherwise it rejects with `SeqConflict`. */
  readonly expectedSeq?: Int64 | undefined;
}

export const checkResume = check.object<ResumeOptions>("options", {
  ...CALL_OPTIONS,
  namespace: check.text,
  actor: check.text,
  requestId: check.text,
  expectedSeq: check.int64,
});

/** What a resume returned: the claimed epoch, and what the new writer needs to continue. */
export interface Claim {
  readonly info: RunInfo;
  readonly writerEpoch: number;
  readonly snapshot: Snapshot | undefined;
  readonly pendingNodeIds: readonly string[];
  readonly taskWrites: readonly TaskWrite[];
  /** The first events after the snapshot; `nextFromSeq` is where the rest begins, or 0. */
  readonly firstEvents: readonly Event[];
  readonly nextFromSeq: number;
  readonly deduplicated: boolean;
}

export function claimValue(message: ResumeRunResponse, info: RunInfo): Claim {
  return {
    info,
    writerEpoch: safeNumber(message.writerEpoch),
    snapshot: message.snapshot && snapshotValue(message.snapshot, message.taskWrites),
    pendingNodeIds: message.pendingNodeIds,
    taskWrites: message.taskWrites.map(taskWriteValue),
    firstEvents: message.events.map(eventValue),
    nextFromSeq: safeNumber(message.nextFromSeq),
    deduplicated: message.deduplicated,
  };
}
