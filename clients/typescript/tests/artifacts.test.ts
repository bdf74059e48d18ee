/** Artifacts against a real server. */

import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

import { expect, inject } from "vitest";

import {
  ArtifactIsLink,
  ArtifactNotFound,
  connect,
  ContentMismatch,
  InvalidRequest,
  RangeBeyondEnd,
  RunNotFound,
  type Data,
} from "../src/index.js";
import { collect, test } from "./fixtures.js";
import { Proxy } from "./proxy.js";
import { ServerProcess } from "./servers.js";

const MIB = 1 << 20;

function bytesOf(size: number): Uint8Array {
  return Uint8Array.from(randomBytes(size));
}

function sha256(bytes: Uint8Array): Uint8Array {
  return Uint8Array.from(createHash("sha256").update(bytes).digest());
}

async function* chunked(...chunks: Uint8Array[]): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) {
    await Promise.resolve();
    yield chunk;
  }
}

function same(left: Uint8Array, right: Uint8Array): boolean {
  return Buffer.compare(left, right) === 0;
}

test("bytes, files and chunks go up and come down", async ({ client }) => {
  const { runId } = await client.saveRun();
  const data = bytesOf(9 * MIB + 1);
  const folder = await mkdtemp(join(tmpdir(), "runstore-artifacts-"));
  const path = join(folder, "a file");
  await writeFile(path, data);
  const given: Data[] = [
    data,
    pathToFileURL(path),
    chunked(data.subarray(0, 3 * MIB), new Uint8Array(), data.subarray(3 * MIB)),
    [data.subarray(0, 1), data.subarray(1)],
  ];

  for (const [n, each] of given.entries()) {
    const { artifact, deduplicated } = await client.artifacts.upload(runId, `n${n}`, each, {
      type: "blob",
      contentType: "x/y",
      metadata: { n },
      actor: "ann",
    });
    const { metadata, ...rest } = artifact;
    expect(deduplicated).toBe(false);
    expect(metadata?.json()).toEqual({ n });
    expect(rest).toMatchObject({
      runId,
      version: 1,
      size: BigInt(data.length),
      sha256: sha256(data),
    });
    expect(rest).toMatchObject({ type: "blob", contentType: "x/y", actor: "ann", url: "" });
    expect(await client.artifacts.get({ runId, name: `n${n}` })).toEqual(artifact);
    const { artifactId } = artifact;
    expect(same(await client.artifacts.read({ artifactId }), data)).toBe(true);
  }
  await rm(folder, { recursive: true });
});

test("nothing is an artifact too", async ({ client }) => {
  const { runId } = await client.saveRun();

  const { artifact } = await client.artifacts.upload(runId, "none", new Uint8Array());

  expect(artifact).toMatchObject({ size: 0n, sha256: sha256(new Uint8Array()) });
  expect(await client.artifacts.read({ runId, name: "none" })).toEqual(new Uint8Array());
});

test("a range is what was asked for, in chunks and in one", async ({ client }) => {
  const { runId } = await client.saveRun();
  const data = bytesOf(3 * MIB);
  await client.artifacts.upload(runId, "a", data);
  const ranges = [
    [5, 7],
    [MIB - 1, MIB + 2],
    [3 * MIB - 1, 1],
    [MIB, 0],
  ] as const;

  for (const [offset, length] of ranges) {
    const options = { runId, name: "a", offset, length };
    const expected = data.subarray(offset, length ? offset + length : undefined);
    expect(same(await client.artifacts.read(options), expected)).toBe(true);
    const chunks = await collect(client.artifacts.download(options));
    expect(same(Buffer.concat(chunks), expected)).toBe(true);
  }
});

test("a name has versions, the same content again is the newest", async ({ client }) => {
  const { runId } = await client.saveRun();
  const [one, two] = [Uint8Array.of(1), Uint8Array.of(2)];
  const { artifact: first } = await client.artifacts.upload(runId, "a", one);
  const { artifact: second } = await client.artifacts.upload(runId, "a", two);

  const again = await client.artifacts.upload(runId, "a", two);

  expect([first.version, second.version]).toEqual([1, 2]);
  expect(again).toEqual({ artifact: second, deduplicated: true });
  expect(await client.artifacts.read({ runId, name: "a" })).toEqual(two);
  expect(await client.artifacts.read({ runId, name: "a", version: 1 })).toEqual(one);
});

test("what is stored is answered at once, while the client still sends", async ({ client }) => {
  const { runId } = await client.saveRun();
  const data = bytesOf(20 * MIB);
  const { artifact } = await client.artifacts.upload(runId, "a", data);

  // More often than what was left unsent would fit into the memory of one connection.
  for (let time = 0; time < 60; time += 1) {
    const again = await client.artifacts.upload(runId, "a", data);
    expect(again).toEqual({ artifact, deduplicated: true });
  }
  expect(await client.health()).toBe(true);
});

test("chunks are not asked for once the answer is there", async ({ client }) => {
  const { runId } = await client.saveRun();
  const data = bytesOf(MIB);
  const { artifact } = await client.artifacts.upload(runId, "a", data);
  let isClosed = false;
  async function* endless(): AsyncGenerator<Uint8Array> {
    try {
      for (;;) {
        await new Promise((resolve) => setTimeout(resolve, 5));
        yield data;
      }
    } finally {
      isClosed = true;
    }
  }

  const again = await client.artifacts.upload(runId, "a", endless(), { sha256: sha256(data) });

  expect(again).toEqual({ artifact, deduplicated: true });
  await expect.poll(() => isClosed).toBe(true);
});

test("the answer comes though the source never says another word", async ({ client }) => {
  const { runId } = await client.saveRun();
  const data = bytesOf(10);
  const { artifact } = await client.artifacts.upload(runId, "a", data);
  const silent: AsyncIterable<Uint8Array> = {
    [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => undefined) }),
  };

  const again = await client.artifacts.upload(runId, "a", silent, { sha256: sha256(data) });

  expect(again).toEqual({ artifact, deduplicated: true });
});

test("other bytes than announced are refused and leave nothing", async ({ client }) => {
  const { runId } = await client.saveRun();
  const data = bytesOf(10);
  const put = (options: object) => client.artifacts.upload(runId, "a", chunked(data), options);

  await expect(put({ sha256: sha256(bytesOf(10)) })).rejects.toThrow(ContentMismatch);
  await expect(put({ size: 9 })).rejects.toThrow(ContentMismatch);
  await expect(put({ size: 11n })).rejects.toMatchObject({ metadata: { what: "size" } });
  expect(await collect(client.artifacts.list({ runId }))).toEqual([]);
});

test("a refusal comes through though bytes are on their way", async ({ client }) => {
  const data = bytesOf(20 * MIB);

  for (let time = 0; time < 10; time += 1) {
    const nobody = client.artifacts.upload("nobody", "a", data);
    await expect(nobody).rejects.toThrow(RunNotFound);
    const nameless = client.artifacts.upload("nobody", "", chunked(data));
    await expect(nameless).rejects.toThrow(InvalidRequest);
  }
});

test("a source that fails ends the upload with its failure", async ({ client }) => {
  const { runId } = await client.saveRun();
  async function* failing(): AsyncGenerator<Uint8Array> {
    yield* chunked(bytesOf(MIB));
    throw new Error("no more");
  }

  await expect(client.artifacts.upload(runId, "a", failing())).rejects.toThrow("no more");
  await expect(client.artifacts.upload(runId, "a", "text" as never)).rejects.toThrow(TypeError);
  const missing = pathToFileURL("/nowhere/at-all");
  await expect(client.artifacts.upload(runId, "a", missing)).rejects.toMatchObject({
    code: "ENOENT",
  });
  expect(await collect(client.artifacts.list({ runId }))).toEqual([]);
});

test("an upload that is cut is never taken for complete", async ({ client }) => {
  const { runId } = await client.saveRun();
  async function* cut(pieces: number): AsyncGenerator<Uint8Array> {
    for (let piece = 0; piece < pieces; piece += 1) {
      yield await Promise.resolve(bytesOf(1000));
    }
    throw new Error("no more");
  }

  // Node ended a stream that was reset, now and then: once in thirty tries.
  for (let attempt = 0; attempt < 200; attempt += 1) {
    const upload = client.artifacts.upload(runId, `${attempt}`, cut(attempt % 3));
    await expect(upload).rejects.toThrow("no more");
  }

  expect(await collect(client.artifacts.list({ runId }))).toEqual([]);
});

test("an upload that is given up leaves nothing and closes its source", async ({ client }) => {
  const { runId } = await client.saveRun();
  const giveUp = new AbortController();
  let isClosed = false;
  async function* endless(): AsyncGenerator<Uint8Array> {
    try {
      for (let n = 0; ; n += 1) {
        yield await Promise.resolve(bytesOf(MIB));
        if (n === 3) {
          giveUp.abort(new Error("enough"));
        }
      }
    } finally {
      isClosed = true;
    }
  }

  const { signal } = giveUp;
  const uploading = client.artifacts.upload(runId, "a", endless(), { signal });

  await expect(uploading).rejects.toThrow("enough");
  await expect.poll(() => isClosed).toBe(true);
  expect(await collect(client.artifacts.list({ runId }))).toEqual([]);
});

test("a download may be left, or given up", async ({ client }) => {
  const { runId } = await client.saveRun();
  await client.artifacts.upload(runId, "a", bytesOf(9 * MIB));
  const giveUp = new AbortController();

  for await (const chunk of client.artifacts.download({ runId, name: "a" })) {
    expect(chunk.length).toBeGreaterThan(0);
    break;
  }
  const { signal } = giveUp;
  const reading = (async () => {
    for await (const chunk of client.artifacts.download({ runId, name: "a", signal })) {
      giveUp.abort(new Error(`enough after ${chunk.length > 0}`));
    }
  })();

  await expect(reading).rejects.toThrow("enough after true");
});

test("links are recorded and not followed", async ({ client }) => {
  const { runId } = await client.saveRun();
  const url = "https://example.org/corpus.parquet";

  const { artifact, deduplicated } = await client.artifacts.link(runId, "corpus", url, {
    type: "dataset",
    size: 2n ** 53n + 1n,
    sha256: new Uint8Array(32),
  });
  const bare = await client.artifacts.link(runId, "bare", url);

  expect(deduplicated).toBe(false);
  expect(artifact).toMatchObject({ url, type: "dataset", size: 2n ** 53n + 1n, version: 1 });
  expect(bare.artifact).toMatchObject({ size: undefined, sha256: new Uint8Array() });
  expect((await client.artifacts.link(runId, "bare", url)).deduplicated).toBe(true);
  const reading = client.artifacts.read({ runId, name: "corpus" });
  await expect(reading).rejects.toThrow(ArtifactIsLink);
  await expect(reading).rejects.toMatchObject({ url });
});

test("artifacts are listed over pages, newest first", async ({ client }) => {
  const first = await client.saveRun();
  const second = await client.saveRun();
  for (let n = 0; n < 101; n += 1) {
    await client.artifacts.link(first.runId, `n${n}`, "https://example.org/", { type: "page" });
  }
  await client.artifacts.upload(second.runId, "a", Uint8Array.of(1));
  await client.artifacts.upload(second.runId, "a", Uint8Array.of(2));
  const names = async (filter: Parameters<typeof client.artifacts.list>[0]) =>
    (await collect(client.artifacts.list(filter))).map(({ name, version }) => `${name}.${version}`);

  const all = await names({});

  expect(all).toHaveLength(103);
  expect(all.slice(0, 3)).toEqual(["a.2", "a.1", "n100.1"]);
  expect(await names({ runId: second.runId })).toEqual(["a.2", "a.1"]);
  expect(await names({ name: "n7" })).toEqual(["n7.1"]);
  expect(await names({ type: "page" })).toHaveLength(101);
  await expect(names({ runId: "nobody" })).rejects.toThrow(RunNotFound);
});

test("what is not there is refused", async ({ client }) => {
  const { runId } = await client.saveRun();
  await client.artifacts.upload(runId, "a", Uint8Array.of(1));
  const { artifacts } = client;

  await expect(artifacts.read({ runId, name: "b" })).rejects.toThrow(ArtifactNotFound);
  await expect(artifacts.get({ runId, name: "a", version: 2 })).rejects.toThrow(ArtifactNotFound);
  const beyond = artifacts.read({ runId, name: "a", offset: 1, length: 1 });
  await expect(beyond).rejects.toThrow(RangeBeyondEnd);
  await expect(artifacts.get({})).rejects.toThrow(InvalidRequest);
  await expect(artifacts.link(runId, "a", "http://é x")).rejects.toThrow(InvalidRequest);
});

test(
  "bytes go up and come down over servers that are killed",
  { timeout: 1_800_000 },
  async ({ project }) => {
    const server = await ServerProcess.started(inject("settings"));
    const proxy = await Proxy.started(server.target);
    using client = connect(proxy.target, { project, timeoutMs: 300_000 });
    const patienceMs = 300_000;
    const { runId } = await client.saveRun();
    const data = bytesOf(64 * MIB);

    const uploading = client.artifacts.upload(runId, "a", data, { patienceMs });
    await proxy.untilPassed(8 * MIB);
    await server.restart("SIGKILL");
    const { artifact } = await uploading;
    const chunks: Uint8Array[] = [];
    for await (const chunk of client.artifacts.download({ runId, name: "a", patienceMs })) {
      chunks.push(chunk);
      if (chunks.length === 5 || chunks.length === 20 || chunks.length === 30) {
        await server.restart(chunks.length === 20 ? "SIGTERM" : "SIGKILL");
      }
    }

    expect(artifact).toMatchObject({ version: 1, size: BigInt(data.length), sha256: sha256(data) });
    expect(same(Buffer.concat(chunks), data)).toBe(true);
    proxy.stop();
    await server.stop();
  },
);
