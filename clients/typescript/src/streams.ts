/** Streams of events that go on over lost connections and server restarts. */

import { create } from "@bufbuild/protobuf";

import { silence } from "./failures.js";
import { Following, type StreamItem, type StreamOptions } from "./following.js";
import {
  RunService,
  StreamEventsRequestSchema,
  type StreamEventsResponse,
} from "./gen/runstore/v1/run_service_pb.js";
import { pause } from "./retry.js";
import type { RunRef } from "./runs.js";
import { checkText } from "./texts.js";
import type { Connection } from "./transport.js";

/** Yield events and marks; a stream that breaks or falls silent is opened again. */
export async function* streamItems(
  connection: Connection,
  run: RunRef,
  options: StreamOptions,
): AsyncGenerator<StreamItem, void, undefined> {
  const { signal } = options;
  const following = new Following(run, options, connection.backoff);
  while (!following.isOver) {
    signal?.throwIfAborted();
    try {
      for await (const message of receive(connection, following, signal)) {
        for (const item of following.take(message)) {
          signal?.throwIfAborted();
          yield item;
        }
      }
      following.ended();
    } catch (error) {
      signal?.throwIfAborted();
      const delay = following.retryDelay(error);
      if (delay === undefined || connection.isClosed) {
        throw error;
      }
      await pause(delay, signal, connection.closing);
    }
  }
}

/** Yield the messages of one stream; raise `Unavailable` when it is silent for too long. */
async function* receive(
  connection: Connection,
  following: Following,
  signal: AbortSignal | undefined,
): AsyncGenerator<StreamEventsResponse> {
  const request = create(StreamEventsRequestSchema, following.request());
  checkText(request);
  const ending = new AbortController();
  const end = () => {
    ending.abort();
  };
  const watch = new Watch(following.silenceMs, end);
  signal?.addEventListener("abort", end);
  try {
    watch.start();
    const messages = connection.stream(
      RunService.method.streamEvents,
      once(request),
      ending.signal,
    );
    for await (const message of messages) {
      watch.stop();
      yield message;
      watch.start();
    }
  } catch (error) {
    throw watch.hasFired ? silence(following.silenceMs) : error;
  } finally {
    watch.stop();
    end();
    signal?.removeEventListener("abort", end);
  }
}

/** Fires when a wait takes too long; the time a caller takes between two messages is not one. */
class Watch {
  #timer: NodeJS.Timeout | undefined;
  #hasFired = false;

  constructor(
    private readonly milliseconds: number,
    private readonly fire: () => void,
  ) {}

  get hasFired(): boolean {
    return this.#hasFired;
  }

  start(): void {
    this.#timer = setTimeout(() => {
      this.#hasFired = true;
      this.fire();
    }, this.milliseconds);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}

// eslint-disable-next-line @typescript-eslint/require-await -- the transport takes requests in this form
async function* once<T>(value: T): AsyncGenerator<T> {
  yield value;
}
