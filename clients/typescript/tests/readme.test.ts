/** What the README shows works, in a process of its own and from the built package. */

import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import ts from "typescript";
import { afterAll, beforeAll, expect, inject, test } from "vitest";

import * as errors from "../src/errors.js";
import { Client, type Run } from "../src/index.js";

const HERE = fileURLToPath(new URL("..", import.meta.url));
const readme = await readFile(join(HERE, "README.md"), "utf8");
const examples = [...readme.matchAll(/```ts\n(.*?)```/gs)].map(([, code = ""]) => code);

let folder = "";

/** An empty project with the package as it is built now. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "runstore-readme-"));
  const installed = join(folder, "node_modules", "@runstore", "client");
  await mkdir(installed, { recursive: true });
  await promisify(execFile)(
    process.execPath,
    [
      join(HERE, "node_modules", "typescript", "bin", "tsc"),
      ...["--project", join(HERE, "tsconfig.build.json"), "--outDir", join(installed, "dist")],
    ],
    { cwd: HERE },
  );
  await cp(join(HERE, "package.json"), join(installed, "package.json"));
  for (const scope of ["@bufbuild", "@connectrpc"]) {
    await symlink(join(HERE, "node_modules", scope), join(folder, "node_modules", scope));
  }
});

afterAll(async () => {
  await rm(folder, { recursive: true });
});

/** What an example prints. */
async function printed(example: string): Promise<string[]> {
  const code = example.replace("localhost:7411", inject("target"));
  const { outputText } = ts.transpileModule(code, {
    compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext },
  });
  const script = join(folder, "example.mjs");
  await writeFile(script, outputText);
  const { stdout } = await promisify(execFile)(process.execPath, [script], { timeout: 30_000 });
  return stdout.trim().split("\n");
}

test("the quick start does what it says", async () => {
  expect(await printed(examples[0] ?? "")).toEqual([
    "left to do: write",
    "the run is at 2",
    "1 tool.called",
    "2 run.resumed",
    "3 run.completed",
  ]);
});

test("pipelined appends do what is said of them", async () => {
  expect(await printed(examples[1] ?? "")).toEqual(["recorded at 1001"]);
  expect(examples).toHaveLength(2);
});

test("every method and class it names exists", () => {
  const run: Record<keyof Run, unknown> = new Client().run("r");
  const client = new Client();
  const tables = readme.slice(readme.indexOf("## What there is"), readme.indexOf("Every method"));
  const names = [...tables.matchAll(/`(\w+)\(?/g)].map(([, name = ""]) => name);

  expect(names.length).toBeGreaterThan(20);
  expect(names.filter((name) => !(name in run) && !(name in client))).toEqual(["completion"]);
  for (const name of ["RunNotFound", "SeqConflict", "WriterFenced", "ProtocolError"]) {
    expect(readme).toContain(name);
    expect(errors).toHaveProperty(name);
  }
});
