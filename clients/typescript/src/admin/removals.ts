/** Removals: what was removed for good. */

import {
  RemovalKind,
  RemovalState,
  type Removal as RemovalMessage,
} from "../gen/runstore/v1/admin_pb.js";
import { present } from "../transport/answers.js";
import { CALL_OPTIONS, type CallOptions } from "../transport/options.js";
import * as check from "../values/arguments.js";
import { safeNumber, type Int64 } from "../values/numbers.js";
import { printing } from "../values/printing.js";
import { instantOf, optionalInstant, type Instant } from "../values/times.js";

export { endedRunRequest as deleteRequest } from "./ended.js";

/** What is removed, in numbers and hashes: nothing of what it was. */
export interface Removal {
  readonly removalId: string;
  readonly kind: RemovalKind;
  readonly state: RemovalState;
  /** The hash that the run's chain began with. */
  readonly birth: Uint8Array;
  /** The first and the last event that are removed; 0 if there are none. */
  readonly firstSeq: number;
  readonly lastSeq: number;
  /** The number of the record that says who asked for it, and why. */
  readonly record: number;
  /**
   * When it was decided. From then on a run could no longer be read; of one that stays, each thing can
   * be until it is gone.
   */
  readonly at: Instant;
  /** How many events are gone so far. */
  readonly removedEvents: number;
  /** When all of it was gone, or the rest was left; undefined before that. */
  readonly doneAt: Instant | undefined;
}

/** Why a run is deleted, and what it must be. */
export interface DeleteRunOptions extends CallOptions {
  /** Delete the run only if this is its last seq; by default whatever it is. */
  readonly expectedLastSeq?: Int64 | undefined;
  /** Identifies a retry, which resolves to the same removal; by default the client generates one. */
  readonly requestId?: string;
}

/** Which removals to list. */
export interface ListRemovalsOptions extends CallOptions {
  /** Those of this run; by default all of the project. */
  readonly runId?: string;
}

const checkListRemovals = check.object<ListRemovalsOptions>("options", {
  ...CALL_OPTIONS,
  runId: check.text,
});

export function listRemovalsRequest(project: string, options: ListRemovalsOptions) {
  checkListRemovals(options);
  return { project, runId: options.runId ?? "" };
}

const printedRemoval = printing<Removal>({
  kind: ["RemovalKind", RemovalKind],
  state: ["RemovalState", RemovalState],
});

export function removalValue(message: RemovalMessage | undefined): Removal {
  const removal = present(message);
  return printedRemoval({
    removalId: removal.removalId,
    kind: removal.kind,
    state: removal.state,
    birth: removal.birth,
    firstSeq: safeNumber(removal.firstSeq),
    lastSeq: safeNumber(removal.lastSeq),
    record: safeNumber(removal.record),
    at: instantOf(removal.at),
    removedEvents: safeNumber(removal.removedEvents),
    doneAt: optionalInstant(removal.doneAt),
  });
}
