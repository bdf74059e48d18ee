/** Checks of the hash chain. */

import { RunService, type VerifyRunResponse } from "../gen/runstore/v1/run_service_pb.js";
import type { Connection } from "../transport/connection.js";
import { CALL_OPTIONS, type CallOptions } from "../transport/options.js";
import * as check from "../values/arguments.js";
import { int64, safeNumber } from "../values/numbers.js";
import { printing } from "../values/printing.js";
import type { RunRef } from "../values/writers.js";

const SLICE_SIZE = 10_000;

/** The result of checking the hash chain; `problem` is empty if it is intact. */
export interface Verification {
  readonly verified: boolean;
  readonly checkedEvents: number;
  readonly lastSeq: number;
  readonly lastHash: Uint8Array;
  readonly problem: string;
  readonly problemSeq: number;
  readonly nextFromSeq: number;
  /** How many of the checked events were erased: of these, what is left is checked. */
  readonly erasedEvents: number;
}

/** How a run is checked. */
export interface VerifyOptions extends CallOptions {
  /** How many events one call checks; 10000. */
  readonly sliceSize?: number;
  /** Whether to read events that are archived; else they reject with `EventsArchived`. */
  readonly readArchive?: boolean;
  /** Called with the result so far after each slice. */
  readonly onProgress?: (found: Verification) => void;
}

const checkOptions = check.object<VerifyOptions>("options", {
  ...CALL_OPTIONS,
  sliceSize: check.int32,
  readArchive: check.flag,
  onProgress: check.callback,
});

const printedVerification = printing<Verification>();

/** Check a run slice by slice; the result is that of the whole run. */
export async function verify(
  connection: Connection,
  run: RunRef,
  options: VerifyOptions,
): Promise<Verification> {
  checkOptions(options);
  const { sliceSize = SLICE_SIZE, onProgress } = options;
  let [checkedEvents, erasedEvents, fromSeq] = [0, 0, 1];
  for (;;) {
    const request = {
      project: run.project,
      runId: run.runId,
      fromSeq: int64(fromSeq),
      maxEvents: sliceSize,
      readArchive: options.readArchive ?? false,
    };
    const answer = await connection.send(RunService.method.verifyRun, request, options);
    checkedEvents += safeNumber(answer.checkedEvents);
    erasedEvents += safeNumber(answer.erasedEvents);
    const value = { ...verificationValue(answer), checkedEvents, erasedEvents };
    const found = printedVerification(value);
    onProgress?.(found);
    if (found.nextFromSeq === 0) {
      return found;
    }
    fromSeq = found.nextFromSeq;
  }
}

function verificationValue(message: VerifyRunResponse): Verification {
  return {
    verified: message.verified,
    checkedEvents: safeNumber(message.checkedEvents),
    lastSeq: safeNumber(message.lastSeq),
    lastHash: message.lastHash,
    problem: message.firstBreak?.problem ?? "",
    problemSeq: safeNumber(message.firstBreak?.seq ?? 0n),
    nextFromSeq: safeNumber(message.nextFromSeq),
    erasedEvents: safeNumber(message.erasedEvents),
  };
}
