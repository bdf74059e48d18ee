/** The connection: where to, with which settings, and how one call is sent. */

import { setMaxListeners } from "node:events";
import type { SecureClientSessionOptions } from "node:http2";

import {
  create,
  type DescMessage,
  type DescMethodStreaming,
  type DescMethodUnary,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";
import { Code, ConnectError, type Transport } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";

import { checkText } from "../values/texts.js";
import { Unavailable } from "./errors.js";
import { fromTransport } from "./failures.js";
import { Backoff, pause } from "./retry.js";
import { Sessions } from "./sessions.js";

export const DEFAULT_TARGET = "localhost:7411";
export const TARGET_VARIABLE = "RUNSTORE_TARGET";
export const DEFAULT_TIMEOUT_MS = 10_000;

// What the header that tells the server of a call's time can say; beyond it a call has all time.
const LONGEST_MS = 99_999_999;
// Less than a call's time, so that a call over a connection that died unused still succeeds.
const KEEPALIVE: Keepalive = { intervalMs: 30_000, timeoutMs: 5_000 };

/** What any call takes. */
export interface CallOptions {
  /** The whole time the call may take, retries included, in milliseconds. */
  readonly timeoutMs?: number | undefined;
  /** Gives the call up; it rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** How a dead connection is found: by a PING that has no answer. */
export interface Keepalive {
  /** Silence before a PING; the server takes one every 10 seconds. Unused, the next call sends it. */
  readonly intervalMs: number;
  readonly timeoutMs: number;
}

/** How to connect. */
export interface ConnectOptions {
  /** The tenant of all calls; "default" where it is left out. */
  readonly project?: string;
  /** What `CallOptions.timeoutMs` is unless a call says otherwise; 10 seconds. */
  readonly timeoutMs?: number;
  /** Sent with every call. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** 30 and 5 seconds. */
  readonly keepalive?: Keepalive;
  /** True or options of node:tls for an encrypted connection. */
  readonly tls?: boolean | SecureClientSessionOptions;
}

/** One connection, made at the first call and again whenever it is lost. */
export class Connection {
  readonly backoff = new Backoff();
  readonly timeoutMs: number;
  readonly #closing = new AbortController();
  readonly #newSessions: () => Sessions;
  readonly #newTransport: (sessions: Sessions) => Transport;
  readonly #alone = new Set<Sessions>();
  readonly #sessions: Sessions;
  readonly #transport: Transport;
  readonly #metadata: Readonly<Record<string, string>>;
  #calls = 0;

  constructor(target: string | undefined, options: ConnectOptions) {
    // Every call and stream that waits for its next try listens.
    setMaxListeners(0, this.#closing.signal);
    const address = target || process.env[TARGET_VARIABLE] || DEFAULT_TARGET;
    const { tls = false, keepalive = KEEPALIVE } = options;
    const baseUrl = `${tls ? "https" : "http"}://${address}`;
    const pings = {
      pingIntervalMs: keepalive.intervalMs,
      pingTimeoutMs: keepalive.timeoutMs,
      pingIdleConnection: false,
    };
    this.#newSessions = () => new Sessions(baseUrl, pings, tls === true ? {} : tls || {});
    this.#newTransport = (sessionManager) => createGrpcTransport({ baseUrl, sessionManager });
    this.#sessions = this.#newSessions();
    this.#transport = this.#newTransport(this.#sessions);
    this.timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    this.#metadata = options.metadata ?? {};
  }

  get isClosed(): boolean {
    return this.#closing.signal.aborted;
  }

  /** Aborted when the client is closed. */
  get closing(): AbortSignal {
    return this.#closing.signal;
  }

  /** Calls under way fail; without one the server sees an ordinary end. */
  close(): void {
    this.#closing.abort();
    if (this.#calls === 0) {
      this.#sessions.leave();
    } else {
      for (const sessions of [this.#sessions, ...this.#alone]) {
        sessions.abort(new ConnectError("the client was closed", Code.Canceled));
      }
    }
  }

  /** Send one call, again where that is safe and may help, until the timeout. */
  async send<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    init: MessageInitShape<I>,
    { signal, timeoutMs = this.timeoutMs }: CallOptions = {},
  ): Promise<MessageShape<O>> {
    const request = this.#checked(method.input, init);
    const deadline = performance.now() + timeoutMs;
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.once(method, request, {
          signal,
          timeoutMs: deadline - performance.now(),
        });
      } catch (error) {
        const delay = this.backoff.delay(attempt, error);
        if (delay === undefined || this.isClosed || performance.now() + delay > deadline) {
          throw error;
        }
        await pause(delay, signal, this.closing);
      }
    }
  }

  /** Send one call once. */
  async once<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    { signal, timeoutMs = this.timeoutMs }: CallOptions = {},
  ): Promise<MessageShape<O>> {
    signal?.throwIfAborted();
    this.#checkOpen();
    this.#calls += 1;
    try {
      const left = timeoutMs > LONGEST_MS ? undefined : Math.max(Math.round(timeoutMs), 1);
      const answer = await this.#transport.unary(method, signal, left, this.#metadata, request);
      return answer.message;
    } catch (error) {
      signal?.throwIfAborted();
      throw fromTransport(error);
    } finally {
      this.#calls -= 1;
    }
  }

  /**
   * As `stream`, over a connection that ends with it.
   *
   * What a server that answered early has not taken would count against the memory of a shared
   * connection for ever (Node does not take it off), until that one refuses every call.
   */
  async *streamAlone<I extends DescMessage, O extends DescMessage>(
    method: DescMethodStreaming<I, O>,
    requests: AsyncIterable<MessageInitShape<I>>,
    signal: AbortSignal,
  ): AsyncGenerator<MessageShape<O>> {
    const sessions = this.#newSessions();
    this.#alone.add(sessions);
    try {
      yield* this.stream(method, requests, signal, this.#newTransport(sessions));
    } finally {
      this.#alone.delete(sessions);
      sessions.abort(new ConnectError("the call is over", Code.Canceled));
    }
  }

  /** Open a stream once, and yield what it brings until `signal` is aborted. */
  async *stream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodStreaming<I, O>,
    requests: AsyncIterable<MessageInitShape<I>>,
    signal: AbortSignal,
    transport = this.#transport,
  ): AsyncGenerator<MessageShape<O>> {
    this.#checkOpen();
    this.#calls += 1;
    try {
      const metadata = this.#metadata;
      const answer = await transport.stream(method, signal, undefined, metadata, requests);
      yield* answer.message;
    } catch (error) {
      throw fromTransport(error);
    } finally {
      this.#calls -= 1;
    }
  }

  #checkOpen(): void {
    if (this.isClosed) {
      throw new Unavailable({ code: "UNAVAILABLE", message: "the client is closed" });
    }
  }

  /** The message, once and for all: every try sends the same ids. */
  #checked<I extends DescMessage>(schema: I, init: MessageInitShape<I>): MessageShape<I> {
    const request = create(schema, init);
    checkText(request);
    return request;
  }
}
