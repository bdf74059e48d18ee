/** Which entries of the feed to read. */

import type { CallOptions } from "../transport/connection.js";
import type { Int64 } from "../values/numbers.js";

/** Selects entries with any of the types, all of the tags and all of the run's labels. */
export interface FeedFilter {
  readonly types?: readonly string[] | undefined;
  readonly tags?: readonly string[] | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
}

export interface ReadFeedOptions extends FeedFilter, CallOptions {
  /** The first position to read, inclusive; 0 and 1 both mean the beginning. */
  readonly fromPosition?: Int64;
  /** Entries on the page, 1 to 1000; 100. */
  readonly pageSize?: number;
}

export function filterMessage(filter: FeedFilter) {
  return {
    types: [...(filter.types ?? [])],
    tags: [...(filter.tags ?? [])],
    labels: { ...filter.labels },
  };
}
