/**
 * The appends in flight over AppendEventStream: what to send, and what the answers mean.
 *
 * No I/O happens here; `appender` drives it.
 */

import { create, toBinary } from "@bufbuild/protobuf";

import {
  AppendEventStreamRequestSchema,
  type AppendEventStreamRequest,
  type AppendEventStreamResponse,
} from "../gen/runstore/v1/run_service_pb.js";
import {
  ProtocolError,
  ServerDraining,
  type MessageTooLarge,
  type RunstoreError,
} from "../transport/errors.js";
import { brokenStream, fromStatus } from "../transport/failures.js";
import { Patience, type Backoff } from "../transport/retry.js";
import type { Int64 } from "../values/numbers.js";
import type { RunRef } from "../values/writers.js";
import { appendedValue, appendRequest, type Appended, type NewEvent } from "./values.js";

// A stream is one HTTP request, and proxies limit the body of one: nginx to 1 MiB by default.
export const MAX_STREAM_BYTES = 768 * 1024;
const FRAME_BYTES = 5; // what gRPC writes before each message

/** How much one stream may still carry. One append always fits, however large. */
export class StreamLimit {
  readonly #mostBytes: number;
  #bytes = 0;
  #carried = 0;
  #leftOut: AppendEventStreamRequest | undefined;

  constructor(mostBytes = MAX_STREAM_BYTES) {
    this.#mostBytes = mostBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** How many requests the stream carried. */
  get carried(): number {
    return this.#carried;
  }

  /** The request before which the stream had to end. */
  get leftOut(): AppendEventStreamRequest | undefined {
    return this.#leftOut;
  }

  /** The requests as far as the stream may carry them. */
  async *within(
    requests: AsyncIterable<AppendEventStreamRequest>,
  ): AsyncGenerator<AppendEventStreamRequest> {
    for await (const request of requests) {
      const size = toBinary(AppendEventStreamRequestSchema, request).length + FRAME_BYTES;
      if (this.#carried > 0 && this.#bytes + size > this.#mostBytes) {
        this.#leftOut = request;
        return;
      }
      this.#bytes += size;
      this.#carried += 1;
      yield request;
    }
  }
}

/** An append that was sent, or will be once a server is available. */
export class Sent {
  readonly eventId: string;
  readonly #answer: Promise<Appended>;
  #wasAsked = false;

  /** @internal */
  constructor(eventId: string, answer: Promise<Appended>) {
    this.eventId = eventId;
    this.#answer = answer;
    answer.catch(() => undefined); // `close` rejects with a refusal that was not asked for
  }

  /** Where the event was recorded; rejects if the append was refused or given up. */
  answer(): Promise<Appended> {
    this.#wasAsked = true;
    return this.#answer;
  }

  /** @internal Whether `answer()` was called, so that the caller learns of a refusal. */
  get wasAsked(): boolean {
    return this.#wasAsked;
  }
}

/** An append that is not answered yet. */
export interface OpenAppend {
  readonly request: AppendEventStreamRequest;
  readonly sent: Sent;
  readonly settle: (result: Appended | Error) => void;
}

/** The appends that are not answered yet, in the order of the calls. */
export class AppendsInFlight {
  readonly #unanswered = new Map<string, OpenAppend>();
  readonly #patience: Patience;
  #made = 0;
  #mostBytes = MAX_STREAM_BYTES;

  constructor(patienceMs: number, backoff: Backoff) {
    this.#patience = new Patience(patienceMs, backoff);
  }

  get size(): number {
    return this.#unanswered.size;
  }

  /** Add an append that is about to be sent, with an event id that makes it safe to repeat. */
  add(run: RunRef, event: NewEvent, expectedSeq: Int64 | undefined): OpenAppend {
    const request = create(AppendEventStreamRequestSchema, {
      correlationId: String(this.#made + 1),
      append: appendRequest(run, event, expectedSeq),
    });
    let settle: OpenAppend["settle"] = () => undefined;
    const answer = new Promise<Appended>((resolve, reject) => {
      settle = (result) => {
        if (result instanceof Error) {
          reject(result);
        } else {
          resolve(result);
        }
      };
    });
    const open = { request, sent: new Sent(request.append?.event?.eventId ?? "", answer), settle };
    this.#made += 1;
    this.#unanswered.set(request.correlationId, open);
    return open;
  }

  /** The requests with which a new stream begins: all unanswered ones. */
  requests(): AppendEventStreamRequest[] {
    return [...this.#unanswered.values()].map(({ request }) => request);
  }

  /** What the next stream may carry. */
  limit(): StreamLimit {
    return new StreamLimit(this.#mostBytes);
  }

  /**
   * The append that no stream can carry; undefined if the stream carried several. Then later streams
   * carry at most half as much, in the end one append each.
   */
  tooLarge({ carried, bytes }: StreamLimit, error: MessageTooLarge): OpenAppend | undefined {
    if (carried > 1) {
      this.#mostBytes = Math.floor(bytes / 2);
      return undefined;
    }
    const [oldest] = this.#unanswered.values();
    if (carried === 0 || oldest === undefined) {
      throw brokenStream(error.message, error);
    }
    this.#unanswered.delete(oldest.request.correlationId);
    return oldest;
  }

  /**
   * The oldest append and its outcome.
   *
   * Throws `ServerDraining` if the server refused it because it is shutting down: it refuses all
   * later ones too, so sending them again to another server keeps their order.
   */
  take(response: AppendEventStreamResponse): [OpenAppend, Appended | RunstoreError] {
    const open = this.#answered(response);
    const { result } = response;
    if (result.case === undefined) {
      throw new ProtocolError("the answer to an append is empty");
    }
    const outcome =
      result.case === "error" ? fromStatus(result.value) : appendedValue(result.value);
    if (outcome instanceof ServerDraining) {
      throw outcome;
    }
    this.#patience.renew();
    this.#unanswered.delete(open.request.correlationId);
    return [open, outcome];
  }

  /**
   * The server ended the stream with OK. That is right once all that was sent is answered, and either
   * nothing will follow or the next append goes on another stream.
   */
  ended({ leftOut }: StreamLimit, isClosing: boolean): void {
    const [oldest] = this.#unanswered.values();
    if (oldest ? oldest.request !== leftOut : !isClosing) {
      throw new ProtocolError("the server ended the append stream before its last answer");
    }
  }

  /** There was nothing to send for a while: earlier failures do not count against later appends. */
  idled(): void {
    this.#patience.renew();
  }

  /** How long to wait before opening a new stream; undefined to give up. */
  retryDelay(error: unknown): number | undefined {
    return this.#patience.delay(error);
  }

  /** The appends that will not be answered. */
  giveUp(): OpenAppend[] {
    const open = [...this.#unanswered.values()];
    this.#unanswered.clear();
    return open;
  }

  #answered({ correlationId }: AppendEventStreamResponse): OpenAppend {
    const [oldest] = this.#unanswered.values();
    if (oldest === undefined) {
      throw new ProtocolError("the server answered an append that was not sent");
    }
    const expected = oldest.request.correlationId;
    // Empty if the server could not decode the request.
    if (correlationId !== expected && correlationId !== "") {
      throw new ProtocolError(
        `expected the answer to append ${expected}, got that to ${correlationId}`,
      );
    }
    return oldest;
  }
}
