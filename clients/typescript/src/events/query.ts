/** Which events of a run to read, and pages of them. */

import { RunService } from "../gen/runstore/v1/run_service_pb.js";
import type { Connection } from "../transport/connection.js";
import { CALL_OPTIONS, type CallOptions } from "../transport/options.js";
import * as check from "../values/arguments.js";
import { int64, safeNumber, type Int64 } from "../values/numbers.js";
import type { RunRef } from "../values/writers.js";
import { eventValue, type Event } from "./values.js";

const LARGEST_PAGE = 1000;

/** Selects events with any of the types, any of the nodes and all of the tags. */
export interface EventFilter {
  readonly types?: readonly string[] | undefined;
  readonly nodeIds?: readonly string[] | undefined;
  readonly tags?: readonly string[] | undefined;
}

export const EVENT_FILTER: check.Checks<EventFilter> = {
  types: check.texts,
  nodeIds: check.texts,
  tags: check.texts,
};

export function filterMessage(filter: EventFilter) {
  return {
    types: [...(filter.types ?? [])],
    nodeIds: [...(filter.nodeIds ?? [])],
    tags: [...(filter.tags ?? [])],
  };
}

/** Which page of events to read. */
export interface ListEventsOptions extends EventFilter, CallOptions {
  /** The first seq to read, inclusive; 1 is the beginning. */
  readonly fromSeq?: Int64;
  /** Events on the page, 1 to 1000; 100. */
  readonly pageSize?: number;
  /** Whether to read events that are archived; else they reject with `EventsArchived`. */
  readonly readArchive?: boolean;
}

const checkOptions = check.object<ListEventsOptions>("options", {
  ...CALL_OPTIONS,
  ...EVENT_FILTER,
  fromSeq: check.int64,
  pageSize: check.int32,
  readArchive: check.flag,
});

/** A page of events; `nextFromSeq` is 0 if the page reached the run's end. */
export interface EventPage {
  readonly events: readonly Event[];
  readonly nextFromSeq: number;
  readonly lastSeq: number;
}

/** The first events of a list, and the seq at which the rest begins, or 0. */
export interface FirstEvents {
  readonly firstEvents: readonly Event[];
  readonly nextFromSeq: number;
}

export async function eventPage(
  connection: Connection,
  run: RunRef,
  options: ListEventsOptions,
): Promise<EventPage> {
  checkOptions(options);
  const request = {
    project: run.project,
    runId: run.runId,
    fromSeq: int64(options.fromSeq ?? 1),
    pageSize: options.pageSize ?? 100,
    filter: filterMessage(options),
    readArchive: options.readArchive ?? false,
  };
  const page = await connection.send(RunService.method.listEvents, request, options);
  return {
    events: page.events.map(eventValue),
    nextFromSeq: safeNumber(page.nextFromSeq),
    lastSeq: safeNumber(page.lastSeq),
  };
}

/** Yield the first events, then the rest page by page, up to the run's end or to `lastSeq`. */
export async function* allEvents(
  connection: Connection,
  run: RunRef,
  { firstEvents, nextFromSeq }: FirstEvents,
  lastSeq = Infinity,
  readArchive = false,
): AsyncGenerator<Event, void, undefined> {
  yield* firstEvents;
  let fromSeq = nextFromSeq;
  while (fromSeq && fromSeq <= lastSeq) {
    const pageSize = Math.min(LARGEST_PAGE, lastSeq - fromSeq + 1);
    const page = await eventPage(connection, run, { fromSeq, pageSize, readArchive });
    yield* page.events;
    fromSeq = page.nextFromSeq;
  }
}
