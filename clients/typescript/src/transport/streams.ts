/** Streams that go on over lost connections and server restarts. */

import {
  create,
  type DescMessage,
  type DescMethodClientStreaming,
  type DescMethodServerStreaming,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";

import { checkText } from "../values/texts.js";
import { present } from "./answers.js";
import type { Connection } from "./connection.js";
import { silence } from "./failures.js";
import { pause, type Patience } from "./retry.js";

/** How many heartbeats a live stream may miss before it is taken for dead. */
export const MISSED_HEARTBEATS = 3;

/** A stream that goes on after it broke, whatever it brings. */
export interface Follows<I extends DescMessage, O extends DescMessage, Item> {
  readonly isOver: boolean;
  /** How long a live stream may be silent before it is taken for dead. */
  readonly silenceMs: number;
  /** What to ask for now: everything not delivered yet. */
  request(): MessageInitShape<I>;
  /** Yield what the message brings, each item once; note how far the stream got. */
  take(message: MessageShape<O>): Iterable<Item>;
  /** How long to wait before the stream is opened again; undefined when it is given up. */
  retryDelay(error: unknown): number | undefined;
  /** The server ended the stream with OK; throws `ProtocolError` where it may not. */
  ended(): void;
}

/** Yield what a stream brings; one that breaks or falls silent is opened again. */
export async function* follow<I extends DescMessage, O extends DescMessage, Item>(
  connection: Connection,
  method: DescMethodServerStreaming<I, O>,
  following: Follows<I, O, Item>,
  signal: AbortSignal | undefined,
): AsyncGenerator<Item, void, undefined> {
  while (!following.isOver) {
    signal?.throwIfAborted();
    try {
      for await (const message of receive(connection, method, following, signal)) {
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

/**
 * Send a stream of requests, and again from the beginning while `patience` lasts; without one it is
 * sent once. The answer may come before all requests were sent: the rest is not asked for then.
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
      if (delay === undefined || connection.isClosed) {
        throw error;
      }
      await pause(delay, signal, connection.closing);
    }
  }
}

/** Send a stream of requests once. What the requests throw is thrown on, and ends the call. */
async function exchange<I extends DescMessage, O extends DescMessage>(
  connection: Connection,
  method: DescMethodClientStreaming<I, O>,
  requests: AsyncGenerator<MessageInitShape<I>, void, undefined>,
  signal: AbortSignal | undefined,
): Promise<MessageShape<O>> {
  const ending = new AbortController();
  const source = new Source(requests, method.input);
  const end = () => {
    ending.abort();
  };
  signal?.addEventListener("abort", end);
  try {
    let answer: MessageShape<O> | undefined;
    for await (const message of connection.streamAlone(method, source.messages(), ending.signal)) {
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
class Source<I extends DescMessage> {
  /** What the requests threw. */
  failure: unknown;
  #isAsked = false;

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

  /** Nobody asks for more. A source that is being waited for ends when it has answered. */
  async close(): Promise<void> {
    const closed = this.requests.return();
    if (this.#isAsked) {
      closed.catch(() => undefined); // the call is over: nobody waits for what comes now
    } else {
      await closed;
    }
  }

  async #next(): Promise<MessageShape<I> | undefined> {
    this.#isAsked = true;
    try {
      const { value, done } = await this.requests.next();
      if (done) {
        return undefined;
      }
      const request = create(this.schema, value);
      checkText(request);
      return request;
    } catch (error) {
      this.failure = error;
      throw error;
    } finally {
      this.#isAsked = false;
    }
  }
}

/** Yield the messages of one stream; raise `Unavailable` when it is silent for too long. */
async function* receive<I extends DescMessage, O extends DescMessage, Item>(
  connection: Connection,
  method: DescMethodServerStreaming<I, O>,
  following: Follows<I, O, Item>,
  signal: AbortSignal | undefined,
): AsyncGenerator<MessageShape<O>> {
  const request = create(method.input, following.request());
  checkText(request);
  const ending = new AbortController();
  const end = () => {
    ending.abort();
  };
  const watch = new Watch(following.silenceMs, end);
  signal?.addEventListener("abort", end);
  try {
    watch.start();
    for await (const message of connection.stream(method, once(request), ending.signal)) {
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
