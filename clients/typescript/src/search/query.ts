/** Which events to search. */

import type { MessageInitShape } from "@bufbuild/protobuf";

import { SearchOrder, type SearchEventsRequestSchema } from "../gen/runstore/v1/search_pb.js";
import { CALL_OPTIONS, type CallOptions } from "../transport/options.js";
import * as check from "../values/arguments.js";
import { int64, type Int64 } from "../values/numbers.js";
import { checkTime, duration, timestamp, type Instant } from "../values/times.js";

/** Options of a search besides its words; an event must meet all conditions. */
export interface SearchQuery extends CallOptions {
  /** Events with any of the runs, types and nodes, and all of the tags. */
  readonly runIds?: readonly string[];
  readonly types?: readonly string[];
  readonly nodeIds?: readonly string[];
  readonly tags?: readonly string[];
  readonly model?: string;
  readonly tool?: string;
  readonly recordedFrom?: Date | Instant;
  readonly recordedBefore?: Date | Instant;
  readonly newestFirst?: boolean;
  /** Whether to get the events too. */
  readonly withEvents?: boolean;
  /** An event that must be searchable before the search answers. */
  readonly after?: { readonly runId: string; readonly seq: Int64 };
  /** A position of the feed that must be searchable before the search answers. */
  readonly minPosition?: Int64;
  /** How long to wait for them, at most 30 seconds; after that it rejects with `SearchBehind`. */
  readonly waitMs?: number;
  /** How many hits are fetched at once, 1 to 100; 20. */
  readonly pageSize?: number;
}

const checkOptions = check.object<SearchQuery>("options", {
  ...CALL_OPTIONS,
  runIds: check.texts,
  types: check.texts,
  nodeIds: check.texts,
  tags: check.texts,
  model: check.text,
  tool: check.text,
  recordedFrom: checkTime,
  recordedBefore: checkTime,
  newestFirst: check.flag,
  withEvents: check.flag,
  after: check.object("after", { runId: check.text, seq: check.int64 }),
  minPosition: check.int64,
  waitMs: check.finiteMilliseconds,
  pageSize: check.int32,
});

export function searchRequest(
  project: string,
  query: string,
  options: SearchQuery,
  pageToken: string,
): MessageInitShape<typeof SearchEventsRequestSchema> {
  check.text(query, "query");
  checkOptions(options);
  return {
    project,
    query,
    filter: {
      runIds: [...(options.runIds ?? [])],
      types: [...(options.types ?? [])],
      nodeIds: [...(options.nodeIds ?? [])],
      model: options.model ?? "",
      tool: options.tool ?? "",
      tags: [...(options.tags ?? [])],
      recordedFromTime: timestamp(options.recordedFrom),
      recordedBeforeTime: timestamp(options.recordedBefore),
    },
    order: options.newestFirst ? SearchOrder.NEWEST : SearchOrder.RANK,
    pageSize: options.pageSize ?? 20,
    pageToken,
    withEvents: options.withEvents ?? false,
    minPosition: int64(options.minPosition ?? 0),
    after: options.after && { runId: options.after.runId, seq: int64(options.after.seq) },
    wait: options.waitMs === undefined ? undefined : duration(Math.round(options.waitMs * 1000)),
  };
}
