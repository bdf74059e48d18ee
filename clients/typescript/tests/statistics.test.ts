/** Statistics of a real server. */

import { expect } from "vitest";

import {
  InvalidRequest,
  RunNotFound,
  StatisticsBehind,
  type Client,
  type Dimension,
} from "../src/index.js";
import { collect, test } from "./fixtures.js";

const DAY = /^\d{4}-\d\d-\d\d$/;

/** A run with a child: two models, a tool that fails. */
async function work(client: Client) {
  const root = await client.saveRun({ runId: "root", labels: { team: "search" }, tags: ["x"] });
  const child = await client.saveRun({ runId: "child", parentRunId: "root", planId: "plan" });
  await root.append({ type: "asked", model: "a", usage: { inputTokens: 5, costMicros: 7n } });
  await root.append({ type: "tool.called", tool: "web", nodeId: "n" });
  await root.append({ type: "tool.failed", tool: "web", nodeId: "n" });
  const { seq } = await child.append({
    type: "asked",
    model: "b",
    usage: { outputTokens: 2n ** 40n, durationMicros: 3 },
  });
  return { runId: "child", seq };
}

test("everything is one row, and a writer sees what it wrote", async ({ client }) => {
  const after = await work(client);

  const rows = await collect(client.statistics([], { after }));

  expect(rows).toEqual([
    {
      runId: "",
      nodeId: "",
      model: "",
      tool: "",
      type: "",
      day: "",
      labelValue: "",
      events: 4,
      errors: 1,
      toolCalls: 1,
      runs: 2,
      usage: {
        inputTokens: 5n,
        outputTokens: 2n ** 40n,
        cachedInputTokens: 0n,
        costMicros: 7n,
        durationMicros: 3n,
      },
    },
  ]);
});

test("groups come over pages, each once and in order", async ({ client }) => {
  const after = await work(client);

  const rows = await collect(client.statistics(["type", "tool", "day"], { after, pageSize: 1 }));

  expect(rows.map(({ type, tool, events }) => [type, tool, events])).toEqual([
    ["asked", "", 2],
    ["tool.called", "web", 1],
    ["tool.failed", "web", 1],
  ]);
  expect(rows.every(({ day }) => DAY.test(day))).toBe(true);
});

test("every dimension tells apart what it names", async ({ client }) => {
  const after = await work(client);

  const found: Record<string, string[]> = {};
  for (const [dimension, field] of Object.entries({
    run: "runId",
    node: "nodeId",
    model: "model",
    tool: "tool",
    type: "type",
  } as const)) {
    const rows = await collect(client.statistics([dimension as Dimension], { after }));
    found[dimension] = rows.map((row) => row[field]);
  }

  expect(found).toEqual({
    run: ["child", "root"],
    node: ["", "n"],
    model: ["", "a", "b"],
    tool: ["", "web"],
    type: ["asked", "tool.called", "tool.failed"],
  });
});

test("runs and events are selected, labels tell apart, ancestors take all", async ({ client }) => {
  const after = await work(client);
  const events = async (by: Dimension[], query: Parameters<Client["statistics"]>[1]) =>
    (await collect(client.statistics(by, { ...query, after }))).map((row) => row.events);

  expect(await events([], { runIds: ["child"] })).toEqual([1]);
  expect(await events([], { runIds: ["root"], includeDescendants: true })).toEqual([4]);
  expect(await events([], { planId: "plan" })).toEqual([1]);
  expect(await events([], { labels: { team: "search" } })).toEqual([3]);
  expect(await events([], { tags: ["x"] })).toEqual([3]);
  expect(await events([], { types: ["asked"] })).toEqual([2]);
  expect(await events([], { models: ["a", "b"] })).toEqual([2]);
  expect(await events([], { tools: ["web"] })).toEqual([2]);
  expect(await events([], { nodeIds: ["n"] })).toEqual([2]);
  expect(await events([], { fromDay: "2020-01-01" })).toEqual([4]);
  expect(await events([], { toDay: "2020-01-01" })).toEqual([0]);
  const [other, search] = await collect(client.statistics([], { labelKey: "team", after }));
  expect([other?.labelValue, search?.labelValue]).toEqual(["", "search"]);
  const rolledUp = await collect(client.statistics(["run"], { rollUpToRoot: true, after }));
  expect(rolledUp).toMatchObject([{ runId: "root", events: 4, runs: 2 }]);
});

test("what is not counted yet is told as behind, nonsense as invalid", async ({ client }) => {
  const behind = collect(client.statistics([], { minPosition: 2n ** 62n, waitMs: 0 }));

  await expect(behind).rejects.toThrow(StatisticsBehind);
  await expect(behind).rejects.toMatchObject({ countedPosition: expect.any(Number) as number });
  const nobody = collect(client.statistics([], { after: { runId: "nobody", seq: 1 } }));
  await expect(nobody).rejects.toThrow(RunNotFound);
  const rootless = collect(client.statistics([], { rollUpToRoot: true }));
  await expect(rootless).rejects.toThrow(InvalidRequest);
  const unknown = collect(client.statistics(["colour" as Dimension]));
  await expect(unknown).rejects.toThrow(
    "by[0]: must be one of run, node, model, tool, type, day, is colour",
  );
});
