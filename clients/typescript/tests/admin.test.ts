/** Who may use a server, against a real one: tokens, limits, holds, removals and records. */

import { inspect } from "node:util";

import { expect, test as plain } from "vitest";

import {
  grantText,
  ErasureNotFound,
  ErasureState,
  HoldNotFound,
  IdempotencyMismatch,
  InvalidArgument,
  parseGrant,
  PrincipalKind,
  Role,
  Outcome,
  RemovalKind,
  RemovalState,
  RunHeld,
  RunIdReserved,
  RunInUse,
  RunNotFound,
  RunOpen,
  RunStatus,
  SeqConflict,
  TokenNotFound,
  TokenSecretLost,
} from "../src/index.js";
import { collect, test } from "./fixtures.js";

const HOUR_MICROS = 3_600_000_000n;

test("a server that asks nobody takes everybody for anybody", async ({ client }) => {
  const caller = await client.admin.whoAmI();

  expect(caller.principal.kind).toBe(PrincipalKind.ANYBODY);
  expect(caller.expiresAt).toBeUndefined();
  expect(caller.grants.map(grantText)).toEqual(["admin@*", "operator@*"]);
});

test("projects are listed once they have runs", async ({ client }) => {
  const before = await collect(client.admin.projects());

  await client.saveRun();

  expect(before).not.toContain(client.project);
  expect(await collect(client.admin.projects())).toContain(client.project);
});

test("a token is made, listed and revoked", async ({ client }) => {
  const { admin } = client;
  const reading = { role: Role.READER, projectPattern: "*" };

  const first = await admin.createToken("ci", ["writer@acme/*", reading], {
    lifetimeMs: 2 * 3_600_000,
  });
  const second = await admin.createToken("long", [reading]);
  const revoked = await admin.revokeToken(first.token.tokenId);
  const again = await admin.revokeToken(first.token.tokenId);

  const { token, secret } = first;
  expect(secret.startsWith(`${token.prefix}_`)).toBe(true);
  expect(token).toMatchObject({ name: "ci", createdBy: { kind: PrincipalKind.ANYBODY } });
  expect([token.revokedAt, token.lastUsedAt]).toEqual([undefined, undefined]);
  expect(token.grants.map(grantText)).toEqual(["writer@acme/*", "reader@*"]);
  const lifetimes = [first, second].map(
    ({ token: { createdAt, expiresAt } }) => expiresAt.epochMicros - createdAt.epochMicros,
  );
  expect(lifetimes).toEqual([2n * HOUR_MICROS, 90n * 24n * HOUR_MICROS]);
  expect(revoked.revokedAt).toBeDefined();
  expect(again).toEqual(revoked);
  expect(await collect(admin.tokens())).toEqual([second.token, revoked]);
  await expect(admin.revokeToken("none")).rejects.toThrow(TokenNotFound);
});

test("a token of the server is of no project", async ({ client }) => {
  const { admin } = client;
  const ofServer = true;

  const { token } = await admin.createToken("ops", ["operator@*"], { ofServer });

  await expect(admin.revokeToken(token.tokenId)).rejects.toThrow(TokenNotFound);
  expect(await collect(admin.tokens())).toEqual([]);
  expect(await collect(admin.tokens({ ofServer }))).toContainEqual(token);
  expect((await admin.revokeToken(token.tokenId, { ofServer })).revokedAt).toBeDefined();
  const [newest] = await collect(admin.records({ ofServer }));
  expect(newest?.resource).toBe(`tokens/${token.tokenId}`);
  expect((await admin.verifyRecords({ ofServer })).verified).toBe(true);
});

test("a token that was made before has no secret for a repeat", async ({ client }) => {
  const { admin } = client;
  const { token } = await admin.createToken("ci", ["reader@*"], { requestId: "r" });

  const again = admin.createToken("ci", ["reader@*"], { requestId: "r" });

  await expect(again).rejects.toThrow(TokenSecretLost);
  await expect(again).rejects.toMatchObject({ tokenId: token.tokenId });
  expect(await collect(admin.tokens())).toEqual([token]);
  const other = admin.createToken("other", ["reader@*"], { requestId: "r" });
  await expect(other).rejects.toThrow(IdempotencyMismatch);
});

test("limits are replaced", async ({ client }) => {
  const { admin } = client;
  const none = await admin.limits();
  await admin.setLimits({ callsPerSecond: 1001, eventsPerSecond: 2002, bytesPerSecond: 3000003n });

  const set = await admin.setLimits({ eventsPerSecond: 5000, streams: 44, storedBytes: 77n });

  const now = await admin.limits();
  const rates = { callsPerSecond: 0n, eventsPerSecond: 0n, bytesPerSecond: 0n };
  const nothing = { ...rates, streams: 0n, storedBytes: 0n };
  expect(none).toEqual({ limits: nothing, updatedAt: undefined, storedBytesUsed: 0n });
  expect(set).toEqual({ ...nothing, eventsPerSecond: 5000n, streams: 44n, storedBytes: 77n });
  expect(now.limits).toEqual(set);
  expect(now.updatedAt).toBeDefined();
});

test("what was done is recorded and verified", async ({ client }) => {
  const { admin } = client;
  const { token } = await admin.createToken("ci", ["reader@*"]);
  await expect(admin.revokeToken("none", { requestId: "r" })).rejects.toThrow(TokenNotFound);

  const records = await collect(admin.records());
  const found = await admin.verifyRecords();
  const last = await admin.verifyRecords({ fromNumber: 2 });

  expect(records).toMatchObject([
    {
      number: 2,
      method: "RevokeToken",
      resource: "tokens/none",
      status: "TOKEN_NOT_FOUND",
      allowed: false,
      requestId: "r",
    },
    { number: 1, resource: `tokens/${token.tokenId}`, status: "OK", allowed: true },
  ]);
  expect(records[0]?.previousHash).toEqual(records[1]?.hash);
  expect(found).toMatchObject({ verified: true, checkedRecords: 2, lastNumber: 2 });
  expect(found.lastHash).toEqual(records[0]?.hash);
  expect(last).toMatchObject({ verified: true, checkedRecords: 1 });
});

test("tokens and records are listed over pages", async ({ client }) => {
  for (let n = 1; n <= 101; n += 1) {
    await client.admin.createToken(`${n}`, ["reader@*"]); // a page is 100
  }

  const names = (await collect(client.admin.tokens())).map(({ name }) => name);
  const numbers = (await collect(client.admin.records())).map(({ number }) => number);

  expect(numbers).toEqual(Array.from({ length: 101 }, (_, index) => 101 - index));
  expect(names).toEqual(numbers.map(String));
});

plain("a grant is read as it is written", () => {
  const grant = parseGrant("writer@acme/a@b");

  expect(grant).toEqual({ role: Role.WRITER, projectPattern: "acme/a@b" });
  expect(grantText(grant)).toBe("writer@acme/a@b");
  for (const wrong of ["", "writer", "writer@", "owner@acme", "WRITER@acme", "@acme"]) {
    expect(() => parseGrant(wrong)).toThrow(InvalidArgument);
  }
});

test("what is held is not deleted", async ({ client }) => {
  const { admin } = client;
  const run = await client.saveRun({ runId: "held", tags: ["x"] });
  await run.putSnapshot({ snapshotId: "s" });
  const one = await admin.placeHold("case 7", { runId: "held" });
  const filter = { statuses: [RunStatus.RUNNING], tags: ["x"] };
  const many = await admin.placeHold("all of it", { filter });

  const refused = await run.deleteSnapshots(["s"]).catch((error: unknown) => error);

  expect(refused).toBeInstanceOf(RunHeld);
  expect((refused as RunHeld).holdId).toBe(one.holdId);
  expect(one).toMatchObject({ runId: "held", filter: undefined, reason: "case 7" });
  expect(many.filter).toMatchObject({ ...filter, planId: "", labels: {} });
  expect(await collect(admin.holds({ runId: "held" }))).toEqual([many, one]);
  const released = [await admin.releaseHold(one.holdId), await admin.releaseHold(many.holdId)];
  expect(released.map((hold) => hold.releasedBy?.kind)).toEqual([
    PrincipalKind.ANYBODY,
    PrincipalKind.ANYBODY,
  ]);
  expect(await collect(admin.holds())).toEqual([]);
  expect(await collect(admin.holds({ includeReleased: true }))).toEqual(released.reverse());
  await run.deleteSnapshots(["s"]);
});

test("a hold is of a run or of a filter", async ({ client }) => {
  const { admin } = client;

  await expect(admin.placeHold("why", {})).rejects.toThrow(InvalidArgument);
  const both = admin.placeHold("why", { runId: "run", filter: {} });
  await expect(both).rejects.toThrow(InvalidArgument);
  await expect(admin.placeHold("why", { runId: "none" })).rejects.toThrow(RunNotFound);
  await expect(admin.releaseHold("none")).rejects.toThrow(HoldNotFound);
});

test("a deleted run is not found, and its id is reserved", async ({ client }) => {
  const { admin } = client;
  const run = await client.saveRun({ runId: "run" });
  await run.append({ type: "tick" });
  await expect(admin.deleteRun("run", "case 7")).rejects.toThrow(RunOpen);
  const fork = await run.fork({ runId: "fork" });
  for (const each of [run, fork]) {
    await each.complete({ outcome: Outcome.SUCCEEDED });
  }
  const refused = await admin.deleteRun("run", "case 7").catch((error: unknown) => error);
  expect(refused).toBeInstanceOf(RunInUse);
  expect((refused as RunInUse).forkRunId).toBe("fork");
  const late = admin.deleteRun("fork", "case 7", { expectedLastSeq: 1 });
  await expect(late).rejects.toThrow(SeqConflict);

  const first = await admin.deleteRun("fork", "case 7", { expectedLastSeq: 2n });
  const removal = await admin.deleteRun("run", "case 7", { requestId: "request" });
  const again = await admin.deleteRun("run", "case 7", { requestId: "request" });

  expect(again.removalId).toBe(removal.removalId);
  expect(removal).toMatchObject({ kind: RemovalKind.RUN, firstSeq: 1, lastSeq: 2 });
  expect(removal.birth).toHaveLength(32);
  const listed = await collect(admin.removals());
  expect(listed.map((each) => each.removalId)).toEqual([removal.removalId, first.removalId]);
  const [ofRun] = await collect(admin.removals({ runId: "run" }));
  expect(ofRun?.record).toBe(removal.record);
  await expect(run.get()).rejects.toThrow(RunNotFound);
  await expect(client.saveRun({ runId: "run" })).rejects.toThrow(RunIdReserved);
});

test("a removal is done once everything is gone", async ({ client }) => {
  const { admin } = client;
  const run = await client.saveRun({ runId: "run" });
  await run.append({ type: "tick" });
  await run.complete();
  const removals = () => collect(admin.removals({ runId: "run" }));

  const begun = await admin.deleteRun("run", "case 7");

  expect(begun).toMatchObject({
    state: RemovalState.REMOVING,
    removedEvents: 0,
    doneAt: undefined,
  });
  expect(inspect(begun)).toContain("state: RemovalState.REMOVING");
  await expect.poll(async () => (await removals())[0]?.doneAt, { timeout: 60_000 }).toBeDefined();
  const [done] = await removals();
  expect(done).toMatchObject({ state: RemovalState.DONE, removedEvents: 2, at: begun.at });
  await expect(collect(admin.removals({ runId: "never" }))).rejects.toThrow(RunNotFound);
});

test("what events said is erased, and the rest stays", async ({ client }) => {
  const { admin } = client;
  const run = await client.saveRun({ runId: "run" });
  await run.append({ type: "said", actor: "ann", tags: ["t"], subjects: ["ann"] });
  await run.append({ type: "said", subjects: ["bo"] });
  const seqs = [{ firstSeq: 1, lastSeq: 1n }];

  const blocked = await admin.eraseEvents("run", seqs, "case 7", { requestId: "once" });
  const again = await admin.eraseEvents("run", seqs, "case 7", { requestId: "once" });
  await run.complete();
  let erasure = blocked;
  while (erasure.erasedEvents === 0) {
    erasure = await admin.erasure(blocked.erasureId);
  }

  expect(again.erasureId).toBe(blocked.erasureId);
  expect(blocked).toMatchObject({
    state: ErasureState.BLOCKED,
    blockers: [{ runId: "run", holdId: "" }],
    doneAt: undefined,
  });
  const [first, second] = await collect(run.events());
  expect(first).toMatchObject({ type: "said", actor: "", tags: [], subjects: [] });
  expect(first?.sealed).toHaveLength(32);
  expect(first?.erasedAt).toBeDefined();
  expect(second).toMatchObject({ subjects: ["bo"], erasedAt: undefined });
  expect(await run.verify()).toMatchObject({ verified: true, erasedEvents: 1 });
  const [removal] = await collect(admin.removals({ runId: "run" }));
  expect(removal?.kind).toBe(RemovalKind.EVENTS_ERASED);
  const nobody = await admin.eraseSubject("nobody", "case 8");
  expect(nobody).toMatchObject({ state: ErasureState.DONE, runs: 0 });
  await expect(admin.erasure("none")).rejects.toThrow(ErasureNotFound);
});
