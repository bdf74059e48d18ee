/** Events against a real server: appending, conflicts, repeats, pages, streams. */

import { expect } from "vitest";

import { IdempotencyMismatch, Instant, SeqConflict, type StreamItem } from "../src/index.js";
import { newId } from "../src/values/ids.js";
import { collect, test } from "./fixtures.js";

test("an event comes back with every field", async ({ client }) => {
  const run = await client.saveRun();
  const sent = {
    type: "tool.called",
    eventId: "e",
    nodeId: "n",
    actor: "a",
    model: "m",
    tool: "t",
    tags: ["x", "y"],
    usage: {
      inputTokens: 10n ** 15n,
      outputTokens: 2n,
      cachedInputTokens: 3n,
      costMicros: 4n,
      durationMicros: 5n,
    },
    traceParent: "00-1-2-01",
    occurredAt: Instant.parse("2026-01-02T03:04:05.678901Z"),
  };

  const appended = await run.append({ ...sent, payload: { query: "ü", n: 1.5 } });

  const [found] = await collect(run.events());
  expect(found).toMatchObject(sent);
  expect(found?.payload?.text).toBe('{"query":"ü","n":1.5}');
  expect(found).toMatchObject({ seq: 1, hash: appended.hash, recordedAt: appended.recordedAt });
  expect((await run.get()).usage).toEqual(sent.usage);
});

test.for([
  "0001-01-01T00:00:00.000000Z",
  "1969-12-31T23:59:59.999999Z",
  "2026-11-21T08:00:00.000001Z",
  "9999-12-31T23:59:59.999999Z",
])("the time %s is kept to the microsecond", async (text, { client }) => {
  const run = await client.saveRun();

  await run.append({ type: "tick", occurredAt: Instant.parse(text) });

  const [found] = await collect(run.events());
  expect(found?.occurredAt?.toString()).toBe(text);
});

test("a date is taken for the time it is", async ({ client }) => {
  const run = await client.saveRun();
  const occurredAt = new Date("2026-01-02T03:04:05.678Z");

  await run.append({ type: "tick", occurredAt });

  const [found] = await collect(run.events());
  expect(found?.occurredAt?.toDate()).toEqual(occurredAt);
});

test("an append that lost a race is refused and tells the seq", async ({ client }) => {
  const run = await client.saveRun();
  await run.append({ type: "a" }, { expectedSeq: 0 });

  const late = run.append({ type: "b" }, { expectedSeq: 0 });

  await expect(late).rejects.toThrow(SeqConflict);
  await expect(late).rejects.toMatchObject({ expectedSeq: 0, currentSeq: 1 });
  expect((await run.append({ type: "b" }, { expectedSeq: 1n })).seq).toBe(2);
});

test("an event sent again is one event; another content is refused", async ({ client }) => {
  const run = await client.saveRun();
  const event = { type: "a", eventId: newId(), payload: { n: 1 } };

  const first = await run.append(event);
  const again = await run.append(event);

  expect(again).toEqual({ ...first, deduplicated: true });
  const other = run.append({ ...event, payload: { n: 2 } });
  await expect(other).rejects.toThrow(IdempotencyMismatch);
  expect((await run.get()).lastSeq).toBe(1);
});

test("a batch is appended all or none", async ({ client }) => {
  const run = await client.saveRun();

  const appended = await run.appendMany([{ type: "a" }, { type: "b" }], { expectedSeq: 0 });
  const refused = run.appendMany([{ type: "c" }, { type: "" }]);

  expect(appended.map(({ seq }) => seq)).toEqual([1, 2]);
  await expect(refused).rejects.toMatchObject({ reason: "INVALID_REQUEST" });
  expect((await run.get()).lastSeq).toBe(2);
});

test("a page of events is filtered", async ({ client }) => {
  const run = await client.saveRun();
  await run.appendMany(["a", "b", "a", "b"].map((type) => ({ type })));

  const page = await run.listEvents({ types: ["b"], pageSize: 1 });
  const rest = await run.listEvents({ fromSeq: page.nextFromSeq, types: ["b"] });

  expect([...page.events, ...rest.events].map(({ seq }) => seq)).toEqual([2, 4]);
  expect(rest).toMatchObject({ nextFromSeq: 0, lastSeq: 4 });
});

test("a stream begins where it is asked to and shows its marks", async ({ client }) => {
  const run = await client.saveRun();
  await run.appendMany(["a", "b", "c"].map((type) => ({ type })));

  const items = await collect(run.stream({ fromSeq: 2 }));

  const shown = items.map((item: StreamItem) =>
    item.kind === "event" ? item.event.type : [item.kind, item.lastSeq],
  );
  expect(shown).toEqual(["b", "c", ["caughtUp", 3]]);
});

test("a stream may wait for its run", async ({ client }) => {
  const following = collect(
    client.run("later").events({ follow: true, waitForRun: true, heartbeatMs: 500 }),
  );

  const run = await client.saveRun({ runId: "later" });
  await run.append({ type: "a" });
  await run.complete();

  expect((await following).map(({ type }) => type)).toEqual(["a", "run.completed"]);
});

test("heartbeats keep a quiet stream open", async ({ client }) => {
  const run = await client.saveRun();
  const kinds: string[] = [];

  for await (const { kind } of run.stream({ follow: true, heartbeatMs: 1000 })) {
    kinds.push(kind);
    if (kinds.length === 3) {
      await run.complete();
    }
  }

  expect(kinds.slice(0, 3)).toEqual(["caughtUp", "heartbeat", "heartbeat"]);
  expect(kinds.at(-1)).toBe("endOfRun");
});

test("many streams and calls share one connection", async ({ client }) => {
  const runs = [];
  for (let n = 0; n < 120; n += 1) {
    runs.push(await client.saveRun());
  }
  const following = runs.map((run) => collect(run.events({ follow: true })));

  await Promise.all(runs.map((run) => run.complete()));

  const seen = await Promise.all(following);
  expect(seen.map((events) => events.length)).toEqual(Array(120).fill(1));
});
