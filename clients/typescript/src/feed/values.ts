/** Entries of the feed, and the consumers that read them. */

import { eventValue, type Event } from "../events/values.js";
import type {
  Consumer as ConsumerMessage,
  FeedEntry as FeedEntryMessage,
} from "../gen/runstore/v1/feed_pb.js";
import { present } from "../transport/answers.js";
import { safeNumber } from "../values/numbers.js";
import { instantOf, type Instant } from "../values/times.js";

/** A published event with its position among the events of all runs. */
export interface FeedEntry {
  /** Counts over all projects of the database, so a project's positions have gaps. */
  readonly position: number;
  readonly runId: string;
  readonly event: Event;
  readonly publishedAt: Instant;
}

/** An item of the followed feed: an entry, or a mark of progress. */
export type FeedItem =
  | { readonly kind: "entry"; readonly entry: FeedEntry }
  /** The stream has just reached the end; every entry up to `position` was delivered. */
  | { readonly kind: "caughtUp"; readonly position: number }
  /** The stream is alive; every selected entry up to `position` was delivered. */
  | { readonly kind: "heartbeat"; readonly position: number };

/** Entries in order; the page reached the end if `nextPosition` is beyond `lastPosition`. */
export interface FeedPage {
  readonly entries: readonly FeedEntry[];
  readonly nextPosition: number;
  readonly lastPosition: number;
}

/** A named reader that has processed all up to `position`; the project's newest entry is at `lastPosition`. */
export interface Consumer {
  readonly name: string;
  readonly position: number;
  readonly lastPosition: number;
  readonly createdAt: Instant;
  readonly committedAt: Instant;
}

export function entryValue(message: FeedEntryMessage): FeedEntry {
  return {
    position: safeNumber(message.position),
    runId: message.runId,
    event: eventValue(present(message.event)),
    publishedAt: instantOf(message.publishedAt),
  };
}

export function consumerValue(message: ConsumerMessage): Consumer {
  return {
    name: message.name,
    position: safeNumber(message.position),
    lastPosition: safeNumber(message.lastPosition),
    createdAt: instantOf(message.createdAt),
    committedAt: instantOf(message.committedAt),
  };
}
