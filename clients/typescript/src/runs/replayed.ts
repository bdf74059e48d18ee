/** The state of a run at a seq. */

import { allEvents } from "../events/query.js";
import { eventValue, type Event } from "../events/values.js";
import type { ReplayRunResponse } from "../gen/runstore/v1/run_service_pb.js";
import { snapshotValue, type Snapshot } from "../snapshots/values.js";
import { taskWriteValue, type TaskWrite } from "../snapshots/writes.js";
import { present } from "../transport/answers.js";
import type { Connection } from "../transport/connection.js";
import { CALL_OPTIONS, type CallOptions } from "../transport/options.js";
import * as check from "../values/arguments.js";
import { safeNumber, type Int64 } from "../values/numbers.js";
import { optionalPayload, type Payload } from "../values/payloads.js";
import type { RunRef } from "../values/writers.js";
import { configRefValue, runValue, type ConfigRef, type RunInfo } from "./values.js";

/** Which moment of a run to read. */
export interface ReplayOptions extends CallOptions {
  /** The moment right after this event; 0 is before the first one. By default after the last. */
  readonly atSeq?: Int64;
  /** The namespace whose snapshot is returned. */
  readonly namespace?: string;
  /** How many events are fetched with the answer, 1 to 1000; 1000. */
  readonly pageSize?: number;
  /** Whether to read events that are archived; else they reject with `EventsArchived`. */
  readonly readArchive?: boolean;
}

export const checkReplay = check.object<ReplayOptions>("options", {
  ...CALL_OPTIONS,
  atSeq: check.int64,
  namespace: check.text,
  pageSize: check.int32,
  readArchive: check.flag,
});

/** A version that a run is pinned to; the body is undefined if it is stored elsewhere. */
export interface PinnedConfig {
  readonly ref: ConfigRef;
  readonly body: Payload | undefined;
}

/** The state of a run right after `atSeq`; `info` is its current state. */
export class Replayed {
  readonly info: RunInfo;
  readonly atSeq: number;
  /** The latest at or before `atSeq`. */
  readonly snapshot: Snapshot | undefined;
  /** Results since the snapshot, up to `atSeq`. */
  readonly taskWrites: readonly TaskWrite[];
  /** The first events after the snapshot; `nextFromSeq` is where the rest begins, or 0. */
  readonly firstEvents: readonly Event[];
  readonly nextFromSeq: number;
  /** In the order of the run's references. */
  readonly configs: readonly PinnedConfig[];
  readonly #connection: Connection;
  readonly #run: RunRef;
  readonly #readArchive: boolean;

  /** @internal */
  constructor(
    connection: Connection,
    run: RunRef,
    message: ReplayRunResponse,
    readArchive: boolean,
  ) {
    this.#connection = connection;
    this.#readArchive = readArchive;
    this.#run = run;
    this.info = runValue(present(message.run));
    this.atSeq = safeNumber(message.atSeq);
    this.snapshot = message.snapshot && snapshotValue(message.snapshot, message.taskWrites);
    this.taskWrites = message.taskWrites.map(taskWriteValue);
    this.firstEvents = message.events.map(eventValue);
    this.nextFromSeq = safeNumber(message.nextFromSeq);
    this.configs = message.configs.map(({ ref, body }) => ({
      ref: configRefValue(ref),
      body: optionalPayload(body),
    }));
  }

  /** Yield all events after the snapshot, up to `atSeq`. */
  events(): AsyncGenerator<Event, void, undefined> {
    return allEvents(this.#connection, this.#run, this, this.atSeq, this.#readArchive);
  }
}
