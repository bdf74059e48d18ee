/** The feed: the events of all runs of a project in the order of their publication. */

import type { MessageInitShape } from "@bufbuild/protobuf";

import { MISSED_HEARTBEATS } from "../events/following.js";
import { eventValue, type Event } from "../events/values.js";
import type {
  Consumer as ConsumerMessage,
  FeedEntry as FeedEntryMessage,
} from "../gen/runstore/v1/feed_pb.js";
import {
  FeedService,
  type FollowFeedRequestSchema,
  type FollowFeedResponse,
} from "../gen/runstore/v1/feed_service_pb.js";
import { pages, present } from "../transport/answers.js";
import type { CallOptions, Connection } from "../transport/connection.js";
import { ProtocolError } from "../transport/errors.js";
import { Patience, type Backoff } from "../transport/retry.js";
import { follow } from "../transport/streams.js";
import { int64, safeNumber, type Int64 } from "../values/numbers.js";
import { duration, instantOf, type Instant } from "../values/times.js";

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

/** Which entries: any of the types, all of the tags, all of the run's labels. */
export interface FeedFilter {
  readonly types?: readonly string[] | undefined;
  readonly tags?: readonly string[] | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
}

export interface ReadFeedOptions extends FeedFilter, CallOptions {
  /** The first position wanted, inclusive; 0 and 1 both mean the beginning. */
  readonly fromPosition?: Int64;
  /** Entries on the page, 1 to 1000; 100. */
  readonly pageSize?: number;
}

/** Entries in order; the page reached the end where `nextPosition` is beyond `lastPosition`. */
export interface FeedPage {
  readonly entries: readonly FeedEntry[];
  readonly nextPosition: number;
  readonly lastPosition: number;
}

export interface FollowFeedOptions extends FeedFilter {
  /** The first position wanted, inclusive; it may lie beyond the end. */
  readonly fromPosition?: Int64;
  /** Start after what this consumer has committed. Nothing is committed by following. */
  readonly consumer?: string;
  /** How often a silent stream shows that it lives; after three times that it is taken for dead. */
  readonly heartbeatMs?: number;
  /** How long to go on failing, from the first failure after a message, before one is raised. */
  readonly patienceMs?: number;
  /** Gives the stream up; it rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** A named reader, done with all up to `position`; the feed's end is `lastPosition`. */
export interface Consumer {
  readonly name: string;
  readonly position: number;
  readonly lastPosition: number;
  readonly createdAt: Instant;
  readonly committedAt: Instant;
}

/** The events of all runs of a project in one order. Made by `Client.feed`. */
export class Feed {
  readonly #connection: Connection;
  readonly #project: string;

  /** @internal */
  constructor(connection: Connection, project: string) {
    this.#connection = connection;
    this.#project = project;
  }

  /** A page of entries; the next one begins at its `nextPosition`. */
  async read(options: ReadFeedOptions = {}): Promise<FeedPage> {
    const request = {
      project: this.#project,
      fromPosition: int64(options.fromPosition ?? 0),
      pageSize: options.pageSize ?? 100,
      filter: filterMessage(options),
    };
    const page = await this.#connection.send(FeedService.method.readFeed, request, options);
    return {
      entries: page.entries.map(entryValue),
      nextPosition: safeNumber(page.nextPosition),
      lastPosition: safeNumber(page.lastPosition),
    };
  }

  /**
   * Yield entries from a position on, or after what a consumer committed.
   *
   * Each once and in order, for ever, over lost connections and server restarts.
   */
  async *entries(options: FollowFeedOptions = {}): AsyncGenerator<FeedEntry, void, undefined> {
    for await (const item of this.follow(options)) {
      if (item.kind === "entry") {
        yield item.entry;
      }
    }
  }

  /** As `entries`, with the marks between them, which say how far it got. */
  follow(options: FollowFeedOptions = {}): AsyncGenerator<FeedItem, void, undefined> {
    const following = new FeedFollowing(this.#project, options, this.#connection.backoff);
    const method = FeedService.method.followFeed;
    return follow(this.#connection, method, following, options.signal);
  }

  /** Note that a consumer is done with every entry up to `position`. */
  async commit(consumer: string, position: Int64, options: CallOptions = {}): Promise<Consumer> {
    const request = { project: this.#project, consumer, position: int64(position) };
    const method = FeedService.method.commitPosition;
    const answer = await this.#connection.send(method, request, options);
    return consumerValue(present(answer.consumer));
  }

  /** Set a consumer back or forth; 0 starts over. */
  async reset(consumer: string, position: Int64 = 0, options: CallOptions = {}): Promise<Consumer> {
    const request = { project: this.#project, consumer, position: int64(position) };
    const answer = await this.#connection.send(FeedService.method.resetConsumer, request, options);
    return consumerValue(present(answer.consumer));
  }

  /** One consumer; rejects with `ConsumerNotFound` before its first commit. */
  async consumer(name: string, options: CallOptions = {}): Promise<Consumer> {
    const request = { project: this.#project, consumer: name };
    const answer = await this.#connection.send(FeedService.method.getConsumer, request, options);
    return consumerValue(present(answer.consumer));
  }

  /** Yield the project's consumers by name. */
  consumers(options: CallOptions = {}): AsyncGenerator<Consumer, void, undefined> {
    const { listConsumers } = FeedService.method;
    const project = this.#project;
    return pages(
      (pageToken) => this.#connection.send(listConsumers, { project, pageToken }, options),
      (page) => page.consumers.map(consumerValue),
    );
  }
}

/**
 * Where a stream of the feed stands; see `Follows`.
 *
 * A consumer's committed position is asked for until something was delivered: that counts from then
 * on, committed or not.
 */
class FeedFollowing {
  readonly isOver = false;
  readonly #project: string;
  readonly #options: FollowFeedOptions;
  readonly #heartbeatMs: number;
  readonly #patience: Patience;
  #nextPosition: bigint;

  constructor(project: string, options: FollowFeedOptions, backoff: Backoff) {
    this.#project = project;
    this.#options = options;
    this.#heartbeatMs = options.heartbeatMs ?? 10_000;
    this.#patience = new Patience(options.patienceMs ?? 60_000, backoff);
    this.#nextPosition = int64(options.fromPosition ?? 0);
  }

  get silenceMs(): number {
    return this.#heartbeatMs * MISSED_HEARTBEATS;
  }

  request(): MessageInitShape<typeof FollowFeedRequestSchema> {
    return {
      project: this.#project,
      fromPosition: this.#nextPosition,
      consumer: this.#nextPosition ? "" : (this.#options.consumer ?? ""),
      filter: filterMessage(this.#options),
      heartbeatInterval: duration(Math.round(this.#heartbeatMs * 1000)),
    };
  }

  *take({ message }: FollowFeedResponse): Generator<FeedItem> {
    this.#patience.renew();
    switch (message.case) {
      case "entries":
        for (const entry of message.value.entries) {
          if (entry.position >= this.#nextPosition) {
            this.#nextPosition = entry.position + 1n;
            yield { kind: "entry", entry: entryValue(entry) };
          }
        }
        break;
      case "caughtUp":
      case "heartbeat": {
        const { position } = message.value;
        if (position >= this.#nextPosition) {
          this.#nextPosition = position + 1n;
        }
        yield { kind: message.case, position: safeNumber(position) };
        break;
      }
      case undefined: // a kind of message that is newer than this client
    }
  }

  retryDelay(error: unknown): number | undefined {
    return this.#patience.delay(error);
  }

  ended(): never {
    throw new ProtocolError("the server ended a stream of the feed, which has no end");
  }
}

function filterMessage(filter: FeedFilter) {
  return {
    types: [...(filter.types ?? [])],
    tags: [...(filter.tags ?? [])],
    labels: { ...filter.labels },
  };
}

function entryValue(message: FeedEntryMessage): FeedEntry {
  return {
    position: safeNumber(message.position),
    runId: message.runId,
    event: eventValue(present(message.event)),
    publishedAt: instantOf(message.publishedAt),
  };
}

function consumerValue(message: ConsumerMessage): Consumer {
  return {
    name: message.name,
    position: safeNumber(message.position),
    lastPosition: safeNumber(message.lastPosition),
    createdAt: instantOf(message.createdAt),
    committedAt: instantOf(message.committedAt),
  };
}
