/** Who writes: a run, and the epoch its writer holds. */

import * as check from "./arguments.js";
import { optionalInt64, type Int64 } from "./numbers.js";

/** The writer epoch of a run that was never resumed. */
export const FIRST_EPOCH = 1;

/** A run and the epoch that its writer holds; without one its writes are not fenced. */
export interface RunRef {
  readonly project: string;
  readonly runId: string;
  readonly writerEpoch: Int64 | undefined;
}

/** Throws `InvalidArgument` for what names no run. */
export function checkRun(run: RunRef): void {
  if (typeof run !== "object" || (run as unknown) === null) {
    throw check.notOf("a run", run, "run");
  }
  check.text(run.project, "project");
  check.text(run.runId, "runId");
  if (run.writerEpoch !== undefined) {
    check.int64(run.writerEpoch, "writerEpoch");
  }
}

/** The guards of a write: the writer's epoch, and the last seq that it has seen. */
export function writerFields(run: RunRef, expectedSeq: Int64 | undefined) {
  return {
    expectedSeq: optionalInt64(expectedSeq),
    writerEpoch: optionalInt64(run.writerEpoch),
  };
}
