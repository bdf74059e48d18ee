/** Configs against a real server: versions, labels, history. */

import { expect } from "vitest";

import {
  configDigest,
  ConfigLabelNotFound,
  ConfigNotFound,
  ConfigVersionNotFound,
  IdempotencyMismatch,
  InvalidRequest,
  LabelConflict,
  Payload,
} from "../src/index.js";
import { collect, test } from "./fixtures.js";

const NAME = ["prompt", "greeting"] as const;

test("a version comes back as it was registered", async ({ client }) => {
  const body = Payload.json('{"b": 1.0, "a": 12345678901234567890}', "application/x");

  const registered = await client.configs.register(...NAME, body, {
    description: "says hello",
    metadata: { reviewed: true },
    labels: ["staging", "production"],
    actor: "ann",
  });

  expect(registered).toMatchObject({ version: 1n, deduplicated: false });
  expect(registered.digest).toBe(configDigest(body));
  const { body: found, metadata, ...rest } = await client.configs.get(...NAME);
  expect(found?.equals(body)).toBe(true);
  expect(metadata?.json()).toEqual({ reviewed: true });
  expect(rest).toEqual({
    kind: "prompt",
    name: "greeting",
    version: 1n,
    digest: registered.digest,
    bodyBytes: body.bytes.length,
    description: "says hello",
    labels: ["production", "staging"],
    actor: "ann",
    createdAt: registered.createdAt,
  });
});

test("the same body is the same version, another kind of content another", async ({ client }) => {
  const bodies = ["x", Payload.json('"x"'), Uint8Array.of(34, 120, 34), null];

  const registered = [];
  for (const body of bodies) {
    registered.push(await client.configs.register(...NAME, body));
  }

  expect(registered.map(({ version }) => version)).toEqual([1n, 1n, 2n, 3n]);
  expect(registered.map(({ deduplicated }) => deduplicated)).toEqual([false, true, false, false]);
  expect(registered.map(({ digest }) => digest)).toEqual(bodies.map(configDigest));
});

test("a version is chosen by number, digest, label, or is the latest", async ({ client }) => {
  const { configs } = client;
  const { digest } = await configs.register(...NAME, 1, { labels: ["old"] });
  await configs.register(...NAME, 2);

  const found = await Promise.all([
    configs.get(...NAME, { version: 1 }),
    configs.get(...NAME, { digest }),
    configs.get(...NAME, { label: "old" }),
    configs.get(...NAME),
  ]);

  expect(found.map(({ version }) => version)).toEqual([1n, 1n, 1n, 2n]);
  expect(found.map(({ body }) => body?.json())).toEqual([1, 1, 1, 2]);
  await expect(configs.get(...NAME, { version: 1, label: "old" })).rejects.toThrow(TypeError);
  await expect(configs.get(...NAME, { version: 3n })).rejects.toThrow(ConfigVersionNotFound);
  await expect(configs.get(...NAME, { label: "new" })).rejects.toThrow(ConfigLabelNotFound);
  await expect(configs.get("prompt", "nobody")).rejects.toThrow(ConfigNotFound);
});

test("configs and versions are listed over pages", async ({ client }) => {
  const { configs } = client;
  for (let n = 1; n <= 101; n += 1) {
    await configs.register("tool", "hammer", n);
  }
  await configs.register("prompt", "greeting", 1, { labels: ["production"], actor: "ann" });
  await configs.register("prompt", "farewell", 1);

  const versions = await collect(configs.versions("tool", "hammer"));
  const all = await collect(configs.list());
  const prompts = await collect(configs.list({ kind: "prompt", namePrefix: "gre" }));

  expect(versions.map(({ version }) => Number(version))).toEqual(
    Array.from({ length: 101 }, (_, index) => 101 - index),
  );
  expect(versions.every(({ body, bodyBytes }) => body === undefined && bodyBytes > 0)).toBe(true);
  expect(all.map(({ name }) => name)).toEqual(["farewell", "greeting", "hammer"]);
  expect(prompts).toMatchObject([
    { kind: "prompt", latest: { version: 1n }, labels: [{ label: "production", version: 1n }] },
  ]);
  expect(prompts[0]?.labels[0]?.actor).toBe("ann");
});

test("a label moves, and its history says who moved it", async ({ client }) => {
  const { configs } = client;
  await configs.register(...NAME, 1);
  await configs.register(...NAME, 2);

  const set = await configs.setLabel(...NAME, "production", 1, { expectedVersion: 0, actor: "a" });
  const moved = await configs.setLabel(...NAME, "production", 2n, { expectedVersion: 1n });
  const stayed = await configs.setLabel(...NAME, "production", 2);
  const removed = await configs.removeLabel(...NAME, "production", { actor: "b" });
  const nothing = await configs.removeLabel(...NAME, "production");

  const shown = [set, moved, stayed, removed, nothing].map((each) => [
    each.fromVersion,
    each.toVersion,
  ]);
  expect(shown).toEqual([
    [0n, 1n],
    [1n, 2n],
    [2n, 2n],
    [2n, 0n],
    [0n, 0n],
  ]);
  expect(nothing.movedAt).toBeUndefined();
  await configs.setLabel(...NAME, "staging", 1);
  const history = await collect(configs.labelMoves(...NAME, { label: "production" }));
  expect(history).toEqual([removed, moved, set]);
  expect(await collect(configs.labelMoves(...NAME))).toHaveLength(4);
});

test("a move that lost a race is refused, and says where the label is", async ({ client }) => {
  const { configs } = client;
  await configs.register(...NAME, 1, { labels: ["production"] });
  await configs.register(...NAME, 2);

  const late = configs.setLabel(...NAME, "production", 2, { expectedVersion: 0 });

  await expect(late).rejects.toThrow(LabelConflict);
  await expect(late).rejects.toMatchObject({ currentVersion: 1 });
  const gone = configs.removeLabel(...NAME, "production", { expectedVersion: 2 });
  await expect(gone).rejects.toThrow(LabelConflict);
  await expect(configs.setLabel(...NAME, "x", 3)).rejects.toThrow(ConfigVersionNotFound);
  await expect(configs.setLabel(...NAME, "x", 0)).rejects.toThrow(InvalidRequest);
});

test("a move repeated by its request id does not move the label back", async ({ client }) => {
  const { configs } = client;
  await configs.register(...NAME, 1);
  await configs.register(...NAME, 2);
  const first = await configs.setLabel(...NAME, "production", 1, { requestId: "r" });
  await configs.setLabel(...NAME, "production", 2);

  const again = await configs.setLabel(...NAME, "production", 1, { requestId: "r" });

  expect(again).toEqual(first);
  expect((await configs.get(...NAME, { label: "production" })).version).toBe(2n);
  const other = configs.setLabel(...NAME, "production", 2, { requestId: "r" });
  await expect(other).rejects.toThrow(IdempotencyMismatch);
});

test("a run is pinned to what a label points to, and is found by it", async ({ client }) => {
  const { configs } = client;
  const { digest } = await configs.register(...NAME, 1, { labels: ["production"] });
  const [kind, name] = NAME;
  const run = await client.saveRun({ configRefs: [{ kind, name, label: "production" }] });

  await configs.register(...NAME, 2, { labels: ["production"] });

  expect((await run.get()).configRefs).toEqual([{ kind, name, version: 1n, digest }]);
  const found = await collect(client.listRuns({ config: { kind, name, version: 1n } }));
  expect(found.map(({ runId }) => runId)).toEqual([run.runId]);
});

test("the digest is that of the documentation", () => {
  expect(configDigest({ a: 1 })).toBe(
    "sha256:a9ec02551ac54617cea2470f2b3af820a4075ff9bafafc587048f868882e5e05",
  );
});
