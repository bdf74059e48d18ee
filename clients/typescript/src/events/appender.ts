/** Appends pipelined over one stream. */

import { inspect } from "node:util";

import { RunService, type AppendEventStreamRequest } from "../gen/runstore/v1/run_service_pb.js";
import type { Connection } from "../transport/connection.js";
import { MessageTooLarge, Unavailable } from "../transport/errors.js";
import { pause } from "../transport/retry.js";
import * as check from "../values/arguments.js";
import type { Int64 } from "../values/numbers.js";
import type { RunRef } from "../values/writers.js";
import { AppendsInFlight, type OpenAppend, type Sent, type StreamLimit } from "./appends.js";
import { Gate, Queue, Slots } from "./queues.js";
import type { NewEvent } from "./values.js";

/** How an appender works. */
export interface AppenderOptions {
  /** How many appends may be in flight; 256. */
  readonly window?: number;
}

/** Options of one pipelined append. */
export interface PipelinedOptions {
  /** The last seq the writer expects before this event. */
  readonly expectedSeq?: Int64 | undefined;
}

const checkAppender = check.object<AppenderOptions>("options", { window: check.int32 });
const checkAppend = check.object<PipelinedOptions>("options", { expectedSeq: check.int64 });

/**
 * Appends to any number of runs, pipelined over one stream. Made by `Client.appender`; close it when
 * done. After 768 KiB a stream ends, and another goes on. An append that is too large for a proxy even
 * alone rejects with `MessageTooLarge`; the others go on.
 *
 * If the stream breaks, the appends in flight are sent again in order, with the same event ids. If
 * that keeps failing for the client's timeout, the appends in flight, later ones and `close` reject
 * with the error.
 */
export class Appender {
  readonly #connection: Connection;
  readonly #window: Slots;
  readonly #inFlight: AppendsInFlight;
  readonly #changed = new Gate();
  readonly #aborting = new AbortController();
  #requests = new Queue<AppendEventStreamRequest>();
  #worker: Promise<void> | undefined;
  #isClosing = false;
  #failure: Error | undefined;
  /** The first refusal whose `answer()` was not asked for. */
  #unseen: { sent: Sent; refusal: Error } | undefined;

  /** @internal */
  constructor(connection: Connection, options: AppenderOptions) {
    checkAppender(options);
    const { window = 256 } = options;
    if (window < 1) {
      throw new check.InvalidArgument("window", `must be at least 1, is ${window}`);
    }
    this.#connection = connection;
    this.#window = new Slots(window);
    this.#inFlight = new AppendsInFlight(connection.timeoutMs, connection.backoff);
  }

  /** Its target and whether it is open, as it is printed. */
  toString(): string {
    const state = this.#isClosing ? "closed" : "open";
    return `<Appender to ${this.#connection.target}, ${state}>`;
  }

  /** @internal */
  [inspect.custom](): string {
    return this.toString();
  }

  /**
   * Send one event once the window has room. Resolves to a `Sent`, whose `answer()` is where the
   * event was recorded.
   *
   * Events of one run are recorded in the order of the calls. A refused append does not stop later
   * ones; send `expectedSeq` to have those refused too.
   */
  async append(run: RunRef, event: NewEvent, options: PipelinedOptions = {}): Promise<Sent> {
    checkAppend(options);
    await this.#window.enter();
    let open;
    try {
      this.#checkOpen();
      open = this.#inFlight.add(run, event, options.expectedSeq);
    } catch (error) {
      this.#window.leave();
      throw error;
    }
    this.#requests.put(open.request);
    this.#changed.open();
    this.#worker ??= this.#work();
    return open.sent;
  }

  /**
   * Wait for all answers and end the stream. Rejects with the error that made the appender give up,
   * or else with the first refusal whose `answer()` was not asked for.
   */
  async close(): Promise<void> {
    this.#isClosing = true;
    this.#requests.end();
    this.#changed.open();
    await this.#worker;
    if (this.#failure) {
      throw this.#failure;
    }
    if (this.#unseen && !this.#unseen.sent.wasAsked) {
      throw this.#unseen.refusal;
    }
  }

  /** As `close`, at the end of an `await using` block. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Give up at once: appends in flight reject with the reason, recorded or not. */
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
        await this.#runStream();
      } catch (error) {
        const delay = this.#inFlight.retryDelay(error);
        if (!this.#connection.mayRetry(error) || delay === undefined || signal.aborted) {
          const cause = this.#connection.final(error);
          this.#failure ??= cause instanceof Error ? cause : new Error(String(cause));
          break;
        }
        await pause(delay, signal, this.#connection.closing);
      }
    }
    this.#stop();
  }

  /** Wait for an append; false if there will be none. */
  async #hasWork(): Promise<boolean> {
    while (this.#inFlight.size === 0 && !this.#isClosing) {
      await this.#changed.wait();
      this.#inFlight.idled();
    }
    return this.#inFlight.size > 0;
  }

  /** Send and receive over one stream until it is full or the appender closes. */
  async #runStream(): Promise<void> {
    this.#requests = new Queue(this.#inFlight.requests());
    if (this.#isClosing) {
      this.#requests.end();
    }
    const limit = this.#inFlight.limit();
    const ending = new AbortController();
    const end = () => {
      ending.abort();
    };
    this.#aborting.signal.addEventListener("abort", end);
    try {
      const method = RunService.method.appendEventStream;
      const requests = limit.within(this.#requests);
      for await (const answer of this.#connection.stream(method, requests, ending.signal)) {
        this.#settle(...this.#inFlight.take(answer));
      }
    } catch (error) {
      this.#refuseTooLarge(limit, error);
      return;
    } finally {
      end();
      this.#aborting.signal.removeEventListener("abort", end);
    }
    this.#inFlight.ended(limit, this.#isClosing);
  }

  /** Refuse the append that was too large for its stream; throw any other error. */
  #refuseTooLarge(limit: StreamLimit, error: unknown): void {
    if (!(error instanceof MessageTooLarge)) {
      throw error;
    }
    const refused = this.#inFlight.tooLarge(limit, error);
    if (refused) {
      this.#settle(refused, error);
    }
  }

  #settle({ sent, settle }: OpenAppend, result: Parameters<OpenAppend["settle"]>[0]): void {
    settle(result);
    if (result instanceof Error && (!this.#unseen || this.#unseen.sent.wasAsked)) {
      this.#unseen = { sent, refusal: result };
    }
    this.#window.leave();
  }

  #stop(): void {
    this.#isClosing = true;
    for (const { settle } of this.#inFlight.giveUp()) {
      settle(this.#failure ?? new Error("the appender stopped"));
      this.#window.leave(); // an append that waits for a slot then finds the appender closed
    }
    this.#changed.open();
  }
}

/** An appender to one run; see `Appender`. Made by `Run.appender`. */
export class RunAppender {
  readonly #appender: Appender;
  readonly #run: RunRef;

  /** @internal */
  constructor(appender: Appender, run: RunRef) {
    this.#appender = appender;
    this.#run = run;
  }

  /** Its run, as it is printed. */
  toString(): string {
    return `<RunAppender of run ${JSON.stringify(this.#run.runId)}>`;
  }

  /** @internal */
  [inspect.custom](): string {
    return this.toString();
  }

  /** As `Appender.append`, to this run. */
  append(event: NewEvent, options: PipelinedOptions = {}): Promise<Sent> {
    return this.#appender.append(this.#run, event, options);
  }

  /** As `Appender.close`. */
  close(): Promise<void> {
    return this.#appender.close();
  }

  /** As `close`, at the end of an `await using` block. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** As `Appender.abort`. */
  abort(reason?: Error): void {
    this.#appender.abort(reason);
  }
}
