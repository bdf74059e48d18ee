/** Snapshots and task writes against a real server. */

import { expect } from "vitest";

import {
  IdempotencyMismatch,
  InvalidRequest,
  Payload,
  RunStatus,
  SnapshotAhead,
  SnapshotInUse,
  SnapshotNotFound,
  SnapshotReason,
  WriterFenced,
} from "../src/index.js";
import { collect, test } from "./fixtures.js";

test("a snapshot comes back with its parts, its step and its refs", async ({ client }) => {
  const run = await client.saveRun();
  const big = Payload.of({ text: "x".repeat(1000) });
  await run.putSnapshot({ state: { big, none: null } });

  const put = await run.putSnapshot(
    {
      state: { big: big.ref },
      nodes: [
        {
          nodeId: "n",
          kind: "tool",
          facets: ["f"],
          status: "pending",
          inputSchema: { type: "object" },
        },
      ],
      pendingNodeIds: ["n"],
      planVersionId: "v2",
      parentSnapshotId: "p",
      metadata: { step: 2 },
    },
    { events: [{ type: "step" }], taskWrites: [{ taskId: "t", payload: { done: true } }] },
  );

  const found = await run.getSnapshot({ planVersionId: "v2" });
  expect(found).toMatchObject({
    runId: run.runId,
    snapshotId: put.snapshotId,
    parentSnapshotId: "p",
    seq: 1,
    reason: SnapshotReason.CHECKPOINT,
    pendingNodeIds: ["n"],
    nodes: [{ nodeId: "n", kind: "tool", facets: ["f"], status: "pending", state: undefined }],
  });
  expect(found.state["big"]?.equals(big)).toBe(true);
  expect(found.nodes[0]?.inputSchema?.json()).toEqual({ type: "object" });
  expect(found.taskWrites.map(({ payload }) => payload?.json())).toEqual([{ done: true }]);
  expect(found.contentHash).toEqual(put.contentHash);
});

test("snapshots are chosen by id, by seq, or the latest", async ({ client }) => {
  const run = await client.saveRun();
  await run.putSnapshot({ snapshotId: "a" }, { events: [{ type: "t" }] });
  await run.putSnapshot({ snapshotId: "b" }, { events: [{ type: "t" }] });
  await run.putSnapshot({ snapshotId: "c", namespace: "inner" });

  expect((await run.getSnapshot()).snapshotId).toBe("b");
  expect((await run.getSnapshot({ atSeq: 1 })).snapshotId).toBe("a");
  expect((await run.getSnapshot({ snapshotId: "a" })).seq).toBe(1);
  expect((await run.getSnapshot({ namespace: "inner" })).snapshotId).toBe("c");
  await expect(run.getSnapshot({ atSeq: 0 })).rejects.toThrow(SnapshotNotFound);
  await expect(run.getSnapshot({ atSeq: 1, snapshotId: "a" })).rejects.toThrow(TypeError);
});

test("snapshots are listed over pages, by metadata, in a run and in the project", async ({
  client,
}) => {
  const run = await client.saveRun();
  for (let n = 0; n < 25; n += 1) {
    await run.putSnapshot({ snapshotId: String(n + 10), state: { n }, metadata: { odd: n % 2 } });
  }

  const all = await collect(run.listSnapshots());
  const odd = await collect(run.listSnapshots({ metadata: { odd: 1.0 } }));
  const older = await collect(run.listSnapshots({ before: "12", namespace: "", withParts: true }));
  const everywhere = await collect(client.listSnapshots());

  expect(all).toHaveLength(25);
  expect(all[0]).toMatchObject({ snapshotId: "34", state: {} });
  expect(odd).toHaveLength(12);
  expect(older.map(({ snapshotId }) => snapshotId)).toEqual(["11", "10"]);
  expect(older[0]?.state["n"]?.text).toBe("1");
  expect(everywhere).toHaveLength(25);
});

test("a pause waits for a person", async ({ client }) => {
  const run = await client.saveRun();

  const put = await run.putSnapshot({ reason: SnapshotReason.PAUSE });

  expect((await run.get()).status).toBe(RunStatus.PAUSED);
  expect(put.lastSeq).toBe(1);
});

test("a snapshot beyond the run's end is refused", async ({ client }) => {
  const run = await client.saveRun();

  await expect(run.putSnapshot({ seq: 7 })).rejects.toThrow(SnapshotAhead);
});

test("task writes are kept once, those below 0 are replaced", async ({ client }) => {
  const run = await client.saveRun();
  const write = { taskId: "t", index: 0, channel: "out", payload: { n: 1 } };

  expect(await run.putTaskWrites([write])).toBe(false);
  expect(await run.putTaskWrites([write])).toBe(true);
  const other = run.putTaskWrites([{ ...write, payload: { n: 2 } }]);
  await expect(other).rejects.toThrow(IdempotencyMismatch);
  await run.putTaskWrites([{ taskId: "t", index: -1, payload: 1 }]);
  await run.putTaskWrites([{ taskId: "t", index: -1, payload: 2 }]);

  const { taskWrites } = await run.resume();
  expect(taskWrites.map(({ index, payload }) => [index, payload?.text])).toEqual([
    [-1, "2"],
    [0, '{"n":1}'],
  ]);
});

test("deleted snapshots are gone with their task writes and parts", async ({ client }) => {
  const run = await client.saveRun();
  for (const snapshotId of ["a", "b"]) {
    await run.putSnapshot({ snapshotId, state: { own: snapshotId.repeat(100), same: 1 } });
    await run.putTaskWrites([{ taskId: "t", snapshotId, payload: 1 }]);
  }
  await run.putSnapshot({ snapshotId: "a", namespace: "other" });

  const deleted = await run.deleteSnapshots(["a", "nobody"]);
  const again = await run.deleteSnapshots(["a"]);

  expect(deleted).toMatchObject({ snapshots: 1, taskWrites: 1 });
  expect(deleted.freedBytes).toBeGreaterThan(0);
  expect(again).toEqual({ snapshots: 0, taskWrites: 0, freedBytes: 0 });
  await expect(run.getSnapshot({ snapshotId: "a" })).rejects.toThrow(SnapshotNotFound);
  expect((await run.getSnapshot({ snapshotId: "b" })).taskWrites).toHaveLength(1);
  expect(await run.deleteSnapshots(["a"], { namespace: "other" })).toMatchObject({ snapshots: 1 });
});

test("a snapshot that a fork needs, or that belongs to a later writer, stays", async ({
  client,
}) => {
  const run = await client.saveRun();
  await run.append({ type: "tick" });
  await run.putSnapshot({ snapshotId: "a" });
  const { runId } = await run.fork();

  const needed = run.deleteSnapshots(["a"]);

  await expect(needed).rejects.toThrow(SnapshotInUse);
  await expect(needed).rejects.toMatchObject({ forkRunId: runId });
  await client.resume(run.runId);
  await expect(run.deleteSnapshots(["nobody"])).rejects.toThrow(WriterFenced);
  await expect(client.run(run.runId).deleteSnapshots([])).rejects.toThrow(InvalidRequest);
  expect((await run.getSnapshot()).snapshotId).toBe("a");
});

test("a pending node that the snapshot does not have is refused", async ({ client }) => {
  const run = await client.saveRun();

  const refused = run.putSnapshot({ nodes: [{ nodeId: "a" }], pendingNodeIds: ["a", "b"] });

  await expect(refused).rejects.toMatchObject({
    name: "InvalidRequest",
    violations: [
      { field: "snapshot.pending_node_ids[1]", description: "is not a node of the snapshot" },
    ],
  });
});
