/** Streams that continue across lost connections and server restarts. */

import {
  create,
  type DescMessage,
  type DescMethodClientStreaming,
  type DescMethodServerStreaming,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";

import { present } from "./answers.js";
import type { Connection } from "./connection.js";
import { silentStream } from "./failures.js";
import { pause, type Patience } from "./retry.js";

/** How many heartbeats a stream may miss before it is reopened. */
export const MISSED_HEARTBEATS = 3;

/** How far a stream has got, so that it continues after it broke. */
export interface StreamState<I extends DescMessage, O extends DescMessage, Item> {
  readonly isOver: boolean;
  /** How long the stream may be silent before it is reopened. */
  readonly silenceMs: number;
  /** The request for everything not delivered yet. */
  request(): MessageInitShape<I>;
  /** Yield the items of a message, each once, and record how far the stream has got. */
  take(message: MessageShape<O>): Iterable<Item>;
  /** How long to wait before reopening the stream; undefined to give up. */
  retryDelay(error: unknown): number | undefined;
  /** The server ended the stream with OK; throws `ProtocolError` if that is too early. */
  ended(): void;
}

/** Yield the items of a stream; one that breaks or falls silent is reopened. */
export async function* follow<I extends DescMessage, O extends DescMessage, Item>(
  connection: Connection,
  method: DescMethodServerStreaming<I, O>,
  state: StreamState<I, O, Item>,
  signal: AbortSignal | undefined,
): AsyncGenerator<Item, void, undefined> {
  while (!state.isOver) {
    signal?.throwIfAborted();
    try {
      for await (const message of receive(connection, method, state, signal)) {
        for (const item of state.take(message)) {
          signal?.throwIfAborted();
          yield item;
        }
      }
      state.ended();
    } catch (error) {
      signal?.throwIfAborted();
      const delay = state.retryDelay(error);
      if (!connection.mayRetry(error) || delay === undefined) {
        throw connection.final(error);
      }
      await pause(delay, signal, connection.closing);
    }
  }
}

/**
 * Send a stream of requests, and retry it from the beginning while `patience` lasts; without it the
 * stream is sent once. If the answer arrives before all requests are sent, the rest is not read.
 */
export async function sendStream<I extends DescMessage, O extends DescMessage>(
  connection: Connection,
  method: DescMethodClientStreaming<I, O>,
  requests: () => AsyncGenerator<MessageInitShape<I>, void, undefined>,
  patience: Patience | undefined,
  signal: AbortSignal | undefined,
): Promise<MessageShape<O>> {
  for (;;) {
    signal?.throwIfAborted();
    try {
      return await exchange(connection, method, requests(), signal);
    } catch (error) {
      signal?.throwIfAborted();
      const delay = patience?.delay(error);
      if (!connection.mayRetry(error) || delay === undefined) {
        throw connection.final(error);
      }
      await pause(delay, signal, connection.closing);
    }
  }
}

/** Send a stream of requests once. An error of the requests ends the call and is rethrown. */
async function exchange<I extends DescMessage, O extends DescMessage>(
  connection: Connection,
  method: DescMethodClientStreaming<I, O>,
  requests: AsyncGenerator<MessageInitShape<I>, void, undefined>,
  signal: AbortSignal | undefined,
): Promise<MessageShape<O>> {
  const ending = new AbortController();
  const source = new RequestSource(requests, method.input);
  const end = () => {
    ending.abort();
  };
  signal?.addEventListener("abort", end);
  try {
    let answer: MessageShape<O> | undefined;
    const messages = source.messages();
    for await (const message of connection.streamOnOwnConnection(method, messages, ending.signal)) {
      answer = message;
    }
    return present(answer);
  } catch (error) {
    throw source.failure ?? error;
  } finally {
    end();
    signal?.removeEventListener("abort", end);
    await source.close();
  }
}

/** The requests of a call, which may end before they do. */
class RequestSource<I extends DescMessage> {
  /** The error that the requests threw. */
  failure: unknown;
  #isPending = false;

  constructor(
    private readonly requests: AsyncGenerator<MessageInitShape<I>, void, undefined>,
    private readonly schema: I,
  ) {}

  async *messages(): AsyncGenerator<MessageShape<I>> {
    for (;;) {
      const request = await this.#next();
      if (request === undefined) {
        return;
      }
      yield request;
    }
  }

  /** End the source. If the next request is pending, the source ends after it has produced it. */
  async close(): Promise<void> {
    const closed = this.requests.return();
    if (this.#isPending) {
      closed.catch(() => undefined); // the call is over: a later error does not matter
    } else {
      await closed;
    }
  }

  async #next(): Promise<MessageShape<I> | undefined> {
    this.#isPending = true;
    try {
      const { value, done } = await this.requests.next();
      if (done) {
        return undefined;
      }
      return create(this.schema, value);
    } catch (error) {
      this.failure = error;
      throw error;
    } finally {
      this.#isPending = false;
    }
  }
}

/** Yield the messages of one stream; throw `Unavailable` if it is silent for too long. */
async function* receive<I extends DescMessage, O extends DescMessage, Item>(
  connection: Connection,
  method: DescMethodServerStreaming<I, O>,
  state: StreamState<I, O, Item>,
  signal: AbortSignal | undefined,
): AsyncGenerator<MessageShape<O>> {
  const request = create(method.input, state.request());
  const ending = new AbortController();
  const end = () => {
    ending.abort();
  };
  const timer = new SilenceTimer(state.silenceMs, end);
  signal?.addEventListener("abort", end);
  try {
    timer.start();
    for await (const message of connection.stream(method, once(request), ending.signal)) {
      timer.stop();
      yield message;
      timer.start();
    }
  } catch (error) {
    throw timer.hasFired ? silentStream(state.silenceMs) : error;
  } finally {
    timer.stop();
    end();
    signal?.removeEventListener("abort", end);
  }
}

/** Fires if a wait takes too long. The time that a caller takes between messages does not count. */
class SilenceTimer {
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

// eslint-disable-next-line @typescript-eslint/require-await -- the transport takes an async iterable
async function* once<T>(value: T): AsyncGenerator<T> {
  yield value;
}
