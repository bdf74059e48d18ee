/** The feed: the events of all runs of a project in the order of their publication. */

import { inspect } from "node:util";

import { FeedService } from "../gen/runstore/v1/feed_service_pb.js";
import { pages, present } from "../transport/answers.js";
import type { Connection } from "../transport/connection.js";
import { checkCallOptions, type CallOptions } from "../transport/options.js";
import { follow } from "../transport/streams.js";
import * as check from "../values/arguments.js";
import { int64, safeNumber, type Int64 } from "../values/numbers.js";
import { checkRead, filterMessage, type ReadFeedOptions } from "./query.js";
import { FeedStream, type FollowFeedOptions } from "./stream.js";
import {
  consumerValue,
  entryValue,
  type Consumer,
  type FeedEntry,
  type FeedItem,
  type FeedPage,
} from "./values.js";

/** The events of all runs of a project in one order. Made by `Client.feed`. */
export class Feed {
  readonly #connection: Connection;
  readonly #project: string;

  /** @internal */
  constructor(connection: Connection, project: string) {
    this.#connection = connection;
    this.#project = project;
  }

  /** Its project, as it is printed. */
  toString(): string {
    return `<Feed of project ${JSON.stringify(this.#project)}>`;
  }

  /** @internal */
  [inspect.custom](): string {
    return this.toString();
  }

  /** A page of entries; the next one begins at its `nextPosition`. */
  async read(options: ReadFeedOptions = {}): Promise<FeedPage> {
    checkRead(options);
    const request = {
      project: this.#project,
      fromPosition: int64(options.fromPosition ?? 0),
      pageSize: options.pageSize ?? 100,
      filter: filterMessage(options),
      allowGaps: options.allowGaps ?? false,
    };
    const page = await this.#connection.send(FeedService.method.readFeed, request, options);
    return {
      entries: page.entries.map(entryValue),
      nextPosition: safeNumber(page.nextPosition),
      lastPosition: safeNumber(page.lastPosition),
    };
  }

  /**
   * Yield entries from a position on, or after the one that a consumer committed.
   *
   * Each once and in order, without end, across lost connections and server restarts.
   */
  async *entries(options: FollowFeedOptions = {}): AsyncGenerator<FeedEntry, void, undefined> {
    for await (const item of this.follow(options)) {
      if (item.kind === "entry") {
        yield item.entry;
      }
    }
  }

  /** As `entries`, with marks between them, which say how far the stream has got. */
  follow(options: FollowFeedOptions = {}): AsyncGenerator<FeedItem, void, undefined> {
    const state = new FeedStream(this.#project, options, this.#connection.backoff);
    const method = FeedService.method.followFeed;
    return follow(this.#connection, method, state, options.signal);
  }

  /** Record that a consumer has processed every entry up to `position`. */
  async commit(consumer: string, position: Int64, options: CallOptions = {}): Promise<Consumer> {
    checkCallOptions(options);
    const request = this.#positioned(consumer, position);
    const method = FeedService.method.commitPosition;
    const answer = await this.#connection.send(method, request, options);
    return consumerValue(present(answer.consumer));
  }

  /** Move a consumer back or forward; 0 starts over. */
  async reset(consumer: string, position: Int64 = 0, options: CallOptions = {}): Promise<Consumer> {
    checkCallOptions(options);
    const request = this.#positioned(consumer, position);
    const answer = await this.#connection.send(FeedService.method.resetConsumer, request, options);
    return consumerValue(present(answer.consumer));
  }

  /** One consumer; rejects with `ConsumerNotFound` before its first commit. */
  async consumer(name: string, options: CallOptions = {}): Promise<Consumer> {
    check.text(name, "name");
    checkCallOptions(options);
    const request = { project: this.#project, consumer: name };
    const answer = await this.#connection.send(FeedService.method.getConsumer, request, options);
    return consumerValue(present(answer.consumer));
  }

  /** Yield the project's consumers by name. */
  consumers(options: CallOptions = {}): AsyncGenerator<Consumer, void, undefined> {
    checkCallOptions(options);
    const { listConsumers } = FeedService.method;
    const project = this.#project;
    return pages(
      (pageToken) => this.#connection.send(listConsumers, { project, pageToken }, options),
      (page) => page.consumers.map(consumerValue),
    );
  }

  #positioned(consumer: string, position: Int64) {
    check.text(consumer, "consumer");
    check.int64(position, "position");
    return { project: this.#project, consumer, position: int64(position) };
  }
}
