/** The steps of the scenarios as calls of the client. */

import { EventEmitter, once } from "node:events";

import {
  connect,
  marked,
  Outcome,
  type Client,
  type Completion,
  type Dimension,
  type FeedEntry,
  type FollowFeedOptions,
  type Int64,
  type ListEventsOptions,
  type ListSnapshotsOptions,
  type NewEvent,
  type NewFork,
  type NewRun,
  type NewSnapshot,
  type NewTaskWrite,
  type ReadFeedOptions,
  type ReplayOptions,
  type ResumeOptions,
  type RunQuery,
  type SearchQuery,
  type SnapshotChoice,
  type StatisticsQuery,
  type StreamItem,
  type StreamOptions,
  type VerifyOptions,
} from "../src/index.js";
import { adminSteps } from "./admin.js";
import { options, waiting, type Waiting } from "./arguments.js";
import { artifactSteps, exportedFiles } from "./artifacts.js";
import { configSteps } from "./configs.js";
import { shownItem } from "./seen.js";
import { all, type Steps } from "./steps.js";

const LONGEST_WAIT_MS = 300_000;
const FOLLOW = { heartbeatMs: 1000, patienceMs: LONGEST_WAIT_MS };

interface Written {
  readonly runId: string;
  readonly writerEpoch?: Int64;
  readonly expectedSeq?: Int64;
}

interface Batch extends Written {
  readonly events?: readonly NewEvent[];
  readonly times?: number;
}

/** A stream that is followed in the background. */
class Watch {
  readonly items: object[] = [];
  readonly ended: Promise<void>;
  readonly #grown = new EventEmitter();

  constructor(items: AsyncIterable<StreamItem>) {
    this.ended = this.#watch(items);
    this.ended.catch(() => undefined); // reported by the step that waits for the end
  }

  async until(count: number): Promise<void> {
    const signal = AbortSignal.timeout(LONGEST_WAIT_MS);
    while (this.items.length < count) {
      await Promise.race([once(this.#grown, "item", { signal }), this.ended]);
    }
  }

  async #watch(items: AsyncIterable<StreamItem>): Promise<void> {
    for await (const item of items) {
      this.items.push(...shownItem(item));
      this.#grown.emit("item");
    }
  }
}

/** The operations of steps, by name. */
export class Operations {
  readonly #client: Client;
  readonly #control: string;
  readonly #others: Steps;
  readonly #watches = new Map<string, Watch>();

  constructor(client: Client, control: string) {
    this.#client = client;
    this.#others = { ...adminSteps(client), ...configSteps(client), ...artifactSteps(client) };
    this.#control = control;
  }

  /** Do what the step says; the arguments have the forms that the README gives them. */
  run(name: string, args: object): unknown {
    const operation = this.#operations[name] ?? this.#others[name];
    if (!operation) {
      throw new Error(`unknown operation ${name}`);
    }
    return operation(args as never);
  }

  readonly #operations: Steps = {
    own_client: async ({ target, isClosed }: { target: string; isClosed?: boolean }) => {
      using client = connect(target, { timeoutMs: LONGEST_WAIT_MS });
      if (isClosed) {
        client.close();
      }
      return await client.run("run").get();
    },
    save_run: async ({ completion: end, ...run }: NewRun) => {
      const finished = end && { completion: completion(end) };
      const { runId, writerEpoch } = await this.#client.saveRun({ ...run, ...finished });
      return { runId, writerEpoch };
    },
    get_run: (args: Written) => this.#run(args).get(),
    list_runs: async (query: RunQuery) => ({ runs: await all(this.#client.listRuns(query)) }),
    append: (args: Written & { event: NewEvent }) =>
      this.#run(args).append(args.event, guard(args)),
    append_many: async (args: Batch) => ({
      events: await this.#run(args).appendMany(events(args), guard(args)),
    }),
    append_together: async (args: Batch) => {
      const run = this.#run(args);
      const appends = events(args).map((event) => run.append(event, guard(args)));
      const appended = await Promise.all(appends);
      return { events: appended.sort((a, b) => a.seq - b.seq) };
    },
    pipeline: async (args: Batch & { window: number }) => {
      await using appender = this.#run(args).appender({ window: args.window });
      const sent = [];
      for (const event of events(args)) {
        sent.push(await appender.append(event));
      }
      return { events: await Promise.all(sent.map((each) => each.answer())) };
    },
    put_snapshot: (args: Batch & { snapshot: NewSnapshot; taskWrites?: NewTaskWrite[] }) =>
      this.#run(args).putSnapshot(args.snapshot, {
        ...guard(args),
        events: events(args),
        taskWrites: args.taskWrites ?? [],
      }),
    put_task_writes: async (args: Written & { writes: NewTaskWrite[]; namespace?: string }) => ({
      deduplicated: await this.#run(args).putTaskWrites(args.writes, {
        namespace: args.namespace ?? "",
      }),
    }),
    get_snapshot: (args: Written & SnapshotChoice) => this.#run(args).getSnapshot(options(args)),
    list_snapshots: async (args: Partial<Written> & ListSnapshotsOptions) => {
      const { runId, ...options } = args;
      const of = runId === undefined ? this.#client : this.#client.run(runId);
      return { snapshots: await all(of.listSnapshots(options)) };
    },
    delete_snapshots: async (
      args: Written & { snapshotIds: readonly string[]; namespace?: string },
    ) => {
      const deleted = await this.#run(args).deleteSnapshots(args.snapshotIds, {
        namespace: args.namespace ?? "",
      });
      return {
        deletedSnapshots: deleted.snapshots,
        deletedTaskWrites: deleted.taskWrites,
        freedBytes: deleted.freedBytes,
      };
    },
    resume: async ({ runId, ...options }: Written & ResumeOptions) => {
      const resumed = await this.#client.resume(runId, options);
      const { writerEpoch, deduplicated, info, pendingNodeIds, taskWrites, snapshot } = resumed;
      return {
        ...{ writerEpoch, deduplicated, run: info, pendingNodeIds, taskWrites },
        snapshotId: snapshot?.snapshotId,
        events: await all(resumed.events()),
      };
    },
    complete: (args: Written & Pick<Completion, "outcome" | "events" | "finalSnapshot"> & Output) =>
      this.#run(args).complete(completion(args), guard(args)),
    get_output: (args: Written & { revision?: number }) => this.#run(args).getOutput(options(args)),
    list_events: (args: Written & ListEventsOptions) => this.#run(args).listEvents(options(args)),
    stream: async (args: Written & StreamOptions) => {
      const items = await all(this.#run(args).stream({ ...FOLLOW, ...options(args) }));
      return { items: items.flatMap(shownItem) };
    },
    verify: (args: Written & VerifyOptions) => this.#run(args).verify(options(args)),
    export: (args: Written) => exportedFiles(this.#run(args)),
    watch: (args: Written & StreamOptions & { watch: string }) => {
      const items = this.#run(args).stream({ ...FOLLOW, follow: true, ...options(args) });
      this.#watches.set(args.watch, new Watch(items));
      return {};
    },
    watch_until: async (args: { watch: string; count: number }) => {
      await this.#watch(args.watch).until(args.count);
      return {};
    },
    watch_end: async (args: { watch: string }) => {
      const watch = this.#watch(args.watch);
      await watch.ended;
      return { items: watch.items };
    },
    restart_server: async (args: { signal: string }) => {
      const answer = await fetch(`${this.#control}/restart?signal=${args.signal}`, {
        method: "POST",
      });
      if (!answer.ok) {
        throw new Error(`the server was not restarted: ${answer.status}`);
      }
      return {};
    },
    feed_read: (args: ReadFeedOptions) => this.#client.feed.read(args),
    feed_follow: async ({ count, ...options }: FollowFeedOptions & { count: number }) => {
      const entries: FeedEntry[] = [];
      for await (const entry of this.#client.feed.entries({ ...FOLLOW, ...options })) {
        entries.push(entry);
        if (entries.length === count) {
          break;
        }
      }
      return { entries };
    },
    feed_commit: (args: { consumer: string; position: Int64 }) =>
      this.#client.feed.commit(args.consumer, args.position),
    feed_reset: (args: { consumer: string; position: Int64 }) =>
      this.#client.feed.reset(args.consumer, args.position),
    feed_consumer: (args: { consumer: string }) => this.#client.feed.consumer(args.consumer),
    feed_consumers: async () => ({ consumers: await all(this.#client.feed.consumers()) }),
    replay: async (args: Written & ReplayOptions) => {
      const { info, firstEvents, snapshot, ...rest } = await this.#run(args).replay(options(args));
      // They are written beside the snapshot.
      return {
        ...{ ...rest, run: info, events: firstEvents },
        snapshot: snapshot && { ...snapshot, taskWrites: [] },
      };
    },
    fork: async ({ forkRunId = "", ...args }: Written & NewFork & { forkRunId?: string }) => {
      const fork = await this.#run(args).fork({ ...options(args), runId: forkRunId });
      return { runId: fork.runId, writerEpoch: fork.writerEpoch };
    },
    statistics: async ({
      groupBy = [],
      ...query
    }: StatisticsQuery & { groupBy?: string[] } & Waiting) => {
      const by = groupBy.map((each) => each.toLowerCase() as Dimension);
      return {
        rows: await all(this.#client.statistics(by, { ...options(query), ...waiting(query) })),
      };
    },
    search: async ({ query, ...rest }: SearchQuery & { query: string } & Waiting) => {
      const hits = await all(this.#client.search(query, { ...options(rest), ...waiting(rest) }));
      return {
        hits: hits.map((hit) => ({
          runId: hit.runId,
          seq: hit.seq,
          snippet: hit.snippet,
          marked: marked(hit),
          event: hit.event,
        })),
      };
    },
  };

  #run({ runId, writerEpoch }: Written) {
    return this.#client.run(runId, writerEpoch === undefined ? {} : { writerEpoch });
  }

  #watch(name: string): Watch {
    const watch = this.#watches.get(name);
    if (!watch) {
      throw new Error(`there is no watch ${name}`);
    }
    return watch;
  }
}

interface Output {
  readonly output?: Omit<Completion, "outcome" | "events" | "finalSnapshot">;
}

/** A completion as the client takes it, but without a default for the outcome. */
function completion({
  output,
  outcome = Outcome.UNSPECIFIED,
  ...rest
}: Completion & Output): Completion {
  const { events, finalSnapshot } = rest;
  return {
    ...output,
    outcome,
    ...(events && { events }),
    ...(finalSnapshot && { finalSnapshot }),
  };
}

function guard({ expectedSeq }: Written) {
  return { expectedSeq };
}

function events({ events: batch = [], times = 1 }: Batch): NewEvent[] {
  return Array.from({ length: times }, () => batch).flat();
}
