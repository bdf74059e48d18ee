/** The handle of a run, and of one that was claimed. */

import { inspect } from "node:util";

import { exported, type ExportOptions } from "./archives/exports.js";
import { Appender, RunAppender, type AppenderOptions } from "./events/appender.js";
import { allEvents, eventPage, type EventPage, type ListEventsOptions } from "./events/query.js";
import { EventStream, type StreamItem, type StreamOptions } from "./events/stream.js";
import {
  appendedValue,
  appendRequest,
  checkWriteOptions,
  eventMessages,
  type Appended,
  type Event,
  type NewEvent,
  type WriteOptions,
} from "./events/values.js";
import { RunService } from "./gen/runstore/v1/run_service_pb.js";
import {
  checkCompletion,
  checkOutputOptions,
  completedValue,
  completionMessage,
  outputValue,
  type Completed,
  type Completion,
  type Output,
  type OutputOptions,
} from "./outputs/values.js";
import { checkResume, claimValue, type Claim, type ResumeOptions } from "./runs/claims.js";
import { checkReplay, Replayed, type ReplayOptions } from "./runs/replayed.js";
import { forkRequest, runValue, type NewFork, type RunInfo } from "./runs/values.js";
import { verify, type Verification, type VerifyOptions } from "./runs/verification.js";
import {
  choiceRequest,
  snapshotPages,
  type ListSnapshotsOptions,
  type SnapshotChoice,
} from "./snapshots/query.js";
import {
  deletedValue,
  deleteRequest,
  putRequest,
  putValue,
  snapshotValue,
  type NewSnapshot,
  type Snapshot,
  type SnapshotPut,
  type SnapshotsDeleted,
  type Step,
} from "./snapshots/values.js";
import {
  taskWritesRequest,
  type NamespaceOptions,
  type NewTaskWrite,
  type TaskWrite,
} from "./snapshots/writes.js";
import { present } from "./transport/answers.js";
import type { Connection } from "./transport/connection.js";
import { checkCallOptions, type CallOptions } from "./transport/options.js";
import { follow } from "./transport/streams.js";
import { newId } from "./values/ids.js";
import { optionalInt64, type Int64 } from "./values/numbers.js";
import { checkRun, FIRST_EPOCH, writerFields, type RunRef } from "./values/writers.js";

/** A handle for a run: its id and an epoch, no state. Made by `Client.saveRun` and `Client.run`. */
export class Run implements RunRef {
  readonly project: string;
  readonly runId: string;
  readonly writerEpoch: Int64 | undefined;
  readonly #connection: Connection;

  /** @internal */
  constructor(connection: Connection, ref: RunRef) {
    checkRun(ref);
    this.#connection = connection;
    this.project = ref.project;
    this.runId = ref.runId;
    this.writerEpoch = ref.writerEpoch;
  }

  /** Its id, project and epoch, as it is printed. */
  toString(): string {
    const epoch = this.writerEpoch === undefined ? "" : `, epoch ${this.writerEpoch}`;
    const [id, project] = [this.runId, this.project].map((each) => JSON.stringify(each));
    return `<Run ${id} of project ${project}${epoch}>`;
  }

  /** @internal */
  [inspect.custom](): string {
    return this.toString();
  }

  /** The current state of the run. */
  async get(options: CallOptions = {}): Promise<RunInfo> {
    checkCallOptions(options);
    const { run } = await this.#connection.send(RunService.method.getRun, this.#name, options);
    return runValue(present(run));
  }

  /** Append one event. */
  async append(event: NewEvent, options: WriteOptions = {}): Promise<Appended> {
    checkWriteOptions(options);
    const request = appendRequest(this, event, options.expectedSeq);
    return appendedValue(await this.#connection.append(request, options));
  }

  /** Append 1..1000 events, all or none. */
  async appendMany(events: readonly NewEvent[], options: WriteOptions = {}): Promise<Appended[]> {
    checkWriteOptions(options);
    const request = {
      ...this.#name,
      events: eventMessages(events),
      ...writerFields(this, options.expectedSeq),
    };
    const answer = await this.#connection.send(RunService.method.appendEvents, request, options);
    return answer.events.map(appendedValue);
  }

  /** An appender to this run, pipelined over one stream; close it when done. */
  appender(options: AppenderOptions = {}): RunAppender {
    return new RunAppender(new Appender(this.#connection, options), this);
  }

  /** Store a snapshot after the step's events and task writes: all or none. */
  async putSnapshot(snapshot: NewSnapshot, step: Step = {}): Promise<SnapshotPut> {
    const request = putRequest(this, snapshot, step);
    return putValue(await this.#connection.send(RunService.method.putSnapshot, request, step));
  }

  /** Store results of tasks since a snapshot; true if all had been stored before. */
  async putTaskWrites(
    writes: readonly NewTaskWrite[],
    options: NamespaceOptions = {},
  ): Promise<boolean> {
    const request = taskWritesRequest(this, writes, options);
    const answer = await this.#connection.send(RunService.method.putTaskWrites, request, options);
    return answer.deduplicated;
  }

  /** One snapshot in full; the latest by default. */
  async getSnapshot(choice: SnapshotChoice = {}): Promise<Snapshot> {
    const request = choiceRequest(this, choice);
    const answer = await this.#connection.send(RunService.method.getSnapshot, request, choice);
    return snapshotValue(present(answer.snapshot), answer.taskWrites);
  }

  /** Yield the run's snapshots, greatest seq first. */
  listSnapshots(options: ListSnapshotsOptions = {}): AsyncGenerator<Snapshot, void, undefined> {
    return snapshotPages(this.#connection, this, options);
  }

  /**
   * Delete 1..1000 snapshots with their task writes, and the parts that only they had.
   *
   * Unknown ids are ignored. If a fork has one of the snapshots in its history, it rejects with
   * `SnapshotInUse` and nothing is deleted.
   */
  async deleteSnapshots(
    snapshotIds: readonly string[],
    options: NamespaceOptions = {},
  ): Promise<SnapshotsDeleted> {
    const request = deleteRequest(this, snapshotIds, options);
    const { deleteSnapshots } = RunService.method;
    return deletedValue(await this.#connection.send(deleteSnapshots, request, options));
  }

  /** Claim the run: earlier writers, including this handle, are fenced from now on. */
  async resume(options: ResumeOptions = {}): Promise<Resumed> {
    checkResume(options);
    const request = {
      ...this.#name,
      namespace: options.namespace ?? "",
      actor: options.actor ?? "",
      requestId: options.requestId || newId(),
      expectedSeq: writerFields(this, options.expectedSeq).expectedSeq,
    };
    const answer = await this.#connection.send(RunService.method.resumeRun, request, options);
    const claim = claimValue(answer, runValue(present(answer.run)));
    return new Resumed(this.#connection, this.#name, claim);
  }

  /** End the run, or revise the output of a run that has ended. */
  async complete(completion: Completion = {}, options: WriteOptions = {}): Promise<Completed> {
    checkCompletion(completion);
    checkWriteOptions(options);
    const request = {
      ...this.#name,
      ...completionMessage(completion),
      ...writerFields(this, options.expectedSeq),
    };
    return completedValue(
      await this.#connection.send(RunService.method.completeRun, request, options),
    );
  }

  /** An output revision; the latest by default. */
  async getOutput(options: OutputOptions = {}): Promise<Output> {
    checkOutputOptions(options);
    const request = { ...this.#name, revision: options.revision ?? 0 };
    const answer = await this.#connection.send(RunService.method.getOutput, request, options);
    return outputValue(present(answer.output));
  }

  /** A page of events in order of seq; the next one begins at its `nextFromSeq`. */
  listEvents(options: ListEventsOptions = {}): Promise<EventPage> {
    return eventPage(this.#connection, this, options);
  }

  /**
   * Yield events, each once and in order.
   *
   * With `follow` it continues until the run's end, across lost connections and server restarts.
   */
  async *events(options: StreamOptions = {}): AsyncGenerator<Event, void, undefined> {
    for await (const item of this.stream(options)) {
      if (item.kind === "event") {
        yield item.event;
      }
    }
  }

  /** As `events`, with progress between the events. */
  stream(options: StreamOptions = {}): AsyncGenerator<StreamItem, void, undefined> {
    const state = new EventStream(this, options, this.#connection.backoff);
    return follow(this.#connection, RunService.method.streamEvents, state, options.signal);
  }

  /** The state of the run right after an event, by default the last; changes nothing. */
  async replay(options: ReplayOptions = {}): Promise<Replayed> {
    checkReplay(options);
    const { namespace = "", pageSize = 1000, readArchive = false } = options;
    const atSeq = optionalInt64(options.atSeq);
    const of = atSeq === undefined ? {} : { atSeq };
    const request = { ...this.#name, ...of, namespace, pageSize, readArchive };
    const answer = await this.#connection.send(RunService.method.replayRun, request, options);
    return new Replayed(this.#connection, this, answer, readArchive);
  }

  /** Make a run that begins with this one's history up to a seq; the handle writes with its epoch. */
  async fork(fork: NewFork = {}, options: CallOptions = {}): Promise<Run> {
    checkCallOptions(options);
    const request = forkRequest(this, fork);
    const answer = await this.#connection.send(RunService.method.forkRun, request, options);
    const { runId } = present(answer.run);
    return new Run(this.#connection, { ...this.#name, runId, writerEpoch: FIRST_EPOCH });
  }

  /** Check the hash chain slice by slice; the result is that of the whole run. */
  verify(options: VerifyOptions = {}): Promise<Verification> {
    return verify(this.#connection, this, options);
  }

  /** Yield the bytes of the run's archive, a tar file, which is whole once this ends. */
  export(options: ExportOptions = {}): AsyncGenerator<Uint8Array, void, undefined> {
    return exported(this.#connection, this.#name, options);
  }

  get #name(): { project: string; runId: string } {
    return { project: this.project, runId: this.runId };
  }
}

/** A claimed run: the handle with the new epoch, and what the claim returned. */
export class Resumed implements Claim {
  /** Writes with the claimed epoch. */
  readonly run: Run;
  readonly info: RunInfo;
  readonly writerEpoch: number;
  readonly snapshot: Snapshot | undefined;
  readonly pendingNodeIds: readonly string[];
  readonly taskWrites: readonly TaskWrite[];
  readonly firstEvents: readonly Event[];
  readonly nextFromSeq: number;
  readonly deduplicated: boolean;
  readonly #connection: Connection;

  /** @internal */
  constructor(connection: Connection, run: Omit<RunRef, "writerEpoch">, claim: Claim) {
    this.#connection = connection;
    this.run = new Run(connection, { ...run, writerEpoch: claim.writerEpoch });
    this.info = claim.info;
    this.writerEpoch = claim.writerEpoch;
    this.snapshot = claim.snapshot;
    this.pendingNodeIds = claim.pendingNodeIds;
    this.taskWrites = claim.taskWrites;
    this.firstEvents = claim.firstEvents;
    this.nextFromSeq = claim.nextFromSeq;
    this.deduplicated = claim.deduplicated;
  }

  /** Yield all events after the snapshot, including run.resumed. */
  events(): AsyncGenerator<Event, void, undefined> {
    return allEvents(this.#connection, this.run, this);
  }
}
