/** Erasures: what events said, removed for good. */

import { ErasureState, type Erasure as ErasureMessage } from "../gen/runstore/v1/admin_pb.js";
import { present } from "../transport/answers.js";
import { CALL_OPTIONS, checkCallOptions, type CallOptions } from "../transport/options.js";
import * as check from "../values/arguments.js";
import { newId } from "../values/ids.js";
import { int64, safeNumber, type Int64 } from "../values/numbers.js";
import { printing } from "../values/printing.js";
import { instantOf, optionalInstant, type Instant } from "../values/times.js";

/** Events from the first to the last, both inclusive. */
export interface SeqRange {
  readonly firstSeq: Int64;
  readonly lastSeq: Int64;
}

/** What keeps a run from being erased. */
export interface ErasureBlocker {
  readonly runId: string;
  /** A hold of the run, or of a fork of the one that is erased; empty if it is open or archived. */
  readonly holdId: string;
  /** Whether it is archived: it is restored for that, and archived again. */
  readonly archived: boolean;
}

/** What was asked to be erased, in numbers: nothing of what it was. */
export interface Erasure {
  readonly erasureId: string;
  readonly state: ErasureState;
  /** The number of the record that says who asked for it, and why. */
  readonly record: number;
  /** When it was asked for. */
  readonly at: Instant;
  /** Of how many runs events are erased. */
  readonly runs: number;
  /** How many events can no longer be read. */
  readonly erasedEvents: number;
  /** What it waits for. */
  readonly blockers: readonly ErasureBlocker[];
  /** When all of it was gone; undefined before that. */
  readonly doneAt: Instant | undefined;
}

/** How an erasure is asked for. */
export interface EraseOptions extends CallOptions {
  /** Identifies a retry, which resolves to the same erasure; by default the client generates one. */
  readonly requestId?: string;
}

const checkErase = check.object<EraseOptions>("options", {
  ...CALL_OPTIONS,
  requestId: check.text,
});
const checkRange = check.object<SeqRange>("seqs", { firstSeq: check.int64, lastSeq: check.int64 });

export function eraseEventsRequest(
  project: string,
  runId: string,
  seqs: readonly SeqRange[],
  reason: string,
  options: EraseOptions,
) {
  check.text(runId, "runId");
  check.text(reason, "reason");
  checkErase(options);
  return {
    project,
    runId,
    seqs: seqs.map((each) => {
      checkRange(each);
      return { firstSeq: int64(each.firstSeq), lastSeq: int64(each.lastSeq) };
    }),
    reason,
    requestId: options.requestId || newId(),
  };
}

export function eraseSubjectRequest(
  project: string,
  subject: string,
  reason: string,
  options: EraseOptions,
) {
  check.text(subject, "subject");
  check.text(reason, "reason");
  checkErase(options);
  return { project, subject, reason, requestId: options.requestId || newId() };
}

export function erasureRequest(project: string, erasureId: string, options: CallOptions) {
  check.text(erasureId, "erasureId");
  checkCallOptions(options);
  return { project, erasureId };
}

const printedErasure = printing<Erasure>({ state: ["ErasureState", ErasureState] });

export function erasureValue(message: ErasureMessage | undefined): Erasure {
  const erasure = present(message);
  return printedErasure({
    erasureId: erasure.erasureId,
    state: erasure.state,
    record: safeNumber(erasure.record),
    at: instantOf(erasure.at),
    runs: safeNumber(erasure.runs),
    erasedEvents: safeNumber(erasure.erasedEvents),
    blockers: erasure.blockers.map(({ runId, holdId, archived }) => ({ runId, holdId, archived })),
    doneAt: optionalInstant(erasure.doneAt),
  });
}
