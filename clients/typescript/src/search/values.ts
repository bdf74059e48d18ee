/** Searching: what may be asked, and what is found. */

import type { MessageInitShape } from "@bufbuild/protobuf";

import { eventValue, type Event } from "../events/values.js";
import {
  SearchOrder,
  type SearchEventsRequestSchema,
  type SearchHit as SearchHitMessage,
} from "../gen/runstore/v1/search_pb.js";
import type { CallOptions } from "../transport/connection.js";
import { int64, safeNumber, type Int64 } from "../values/numbers.js";
import { duration, instantOf, timestamp, type Instant } from "../values/times.js";

/** What a search may be asked for beside its words; conditions are joined by AND. */
export interface SearchQuery extends CallOptions {
  /** Any of the runs, types and nodes, all of the tags. */
  readonly runIds?: readonly string[];
  readonly types?: readonly string[];
  readonly nodeIds?: readonly string[];
  readonly tags?: readonly string[];
  readonly model?: string;
  readonly tool?: string;
  readonly recordedFrom?: Date | Instant;
  readonly recordedBefore?: Date | Instant;
  readonly newestFirst?: boolean;
  /** True to get the events themselves too. */
  readonly withEvents?: boolean;
  /** An event that has to be searchable before the search answers. */
  readonly after?: { readonly runId: string; readonly seq: Int64 };
  /** A position of the feed that has to be searchable. */
  readonly minPosition?: Int64;
  /** How long to wait for them, at most 30 seconds; then it rejects with `SearchBehind`. */
  readonly waitMs?: number;
  /** Hits asked for at once, 1 to 100; 20. */
  readonly pageSize?: number;
}

/** What matched: a range of a snippet, in characters (code points, not UTF-16 units). */
export interface Highlight {
  readonly start: number;
  readonly length: number;
}

/** An event that matched; `event` is there where events were asked for. */
export interface SearchHit {
  readonly runId: string;
  readonly seq: number;
  readonly position: number;
  readonly rank: number;
  readonly recordedAt: Instant;
  readonly snippet: string;
  readonly highlights: readonly Highlight[];
  readonly event: Event | undefined;
}

/** The snippet with markers around what matched. */
export function marked(hit: SearchHit, start = "[[", stop = "]]"): string {
  const characters = Array.from(hit.snippet);
  const text = (from: number, to?: number) => characters.slice(from, to).join("");
  let [result, done] = ["", 0];
  for (const each of hit.highlights) {
    const end = each.start + each.length;
    result += text(done, each.start) + start + text(each.start, end) + stop;
    done = end;
  }
  return result + text(done);
}

export function searchRequest(
  project: string,
  query: string,
  options: SearchQuery,
  pageToken: string,
): MessageInitShape<typeof SearchEventsRequestSchema> {
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

export function hitValue(message: SearchHitMessage): SearchHit {
  return {
    runId: message.runId,
    seq: safeNumber(message.seq),
    position: safeNumber(message.position),
    rank: message.rank,
    recordedAt: instantOf(message.recordedAt),
    snippet: message.snippet,
    highlights: message.highlights.map(({ start, length }) => ({ start, length })),
    event: message.event && eventValue(message.event),
  };
}
