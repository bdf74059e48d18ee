/**
 * How far a stream of events has got: what to request next, and how to read the responses.
 *
 * No I/O happens here; `transport/streams` drives it.
 */

import type { MessageInitShape } from "@bufbuild/protobuf";

import type { Event as EventMessage } from "../gen/runstore/v1/events_pb.js";
import { Outcome } from "../gen/runstore/v1/outputs_pb.js";
import type {
  StreamEventsRequestSchema,
  StreamEventsResponse,
} from "../gen/runstore/v1/run_service_pb.js";
import { ProtocolError } from "../transport/errors.js";
import { Patience, type Backoff } from "../transport/retry.js";
import { MISSED_HEARTBEATS } from "../transport/streams.js";
import * as check from "../values/arguments.js";
import { int64, safeNumber, type Int64 } from "../values/numbers.js";
import { printing } from "../values/printing.js";
import { duration } from "../values/times.js";
import type { RunRef } from "../values/writers.js";
import { EVENT_FILTER, filterMessage, type EventFilter } from "./query.js";
import { eventValue, type Event } from "./values.js";

/** Which events of a run to stream. */
export interface StreamOptions extends EventFilter {
  /** The first seq to read, inclusive; 1 is the beginning. */
  readonly fromSeq?: Int64;
  /** Whether to continue with events as they are committed, until the run's end. */
  readonly follow?: boolean;
  /** Whether to wait for a run that does not exist yet; requires `follow`. */
  readonly waitForRun?: boolean;
  /** Whether to read events that are archived; else they reject with `EventsArchived`. */
  readonly readArchive?: boolean;
  /** How often an idle stream sends a heartbeat; after three times that it is reopened. */
  readonly heartbeatMs?: number;
  /** How long to retry, from the first failure after a message, before rejecting; 60 seconds. */
  readonly patienceMs?: number;
  /** Aborts the stream; it rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

const checkOptions = check.object<StreamOptions>("options", {
  ...EVENT_FILTER,
  fromSeq: check.int64,
  follow: check.flag,
  waitForRun: check.flag,
  readArchive: check.flag,
  heartbeatMs: check.finiteMilliseconds,
  patienceMs: check.milliseconds,
  signal: check.abortSignal,
});

/** An item of a stream: an event, or progress. */
export type StreamItem =
  | { readonly kind: "event"; readonly event: Event }
  /** Everything up to `lastSeq` was delivered; the stream is live from here. */
  | { readonly kind: "caughtUp"; readonly lastSeq: number }
  /** The stream is alive; everything up to `lastSeq` was delivered. */
  | { readonly kind: "heartbeat"; readonly lastSeq: number }
  /** The run is complete at `lastSeq`; the stream ends. */
  | { readonly kind: "endOfRun"; readonly lastSeq: number; readonly outcome: Outcome };

const printedEnd = printing<StreamItem & { kind: "endOfRun" }>({ outcome: ["Outcome", Outcome] });

/** How far a stream of events has got; see `StreamState`. */
export class EventStream {
  readonly #run: RunRef;
  readonly #options: StreamOptions;
  readonly #heartbeatMs: number;
  readonly #isFiltered: boolean;
  readonly #patience: Patience;
  #nextSeq: bigint;
  #isOver = false;

  constructor(run: RunRef, options: StreamOptions, backoff: Backoff) {
    checkOptions(options);
    const { types, nodeIds, tags, fromSeq = 1, heartbeatMs = 10_000 } = options;
    this.#run = run;
    this.#options = options;
    this.#heartbeatMs = heartbeatMs;
    this.#isFiltered = [types, nodeIds, tags].some((each) => each && each.length > 0);
    this.#patience = new Patience(options.patienceMs ?? 60_000, backoff);
    this.#nextSeq = int64(fromSeq) || 1n;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** How long the stream may be silent before it is reopened. */
  get silenceMs(): number {
    return this.#heartbeatMs * MISSED_HEARTBEATS;
  }

  /** The request for everything not delivered yet. */
  request(): MessageInitShape<typeof StreamEventsRequestSchema> {
    return {
      project: this.#run.project,
      runId: this.#run.runId,
      fromSeq: this.#nextSeq,
      filter: filterMessage(this.#options),
      follow: this.#options.follow ?? false,
      waitForRun: this.#options.waitForRun ?? false,
      readArchive: this.#options.readArchive ?? false,
      heartbeatInterval: duration(Math.round(this.#heartbeatMs * 1000)),
    };
  }

  /** Yield the items of a message, each once, and record how far the stream has got. */
  *take({ message }: StreamEventsResponse): Generator<StreamItem> {
    this.#patience.renew();
    switch (message.case) {
      case "events":
        yield* this.#events(message.value.events);
        break;
      case "caughtUp":
      case "heartbeat":
        yield { kind: message.case, lastSeq: this.#reached(message.value.lastSeq) };
        break;
      case "endOfRun": {
        const lastSeq = this.#reached(message.value.lastSeq);
        this.#isOver = true;
        yield printedEnd({ kind: message.case, lastSeq, outcome: message.value.outcome });
        break;
      }
      case undefined: // a kind of message that is newer than this client
    }
  }

  /** How long to wait before reopening the stream; undefined to give up. */
  retryDelay(error: unknown): number | undefined {
    return this.#patience.delay(error);
  }

  /** The server ended the stream with OK, which is right unless it follows the run. */
  ended(): void {
    if (this.#options.follow && !this.#isOver) {
      throw new ProtocolError("the server ended a followed stream before the run's end");
    }
    this.#isOver = true;
  }

  *#events(messages: readonly EventMessage[]): Generator<StreamItem> {
    for (const message of messages) {
      if (message.seq < this.#nextSeq) {
        continue;
      }
      if (message.seq > this.#nextSeq && !this.#isFiltered) {
        throw new ProtocolError(`expected event ${this.#nextSeq}, got ${message.seq}`);
      }
      this.#nextSeq = message.seq + 1n;
      yield { kind: "event", event: eventValue(message) };
    }
  }

  #reached(lastSeq: bigint): number {
    if (!this.#isFiltered && lastSeq >= this.#nextSeq) {
      throw new ProtocolError(`the server skipped events ${this.#nextSeq} to ${lastSeq}`);
    }
    if (lastSeq >= this.#nextSeq) {
      this.#nextSeq = lastSeq + 1n;
    }
    return safeNumber(lastSeq);
  }
}
