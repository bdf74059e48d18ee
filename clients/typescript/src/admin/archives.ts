/** Archives: runs whose events are read from the object store. */

import { ArchiveState, type Archive as ArchiveMessage } from "../gen/runstore/v1/admin_pb.js";
import { present } from "../transport/answers.js";
import { CALL_OPTIONS, type CallOptions } from "../transport/options.js";
import * as check from "../values/arguments.js";
import { newId } from "../values/ids.js";
import { safeNumber, type Int64 } from "../values/numbers.js";
import { printing } from "../values/printing.js";
import { instantOf, type Instant } from "../values/times.js";

export { endedRunRequest as archiveRequest } from "./ended.js";

/** A run's history as files in the object store. */
export interface Archive {
  readonly runId: string;
  /** Counts the archives of the run: 1, 2, 3 ... */
  readonly number: number;
  /** From SWITCHED on the events are read from the files. */
  readonly state: ArchiveState;
  /** The first and the last event that are. */
  readonly firstSeq: number;
  readonly lastSeq: number;
  /** The number of the record that says who asked for it, and why. */
  readonly record: number;
  /** When it was decided. */
  readonly begunAt: Instant;
  /** When its state changed last. */
  readonly changedAt: Instant;
  /** The SHA-256 of its manifest; empty until the files are written. */
  readonly manifestHash: Uint8Array;
  /** The bytes of all files; 0 until they are written. */
  readonly size: number;
  /** How many events have no row any more. */
  readonly removedEvents: number;
}

/** What a run that is archived must be. */
export interface ArchiveRunOptions extends CallOptions {
  /** Archive the run only if this is its last seq; by default whatever it is. */
  readonly expectedLastSeq?: Int64 | undefined;
  /** Identifies a retry, which resolves to how far the archive has come; by default generated. */
  readonly requestId?: string;
}

/** How a run is restored. */
export interface RestoreRunOptions extends CallOptions {
  /** Identifies a retry, which resolves to the same archive; by default generated. */
  readonly requestId?: string;
}

const checkRestore = check.object<RestoreRunOptions>("options", {
  ...CALL_OPTIONS,
  requestId: check.text,
});

export function restoreRequest(
  project: string,
  runId: string,
  reason: string,
  options: RestoreRunOptions,
) {
  check.text(runId, "runId");
  check.text(reason, "reason");
  checkRestore(options);
  return { project, runId, reason, requestId: options.requestId || newId() };
}

const printedArchive = printing<Archive>({ state: ["ArchiveState", ArchiveState] });

export function archiveValue(message: ArchiveMessage | undefined): Archive {
  const archive = present(message);
  return printedArchive({
    runId: archive.runId,
    number: archive.number,
    state: archive.state,
    firstSeq: safeNumber(archive.firstSeq),
    lastSeq: safeNumber(archive.lastSeq),
    record: safeNumber(archive.record),
    begunAt: instantOf(archive.begunAt),
    changedAt: instantOf(archive.changedAt),
    manifestHash: archive.manifestHash,
    size: safeNumber(archive.size),
    removedEvents: safeNumber(archive.removedEvents),
  });
}
