/** Arguments of a wrong type are refused by their names, and nothing is sent. */

import { afterAll, expect, test } from "vitest";

import { connect, InvalidArgument, Payload, Ref, type Client } from "../src/index.js";
import { collect } from "./fixtures.js";

/** The client as JavaScript has it, where any argument may be anything. */
type Untyped = Record<string, (...values: unknown[]) => unknown>;
interface Handles {
  readonly client: Untyped;
  readonly run: Untyped;
  readonly admin: Untyped;
  readonly configs: Untyped;
  readonly artifacts: Untyped;
  readonly feed: Untyped;
}

// Nothing listens there: a call that is sent ends with another error.
const client: Client = connect("127.0.0.1:1");
const handles = {
  client,
  run: client.run("r"),
  admin: client.admin,
  configs: client.configs,
  artifacts: client.artifacts,
  feed: client.feed,
} as unknown as Handles;

afterAll(() => {
  client.close();
});

async function problem(call: (of: Handles) => unknown): Promise<string> {
  try {
    const result = call(handles) as Promise<unknown> | AsyncGenerator;
    await (Symbol.asyncIterator in result ? collect(result) : result);
  } catch (error) {
    expect(error).toBeInstanceOf(InvalidArgument);
    return (error as InvalidArgument).message;
  }
  throw new Error("nothing was refused");
}

const DATE = "must be a Date or an Instant, not a string";
const TEXTS = "must be an array of strings, not a string";
const OBJECT = "must be an object, not a string";

test.each<[(of: Handles) => unknown, string]>([
  [({ client }) => client["saveRun"]?.("answer"), `run: ${OBJECT}`],
  [
    ({ client }) => client["saveRun"]?.(new Map()),
    "run: must be an object, not an instance of Map",
  ],
  [({ client }) => client["saveRun"]?.({ runId: 5 }), "runId: must be a string, not a number"],
  [({ client }) => client["saveRun"]?.({ tags: "abc" }), `tags: ${TEXTS}`],
  [({ client }) => client["saveRun"]?.({ tags: [1] }), "tags[0]: must be a string, not a number"],
  [
    ({ client }) => client["saveRun"]?.({ labels: { a: 1 } }),
    'labels["a"]: must be a string, not a number',
  ],
  [
    ({ client }) => client["saveRun"]?.({ labels: new Map([["a", "b"]]) }),
    "labels: must be an object, not an instance of Map",
  ],
  [
    ({ client }) => client["saveRun"]?.({ configRefs: [{ version: "1" }] }),
    "configRefs[0].version: must be a number or a bigint, not a string",
  ],
  [
    ({ client }) => client["saveRun"]?.({ completion: { events: [{ tags: "abc" }] } }),
    `completion.events[0].tags: ${TEXTS}`,
  ],
  [
    ({ client }) => client["saveRun"]?.({ completion: { payload: Number.NaN } }),
    "completion.payload: NaN is not JSON",
  ],
  [
    ({ client }) => client["saveRun"]?.({ externalRef: { system: "s", id: "i", ownsStatus: 1 } }),
    "externalRef.ownsStatus: must be a boolean, not a number",
  ],
  [
    ({ client }) => client["saveRun"]?.({}, { timeout: 5 }),
    "timeout: is unknown here; there are signal, timeoutMs",
  ],
  [({ client }) => client["run"]?.(5), "runId: must be a string, not a number"],
  [({ client }) => client["resume"]?.("r", { actor: 5 }), "actor: must be a string, not a number"],
  [
    ({ client }) => client["listRuns"]?.({ tag: ["a"] }),
    "tag: is unknown here; there are anyTags, ",
  ],
  [({ client }) => client["listRuns"]?.({ createdFrom: "2026-01-01" }), `createdFrom: ${DATE}`],
  [
    ({ client }) => client["listRuns"]?.({ statuses: ["RUNNING"] }),
    "statuses[0]: must be a number of RunStatus, not a string",
  ],
  [({ client }) => client["search"]?.(5), "query: must be a string, not a number"],
  [({ client }) => client["search"]?.("q", { waitMs: "5" }), "waitMs: must be a number of milli"],
  [({ client }) => client["statistics"]?.("run"), `by: ${TEXTS}`],
  [({ client }) => client["statistics"]?.([], { runIds: "r" }), `runIds: ${TEXTS}`],
  [({ client }) => client["appender"]?.({ window: 0 }), "window: must be at least 1, is 0"],
  [({ client }) => client["health"]?.(5), "service: must be a string, not a number"],
  [({ run }) => run["append"]?.("tick"), `event: ${OBJECT}`],
  [({ run }) => run["append"]?.({ type: "t", occurredAt: "now" }), `occurredAt: ${DATE}`],
  [
    ({ run }) => run["append"]?.({ type: "t", occurredAt: new Date(Number.NaN) }),
    "occurredAt: is an invalid Date",
  ],
  [
    ({ run }) => run["append"]?.({ type: "t", usage: { inputTokens: 1.5 } }),
    "usage.inputTokens: 1.5 is not a safe integer; use a bigint",
  ],
  [
    ({ run }) => run["append"]?.({ type: "t", usage: { tokens: 1 } }),
    "usage.tokens: is unknown here; there are cachedInputTokens, costMicros, durationMicros, ",
  ],
  [
    ({ run }) => run["append"]?.({ type: "t" }, { expectedSeq: 2n ** 63n }),
    "expectedSeq: must be -2^63..2^63-1, is 9223372036854775808",
  ],
  [({ run }) => run["append"]?.({ type: null }), "type: must be a string, not null"],
  [
    ({ run }) => run["appendMany"]?.({ type: "t" }),
    "events: must be an array of events, not an obj",
  ],
  [
    ({ run }) => run["appendMany"]?.([{ type: 1 }]),
    "events[0].type: must be a string, not a number",
  ],
  [({ run }) => run["complete"]?.("done"), `completion: ${OBJECT}`],
  [
    ({ run }) => run["complete"]?.({ answer: 42 }),
    "answer: is unknown here; there are events, final",
  ],
  [
    ({ run }) => run["complete"]?.({ outcome: "FAILED" }),
    "outcome: must be a number of Outcome, not",
  ],
  [
    ({ run }) => run["complete"]?.({ finalSnapshot: { nodes: [{ facets: "a" }] } }),
    `finalSnapshot.nodes[0].facets: ${TEXTS}`,
  ],
  [
    ({ run }) => run["complete"]?.(Promise.resolve({})),
    "completion: must be an object, not an instance of Promise",
  ],
  [({ run }) => run["putSnapshot"]?.({ pendingNodeIds: "ab" }), `pendingNodeIds: ${TEXTS}`],
  [({ run }) => run["putSnapshot"]?.({ state: [1] }), "state: must be an object, not an array"],
  [
    ({ run }) => run["putSnapshot"]?.({}, { taskWrites: [{ taskId: "t", index: 2 ** 31 }] }),
    "taskWrites[0].index: must be -2^31..2^31-1, is 2147483648",
  ],
  [({ run }) => run["putTaskWrites"]?.([{ taskId: 1 }]), "writes[0].taskId: must be a string, not"],
  [({ run }) => run["deleteSnapshots"]?.("s"), `snapshotIds: ${TEXTS}`],
  [
    ({ run }) => run["getSnapshot"]?.({ atSeq: 1, snapshotId: "s" }),
    "snapshotId and atSeq: only one of them selects a snapshot",
  ],
  [
    ({ run }) => run["listSnapshots"]?.({ withParts: "yes" }),
    "withParts: must be a boolean, not a",
  ],
  [({ run }) => run["events"]?.({ types: "t" }), `types: ${TEXTS}`],
  [
    ({ run }) => run["stream"]?.({ heartbeatMs: -1 }),
    "heartbeatMs: must be 0 milliseconds or more",
  ],
  [({ run }) => run["stream"]?.({ heartbeatMs: Infinity }), "heartbeatMs: is too long: Infinity"],
  [
    ({ run }) => run["listEvents"]?.({ fromSeq: "1" }),
    "fromSeq: must be a number or a bigint, not a",
  ],
  [
    ({ run }) => run["replay"]?.({ at: 1 }),
    "at: is unknown here; there are atSeq, namespace, page",
  ],
  [({ run }) => run["fork"]?.({ objective: 5 }), "objective: must be a string, not a number"],
  [({ run }) => run["verify"]?.({ onProgress: 5 }), "onProgress: must be a function, not a number"],
  [({ run }) => run["get"]?.({ signal: "stop" }), "signal: must be an AbortSignal, not a string"],
  [
    ({ run }) => run["getOutput"]?.({ revision: "1" }),
    "revision: must be a number or a bigint, not",
  ],
  [({ configs }) => configs["register"]?.(1, "n", {}), "kind: must be a string, not a number"],
  [({ configs }) => configs["register"]?.("k", "n", {}, { labels: "l" }), `labels: ${TEXTS}`],
  [
    ({ configs }) => configs["get"]?.("k", "n", { version: 1, label: "l" }),
    "version and label: only one of them selects a version",
  ],
  [
    ({ configs }) => configs["setLabel"]?.("k", "n", "l", "1"),
    "version: must be a number or a bigint",
  ],
  [({ configs }) => configs["labelMoves"]?.("k", "n", "l"), `options: ${OBJECT}`],
  [({ feed }) => feed["read"]?.({ labels: "l" }), `labels: ${OBJECT}`],
  [({ feed }) => feed["entries"]?.({ consumer: 5 }), "consumer: must be a string, not a number"],
  [
    ({ feed }) => feed["commit"]?.("c", "5"),
    "position: must be a number or a bigint, not a string",
  ],
  [
    ({ artifacts }) => artifacts["upload"]?.("r", "n", "text"),
    "data: must be a Uint8Array, a file: URL or chunks of bytes, not a string",
  ],
  [
    ({ artifacts }) => artifacts["upload"]?.("r", "n", new URL("http://a/b")),
    "data: must be a file: URL, is http://a/b",
  ],
  [
    ({ artifacts }) => artifacts["upload"]?.(5, "n", new Uint8Array()),
    "runId: must be a string, not a",
  ],
  [({ artifacts }) => artifacts["link"]?.("r", "n", 5), "url: must be a string, not a number"],
  [
    ({ artifacts }) => artifacts["download"]?.({ offset: "1" }),
    "offset: must be a number or a bigint",
  ],
  [
    ({ artifacts }) => artifacts["list"]?.({ run: "r" }),
    "run: is unknown here; there are name, runId",
  ],
  [({ admin }) => admin["createToken"]?.(5, []), "name: must be a string, not a number"],
  [
    ({ admin }) => admin["createToken"]?.("ci", "reader@*"),
    "grants: must be an array of grants, not a string",
  ],
  [
    ({ admin }) => admin["createToken"]?.("ci", ["reader@*", "writer@"]),
    "grants[1]: must be ROLE@PROJECTS with a role of recorder, reader, writer, admin, operator",
  ],
  [
    ({ admin }) => admin["createToken"]?.("ci", [{ role: "reader", projectPattern: "*" }]),
    "grants[0].role: must be a number of Role, not a string",
  ],
  [
    ({ admin }) => admin["createToken"]?.("ci", [], { lifetime: 5 }),
    "lifetime: is unknown here; there are lifetimeMs, ofServer, requestId, signal, timeoutMs",
  ],
  [({ admin }) => admin["revokeToken"]?.(5), "tokenId: must be a string, not a number"],
  [({ admin }) => admin["tokens"]?.({ ofServer: 1 }), "ofServer: must be a boolean, not a number"],
  [({ admin }) => admin["setLimits"]?.({ calls: 1 }), "calls: is unknown here; there are bytesPer"],
  [({ admin }) => admin["setLimits"]?.({ streams: 1.5 }), "streams: 1.5 is not a safe integer"],
  [
    ({ admin }) => admin["verifyRecords"]?.({ fromNumber: "1" }),
    "fromNumber: must be a number or a bigint, not a string",
  ],
])("%s is refused: %s", async (call, words) => {
  expect(await problem(call)).toContain(words);
});

test("an appender refuses what is no run and no event", async () => {
  const appender = client.appender();

  await expect(appender.append("r" as never, { type: "t" })).rejects.toThrow(
    "run: must be a run, not a string",
  );
  await expect(appender.append(client.run("r"), "t" as never)).rejects.toThrow(
    "event: must be an object, not a string",
  );
  await appender.close();
});

test.each<[string, () => unknown, string]>([
  ["bytes", () => Payload.binary("abc" as never), "bytes: must be a Uint8Array, not a string"],
  ["a text", () => Payload.json({} as never), "text: must be a string, not an object"],
  ["a hash", () => new Ref("abc" as never), "sha256: must be a Uint8Array, not a string"],
  [
    "options",
    () => connect("a:1", { project: 5 } as never),
    "project: must be a string, not a num",
  ],
  [
    "an option",
    () => connect("a:1", { timeout: 5 } as never),
    "timeout: is unknown here; there are",
  ],
])("%s of a wrong type are refused where they are made", (_, make, words) => {
  expect(make).toThrow(InvalidArgument);
  expect(make).toThrow(words);
});

test("what is undefined is not given", async () => {
  const given = { runId: undefined, tags: undefined, labels: undefined, completion: undefined };

  await expect(client.saveRun(given as never)).rejects.toThrow("no server answers");
});
