/** What a search finds. */

import { eventValue, type Event } from "../events/values.js";
import type { SearchHit as SearchHitMessage } from "../gen/runstore/v1/search_pb.js";
import { safeNumber } from "../values/numbers.js";
import { instantOf, type Instant } from "../values/times.js";

/** A match: a range of a snippet in characters (code points, not UTF-16 units). */
export interface Highlight {
  readonly start: number;
  readonly length: number;
}

/** A matching event; `event` is set with `withEvents`. */
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

/** The snippet with markers around the matches. */
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
