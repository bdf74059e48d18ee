/** The client: calls of one project. */

import { inspect } from "node:util";

import { Admin } from "./admin/calls.js";
import { Artifacts } from "./artifacts/calls.js";
import { Configs } from "./configs/calls.js";
import { Appender, type AppenderOptions } from "./events/appender.js";
import { Feed } from "./feed/calls.js";
import { Health, HealthCheckResponse_ServingStatus } from "./gen/grpc/health/v1/health_pb.js";
import { RunService } from "./gen/runstore/v1/run_service_pb.js";
import { Run, type Resumed } from "./run.js";
import type { ResumeOptions } from "./runs/claims.js";
import { listRequest, type RunQuery } from "./runs/query.js";
import { runValue, saveRequest, type NewRun, type RunInfo } from "./runs/values.js";
import { searchRequest, type SearchQuery } from "./search/query.js";
import { hitValue, type SearchHit } from "./search/values.js";
import { snapshotPages, type ListSnapshotsOptions } from "./snapshots/query.js";
import type { Snapshot } from "./snapshots/values.js";
import { statisticsRequest, type Dimension, type StatisticsQuery } from "./statistics/query.js";
import { rowValue, type StatisticsRow } from "./statistics/values.js";
import { pages, present } from "./transport/answers.js";
import { Connection } from "./transport/connection.js";
import {
  checkCallOptions,
  checkConnectOptions,
  type CallOptions,
  type ConnectOptions,
} from "./transport/options.js";
import * as check from "./values/arguments.js";
import type { Int64 } from "./values/numbers.js";
import { FIRST_EPOCH } from "./values/writers.js";

const DEFAULT_PROJECT = "default";

const checkHandle = check.object<{ writerEpoch?: Int64 }>("options", { writerEpoch: check.int64 });

/**
 * Make a client of the server at `target` ("host:port"). Without one it is $RUNSTORE_TARGET, or
 * else localhost:7411.
 *
 * It does not connect before the first call, and does not keep an idle process alive.
 */
export function connect(target?: string, options: ConnectOptions = {}): Client {
  return new Client(target, options);
}

/** The calls of one project over one connection. Share it, and close it at the end. */
export class Client {
  readonly project: string;
  readonly #connection: Connection;

  /** See `connect`. */
  constructor(target?: string, options: ConnectOptions = {}) {
    checkConnectOptions(options);
    this.project = options.project ?? DEFAULT_PROJECT;
    this.#connection = new Connection(target, options);
  }

  /** Its target and project, as it is printed. */
  toString(): string {
    return `<Client of ${this.#connection.target}, project ${JSON.stringify(this.project)}>`;
  }

  /** @internal */
  [inspect.custom](): string {
    return this.toString();
  }

  /** Close the connection; calls in flight and later ones reject with `ClientClosed`. */
  close(): void {
    this.#connection.close();
  }

  /** As `close`, at the end of a `using` block. */
  [Symbol.dispose](): void {
    this.close();
  }

  /**
   * Save a run and return its handle, which writes with the run's first epoch.
   *
   * Saving the same runId and content again returns the same run. If the run has been resumed since,
   * it belongs to the writer that resumed it, and writes of this handle are `WriterFenced`.
   */
  async saveRun(run: NewRun = {}, options: CallOptions = {}): Promise<Run> {
    checkCallOptions(options);
    const request = saveRequest(this.project, run);
    const answer = await this.#connection.send(RunService.method.saveRun, request, options);
    return this.run(present(answer.run).runId, { writerEpoch: FIRST_EPOCH });
  }

  /** A handle for a run; makes no call. Without an epoch its writes are not fenced. */
  run(runId: string, options: { readonly writerEpoch?: Int64 } = {}): Run {
    checkHandle(options);
    const { writerEpoch } = options;
    return new Run(this.#connection, { project: this.project, runId, writerEpoch });
  }

  /** Claim the run: earlier writers are fenced from now on. */
  resume(runId: string, options: ResumeOptions = {}): Promise<Resumed> {
    return this.run(runId).resume(options);
  }

  /** An appender to any number of runs, pipelined over one stream; close it when done. */
  appender(options: AppenderOptions = {}): Appender {
    return new Appender(this.#connection, options);
  }

  /** Yield the project's runs, newest first unless the query says otherwise. */
  listRuns(
    query: RunQuery = {},
    options: CallOptions = {},
  ): AsyncGenerator<RunInfo, void, undefined> {
    checkCallOptions(options);
    const { listRuns } = RunService.method;
    return pages(
      (token) => this.#connection.send(listRuns, listRequest(this.project, query, token), options),
      (page) => page.runs.map(runValue),
    );
  }

  /**
   * Yield the matching events, best first unless the options say otherwise. Ordered by rank they are
   * the newest 1000 matches. A query has words, "a phrase" in quotes, `a OR b`, `-word`.
   */
  search(query: string, options: SearchQuery = {}): AsyncGenerator<SearchHit, void, undefined> {
    const { searchEvents } = RunService.method;
    const request = (token: string) => searchRequest(this.project, query, options, token);
    return pages(
      (token) => this.#connection.send(searchEvents, request(token), options),
      (page) => page.hits.map(hitValue),
    );
  }

  /**
   * Yield the summed usage of events, a row for each group.
   *
   * `by` is up to three dimensions to group by; without any there is one row.
   */
  statistics(
    by: readonly Dimension[] = [],
    options: StatisticsQuery = {},
  ): AsyncGenerator<StatisticsRow, void, undefined> {
    const { getStatistics } = RunService.method;
    const request = (token: string) => statisticsRequest(this.project, by, options, token);
    return pages(
      (token) => this.#connection.send(getStatistics, request(token), options),
      (page) => page.rows.map(rowValue),
    );
  }

  /** Who may use the server, how much of it, and what was done about that. */
  get admin(): Admin {
    return new Admin(this.#connection, this.project);
  }

  /** Versions of prompts, tools, agents and evaluators that runs are pinned to. */
  get configs(): Configs {
    return new Configs(this.#connection, this.project);
  }

  /** Named results of runs, with their bytes in an object store. */
  get artifacts(): Artifacts {
    return new Artifacts(this.#connection, this.project);
  }

  /** The events of all runs in one order. */
  get feed(): Feed {
    return new Feed(this.#connection, this.project);
  }

  /** Yield the project's snapshots, newest first. */
  listSnapshots(
    options: Omit<ListSnapshotsOptions, "before"> = {},
  ): AsyncGenerator<Snapshot, void, undefined> {
    return snapshotPages(this.#connection, this.run(""), options);
  }

  /**
   * Whether the server, or one of its services, is serving; asked once.
   *
   * Rejects with `Unavailable` if no server answers.
   */
  async health(service = "", options: CallOptions = {}): Promise<boolean> {
    check.text(service, "service");
    checkCallOptions(options);
    const answer = await this.#connection.once(Health.method.check, { service }, options);
    return answer.status === HealthCheckResponse_ServingStatus.SERVING;
  }
}
