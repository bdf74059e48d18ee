/** Events as they are appended and read. */

import type { MessageInitShape } from "@bufbuild/protobuf";

import type { Event as EventMessage, EventSchema } from "../gen/runstore/v1/events_pb.js";
import type {
  AppendEventRequestSchema,
  AppendEventResponse,
} from "../gen/runstore/v1/run_service_pb.js";
import { CALL_OPTIONS, type CallOptions } from "../transport/options.js";
import * as check from "../values/arguments.js";
import { newId } from "../values/ids.js";
import { safeNumber, type Int64 } from "../values/numbers.js";
import { optionalPayload, payloadMessage, type Payload, type Value } from "../values/payloads.js";
import { printing } from "../values/printing.js";
import { checkTime, instantOf, optionalInstant, timestamp, type Instant } from "../values/times.js";
import {
  checkUsage,
  usageMessage,
  usageValue,
  type NewUsage,
  type Usage,
} from "../values/usage.js";
import { checkRun, writerFields, type RunRef } from "../values/writers.js";

/** An event to append. Without an `eventId` the client generates one, so that it can retry. */
export interface NewEvent {
  readonly type: string;
  readonly payload?: Value;
  readonly eventId?: string;
  readonly nodeId?: string;
  readonly actor?: string;
  readonly model?: string;
  readonly tool?: string;
  readonly tags?: readonly string[];
  readonly usage?: NewUsage;
  readonly traceParent?: string;
  readonly occurredAt?: Date | Instant;
  /** Whom the event is about, so that all about one of them can be found and erased. */
  readonly subjects?: readonly string[];
}

/** A recorded event. */
export interface Event {
  readonly seq: number;
  readonly type: string;
  readonly payload: Payload | undefined;
  readonly eventId: string;
  readonly nodeId: string;
  readonly actor: string;
  readonly model: string;
  readonly tool: string;
  readonly tags: readonly string[];
  readonly usage: Usage | undefined;
  readonly traceParent: string;
  readonly occurredAt: Instant | undefined;
  readonly recordedAt: Instant;
  readonly hash: Uint8Array;
  readonly subjects: readonly string[];
  /** What was hashed with what may be erased; empty if the event was recorded without it. */
  readonly salt: Uint8Array;
  /**
   * The hash of what was erased: payload, actor, tags, subjects and salt. Empty unless the event was
   * erased, and if it was recorded without a salt.
   */
  readonly sealed: Uint8Array;
  /** When what the event said was erased; undefined if it was not. */
  readonly erasedAt: Instant | undefined;
}

/** Where an event was recorded; `deduplicated` if that had happened before. */
export interface Appended {
  readonly seq: number;
  readonly recordedAt: Instant;
  readonly hash: Uint8Array;
  readonly deduplicated: boolean;
  readonly eventId: string;
}

/** What a write takes besides its content. */
export interface WriteOptions extends CallOptions {
  /** The last seq that the writer has seen; if it is not the last any more: `SeqConflict`. */
  readonly expectedSeq?: Int64 | undefined;
}

export const WRITE_OPTIONS: check.Checks<WriteOptions> = {
  ...CALL_OPTIONS,
  expectedSeq: check.int64,
};
export const checkWriteOptions = check.object<WriteOptions>("options", WRITE_OPTIONS);

export const checkEvent = check.object<NewEvent>("event", {
  type: check.text,
  payload: check.anything,
  eventId: check.text,
  nodeId: check.text,
  actor: check.text,
  model: check.text,
  tool: check.text,
  tags: check.texts,
  usage: checkUsage,
  traceParent: check.text,
  occurredAt: checkTime,
  subjects: check.texts,
});
export const checkEvents = check.list(checkEvent, "events");

/** The messages of the events at this path. */
export function eventMessages(events: readonly NewEvent[] = [], path = "events") {
  checkEvents(events, path);
  return events.map((event, index) => eventMessage(event, `${path}[${index}].`));
}

/** The message of the event at this path, with a generated id if it has none. */
export function eventMessage(event: NewEvent, at = ""): MessageInitShape<typeof EventSchema> {
  return {
    eventId: event.eventId || newId(),
    type: event.type,
    payload: payloadMessage(event.payload, `${at}payload`),
    nodeId: event.nodeId ?? "",
    actor: event.actor ?? "",
    model: event.model ?? "",
    tool: event.tool ?? "",
    tags: [...(event.tags ?? [])],
    usage: event.usage && usageMessage(event.usage),
    traceParent: event.traceParent ?? "",
    occurredAt: timestamp(event.occurredAt),
    subjects: [...(event.subjects ?? [])],
  };
}

const printedEvent = printing<Event>();

export function eventValue(message: EventMessage): Event {
  return printedEvent({
    seq: safeNumber(message.seq),
    type: message.type,
    payload: optionalPayload(message.payload),
    eventId: message.eventId,
    nodeId: message.nodeId,
    actor: message.actor,
    model: message.model,
    tool: message.tool,
    tags: message.tags,
    usage: message.usage && usageValue(message.usage),
    traceParent: message.traceParent,
    occurredAt: optionalInstant(message.occurredAt),
    recordedAt: instantOf(message.recordedAt),
    hash: message.hash,
    subjects: message.subjects,
    salt: message.salt,
    sealed: message.sealed,
    erasedAt: optionalInstant(message.erasedAt),
  });
}

/** The request to append an event, with an event id that makes it safe to repeat. */
export function appendRequest(
  run: RunRef,
  event: NewEvent,
  expectedSeq: Int64 | undefined,
): MessageInitShape<typeof AppendEventRequestSchema> {
  checkRun(run);
  checkEvent(event);
  return {
    project: run.project,
    runId: run.runId,
    event: eventMessage(event),
    ...writerFields(run, expectedSeq),
  };
}

const printedAppended = printing<Appended>();

export function appendedValue(message: AppendEventResponse): Appended {
  return printedAppended({
    seq: safeNumber(message.seq),
    recordedAt: instantOf(message.recordedAt),
    hash: message.hash,
    deduplicated: message.deduplicated,
    eventId: message.eventId,
  });
}
