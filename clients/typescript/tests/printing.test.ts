/** What `console.log` shows of clients, handles and values. */

import { inspect } from "node:util";

import { expect, test as plain } from "vitest";

import {
  connect,
  Instant,
  Outcome,
  Payload,
  Ref,
  RunStatus,
  SnapshotReason,
} from "../src/index.js";
import { collect, test } from "./fixtures.js";

plain("clients and handles name their target, project and run", async () => {
  using client = connect("localhost:7411", { project: "acme" });
  const run = client.run("trip", { writerEpoch: 2 });
  const appender = client.appender();
  const names = new Map<{ toString(): string }, string>([
    [client, '<Client of localhost:7411, project "acme">'],
    [run, '<Run "trip" of project "acme", epoch 2>'],
    [client.run("trip"), '<Run "trip" of project "acme">'],
    [client.admin, '<Admin of project "acme">'],
    [client.configs, '<Configs of project "acme">'],
    [client.artifacts, '<Artifacts of project "acme">'],
    [client.feed, '<Feed of project "acme">'],
    [appender, "<Appender to localhost:7411, open>"],
    [run.appender(), '<RunAppender of run "trip">'],
  ]);

  for (const [handle, name] of names) {
    expect([inspect(handle), handle.toString(), inspect([handle])]).toEqual([
      name,
      name,
      `[ ${name} ]`,
    ]);
  }
  await appender.close();
  expect(String(appender)).toBe("<Appender to localhost:7411, closed>");
});

plain("payloads show their beginning, or how many bytes they have", () => {
  const long = Payload.of("x".repeat(300));

  expect(inspect({ payload: Payload.of({ n: 1 }) })).toBe('{ payload: Payload {"n":1} }');
  expect(String(long)).toBe(`Payload "${"x".repeat(199)}…`);
  expect(String(Payload.binary(Uint8Array.of(1, 2), "image/png"))).toBe(
    "Payload of 2 bytes (image/png)",
  );
  expect(inspect(new Ref(Uint8Array.of(0, 255)))).toBe("Ref 00ff");
});

plain("times show their text", () => {
  expect(inspect([Instant.ofEpochMicros(1)])).toBe("[ 1970-01-01T00:00:00.000001Z ]");
});

test("values show enums by their names and hashes in hexadecimal digits", async ({ client }) => {
  const run = await client.saveRun();
  const appended = await run.append({ type: "tick", payload: { n: 1 } });
  const put = await run.putSnapshot({ reason: SnapshotReason.CHECKPOINT });
  const completed = await run.complete({ outcome: Outcome.FAILED });
  const info = await run.get();
  const [event] = (await run.listEvents()).events;
  const [snapshot] = await collect(run.listSnapshots());
  const items = await collect(run.stream());

  expect(inspect(appended)).toMatch(/hash: [0-9a-f]{64},/);
  expect(inspect(put)).toMatch(/contentHash: [0-9a-f]{64},/);
  expect(inspect(completed)).toContain("status: RunStatus.FAILED");
  expect(inspect(info)).toContain("status: RunStatus.FAILED");
  expect(inspect(info)).toContain("outcome: Outcome.FAILED");
  expect(inspect(event)).toContain('payload: Payload {"n":1}');
  expect(inspect(snapshot)).toContain("reason: SnapshotReason.CHECKPOINT");
  expect(inspect(await run.getOutput())).toContain("outcome: Outcome.FAILED");
  expect(inspect(items.at(-1))).toContain("outcome: Outcome.FAILED");
  expect(inspect([[info]], { depth: 1 })).toBe("[ [ [Object] ] ]");
  expect(info.status).toBe(RunStatus.FAILED);
});

test("a token prints without its secret, a grant with its role", async ({ client }) => {
  const made = await client.admin.createToken("ci", ["writer@acme/*"]);
  const caller = await client.admin.whoAmI();
  const [record] = await collect(client.admin.records());

  expect(made.secret).toMatch(/^rs1_/);
  expect(inspect([made], { depth: 5 })).not.toContain(made.secret);
  expect(inspect(made, { depth: 5 })).toContain("role: Role.WRITER, projectPattern: 'acme/*'");
  expect(inspect(caller)).toContain("kind: PrincipalKind.ANYBODY");
  expect(inspect(record)).toMatch(/ hash: [0-9a-f]{64}/);
  expect(inspect(await client.admin.verifyRecords())).toMatch(/lastHash: [0-9a-f]{64}/);
});

test("what prints differently is a plain value all the same", async ({ client }) => {
  const run = await client.saveRun();

  const info = await run.get();

  expect(Object.getOwnPropertySymbols({ ...info })).toEqual([]);
  expect(info.lastHash).toBeInstanceOf(Uint8Array);
});
