/** How single calls are tried again, given up and aborted. */

import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";

import { Code, ConnectError } from "@connectrpc/connect";
import { expect } from "vitest";

import { RetryInfoSchema } from "../src/gen/google/rpc/error_details_pb.js";
import {
  ClientClosed,
  connect,
  DeadlineExceeded,
  InvalidArgument,
  MessageTooLarge,
  Overloaded,
  SeqConflict,
  TokenSecretLost,
  Unavailable,
  type Client,
  type RunstoreError,
} from "../src/index.js";
import { scripted as test, test as real } from "./fixtures.js";
import { Proxy } from "./proxy.js";
import { refusal } from "./script.js";

const TICK = { type: "tick" };
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

test.for<[string, ConnectError | "cut"]>([
  ["SERVER_DRAINING", refusal(Code.Unavailable, "SERVER_DRAINING")],
  ["STORAGE_UNAVAILABLE", refusal(Code.Unavailable, "STORAGE_UNAVAILABLE")],
  ["OVERLOADED", refusal(Code.ResourceExhausted, "OVERLOADED")],
  ["QUOTA_EXCEEDED", refusal(Code.ResourceExhausted, "QUOTA_EXCEEDED")],
  ["a bare UNAVAILABLE", new ConnectError("gone", Code.Unavailable)],
  ["the bare CANCELLED of a server that stops", new ConnectError("", Code.Canceled)],
  ["a bare INTERNAL, as of a reset stream", new ConnectError("", Code.Internal)],
  ["a bare UNKNOWN, as of a proxy's page", new ConnectError("", Code.Unknown)],
  ["a lost connection", "cut"],
])("a write that met %s is sent again with the same id", async ([, failure], { script }) => {
  script.failures = [failure, failure];
  using client = connect(script.target);

  const appended = await client.run("run").append(TICK);

  const ids = script.appended.map(({ event }) => event?.eventId);
  expect(ids).toEqual([appended.eventId, appended.eventId, appended.eventId]);
  expect(appended.eventId).toMatch(UUID);
});

test.for<[string, (client: Client) => Promise<unknown>]>([
  ["saving a run", (client) => client.saveRun()],
  ["putting a snapshot", (client) => client.run("run").putSnapshot({})],
  ["resuming a run", (client) => client.resume("run")],
  ["forking a run", (client) => client.run("run").fork()],
  ["registering a version", (client) => client.configs.register("k", "n", {})],
  ["moving a label", (client) => client.configs.setLabel("k", "n", "l", 1)],
  ["removing a label", (client) => client.configs.removeLabel("k", "n", "l")],
  ["revoking a token", (client) => client.admin.revokeToken("t")],
  ["deleting a run", (client) => client.admin.deleteRun("r", "why")],
  ["putting a policy", (client) => client.admin.putPolicy({ name: "p", keepRunMs: 1000 }, "why")],
  ["deleting a policy", (client) => client.admin.deletePolicy("p", "why")],
  ["setting limits", (client) => client.admin.setLimits({ streams: 1 })],
])("%s again is done with the same id", async ([, write], { script }) => {
  script.failures = ["cut", "drop"];
  using client = connect(script.target);

  await write(client);

  expect(script.named[0]).toMatch(UUID);
  expect(new Set(script.named).size).toBe(1);
  expect(script.named).toHaveLength(3);
});

test("a token whose secret was lost is told, to be revoked", async ({ script }) => {
  script.failures = ["cut"];
  using client = connect(script.target);

  const lost = client.admin.createToken("ci", ["reader@*"]);

  await expect(lost).rejects.toThrow(TokenSecretLost);
  await expect(lost).rejects.toThrow("token made was made, but its secret did not arrive");
  await expect(lost).rejects.toMatchObject({ tokenId: "made", code: "DATA_LOSS" });
  expect(script.named[0]).toMatch(UUID);
  expect(new Set(script.named).size).toBe(1);
});

test.for<[string, ConnectError]>([
  ["a refusal", refusal(Code.Aborted, "SEQ_CONFLICT")],
  ["a message too large", refusal(Code.ResourceExhausted, "MESSAGE_TOO_LARGE")],
  ["a bare RESOURCE_EXHAUSTED", new ConnectError("", Code.ResourceExhausted)],
  ["no credential", refusal(Code.Unauthenticated, "UNAUTHENTICATED")],
  ["an expired one", refusal(Code.Unauthenticated, "CREDENTIAL_EXPIRED")],
  ["a denial", refusal(Code.PermissionDenied, "PERMISSION_DENIED")],
  ["a defect", refusal(Code.Internal, "INTERNAL")],
])("a write that met %s is not sent again", async ([, failure], { script }) => {
  script.failures = [failure];
  using client = connect(script.target);

  await expect(client.run("run").append(TICK)).rejects.toMatchObject({ name: /./ });
  expect(script.appended).toHaveLength(1);
});

test("a request that a proxy refuses for its size is not sent again, and names the limit", async ({
  script,
}) => {
  script.pages = [413, 413];
  using client = connect(script.target);

  const refused = client.run("run").append(TICK);

  await expect(refused).rejects.toThrow(MessageTooLarge);
  await expect(refused).rejects.toThrow(/HTTP 413.*client_max_body_size/);
  expect(script.pages).toEqual([413]);
});

test("requests that a proxy refuses before it has read them harm no later call", async ({
  script,
}) => {
  script.pages = Array.from({ length: 10 }, () => 413);
  using client = connect(script.target);
  const large = { type: "tick", payload: "x".repeat(3 << 20) };
  while (script.pages.length > 0) {
    await expect(client.run("run").append(large)).rejects.toThrow(MessageTooLarge);
  }

  await client.run("run").append(TICK);

  expect(script.appended).toHaveLength(1);
});

test("an overloaded server is given the time it asks for", async ({ script }) => {
  const overloaded = refusal(Code.ResourceExhausted, "OVERLOADED");
  const value = { retryDelay: { seconds: 0n, nanos: 400_000_000 } };
  overloaded.details.push({ desc: RetryInfoSchema, value });
  script.failures = [overloaded];
  using client = connect(script.target);
  const began = performance.now();

  await client.run("run").append(TICK);

  expect(performance.now() - began).toBeGreaterThanOrEqual(390);
});

test("tries end with the call's time", async ({ script }) => {
  script.failures = Array.from({ length: 1000 }, () =>
    refusal(Code.ResourceExhausted, "OVERLOADED"),
  );
  using client = connect(script.target);
  const began = performance.now();

  await expect(client.run("run").append(TICK, { timeoutMs: 2000 })).rejects.toThrow(Overloaded);
  expect(performance.now() - began).toBeLessThan(60_000);
});

test("a last attempt without an answer does not hide why the one before it failed", async ({
  script,
}) => {
  script.failures = [refusal(Code.ResourceExhausted, "OVERLOADED"), "hang"];
  using client = connect(script.target);

  await expect(client.run("run").append(TICK, { timeoutMs: 2000 })).rejects.toThrow(Overloaded);
  expect(script.appended).toHaveLength(2);
});

test("a server that does not answer costs no more than the call's time", async ({ script }) => {
  script.failures = ["hang"];
  using client = connect(script.target, { timeoutMs: 300 });

  await expect(client.run("run").append(TICK)).rejects.toThrow(DeadlineExceeded);
});

test("a machine that takes connections and says nothing costs no more either", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  using client = connect(`127.0.0.1:${(server.address() as AddressInfo).port}`);

  const failed = client.run("run").append(TICK, { timeoutMs: 300 });

  await expect(failed).rejects.toThrow(DeadlineExceeded);
  server.close();
});

test("a call may have more time than a header can say", async ({ script }) => {
  using client = connect(script.target, { timeoutMs: 2 ** 40 });

  await client.run("run").append(TICK);
  await client.run("run").append(TICK, { timeoutMs: Number.POSITIVE_INFINITY });

  expect(script.appended).toHaveLength(2);
});

test("an aborted call rejects with the caller's reason", async ({ script }) => {
  script.failures = ["hang"];
  using client = connect(script.target);
  const giveUp = new AbortController();
  const appending = client.run("run").append(TICK, { signal: giveUp.signal });
  await expect.poll(() => script.appended.length).toBe(1);

  giveUp.abort(new Error("enough"));

  await expect(appending).rejects.toThrow("enough");
  expect(script.appended).toHaveLength(1);
});

test("an abort between two tries ends the wait", async ({ script }) => {
  script.failures = Array.from({ length: 1000 }, () => new ConnectError("", Code.Unavailable));
  using client = connect(script.target, { timeoutMs: 60_000 });

  const appending = client.run("run").append(TICK, { signal: AbortSignal.timeout(200) });

  await expect(appending).rejects.toMatchObject({ name: "TimeoutError" });
});

test("a signal that was aborted before sends nothing", async ({ script }) => {
  using client = connect(script.target);
  const signal = AbortSignal.abort(new Error("enough"));

  await expect(client.run("run").append(TICK, { signal })).rejects.toThrow("enough");
  expect(script.appended).toEqual([]);
});

test("a closed client neither waits nor tries again", async ({ script }) => {
  script.failures = ["hang"];
  const client = connect(script.target);
  const appending = client.run("run").append(TICK);
  await expect.poll(() => script.appended.length).toBe(1);

  client.close();

  await expect(appending).rejects.toThrow(ClientClosed);
  await expect(client.run("run").append(TICK)).rejects.toThrow("the client was closed");
  expect(script.appended).toHaveLength(1);
});

test("a call over a connection that died unused is answered over another", async ({ script }) => {
  const proxy = await Proxy.started(script.target);
  using client = connect(proxy.target, { keepalive: { intervalMs: 100, timeoutMs: 2000 } });
  const run = client.run("run");
  await run.append(TICK);
  proxy.freeze();
  await new Promise((resolve) => setTimeout(resolve, 200));

  await run.append(TICK, { timeoutMs: 60_000 });

  expect(script.appended).toHaveLength(2);
  expect(proxy.connections).toBe(2);
  proxy.stop();
});

test("nothing is left behind by connections that were lost or closed", async ({ script }) => {
  script.failures = Array.from({ length: 20 }, () => "hang");
  const client = connect(script.target, { keepalive: { intervalMs: 100, timeoutMs: 5000 } });
  const run = client.run("run");
  const ending = Promise.allSettled(Array.from({ length: 10 }, () => run.append(TICK)));
  await expect.poll(() => script.appended.length).toBe(10);
  script.cut();
  await expect.poll(() => script.appended.length).toBe(20);
  client.close();

  const ended = await ending;
  await new Promise((resolve) => setTimeout(resolve, 400)); // a timer left behind would throw here

  expect(ended.map(({ status }) => status)).toEqual(Array(10).fill("rejected"));
});

test("text without a UTF-8 form is refused, never replaced", async ({ script }) => {
  using client = connect(script.target);

  const problem = "holds a lone surrogate, which has no UTF-8 form";
  expect(() => client.run("run\ud800")).toThrow(`runId: ${problem}`);
  await expect(client.run("run").append({ type: "a\udc00" })).rejects.toThrow(`type: ${problem}`);
  const named = client.saveRun({ labels: { "\ud800": "" } });
  await expect(named).rejects.toThrow(`labels: the name "\\ud800": ${problem}`);
  expect(script.appended).toEqual([]);
});

test("numbers that lost digits are refused", async ({ script }) => {
  using client = connect(script.target);
  const run = client.run("run");

  await expect(run.append(TICK, { expectedSeq: 2 ** 53 })).rejects.toThrow(InvalidArgument);
  await expect(run.append(TICK, { expectedSeq: 1.5 })).rejects.toThrow(InvalidArgument);
  expect(script.appended).toEqual([]);
});

real("a server that serves says so", async ({ client }) => {
  using nobody = connect("127.0.0.1:1", { timeoutMs: 60_000 });

  expect(await client.health()).toBe(true);
  expect(await client.health("runstore.v1.RunService")).toBe(true);
  await expect(nobody.health()).rejects.toThrow(Unavailable);
});

real("errors carry reason, metadata and violations", async ({ client }) => {
  const run = await client.saveRun();

  const conflict = await run.append(TICK, { expectedSeq: 7 }).catch((error: unknown) => error);
  const invalid = await run
    .append({ type: "", nodeId: "x".repeat(201) })
    .catch((error: unknown) => error);

  expect(conflict).toBeInstanceOf(SeqConflict);
  expect(conflict).toMatchObject({ expectedSeq: 7, currentSeq: 0, code: "ABORTED" });
  expect(invalid).toMatchObject({
    name: "InvalidRequest",
    reason: "INVALID_REQUEST",
    violations: [{ field: "event.type" }, { field: "event.node_id" }],
  });
  expect((invalid as RunstoreError).requestId).not.toBe("");
});
