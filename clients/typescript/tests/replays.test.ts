/** Replays and forks against a real server. */

import { expect } from "vitest";

import {
  IdempotencyMismatch,
  RunCompleted,
  RunNotFound,
  SeqAhead,
  WriterFenced,
} from "../src/index.js";
import { collect, test } from "./fixtures.js";

const TICK = { type: "tick" };

function ticks(count: number) {
  return Array.from({ length: count }, () => TICK);
}

test("a replay shows a run as it stood, with what its pins say", async ({ client }) => {
  const { digest } = await client.configs.register("prompt", "greeting", { system: "Be kind." });
  const run = await client.saveRun({
    configRefs: [
      { kind: "prompt", name: "greeting", version: 1 },
      { kind: "tool", name: "elsewhere", version: 2n ** 63n - 1n, digest: "sha256:1" },
    ],
  });
  await run.appendMany(ticks(2));
  await run.putSnapshot({ snapshotId: "s2", state: { n: 2 } });
  await run.putTaskWrites([{ taskId: "t", snapshotId: "s2", payload: { done: true } }]);
  await run.appendMany(ticks(3));
  await run.putSnapshot({ snapshotId: "s5", state: { n: 5 } });

  const replayed = await run.replay({ atSeq: 4 });

  expect(replayed).toMatchObject({ atSeq: 4, nextFromSeq: 0 });
  expect(replayed.info).toMatchObject({ runId: run.runId, lastSeq: 5 });
  expect(replayed.snapshot).toMatchObject({ snapshotId: "s2", seq: 2 });
  expect(replayed.snapshot?.state["n"]?.text).toBe("2");
  expect((await collect(replayed.events())).map(({ seq }) => seq)).toEqual([3, 4]);
  expect(replayed.configs.map(({ ref, body }) => ({ ...ref, body: body?.json() }))).toEqual([
    { kind: "prompt", name: "greeting", version: 1n, digest, body: { system: "Be kind." } },
    {
      kind: "tool",
      name: "elsewhere",
      version: 2n ** 63n - 1n,
      digest: "sha256:1",
      body: undefined,
    },
  ]);
});

test("a replay of the end has the task writes since the snapshot", async ({ client }) => {
  const run = await client.saveRun();
  await run.putSnapshot({ snapshotId: "s" });
  await run.putTaskWrites([{ taskId: "t", snapshotId: "s", payload: { done: true } }]);

  const replayed = await run.replay();

  expect(replayed.taskWrites.map(({ payload }) => payload?.json())).toEqual([{ done: true }]);
  expect(replayed.snapshot?.taskWrites).toEqual(replayed.taskWrites);
});

test("a replay's events come over pages and end at its seq", async ({ client }) => {
  const run = await client.saveRun();
  for (let batch = 0; batch < 3; batch += 1) {
    await run.appendMany(ticks(1000));
  }

  const replayed = await run.replay({ atSeq: 2500, pageSize: 100 });

  expect(replayed.firstEvents).toHaveLength(100);
  expect(replayed.nextFromSeq).toBe(101);
  const seqs = (await collect(replayed.events())).map(({ seq }) => seq);
  expect(seqs).toEqual(Array.from({ length: 2500 }, (_, index) => index + 1));
});

test("a replay before the first event is empty, one beyond the last is refused", async ({
  client,
}) => {
  const run = await client.saveRun();
  await run.append(TICK);

  const replayed = await run.replay({ atSeq: 0 });

  expect(replayed).toMatchObject({ atSeq: 0, snapshot: undefined });
  expect(await collect(replayed.events())).toEqual([]);
  await expect(run.replay({ atSeq: 2 })).rejects.toThrow(SeqAhead);
  await expect(client.run("nobody").replay()).rejects.toThrow(RunNotFound);
});

test("a fork shares the history up to a seq and goes on by itself", async ({ client }) => {
  const run = await client.saveRun({ objective: "first", tags: ["old"] });
  await run.appendMany(ticks(3));

  const fork = await run.fork({
    atSeq: 2,
    objective: "second",
    configRefs: [{ kind: "prompt", name: "p", version: 1, digest: "sha256:1" }],
    tags: ["new"],
    labels: { team: "search" },
  });
  await fork.append({ type: "other" });

  const types = (await collect(fork.events())).map(({ type }) => type);
  expect(types).toEqual(["tick", "tick", "other"]);
  expect(await fork.get()).toMatchObject({
    forkBase: { runId: run.runId, seq: 2 },
    objective: "second",
    configRefs: [{ kind: "prompt", name: "p", version: 1n, digest: "sha256:1" }],
    tags: ["new"],
    labels: { team: "search" },
    lastSeq: 3,
  });
  expect((await fork.verify()).verified).toBe(true);
  expect((await run.get()).lastSeq).toBe(3);
});

test("a fork of everything leaves the terminal event out and keeps the objective", async ({
  client,
}) => {
  const run = await client.saveRun({ objective: "first" });
  await run.append(TICK);
  await run.complete();

  const fork = await run.fork();

  expect(await fork.get()).toMatchObject({ objective: "first", lastSeq: 1 });
  await expect(run.fork({ atSeq: 2 })).rejects.toThrow(RunCompleted);
  await expect(run.fork({ atSeq: 3 })).rejects.toThrow(SeqAhead);
});

test("a fork repeated is one, with other content it is refused", async ({ client }) => {
  const run = await client.saveRun();
  await run.append(TICK);
  const fork = await run.fork({ runId: "fork" });

  const again = await run.fork({ runId: "fork" });

  expect(again.runId).toBe(fork.runId);
  await expect(run.fork({ runId: "fork", objective: "other" })).rejects.toThrow(
    IdempotencyMismatch,
  );
});

test("a fork's writer is fenced by whoever resumes it", async ({ client }) => {
  const fork = await (await client.saveRun()).fork();
  await client.resume(fork.runId);

  expect(fork.writerEpoch).toBe(1);
  await expect(fork.append(TICK)).rejects.toThrow(WriterFenced);
});
