/** Exports of runs against a real server. */

import { expect } from "vitest";

import { RunNotFound } from "../src/index.js";
import { collect, test } from "./fixtures.js";

test("an export is a tar file that has the run, its artifacts and a manifest", async ({
  client,
}) => {
  const run = await client.saveRun({});
  await run.append({ type: "tick" });
  const content = Buffer.alloc(1 << 20, "noise");
  await client.artifacts.upload(run.runId, "a", content);

  const archive = Buffer.concat(await collect(run.export()));

  expect(archive.length % 512).toBe(0);
  expect(archive.toString("utf8", 0, 21)).toBe("chain-000001.jsonl.gz");
  expect(archive.includes(content)).toBe(true);
  expect(archive.includes("manifest.json")).toBe(true);
});

test("an export of an unknown run is refused, and an aborted one ends", async ({ client }) => {
  const run = await client.saveRun({});
  const reason = new Error("enough");

  await expect(collect(client.run("unknown").export())).rejects.toThrow(RunNotFound);
  await expect(collect(run.export({ signal: AbortSignal.abort(reason) }))).rejects.toBe(reason);
});
