/** Which entries of the feed to read. */

import { CALL_OPTIONS, type CallOptions } from "../transport/options.js";
import * as check from "../values/arguments.js";
import type { Int64 } from "../values/numbers.js";

/** Selects entries with any of the types, all of the tags and all of the run's labels. */
export interface FeedFilter {
  readonly types?: readonly string[] | undefined;
  readonly tags?: readonly string[] | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
}

/** Which page of the feed to read. */
export interface ReadFeedOptions extends FeedFilter, CallOptions {
  /** The first position to read, inclusive; 0 and 1 both mean the beginning. */
  readonly fromPosition?: Int64;
  /** Entries on the page, 1 to 1000; 100. */
  readonly pageSize?: number;
  /** Whether to leave archived events out; else they reject with `EventsArchived`. */
  readonly allowGaps?: boolean;
}

export const FEED_FILTER: check.Checks<FeedFilter> = {
  types: check.texts,
  tags: check.texts,
  labels: check.record(check.text),
};

export const checkRead = check.object<ReadFeedOptions>("options", {
  ...CALL_OPTIONS,
  ...FEED_FILTER,
  fromPosition: check.int64,
  pageSize: check.int32,
  allowGaps: check.flag,
});

export function filterMessage(filter: FeedFilter) {
  return {
    types: [...(filter.types ?? [])],
    tags: [...(filter.tags ?? [])],
    labels: { ...filter.labels },
  };
}
