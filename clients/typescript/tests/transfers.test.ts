/** Uploads and downloads that are cut, refused and tampered with by a scripted server. */

import { Code } from "@connectrpc/connect";
import { expect } from "vitest";

import {
  ClientClosed,
  connect,
  MessageTooLarge,
  Overloaded,
  ProtocolError,
  Unavailable,
  type Data,
  type DownloadOptions,
} from "../src/index.js";
import { scripted as test } from "./fixtures.js";
import { Proxy } from "./proxy.js";
import { chunk, described, refusal, type Downloaded, type Script } from "./script.js";

const DATA = Uint8Array.of(1, 2, 3, 4, 5, 6);
const [HEAD, TAIL] = [DATA.subarray(0, 2), DATA.subarray(2)];

async function read(script: Script, options: DownloadOptions = {}): Promise<Uint8Array> {
  using client = connect(script.target);
  return await client.artifacts.read({ runId: "run", name: "a", ...options });
}

async function upload(script: Script, data: Data, options = {}) {
  using client = connect(script.target);
  return await client.artifacts.upload("run", "a", data, options);
}

test("a download that broke goes on behind the bytes received, in the same version", async ({
  script,
}) => {
  script.downloads = [
    ["drop"],
    [described(DATA, "first"), chunk(HEAD), "drop"],
    [described(DATA, "first"), "drop"],
    [described(DATA, "first"), chunk(TAIL.subarray(0, 1)), "drop"],
    [described(DATA, "first"), chunk(TAIL.subarray(1))],
  ];

  expect(await read(script)).toEqual(DATA);
  const asked = script.wanted.map((each) => [each.artifactId, each.name, each.offset]);
  expect(asked).toEqual([
    ["", "a", 0n],
    ["", "a", 0n],
    ["first", "", 2n],
    ["first", "", 2n],
    ["first", "", 3n],
  ]);
  expect(script.wanted.map(({ length }) => length)).toEqual([0n, 0n, 4n, 4n, 3n]);
});

test("a download whose connection is lost is whole, wherever that was", async ({ script }) => {
  // What was on its way when the connection was lost may or may not have arrived.
  const data = new Uint8Array(1 << 20).map((_, n) => n % 251);
  const from = ({ offset }: { offset: bigint }) => data.subarray(Number(offset));
  script.downloads = [
    ...Array.from({ length: 10 }, (_, n) => (asked: { offset: bigint }) => [
      described(data),
      chunk(from(asked).subarray(0, n * 10_000)),
      chunk(from(asked).subarray(n * 10_000, n * 20_000)),
      "cut" as const,
    ]),
    (asked) => [described(data), chunk(from(asked))],
  ];

  const found = await read(script);

  expect(Buffer.compare(found, data)).toBe(0);
  expect(script.wanted).toHaveLength(11);
});

test("a download that broke behind its last byte is whole", async ({ script }) => {
  script.downloads = [[described(DATA), chunk(DATA), "drop"]];

  expect(await read(script)).toEqual(DATA);
  expect(script.wanted).toHaveLength(1);
});

test("a range that broke goes on up to its own end", async ({ script }) => {
  script.downloads = [
    [described(DATA), chunk(DATA.subarray(1, 2)), "drop"],
    [described(DATA), chunk(DATA.subarray(2, 4))],
  ];

  expect(await read(script, { offset: 1, length: 3 })).toEqual(Uint8Array.of(2, 3, 4));
  expect(script.wanted.map(({ offset, length }) => [offset, length])).toEqual([
    [1n, 3n],
    [2n, 2n],
  ]);
});

test("bytes that are not the artifact's are never taken for it", async ({ script }) => {
  script.downloads = [[described(DATA), chunk(HEAD), chunk(Uint8Array.of(3, 4, 5, 7))]];
  using client = connect(script.target);
  const seen: Uint8Array[] = [];

  const reading = (async () => {
    for await (const each of client.artifacts.download({ artifactId: "a" })) {
      seen.push(each);
    }
  })();

  await expect(reading).rejects.toThrow(ProtocolError);
  await expect(reading).rejects.toThrow("do not match the artifact's SHA-256");
  expect(seen).toEqual([HEAD]);
});

test("an empty artifact is checked too", async ({ script }) => {
  const none = described(new Uint8Array());
  const wrong = described(DATA);
  (wrong.message as { value: { size: bigint } }).value.size = 0n;
  script.downloads = [[none], [wrong]];

  expect(await read(script)).toHaveLength(0);
  await expect(read(script)).rejects.toThrow("do not match the artifact's SHA-256");
});

test.for<[string, Downloaded[], string]>([
  ["ends early", [described(DATA), chunk(HEAD)], "4 bytes early"],
  ["sends too much", [described(HEAD), chunk(DATA)], "not requested"],
  ["sends bytes of nothing", [chunk(DATA)], "not requested"],
])("a server that %s breaks its contract", async ([, messages, problem], { script }) => {
  script.downloads = [messages];

  const reading = read(script);

  await expect(reading).rejects.toThrow(ProtocolError);
  await expect(reading).rejects.toThrow(problem);
});

test("a download's patience ends, and is renewed by every message", async ({ script }) => {
  const bits = Array.from(DATA, (_, n) => chunk(DATA.subarray(n, n + 1)));
  script.downloads = bits.map((bit) => [described(DATA), bit, "drop"]);
  expect(await read(script, { patienceMs: 100 })).toEqual(DATA);
  script.wanted.length = 0;
  script.downloads = Array.from({ length: 100 }, () => ["drop"] as ["drop"]);

  await expect(read(script, { patienceMs: 200 })).rejects.toThrow(Unavailable);
});

test.for(["drop", "cut"] as const)(
  "an upload of bytes that met a %s is sent again from the beginning",
  async (mishap, { script }) => {
    script.uploadFailures = [mishap, mishap];
    const data = new Uint8Array(3 << 20);

    const { artifact } = await upload(script, data);

    expect(artifact.size).toBe(BigInt(data.length));
    expect(script.uploads).toEqual([1 << 20, 1 << 20, 3 << 20]);
  },
);

test.for(["drop", "cut"] as const)(
  "an upload of chunks that met a %s is not tried again",
  async (mishap, { script }) => {
    script.uploadFailures = [mishap];

    await expect(upload(script, [HEAD, TAIL])).rejects.toThrow(Unavailable);
    expect(script.uploads).toHaveLength(1);
  },
);

test("a refused upload is not tried again, one of an overloaded server is", async ({ script }) => {
  const overloaded = refusal(Code.ResourceExhausted, "OVERLOADED");
  script.uploadFailures = [overloaded, refusal(Code.InvalidArgument, "CONTENT_MISMATCH")];

  await expect(upload(script, DATA)).rejects.toMatchObject({ name: "ContentMismatch" });
  expect(script.uploads).toHaveLength(2);
});

test("an upload's patience ends", async ({ script }) => {
  const overloaded = refusal(Code.ResourceExhausted, "OVERLOADED");
  script.uploadFailures = Array.from({ length: 100 }, () => overloaded);

  await expect(upload(script, DATA, { patienceMs: 200 })).rejects.toThrow(Overloaded);
  expect(script.uploads.length).toBeGreaterThan(1);
});

test("an abort ends an upload, between two tries too", async ({ script }) => {
  script.uploadFailures = ["hang"];
  const giveUp = new AbortController();
  const uploading = upload(script, DATA, { signal: giveUp.signal });
  await expect.poll(() => script.uploads).toEqual([DATA.length]);

  giveUp.abort(new Error("enough"));

  await expect(uploading).rejects.toThrow("enough");
  script.uploadFailures = Array.from({ length: 1000 }, () => "drop");
  const signal = AbortSignal.timeout(200);
  const waiting = upload(script, DATA, { signal, patienceMs: 600_000 });
  await expect(waiting).rejects.toMatchObject({ name: "TimeoutError" });
});

test("a closed client does not send an upload again", async ({ script }) => {
  script.uploadFailures = ["hang"];
  const client = connect(script.target);
  const uploading = client.artifacts.upload("run", "a", DATA);
  await expect.poll(() => script.uploads).toEqual([DATA.length]);

  client.close();

  await expect(uploading).rejects.toThrow(ClientClosed);
  expect(script.uploads).toHaveLength(1);
});

test("an upload that a proxy refuses for its size is not sent again", async ({ script }) => {
  script.pages = [413, 413];

  await expect(upload(script, DATA)).rejects.toThrow(MessageTooLarge);
  expect(script.pages).toEqual([413]);
});

test("an upload over a connection that died is sent over another", async ({ script }) => {
  const proxy = await Proxy.started(script.target);
  script.uploadFailures = ["hang"];
  const keepalive = { intervalMs: 300, timeoutMs: 2000 };
  using client = connect(proxy.target, { keepalive });
  const uploading = client.artifacts.upload("run", "a", DATA);
  await expect.poll(() => script.uploads).toEqual([DATA.length]);

  proxy.freeze();

  expect((await uploading).artifact.size).toBe(BigInt(DATA.length));
  expect(proxy.connections).toBe(2);
  proxy.stop();
});

test("text without a UTF-8 form is refused in a header too", async ({ script }) => {
  using client = connect(script.target);

  const uploading = client.artifacts.upload("run\ud800", "a", DATA);

  await expect(uploading).rejects.toThrow(TypeError);
  expect(() => client.artifacts.download({ name: "\udc00" })).toThrow(TypeError);
  expect(script.uploads).toEqual([]);
});
