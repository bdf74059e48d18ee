/**
 * Appends in flight over AppendEventStream: what to send, what the answers mean.
 *
 * No I/O happens here; `appender` drives it.
 */

import { create } from "@bufbuild/protobuf";

import {
  AppendEventStreamRequestSchema,
  type AppendEventStreamRequest,
  type AppendEventStreamResponse,
} from "../gen/runstore/v1/run_service_pb.js";
import { ProtocolError, ServerDraining, type RunstoreError } from "../transport/errors.js";
import { fromStatus } from "../transport/failures.js";
import { Patience, type Backoff } from "../transport/retry.js";
import type { Int64 } from "../values/numbers.js";
import { checkText } from "../values/texts.js";
import type { RunRef } from "../values/writers.js";
import { appendedValue, appendRequest, type Appended, type NewEvent } from "./values.js";

/** An append that was sent, or will be when there is a server. */
export class Sent {
  readonly eventId: string;
  readonly #answer: Promise<Appended>;
  #wasAsked = false;

  /** @internal */
  constructor(eventId: string, answer: Promise<Appended>) {
    this.eventId = eventId;
    this.#answer = answer;
    answer.catch(() => undefined); // the appender's `close` raises what nobody asked for
  }

  /** Where the event stands; rejects when the append was refused or given up. */
  answer(): Promise<Appended> {
    this.#wasAsked = true;
    return this.#answer;
  }

  /** @internal Whether somebody will hear of a refusal. */
  get wasAsked(): boolean {
    return this.#wasAsked;
  }
}

/** An append without its answer. */
export interface Open {
  readonly request: AppendEventStreamRequest;
  readonly sent: Sent;
  readonly settle: (result: Appended | Error) => void;
}

/** The appends not answered yet, in the order they were made. */
export class Appending {
  readonly #unanswered = new Map<string, Open>();
  readonly #patience: Patience;
  #made = 0;

  constructor(patienceMs: number, backoff: Backoff) {
    this.#patience = new Patience(patienceMs, backoff);
  }

  get size(): number {
    return this.#unanswered.size;
  }

  /** Note an append that is about to be sent, with an event id that makes it safe to send again. */
  add(run: RunRef, event: NewEvent, expectedSeq: Int64 | undefined): Open {
    const request = create(AppendEventStreamRequestSchema, {
      correlationId: String(this.#made + 1),
      append: appendRequest(run, event, expectedSeq),
    });
    checkText(request);
    let settle: Open["settle"] = () => undefined;
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

  /** What a new stream begins with: everything not answered. */
  requests(): AppendEventStreamRequest[] {
    return [...this.#unanswered.values()].map(({ request }) => request);
  }

  /**
   * The oldest append, and what became of it.
   *
   * Raises `ServerDraining` where the server refused it because it goes down: it refuses all that
   * follow too, so that sending them again elsewhere keeps their order.
   */
  take(response: AppendEventStreamResponse): [Open, Appended | RunstoreError] {
    const open = this.#answered(response);
    const { result } = response;
    if (result.case === undefined) {
      throw new ProtocolError("the server answered an append with nothing");
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

  /** The server ended the stream with OK: right when all is said and answered. */
  ended(isClosing: boolean): void {
    if (!isClosing || this.size > 0) {
      throw new ProtocolError("the server ended the append stream before its last answer");
    }
  }

  /** Nobody waited for a while: failures of then do not count against what comes. */
  rested(): void {
    this.#patience.renew();
  }

  /** How long to wait before a new stream is opened; undefined when the appends are given up. */
  retryDelay(error: unknown): number | undefined {
    return this.#patience.delay(error);
  }

  /** The appends that will have no answer. */
  giveUp(): Open[] {
    const open = [...this.#unanswered.values()];
    this.#unanswered.clear();
    return open;
  }

  #answered({ correlationId }: AppendEventStreamResponse): Open {
    const [oldest] = this.#unanswered.values();
    if (oldest === undefined) {
      throw new ProtocolError("the server answered an append that was not made");
    }
    const expected = oldest.request.correlationId;
    // Empty where the server could not read the request.
    if (correlationId !== expected && correlationId !== "") {
      throw new ProtocolError(`expected the answer of append ${expected}, got ${correlationId}`);
    }
    return oldest;
  }
}
