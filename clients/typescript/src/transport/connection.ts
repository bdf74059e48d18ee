/** The connection: its target and settings, and how a call is sent and retried. */

import { setMaxListeners } from "node:events";

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

import {
  AppendEventRequestSchema,
  RunService,
  type AppendEventResponse,
} from "../gen/runstore/v1/run_service_pb.js";
import { ClientClosed, RunstoreError } from "./errors.js";
import { fromRequests, fromStream, fromTransport } from "./failures.js";
import { Gathering } from "./gathering.js";
import type { CallOptions, ConnectOptions, Keepalive } from "./options.js";
import { Attempts, Backoff, pause } from "./retry.js";
import { Sessions } from "./sessions.js";
import { addressOf, checkedTarget, isSecure, Reach } from "./targets.js";
import { tlsOfEnvironment } from "./tls.js";
import { Tokens } from "./tokens.js";

export const DEFAULT_TARGET = "localhost:7411";
export const TARGET_VARIABLE = "RUNSTORE_TARGET";
export const DEFAULT_TIMEOUT_MS = 10_000;

// The longest deadline that the header for it can express; a longer one is not sent.
const LONGEST_MS = 99_999_999;
// The timeout is less than a call's, so a call over a connection that died while idle succeeds.
const KEEPALIVE: Keepalive = { intervalMs: 30_000, timeoutMs: 5_000 };

/** One connection, opened by the first call and again whenever it is lost. */
export class Connection {
  readonly backoff = new Backoff();
  readonly timeoutMs: number;
  readonly #reach: Reach;
  readonly #closing = new AbortController();
  readonly #newSessions: () => Sessions;
  readonly #newTransport: (sessions: Sessions) => Transport;
  readonly #ownSessions = new Set<Sessions>();
  readonly #sessions: Sessions;
  readonly #transport: Transport;
  readonly #tokens: Tokens;
  readonly #gathering: Gathering | undefined;
  #calls = 0;

  constructor(target: string | undefined, options: ConnectOptions) {
    // Every call and stream that waits to retry listens.
    setMaxListeners(0, this.#closing.signal);
    const given = checkedTarget(target || process.env[TARGET_VARIABLE] || DEFAULT_TARGET);
    const { keepalive = KEEPALIVE } = options;
    const isAsked = options.tls !== undefined && options.tls !== false;
    const tls = isAsked ? options.tls : isSecure(given) && tlsOfEnvironment();
    this.#reach = new Reach(given);
    const baseUrl = `${tls ? "https" : "http"}://${addressOf(given)}`;
    const pings = {
      pingIntervalMs: keepalive.intervalMs,
      pingTimeoutMs: keepalive.timeoutMs,
      pingIdleConnection: false,
    };
    this.#newSessions = () => {
      const sessions = new Sessions(baseUrl, pings, tls === true ? {} : tls || {});
      sessions.onGreeting = () => {
        this.#reach.connected();
      };
      return sessions;
    };
    this.#newTransport = (sessionManager) => createGrpcTransport({ baseUrl, sessionManager });
    this.#sessions = this.#newSessions();
    this.#transport = this.#newTransport(this.#sessions);
    this.timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    this.#tokens = new Tokens(given, Boolean(tls), options);
    if (options.gather ?? true) {
      this.#gathering = new Gathering((...attempt) => this.#attempt(...attempt));
    }
  }

  /** The address that was given, or the environment's. */
  get target(): string {
    return this.#reach.target;
  }

  get isClosed(): boolean {
    return this.#closing.signal.aborted;
  }

  /** Aborted when the client is closed. */
  get closing(): AbortSignal {
    return this.#closing.signal;
  }

  /** Calls in flight fail; without any the server sees an ordinary end. */
  close(): void {
    this.#closing.abort();
    if (this.#calls === 0) {
      this.#sessions.closeGracefully();
    } else {
      for (const sessions of [this.#sessions, ...this.#ownSessions]) {
        sessions.abort(new ConnectError("the client was closed", Code.Canceled));
      }
    }
  }

  /** Send a call, and retry it while that may help, until the timeout. */
  async send<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    init: MessageInitShape<I>,
    { signal, timeoutMs = this.timeoutMs }: CallOptions = {},
  ): Promise<MessageShape<O>> {
    // Made once, so that every attempt sends the same ids.
    const request = create(method.input, init);
    return await this.#retried((left) => this.#attempt(method, request, signal, left), {
      signal,
      timeoutMs,
    });
  }

  /** As `send`, for an append of one event; those made at the same time may share requests. */
  async append(
    init: MessageInitShape<typeof AppendEventRequestSchema>,
    { signal, timeoutMs = this.timeoutMs }: CallOptions = {},
  ): Promise<AppendEventResponse> {
    const gathering = this.#gathering;
    if (!gathering) {
      return await this.send(RunService.method.appendEvent, init, { signal, timeoutMs });
    }
    const request = create(AppendEventRequestSchema, init);
    return await this.#retried((left) => gathering.append(request, signal, left), {
      signal,
      timeoutMs,
    });
  }

  async #retried<Answer>(
    attempt: (timeoutMs: number) => Promise<Answer>,
    { signal, timeoutMs }: { readonly signal: AbortSignal | undefined; readonly timeoutMs: number },
  ): Promise<Answer> {
    const attempts = new Attempts(timeoutMs, this.backoff);
    for (;;) {
      signal?.throwIfAborted();
      try {
        return await attempt(attempts.begin());
      } catch (error) {
        signal?.throwIfAborted();
        const [cause, delay] = attempts.failed(error);
        if (!this.mayRetry(error) || delay === undefined) {
          throw this.final(cause, attempts.milliseconds);
        }
        await pause(delay, signal, this.closing);
      }
    }
  }

  /** Send a call once. */
  async once<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    init: MessageInitShape<I>,
    { signal, timeoutMs = this.timeoutMs }: CallOptions = {},
  ): Promise<MessageShape<O>> {
    const request = create(method.input, init);
    const attempts = new Attempts(timeoutMs, this.backoff);
    signal?.throwIfAborted();
    try {
      return await this.#attempt(method, request, signal, attempts.begin());
    } catch (error) {
      signal?.throwIfAborted();
      this.mayRetry(error);
      throw this.final(error, attempts.milliseconds);
    }
  }

  /** Note a failed attempt; return whether the connection permits another. */
  mayRetry(error: unknown): boolean {
    return this.#reach.failed(error) && !this.isClosed;
  }

  /** What is thrown for the error of the last attempt. */
  final(error: unknown, milliseconds?: number): unknown {
    if (!(error instanceof RunstoreError)) {
      return error;
    }
    if (this.isClosed && !error.reason) {
      return clientClosed(error);
    }
    return this.#tokens.explained(this.#reach.explained(error, milliseconds));
  }

  /**
   * As `stream`, over a connection of its own.
   *
   * Node counts the bytes that a server that answered early did not read against the memory of the
   * connection for good. A shared one would in the end refuse every call.
   */
  async *streamOnOwnConnection<I extends DescMessage, O extends DescMessage>(
    method: DescMethodStreaming<I, O>,
    requests: AsyncIterable<MessageInitShape<I>>,
    signal: AbortSignal,
  ): AsyncGenerator<MessageShape<O>> {
    const sessions = this.#newSessions();
    this.#ownSessions.add(sessions);
    try {
      yield* this.#open(this.#newTransport(sessions), method, requests, signal);
    } catch (error) {
      throw fromRequests(error);
    } finally {
      this.#ownSessions.delete(sessions);
      sessions.abort(new ConnectError("the call is over", Code.Canceled));
    }
  }

  /** Open a stream once, and yield its messages until `signal` is aborted. */
  async *stream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodStreaming<I, O>,
    requests: AsyncIterable<MessageInitShape<I>>,
    signal: AbortSignal,
  ): AsyncGenerator<MessageShape<O>> {
    try {
      yield* this.#open(this.#transport, method, requests, signal);
    } catch (error) {
      throw method.methodKind === "server_streaming" ? fromStream(error) : fromRequests(error);
    }
  }

  async *#open<I extends DescMessage, O extends DescMessage>(
    transport: Transport,
    method: DescMethodStreaming<I, O>,
    requests: AsyncIterable<MessageInitShape<I>>,
    signal: AbortSignal,
  ): AsyncGenerator<MessageShape<O>> {
    const headers = await this.#tokens.headers(signal);
    this.#checkOpen();
    this.#calls += 1;
    try {
      const answer = await transport.stream(method, signal, undefined, headers, requests);
      for await (const message of answer.message) {
        this.#reach.reached();
        yield message;
      }
    } catch (error) {
      await this.#tokens.judge(error, headers, signal);
      throw error;
    } finally {
      this.#calls -= 1;
    }
  }

  async #attempt<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    signal: AbortSignal | undefined,
    timeoutMs: number,
  ): Promise<MessageShape<O>> {
    const began = performance.now();
    const headers = await this.#tokens.headers(signal, timeoutMs);
    this.#checkOpen();
    this.#calls += 1;
    try {
      const left = Math.max(Math.round(timeoutMs - (performance.now() - began)), 1);
      const sent = left > LONGEST_MS ? undefined : left;
      const answer = await this.#transport.unary(method, signal, sent, headers, request);
      this.#reach.reached();
      return answer.message;
    } catch (error) {
      await this.#tokens.judge(error, headers, signal, timeoutMs);
      throw fromTransport(error);
    } finally {
      this.#calls -= 1;
    }
  }

  #checkOpen(): void {
    if (this.isClosed) {
      throw clientClosed();
    }
  }
}

function clientClosed(cause?: RunstoreError): ClientClosed {
  return new ClientClosed({ code: "CANCELLED", message: "the client was closed", cause });
}
