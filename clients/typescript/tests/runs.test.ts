/** Runs against a real server: saving, listing, resuming, fencing, completing, verifying. */

import { expect } from "vitest";

import {
  IdempotencyMismatch,
  Instant,
  OutcomeConflict,
  Outcome,
  OutcomeRequired,
  OutputNotFound,
  RunCompleted,
  RunNotFound,
  RunOrder,
  RunStatus,
  SeqConflict,
  SnapshotReason,
  WriterEpochUnknown,
  WriterFenced,
} from "../src/index.js";
import { collect, test } from "./fixtures.js";

test("a run comes back with every field", async ({ client, project }) => {
  await client.saveRun({ runId: "parent" });
  const saved = {
    runId: "run",
    objective: "answer",
    planId: "plan",
    plan: { steps: ["a"] },
    parentRunId: "parent",
    externalRef: { system: "temporal", id: "wf", url: "https://t.example", ownsStatus: true },
    configRefs: [{ kind: "prompt", name: "p", version: 2n ** 63n - 1n, digest: "sha256:1" }],
    tags: ["x", "y"],
    labels: { team: "search" },
  };

  const run = await client.saveRun(saved);

  const { plan, ...found } = await run.get();
  const { plan: sent, ...rest } = saved;
  expect(found).toMatchObject({ ...rest, project, status: RunStatus.EXTERNAL, writerEpoch: 1 });
  expect(plan?.json()).toEqual(sent);
  expect(found.lastHash).toHaveLength(32);
  expect(found.usage.costMicros).toBe(0n);
  expect(found.completedAt).toBeUndefined();
});

test("saving the same again returns the run, other content is refused", async ({ client }) => {
  const run = await client.saveRun({ runId: "run", objective: "o" });

  const again = await client.saveRun({ runId: "run", objective: "o" });

  expect(again.runId).toBe(run.runId);
  const other = client.saveRun({ runId: "run", objective: "other" });
  await expect(other).rejects.toThrow(IdempotencyMismatch);
});

test("a run nobody saved is not found", async ({ client }) => {
  await expect(client.run("nobody").get()).rejects.toThrow(RunNotFound);
  await expect(client.resume("nobody")).rejects.toThrow(RunNotFound);
  await expect(collect(client.run("nobody").events())).rejects.toThrow(RunNotFound);
});

test("runs are listed over pages, filtered and in order", async ({ client }) => {
  for (let n = 0; n < 5; n += 1) {
    await client.saveRun({ runId: `r${n}`, tags: n % 2 === 0 ? ["even"] : [] });
  }

  const even = await collect(client.listRuns({ tags: ["even"], oldestFirst: true, pageSize: 2 }));
  const none = await collect(client.listRuns({ statuses: [RunStatus.PAUSED] }));
  const [newest] = await collect(
    client.listRuns({ createdFrom: Instant.parse("2020-01-01T00:00:00Z") }),
  );

  expect(even.map(({ runId }) => runId)).toEqual(["r0", "r2", "r4"]);
  expect(none).toEqual([]);
  expect(newest?.runId).toBe("r4");
});

test("runs are found by kin, time, objective and what they are elsewhere", async ({ client }) => {
  const root = await client.saveRun({ runId: "root", objective: "write about cats", tags: ["a"] });
  await client.saveRun({
    runId: "child",
    parentRunId: "root",
    objective: "read about dogs",
    tags: ["b"],
    externalRef: { system: "temporal", id: "wf", ownsStatus: false },
  });
  await client.saveRun({ runId: "grandchild", parentRunId: "child", tags: ["c"] });
  await client.saveRun({ runId: "stranger" });
  await root.complete();
  const completed = (await root.get()).completedAt ?? Instant.now();
  const after = Instant.ofEpochMicros(completed.epochMicros + 1n);

  const found: Record<string, string[]> = {};
  for (const [name, query] of Object.entries({
    root: { rootRunId: "root", oldestFirst: true },
    anyTags: { anyTags: ["a", "c"], order: RunOrder.CREATED_ASC },
    external: { external: { system: "temporal" } },
    otherExecution: { external: { system: "temporal", id: "other" } },
    objective: { objective: "about -cats" },
    completed: { completedFrom: completed, completedBefore: after },
    completedLater: { completedFrom: after },
    updated: { updatedFrom: completed, updatedBefore: after },
    updatedLast: { order: RunOrder.UPDATED_DESC },
    byCompletion: { order: RunOrder.COMPLETED_DESC, oldestFirst: true },
  })) {
    found[name] = (await collect(client.listRuns(query))).map(({ runId }) => runId);
  }

  expect(found).toEqual({
    root: ["root", "child", "grandchild"],
    anyTags: ["root", "grandchild"],
    external: ["child"],
    otherExecution: [],
    objective: ["child"],
    completed: ["root"],
    completedLater: [],
    updated: ["root"],
    updatedLast: ["root", "stranger", "grandchild", "child"],
    byCompletion: ["root"],
  });
});

test("a resume fences the writer before", async ({ client }) => {
  const first = await client.saveRun();
  await first.append({ type: "a" });

  const resumed = await client.resume(first.runId, { actor: "second" });
  await resumed.run.append({ type: "b" });

  const late = first.append({ type: "c" });
  await expect(late).rejects.toThrow(WriterFenced);
  await expect(late).rejects.toMatchObject({ currentEpoch: 2 });
  expect(resumed.writerEpoch).toBe(2);
  expect((await collect(resumed.events())).map(({ type }) => type)).toEqual(["a", "run.resumed"]);
});

test("a resume repeated with its request id claims nothing new", async ({ client }) => {
  const run = await client.saveRun();

  const first = await run.resume({ requestId: "r" });
  const again = await run.resume({ requestId: "r" });

  expect([first.writerEpoch, again.writerEpoch]).toEqual([2, 2]);
  expect([first.deduplicated, again.deduplicated]).toEqual([false, true]);
});

test("a resume that did not see the last event claims nothing", async ({ client }) => {
  const run = await client.saveRun();
  await run.append({ type: "a" });

  const late = client.resume(run.runId, { expectedSeq: 0 });

  await expect(late).rejects.toThrow(SeqConflict);
  await expect(late).rejects.toMatchObject({ expectedSeq: 0, currentSeq: 1 });
  await run.append({ type: "b" });
  expect((await client.resume(run.runId, { expectedSeq: 2 })).writerEpoch).toBe(2);
});

test("a resume hands over snapshot, pending nodes, task writes and all events", async ({
  client,
}) => {
  const run = await client.saveRun();
  await run.putSnapshot({
    snapshotId: "s",
    state: { n: 1 },
    nodes: [{ nodeId: "n" }],
    pendingNodeIds: ["n"],
  });
  await run.putTaskWrites([{ taskId: "t", snapshotId: "s", payload: { done: true } }]);
  await run.appendMany(Array.from({ length: 150 }, () => ({ type: "tick" })));

  const resumed = await run.resume();

  expect(resumed.snapshot?.snapshotId).toBe("s");
  expect(resumed.pendingNodeIds).toEqual(["n"]);
  expect(resumed.taskWrites.map(({ payload }) => payload?.json())).toEqual([{ done: true }]);
  expect(resumed.firstEvents).toHaveLength(100);
  const events = await collect(resumed.events());
  expect(events.map(({ seq }) => seq)).toEqual(Array.from({ length: 151 }, (_, n) => n + 1));
});

test("saving a resumed run again does not take the writer's epoch", async ({ client }) => {
  await client.saveRun({ runId: "run" });
  await client.resume("run");

  const again = await client.saveRun({ runId: "run" });

  expect(again.writerEpoch).toBe(1);
  await expect(again.append({ type: "late" })).rejects.toThrow(WriterFenced);
});

test("an epoch the run never issued is refused", async ({ client }) => {
  const { runId } = await client.saveRun();

  const early = client.run(runId, { writerEpoch: 9 }).append({ type: "early" });

  await expect(early).rejects.toThrow(WriterEpochUnknown);
});

test("a completion ends the run, its stream and its writes", async ({ client }) => {
  const run = await client.saveRun();
  const watching = collect(run.stream({ follow: true }));
  await run.append({ type: "a" });

  const completed = await run.complete({
    outcome: Outcome.FAILED,
    payload: { error: "none" },
    schemaHash: "h",
    planVersionId: "v",
    events: [{ type: "tried" }],
    finalSnapshot: { state: { x: 1 } },
  });

  expect(completed).toMatchObject({ status: RunStatus.FAILED, seq: 3, revision: 1 });
  expect((await watching).at(-1)).toEqual({
    kind: "endOfRun",
    lastSeq: 3,
    outcome: Outcome.FAILED,
  });
  await expect(run.append({ type: "late" })).rejects.toThrow(RunCompleted);
  const output = await run.getOutput();
  expect(output.payload?.json()).toEqual({ error: "none" });
  expect(output).toMatchObject({ schemaHash: "h", planVersionId: "v", outcome: Outcome.FAILED });
  expect((await run.getSnapshot()).reason).toBe(SnapshotReason.FINAL);
});

test("a completion repeated is one, another content is a revision", async ({ client }) => {
  const run = await client.saveRun();
  await run.complete({ payload: 1 });

  const again = await run.complete({ payload: 1 });
  const revised = await run.complete({ payload: 2 });

  expect(again).toMatchObject({ deduplicated: true, revision: 1 });
  expect(revised).toMatchObject({ deduplicated: false, revision: 2 });
  expect((await run.getOutput({ revision: 1 })).payload?.text).toBe("1");
  expect((await run.getOutput()).payload?.text).toBe("2");
  await expect(run.getOutput({ revision: 3 })).rejects.toThrow(OutputNotFound);
  await expect(run.complete({ outcome: Outcome.FAILED })).rejects.toThrow(OutcomeConflict);
});

test("a completion that lost a race, or does not say how the run ended, is refused", async ({
  client,
}) => {
  const run = await client.saveRun();
  await run.append({ type: "a" });

  await expect(run.complete({}, { expectedSeq: 0 })).rejects.toThrow(SeqConflict);
  const mute = run.complete({ outcome: Outcome.UNSPECIFIED });
  await expect(mute).rejects.toThrow(OutcomeRequired);
});

test("a finished run is saved in one call", async ({ client }) => {
  const run = await client.saveRun({
    completion: { payload: { answer: 42 }, events: [{ type: "tried" }] },
  });

  const types = (await collect(run.events())).map(({ type }) => type);
  expect(types).toEqual(["tried", "run.completed"]);
  expect((await run.get()).outcome).toBe(Outcome.SUCCEEDED);
});

test("a run is verified in slices with progress", async ({ client }) => {
  const run = await client.saveRun();
  await run.appendMany(Array.from({ length: 5 }, () => ({ type: "tick" })));
  const progress: number[] = [];

  const found = await run.verify({
    sliceSize: 2,
    onProgress: ({ checkedEvents }) => progress.push(checkedEvents),
  });

  expect(found).toMatchObject({ verified: true, checkedEvents: 5, lastSeq: 5, problem: "" });
  expect(progress).toEqual([2, 4, 5]);
});
