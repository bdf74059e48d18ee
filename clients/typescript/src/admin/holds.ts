/** Holds: what may not be removed, whoever asks for it. */

import {
  type Hold as HoldMessage,
  type RunSelection as RunSelectionMessage,
} from "../gen/runstore/v1/admin_pb.js";
import { RunStatus } from "../gen/runstore/v1/runs_pb.js";
import { present } from "../transport/answers.js";
import { CALL_OPTIONS, type CallOptions } from "../transport/options.js";
import * as check from "../values/arguments.js";
import { newId } from "../values/ids.js";
import { printing } from "../values/printing.js";
import { instantOf, optionalInstant, type Instant } from "../values/times.js";
import { principalValue, type Principal } from "./values.js";

/** Selects runs by what they are when it is applied; an empty one selects all runs. */
export interface RunSelection {
  /** Runs with any of the statuses, and all of the tags and labels. */
  readonly statuses?: readonly RunStatus[];
  readonly planId?: string;
  readonly tags?: readonly string[];
  readonly labels?: Readonly<Record<string, string>>;
}

/** Keeps what it holds from being removed, by anybody, until it is released. */
export interface Hold {
  readonly holdId: string;
  /** The run that is held; empty if `filter` selects what is. */
  readonly runId: string;
  /** Undefined if `runId` is held. */
  readonly filter: Required<RunSelection> | undefined;
  readonly reason: string;
  readonly placedBy: Principal;
  readonly placedAt: Instant;
  /** Undefined while it holds. */
  readonly releasedBy: Principal | undefined;
  /** Undefined while it holds. */
  readonly releasedAt: Instant | undefined;
}

/** What a hold is placed on: a run, or the runs that a filter selects, and not both. */
export interface PlaceHoldOptions extends CallOptions {
  readonly runId?: string;
  readonly filter?: RunSelection;
  /** Identifies a retry; by default the client generates one. */
  readonly requestId?: string;
}

/** How a hold is released. */
export interface ReleaseHoldOptions extends CallOptions {
  /** Identifies a retry; by default the client generates one. */
  readonly requestId?: string;
}

/** Which holds to list. */
export interface ListHoldsOptions extends CallOptions {
  /** Those that hold this run; by default all of the project. */
  readonly runId?: string;
  /** Those that were released, too. */
  readonly includeReleased?: boolean;
}

export const checkSelection = check.object<RunSelection>("filter", {
  statuses: check.list(check.member("RunStatus"), "statuses"),
  planId: check.text,
  tags: check.texts,
  labels: check.record(check.text),
});
const checkPlaceOptions = check.object<PlaceHoldOptions>("options", {
  ...CALL_OPTIONS,
  runId: check.text,
  filter: checkSelection,
  requestId: check.text,
});
const checkRelease = check.object<ReleaseHoldOptions>("options", {
  ...CALL_OPTIONS,
  requestId: check.text,
});
const checkListHolds = check.object<ListHoldsOptions>("options", {
  ...CALL_OPTIONS,
  runId: check.text,
  includeReleased: check.flag,
});

export function placeRequest(project: string, reason: string, options: PlaceHoldOptions) {
  check.text(reason, "reason");
  checkPlaceOptions(options);
  if ((options.runId === undefined) === (options.filter === undefined)) {
    throw new check.InvalidArgument("runId", "must be given, or a filter, and not both");
  }
  const requestId = options.requestId || newId();
  return { project, target: targetMessage(options), reason, requestId };
}

export function releaseRequest(project: string, holdId: string, options: ReleaseHoldOptions) {
  check.text(holdId, "holdId");
  checkRelease(options);
  return { project, holdId, requestId: options.requestId || newId() };
}

export function listHoldsRequest(project: string, options: ListHoldsOptions) {
  checkListHolds(options);
  const { runId = "", includeReleased = false } = options;
  return { project, runId, includeReleased };
}

function targetMessage({ runId, filter }: PlaceHoldOptions) {
  return runId === undefined
    ? ({ case: "filter", value: selectionMessage(filter ?? {}) } as const)
    : ({ case: "runId", value: runId } as const);
}

export function selectionMessage(where: RunSelection) {
  return {
    statuses: [...(where.statuses ?? [])],
    planId: where.planId ?? "",
    tags: [...(where.tags ?? [])],
    labels: { ...where.labels },
  };
}

const printedHold = printing<Hold>();

export function holdValue(message: HoldMessage | undefined): Hold {
  const { holdId, target, reason, placedBy, placedAt, releasedBy, releasedAt } = present(message);
  return printedHold({
    holdId,
    runId: target.case === "runId" ? target.value : "",
    filter: target.case === "filter" ? selectionValue(target.value) : undefined,
    reason,
    placedBy: principalValue(placedBy),
    placedAt: instantOf(placedAt),
    releasedBy: releasedBy && principalValue(releasedBy),
    releasedAt: optionalInstant(releasedAt),
  });
}

const printedSelection = printing<Required<RunSelection>>({ statuses: ["RunStatus", RunStatus] });

/** An unset selection is an empty one. */
export function selectionValue(message: RunSelectionMessage | undefined): Required<RunSelection> {
  const { statuses = [], planId = "", tags = [], labels = {} } = message ?? {};
  return printedSelection({ statuses, planId, tags, labels });
}
