/** Policies of retention, and previews of what they would let go, against a real server. */

import { inspect } from "node:util";

import { expect } from "vitest";

import {
  connect,
  IdempotencyMismatch,
  InvalidArgument,
  InvalidRequest,
  Outcome,
  PolicyNotFound,
  PrincipalKind,
  RemovalKind,
  RetentionBlocker,
  RunStatus,
  type NewPolicy,
} from "../src/index.js";
import { collect, scripted, test } from "./fixtures.js";

const DAY_MS = 24 * 3_600_000;

test("a policy is put, listed, replaced and deleted", async ({ client }) => {
  const { admin } = client;
  const filter = {
    statuses: [RunStatus.FAILED],
    planId: "plan",
    tags: ["x"],
    labels: { team: "search" },
  };
  const whole = {
    name: "b",
    keepRunMs: 400 * DAY_MS,
    keepEventsMs: 20 * DAY_MS,
    keepSnapshotsMs: 30 * DAY_MS + 0.5,
    keepLastSnapshots: 3,
    keepArtifactsMs: 90 * DAY_MS,
    keepSearchTextMs: 60 * DAY_MS,
    filter,
    includeExternal: true,
  };

  const put = await admin.putPolicy(whole, "case 7");
  const short = await admin.putPolicy({ name: "a", keepRunMs: DAY_MS }, "case 8");
  const listed = await collect(admin.policies());

  expect(put).toMatchObject({ ...whole, putBy: { kind: PrincipalKind.ANYBODY } });
  expect(listed).toEqual([short, put]);
  expect(short).toMatchObject({ keepSnapshotsMs: undefined, keepLastSnapshots: 0 });
  expect(short.filter).toEqual({ statuses: [], planId: "", tags: [], labels: {} });
  const changed = { ...put, keepSnapshotsMs: undefined, keepLastSnapshots: 0 };
  const replaced = await admin.putPolicy(changed, "case 9");
  await admin.deletePolicy("a", "case 8 is over");
  expect(replaced).toEqual({ ...changed, putAt: replaced.putAt });
  expect(await collect(admin.policies())).toEqual([replaced]);
});

test("a policy is put and deleted once", async ({ client }) => {
  const { admin } = client;
  const policy = { name: "short", keepRunMs: DAY_MS };
  const put = { requestId: "put" };
  const first = await admin.putPolicy(policy, "case 7", put);

  const again = await admin.putPolicy(policy, "case 7", put);
  await admin.deletePolicy("short", "over", { requestId: "delete" });
  await admin.deletePolicy("short", "over", { requestId: "delete" });

  expect(again).toMatchObject({ name: "short", keepRunMs: DAY_MS, putBy: first.putBy });
  expect(await collect(admin.policies())).toEqual([]);
  const other = admin.putPolicy({ ...policy, keepRunMs: 2 * DAY_MS }, "case 7", put);
  await expect(other).rejects.toThrow(IdempotencyMismatch);
  const unknown = admin.deletePolicy("short", "again");
  await expect(unknown).rejects.toThrow(PolicyNotFound);
  await expect(unknown).rejects.toMatchObject({ metadata: { name: "short" } });
});

test.for<[string, NewPolicy]>([
  ["policy.keep_run", { name: "p" }],
  ["policy.keep_run", { name: "p", keepRunMs: 0 }],
  ["policy.keep_snapshots", { name: "p", keepRunMs: DAY_MS, keepLastSnapshots: 1 }],
  ["policy.keep_events", { name: "p", keepEventsMs: 1 }],
  ["policy.keep_artifacts", { name: "p", keepArtifactsMs: 1 }],
])("a policy that keeps nothing is refused: %s", async ([field, policy], { client }) => {
  const refused = client.admin.putPolicy(policy, "case 7");

  await expect(refused).rejects.toThrow(InvalidRequest);
  await expect(refused).rejects.toMatchObject({ violations: [{ field }] });
});

test("a policy that cannot be sent is refused before it is", async ({ client }) => {
  const { admin } = client;

  const nameless = admin.putPolicy({ keepRunMs: DAY_MS } as unknown as NewPolicy, "why");
  const negative = admin.previewRetention({ name: "p", keepRunMs: -1 });
  const unknown = admin.previewRetention({ name: "p", keepRun: 1 } as NewPolicy);

  await expect(nameless).rejects.toThrow("name: must be a string");
  await expect(negative).rejects.toThrow("keepRunMs: must be 0 milliseconds or more");
  await expect(unknown).rejects.toThrow(InvalidArgument);
});

test("a preview counts what a policy would let go, and what is held", async ({ client }) => {
  const { admin } = client;
  const ended = await client.saveRun({ runId: "ended" });
  await ended.append({ type: "tick" });
  const held = await client.saveRun({ runId: "held", tags: ["held"] });
  for (const each of [ended, held]) {
    await each.complete({ outcome: Outcome.SUCCEEDED });
  }
  await admin.placeHold("case 7", { runId: "held" });
  const policy = { name: "short", keepRunMs: 1000 };
  // Their time is over once they have ended a second ago and their events are in the feed.
  const sums = async () =>
    (await admin.previewRetention(policy)).sums.map(({ blocker, sampleRunIds }) => [
      blocker,
      sampleRunIds,
    ]);
  await expect.poll(sums, { timeout: 60_000 }).toEqual([
    [undefined, ["ended"]],
    [RetentionBlocker.HELD, ["held"]],
  ]);

  const found = await admin.previewRetention(policy);
  const none = await admin.previewRetention();
  const filtered = await admin.previewRetention({ ...policy, filter: { tags: ["held"] } });

  expect(found.sums).toMatchObject([
    { kind: RemovalKind.RUN, runs: 1, items: 2 },
    { kind: RemovalKind.RUN, runs: 1, items: 1 },
  ]);
  expect(found.sums[0]?.bytes).toBeGreaterThan(0);
  expect(found).toMatchObject({ lookedAtRuns: 2, hasMore: false });
  expect(inspect(found.sums[1])).toContain("blocker: RetentionBlocker.HELD");
  expect(none).toMatchObject({ sums: [], lookedAtRuns: 2 });
  expect(filtered.sums).toMatchObject([{ sampleRunIds: ["held"] }]);
});

test("policies are listed over pages", async ({ client }) => {
  const { admin } = client;
  const names = Array.from({ length: 101 }, (_, n) => `${n}`.padStart(3, "0")); // a page is 100
  for (const name of names) {
    await admin.putPolicy({ name, keepRunMs: DAY_MS }, "case 7");
  }

  const listed = await collect(admin.policies());

  expect(listed.map(({ name }) => name)).toEqual(names);
});

scripted(
  "a preview says what it did not look at, and why nothing is applied",
  async ({ script }) => {
    using client = connect(script.target);

    const found = await client.admin.previewRetention();

    expect(found).toMatchObject({
      sums: [{ kind: RemovalKind.SNAPSHOTS, blocker: RetentionBlocker.UNREAD, runs: 1 }],
      lookedAtRuns: 10_000,
      hasMore: true,
      warnings: ["no server does"],
    });
  },
);
