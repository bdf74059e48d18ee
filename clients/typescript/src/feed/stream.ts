/** How far a stream of the feed has got. */

import type { MessageInitShape } from "@bufbuild/protobuf";

import type {
  FollowFeedRequestSchema,
  FollowFeedResponse,
} from "../gen/runstore/v1/feed_service_pb.js";
import { ProtocolError } from "../transport/errors.js";
import { Patience, type Backoff } from "../transport/retry.js";
import { MISSED_HEARTBEATS } from "../transport/streams.js";
import * as check from "../values/arguments.js";
import { int64, safeNumber, type Int64 } from "../values/numbers.js";
import { duration } from "../values/times.js";
import { FEED_FILTER, filterMessage, type FeedFilter } from "./query.js";
import { entryValue, type FeedItem } from "./values.js";

/** Which entries of the feed to follow. */
export interface FollowFeedOptions extends FeedFilter {
  /** The first position to read, inclusive; may be beyond the end. */
  readonly fromPosition?: Int64;
  /** Start after the position that this consumer has committed. Following commits nothing. */
  readonly consumer?: string;
  /** Whether to leave archived events out; else they reject with `EventsArchived`. */
  readonly allowGaps?: boolean;
  /** How often an idle stream sends a heartbeat; after three times that it is reopened. */
  readonly heartbeatMs?: number;
  /** How long to retry, from the first failure after a message, before rejecting; 60 seconds. */
  readonly patienceMs?: number;
  /** Aborts the stream; it rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

const checkOptions = check.object<FollowFeedOptions>("options", {
  ...FEED_FILTER,
  fromPosition: check.int64,
  consumer: check.text,
  allowGaps: check.flag,
  heartbeatMs: check.finiteMilliseconds,
  patienceMs: check.milliseconds,
  signal: check.abortSignal,
});

/**
 * How far a stream of the feed has got; see `StreamState`.
 *
 * It starts from the consumer's committed position until something was delivered, and from there
 * afterwards, committed or not.
 */
export class FeedStream {
  readonly isOver = false;
  readonly #project: string;
  readonly #options: FollowFeedOptions;
  readonly #heartbeatMs: number;
  readonly #patience: Patience;
  #nextPosition: bigint;

  constructor(project: string, options: FollowFeedOptions, backoff: Backoff) {
    checkOptions(options);
    this.#project = project;
    this.#options = options;
    this.#heartbeatMs = options.heartbeatMs ?? 10_000;
    this.#patience = new Patience(options.patienceMs ?? 60_000, backoff);
    this.#nextPosition = int64(options.fromPosition ?? 0);
  }

  get silenceMs(): number {
    return this.#heartbeatMs * MISSED_HEARTBEATS;
  }

  /** The request for everything not delivered yet. */
  request(): MessageInitShape<typeof FollowFeedRequestSchema> {
    return {
      project: this.#project,
      fromPosition: this.#nextPosition,
      consumer: this.#nextPosition ? "" : (this.#options.consumer ?? ""),
      filter: filterMessage(this.#options),
      allowGaps: this.#options.allowGaps ?? false,
      heartbeatInterval: duration(Math.round(this.#heartbeatMs * 1000)),
    };
  }

  /** Yield the items of a message, each once, and record how far the stream has got. */
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

  /** How long to wait before reopening the stream; undefined to give up. */
  retryDelay(error: unknown): number | undefined {
    return this.#patience.delay(error);
  }

  /** The server ended the stream with OK, which it may not. */
  ended(): never {
    throw new ProtocolError("the server ended a stream of the feed, which never ends");
  }
}
