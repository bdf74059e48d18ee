/** The feed and the search of a real server, over a restart too. */

import { expect, inject } from "vitest";

import {
  connect,
  ConsumerNotFound,
  marked,
  PositionAhead,
  SearchBehind,
  type Client,
  type FeedEntry,
  type FollowFeedOptions,
} from "../src/index.js";
import { collect, test } from "./fixtures.js";
import { ServerProcess } from "./servers.js";

async function take(client: Client, count: number, options: FollowFeedOptions = {}) {
  const entries: FeedEntry[] = [];
  for await (const entry of client.feed.entries({ heartbeatMs: 1000, ...options })) {
    entries.push(entry);
    if (entries.length === count) {
      break;
    }
  }
  return entries;
}

test("the events of all runs come in one order, each run's in the order of its seqs", async ({
  client,
}) => {
  const runs = [await client.saveRun(), await client.saveRun({ labels: { team: "a" } })];
  for (const run of runs) {
    await run.appendMany([{ type: "tick" }, { type: "tock", tags: ["x"] }]);
  }

  const entries = await take(client, 4);

  const positions = entries.map(({ position }) => position);
  expect(positions).toEqual([...positions].sort((a, b) => a - b));
  for (const { runId } of runs) {
    const own = entries.filter((entry) => entry.runId === runId);
    expect(own.map(({ event }) => event.type)).toEqual(["tick", "tock"]);
  }
  const filtered = await take(client, 1, { tags: ["x"], labels: { team: "a" } });
  expect(filtered.map(({ runId }) => runId)).toEqual([runs[1]?.runId]);
  const page = await client.feed.read({ pageSize: 3 });
  expect(page.entries).toEqual(entries.slice(0, 3));
  const rest = await client.feed.read({ fromPosition: page.nextPosition });
  expect(rest.entries).toEqual(entries.slice(3));
});

test("a mark says how far a stream of the feed got", async ({ client }) => {
  const run = await client.saveRun();
  await run.append({ type: "tick" });

  for await (const item of client.feed.follow({ types: ["none"], heartbeatMs: 500 })) {
    expect(["caughtUp", "heartbeat"]).toContain(item.kind);
    break;
  }
});

test("a consumer goes on behind what it has committed", async ({ client }) => {
  const run = await client.saveRun();
  await run.appendMany([{ type: "a" }, { type: "b" }, { type: "c" }]);
  const [first, second] = await take(client, 3);

  await expect(client.feed.consumer("reader")).rejects.toThrow(ConsumerNotFound);
  const committed = await client.feed.commit("reader", first?.position ?? 0);

  expect(committed).toMatchObject({ name: "reader", position: first?.position });
  const next = await take(client, 1, { consumer: "reader" });
  expect(next[0]?.position).toBe(second?.position);
  expect((await client.feed.reset("reader")).position).toBe(0);
  expect((await client.feed.consumer("reader")).position).toBe(0);
  expect((await collect(client.feed.consumers())).map(({ name }) => name)).toEqual(["reader"]);
  await expect(client.feed.commit("reader", 2n ** 53n)).rejects.toThrow(PositionAhead);
});

test("following the feed goes on over restarts", async ({ project }) => {
  const server = await ServerProcess.started(inject("settings"));
  using client = connect(server.target, { project, timeoutMs: 300_000 });
  const run = await client.saveRun();
  const watching = take(client, 300, { patienceMs: 300_000 });
  for (const signal of ["SIGKILL", "SIGTERM", "SIGKILL"] as const) {
    await run.appendMany(Array.from({ length: 100 }, () => ({ type: "tick" })));
    await server.restart(signal);
  }

  const seqs = (await watching).map(({ event }) => event.seq);

  expect(seqs).toEqual(Array.from({ length: 300 }, (_, index) => index + 1));
  await server.stop();
}, 1_800_000);

test("a search finds what an append was answered with", async ({ client }) => {
  const run = await client.saveRun();
  await run.append({ type: "note", payload: { text: "the quick brown fox" } });
  const { seq } = await run.append({ type: "note", payload: { text: "a slow fox 😀 sleeps" } });
  const after = { runId: run.runId, seq };

  const hits = await collect(client.search("fox", { after, newestFirst: true, withEvents: true }));

  expect(hits.map((hit) => hit.seq)).toEqual([2, 1]);
  expect(hits[0]?.event?.payload?.json()).toEqual({ text: "a slow fox 😀 sleeps" });
  const [found] = await collect(client.search("sleeps", { after }));
  expect(found && marked(found)).toContain("😀 [[sleeps]]");
  const early = collect(client.search("fox", { minPosition: 2n ** 53n, waitMs: 0 }));
  await expect(early).rejects.toThrow(SearchBehind);
});
