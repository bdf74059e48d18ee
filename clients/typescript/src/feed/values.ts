/** What the feed holds: entries, and the consumers that read them. */

import { eventValue, type Event } from "../events/values.js";
import type {
  Consumer as ConsumerMessage,
  FeedEntry as FeedEntryMessage,
} from "../gen/runstore/v1/feed_pb.js";
import { present } from "../transport/answers.js";
import { safeNumber } from "../values/numbers.js";
import { instantOf, type Instant } from "../values/times.js";

/** A published event with its place among the events of all runs. */
export interface FeedEntry {
  /** Positions grow over all projects of the database, so a project's have gaps between them. */
  readonly position: number;
  readonly runId: string;
  readonly event: Event;
  readonly publishedAt: Instant;
}

/** What following the feed shows: entries, and marks of progress between them. */
export type FeedItem =
  | { readonly kind: "entry"; readonly entry: FeedEntry }
  /** The stream has just reached the end; every entry up to `position` was delivered. */
  | { readonly kind: "caughtUp"; readonly position: number }
  /** The stream is alive; every selected entry up to `position` was delivered. */
  | { readonly kind: "heartbeat"; readonly position: number };

/** Entries in order; the page reached the end where `nextPosition` is beyond `lastPosition`. */
export interface FeedPage {
  readonly entries: readonly FeedEntry[];
  readonly nextPosition: number;
  readonly lastPosition: number;
}

/** A named reader, done with all up to `position`; the feed's end is `lastPosition`. */
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
