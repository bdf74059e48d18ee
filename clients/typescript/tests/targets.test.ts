/** Addresses: which are refused when a client is made, and what is said of a server's absence. */

import { once } from "node:events";
import { createServer, type AddressInfo, type Server } from "node:net";

import { Code } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";

import {
  ClientClosed,
  connect,
  InvalidArgument,
  RunNotFound,
  Unavailable,
  type Client,
} from "../src/index.js";
import { collect, scripted } from "./fixtures.js";
import { refusal } from "./script.js";
import { freePort } from "./servers.js";

const TICK = { type: "tick" };
const CALLS: [string, (client: Client) => Promise<unknown>][] = [
  ["a call", (client) => client.run("r").append(TICK)],
  ["a listing", (client) => collect(client.listRuns())],
  ["a stream", (client) => collect(client.run("r").events({ follow: true }))],
  ["a stream of the feed", (client) => collect(client.feed.entries())],
  ["an append", async (client) => (await client.appender().append(client.run("r"), TICK)).answer()],
  ["an upload", (client) => client.artifacts.upload("r", "name", Uint8Array.of(1))],
  ["a download", (client) => client.artifacts.read({ runId: "r", name: "name" })],
  ["a health check", (client) => client.health()],
];

async function listening(server: Server): Promise<string> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test.each([
  "localhost",
  "localhost:",
  ":7411",
  "localhost:port",
  "localhost:0",
  "localhost:65536",
  "localhost:7411/",
  "local host:7411",
  "localhost:7411\n",
  "::1:7411",
  "a:1,b:2",
  "http://localhost:7411",
  "grpc://localhost:7411",
  "user@localhost:7411",
])("%j is no address", (target) => {
  expect(() => connect(target)).toThrow(InvalidArgument);
  expect(() => connect(target)).toThrow(/^target: must/);
});

test.each(["localhost:7411", "[::1]:7411", "a.b-c.svc.cluster.local:7411", "10.0.0.1:1"])(
  "%j is an address",
  (target) => {
    connect(target).close();
  },
);

describe("without a server", () => {
  test.each(CALLS)("%s is tried once and names its target", async (_, call) => {
    const target = `127.0.0.1:${await freePort()}`;
    using client = connect(target, { timeoutMs: 3_600_000 });

    const failed = call(client);

    await expect(failed).rejects.toThrow(Unavailable);
    await expect(failed).rejects.toThrow(
      `no server answers at ${target}, tried once: connect ECON`,
    );
  });

  test("what speaks no HTTP/2 is no server", async () => {
    const server = createServer((socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"));
    using client = connect(await listening(server), { timeoutMs: 3_600_000 });

    await expect(client.saveRun()).rejects.toThrow(/^UNAVAILABLE: no server answers at .* once: ./);
    server.close();
  });

  test("an absence that lasts is told of each call", async () => {
    using client = connect(`localhost:${await freePort()}`);

    await expect(client.saveRun()).rejects.toThrow("tried once: ");
    await expect(client.saveRun()).rejects.toThrow("tried once: ");
  });
});

scripted(
  "a proxy without a server behind it is tried again at the first call",
  async ({ script }) => {
    script.pages = [502, 503];
    using client = connect(script.target);

    await client.run("r").append(TICK);

    expect(script.appended).toHaveLength(1);
  },
);

scripted("a server that is lost later is named with the time it was tried", async ({ script }) => {
  using client = connect(script.target);
  await client.run("r").append(TICK);
  script.failures = Array.from({ length: 1000 }, () => "drop");

  const failed = client.run("r").append(TICK, { timeoutMs: 2000 });

  const said = `^UNAVAILABLE: dropped \\(${script.target}, tried for \\d+\\.\\d s\\)$`;
  await expect(failed).rejects.toThrow(new RegExp(said));
  expect(script.appended.length).toBeGreaterThan(1);
});

scripted("a refusal of the server stays as it is", async ({ script }) => {
  script.failures = [refusal(Code.NotFound, "RUN_NOT_FOUND")];
  using client = connect(script.target);

  const refused = client.run("r").append(TICK);

  await expect(refused).rejects.toThrow(RunNotFound);
  await expect(refused).rejects.toThrow(/^RUN_NOT_FOUND: run_not_found$/);
});

scripted.for(CALLS)("%s after the close says so", async ([, call], { script }) => {
  const client = connect(script.target);
  client.close();

  const failed = call(client);

  await expect(failed).rejects.toThrow(ClientClosed);
  await expect(failed).rejects.toThrow(/^CANCELLED: the client was closed$/);
});

scripted("an append in flight as the client closes says so", async ({ script }) => {
  script.appends = [() => "hang"];
  const client = connect(script.target);
  const appender = client.run("r").appender();
  const sent = await appender.append(TICK);
  await expect.poll(() => script.sent).toEqual([[sent.eventId]]);

  client.close();

  await expect(sent.answer()).rejects.toThrow(ClientClosed);
  await expect(appender.close()).rejects.toThrow(ClientClosed);
  await expect(appender.append(TICK)).rejects.toThrow(ClientClosed);
});
