/** Appends pipelined over one stream. */

import { RunService, type AppendEventStreamRequest } from "../gen/runstore/v1/run_service_pb.js";
import type { Connection } from "../transport/connection.js";
import { Unavailable } from "../transport/errors.js";
import { pause } from "../transport/retry.js";
import type { Int64 } from "../values/numbers.js";
import type { RunRef } from "../values/writers.js";
import { Appending, type Open, type Sent } from "./appends.js";
import { Gate, Outbox, Room } from "./queues.js";
import type { NewEvent } from "./values.js";

export interface AppenderOptions {
  /** The most appends without an answer; 256. */
  readonly window?: number;
}

export interface PipelinedOptions {
  /** The last seq the writer expects before this event. */
  readonly expectedSeq?: Int64 | undefined;
}

/**
 * Appends to any runs, pipelined over one stream. Made by `Client.appender`; close it when done.
 *
 * When the stream breaks, what is not answered is sent again in order, with the same event ids. When
 * that has failed for the client's timeout, open appends, later ones and `close` reject with the
 * error.
 */
export class Appender {
  readonly #connection: Connection;
  readonly #room: Room;
  readonly #appending: Appending;
  readonly #changed = new Gate();
  readonly #aborting = new AbortController();
  #outbox = new Outbox<AppendEventStreamRequest>();
  #worker: Promise<void> | undefined;
  #isClosing = false;
  #failure: Error | undefined;
  #unheard: { sent: Sent; refusal: Error } | undefined;

  /** @internal */
  constructor(connection: Connection, { window = 256 }: AppenderOptions) {
    if (!Number.isInteger(window) || window < 1) {
      throw new RangeError(`a window holds at least one append, not ${window}`);
    }
    this.#connection = connection;
    this.#room = new Room(window);
    this.#appending = new Appending(connection.timeoutMs, connection.backoff);
  }

  /**
   * Send one event, once the window has room; `answer()` of what this resolves to is where it
   * stands.
   *
   * Events of one run are recorded in the order of the calls. A refusal is its own append's alone
   * and stops no other; a writer to whom that matters sends `expectedSeq`.
   */
  async append(
    run: RunRef,
    event: NewEvent,
    { expectedSeq }: PipelinedOptions = {},
  ): Promise<Sent> {
    await this.#room.enter();
    let open;
    try {
      this.#checkOpen();
      open = this.#appending.add(run, event, expectedSeq);
    } catch (error) {
      this.#room.leave();
      throw error;
    }
    this.#outbox.put(open.request);
    this.#changed.open();
    this.#worker ??= this.#work();
    return open.sent;
  }

  /**
   * Wait for all answers and end the stream. Rejects with what made the appender give up, else with
   * the first refusal whose `answer()` nobody asked for.
   */
  async close(): Promise<void> {
    this.#isClosing = true;
    this.#outbox.end();
    this.#changed.open();
    await this.#worker;
    if (this.#failure) {
      throw this.#failure;
    }
    if (this.#unheard && !this.#unheard.sent.wasAsked) {
      throw this.#unheard.refusal;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Give up at once: open appends reject with the reason, whether or not they were recorded. */
  abort(reason: Error = new DOMException("the appender was aborted", "AbortError")): void {
    this.#failure ??= reason;
    this.#isClosing = true;
    this.#aborting.abort(reason);
    this.#stop();
  }

  #checkOpen(): void {
    if (this.#failure) {
      throw this.#failure;
    }
    if (this.#isClosing) {
      throw new Unavailable({ code: "UNAVAILABLE", message: "the appender is closed" });
    }
  }

  async #work(): Promise<void> {
    const { signal } = this.#aborting;
    while (await this.#hasWork()) {
      try {
        await this.#converse();
      } catch (error) {
        const delay = this.#appending.retryDelay(error);
        if (delay === undefined || this.#connection.isClosed || signal.aborted) {
          this.#failure ??= error instanceof Error ? error : new Error(String(error));
          break;
        }
        await pause(delay, signal, this.#connection.closing);
      }
    }
    this.#stop();
  }

  /** Wait for an append; false when there will be none. */
  async #hasWork(): Promise<boolean> {
    while (this.#appending.size === 0 && !this.#isClosing) {
      await this.#changed.wait();
      this.#appending.rested();
    }
    return this.#appending.size > 0;
  }

  /** Send and receive over one stream until the appender closes. */
  async #converse(): Promise<void> {
    this.#outbox = new Outbox(this.#appending.requests());
    if (this.#isClosing) {
      this.#outbox.end();
    }
    const ending = new AbortController();
    const end = () => {
      ending.abort();
    };
    this.#aborting.signal.addEventListener("abort", end);
    try {
      const method = RunService.method.appendEventStream;
      for await (const answer of this.#connection.stream(method, this.#outbox, ending.signal)) {
        this.#settle(...this.#appending.take(answer));
      }
    } finally {
      end();
      this.#aborting.signal.removeEventListener("abort", end);
    }
    this.#appending.ended(this.#isClosing);
  }

  #settle({ sent, settle }: Open, result: Parameters<Open["settle"]>[0]): void {
    settle(result);
    if (result instanceof Error && (!this.#unheard || this.#unheard.sent.wasAsked)) {
      this.#unheard = { sent, refusal: result };
    }
    this.#room.leave();
  }

  #stop(): void {
    this.#isClosing = true;
    for (const { settle } of this.#appending.giveUp()) {
      settle(this.#failure ?? new Error("the appender stopped"));
      this.#room.leave(); // who waits for it finds the appender closed
    }
    this.#changed.open();
  }
}

/** An appender of one run; see `Appender`. Made by `Run.appender`. */
export class RunAppender {
  readonly #appender: Appender;
  readonly #run: RunRef;

  /** @internal */
  constructor(appender: Appender, run: RunRef) {
    this.#appender = appender;
    this.#run = run;
  }

  append(event: NewEvent, options: PipelinedOptions = {}): Promise<Sent> {
    return this.#appender.append(this.#run, event, options);
  }

  close(): Promise<void> {
    return this.#appender.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  abort(reason?: Error): void {
    this.#appender.abort(reason);
  }
}
