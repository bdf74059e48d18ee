/**
 * Every example of the documentation works, in a process of its own and from the built package.
 *
 * It has to satisfy the compiler with the package's types as an application sees them, and to print
 * what is expected of it here. A block that is not expected to print anything fails.
 */

import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";

import { Client, type Run } from "../src/index.js";
import * as errors from "../src/transport/errors.js";

const execute = promisify(execFile);
const HERE = fileURLToPath(new URL("..", import.meta.url));
const TSC = join(HERE, "node_modules", "typescript", "bin", "tsc");
const readme = await readFile(join(HERE, "README.md"), "utf8");
const guide = await readFile(join(HERE, "..", "..", "docs", "typescript.md"), "utf8");

// Every fence that is not shell is taken for an example, so that none can hide behind a name.
const FENCE = /^ *(```+|~~~+)(.*)\n([^]*?)^ *\1 *$/gm;
const SHELL = "sh";

/** What the examples print, a list of lines for each block, in the order of the document. */
const EXPECTED: Record<string, { text: string; lines: (string | RegExp)[][] }> = {
  "clients/typescript/README.md": {
    text: readme,
    lines: [
      ["left to do: write", "the run is at 2", "1 tool.called", "2 run.resumed", "3 run.completed"],
      ["recorded at 1001"],
      ["then: tool.called", "maps 1 0 0n", "search 2 1 40n"],
      ["pinned to 1n", "production is at 2", "moved from 1n to 2n ann", "moved from 0n to 1n "],
      [
        /^1 9n [0-9a-f]{64}$/,
        "row 1",
        "# Report",
        "",
        "corpus https://example.org/corpus.parquet",
        "rows.txt 18n",
        "report.md 9n",
      ],
      [
        "dashboard reader@acme/*",
        "2 RevokeToken OK",
        "1 CreateToken OK",
        "nobody changed the records",
      ],
      ["experiments 30 days"],
    ],
  },
  "docs/typescript.md": {
    text: guide,
    lines: [["asked 1", "asked 1", "3 of 3"]],
  },
};

function examples(text: string): string[] {
  return [...text.matchAll(FENCE)]
    .filter(([, , language]) => language?.trim() !== SHELL)
    .map(([, , , code = ""]) => code);
}

let folder = "";

/** A project with the package as it is built now, and with the examples as they are compiled. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "runstore-examples-"));
  const installed = join(folder, "node_modules", "@runstore", "client");
  await mkdir(installed, { recursive: true });
  const project = ["--project", join(HERE, "tsconfig.build.json")];
  await execute(process.execPath, [TSC, ...project, "--outDir", join(installed, "dist")], {
    cwd: HERE,
  });
  await cp(join(HERE, "package.json"), join(installed, "package.json"));
  for (const scope of ["@bufbuild", "@connectrpc", "@types", "undici-types"]) {
    await symlink(join(HERE, "node_modules", scope), join(folder, "node_modules", scope));
  }
  await writeFile(join(folder, "package.json"), '{"type": "module"}');
  await writeFile(
    join(folder, "tsconfig.json"),
    JSON.stringify({
      compilerOptions: {
        target: "ES2022",
        lib: ["ES2024", "ESNext.Disposable"],
        module: "NodeNext",
        strict: true,
        exactOptionalPropertyTypes: true,
        noUncheckedIndexedAccess: true,
        noUnusedLocals: true,
        skipLibCheck: true,
        types: ["node"],
        outDir: "built",
        noEmitOnError: true,
      },
    }),
  );
  for (const [path, { text }] of Object.entries(EXPECTED)) {
    for (const [n, example] of examples(text).entries()) {
      const own = example.replaceAll('"localhost:7411"', `"${inject("target")}"`);
      const name = named(path, n);
      await writeFile(join(folder, `${name}.ts`), own.replaceAll("acme/search", name));
    }
  }
  await execute(process.execPath, [TSC], { cwd: folder }).catch((error: unknown) => {
    throw new Error(`the compiler says:\n${(error as { stdout: string }).stdout}`);
  });
});

afterAll(async () => {
  await rm(folder, { recursive: true });
});

/** An example's name, which is its project's too. */
function named(path: string, n: number): string {
  return `${path.replaceAll(/\W/g, "-")}-${n}`;
}

/** What an example prints. */
async function printed(name: string): Promise<string[]> {
  const script = join(folder, "built", `${name}.js`);
  const { stdout } = await execute(process.execPath, [script], { timeout: 100_000 });
  return stdout.replace(/\n$/, "").split("\n");
}

describe.each(Object.entries(EXPECTED))("%s", (path, { text, lines }) => {
  test("has as many examples as are executed", () => {
    expect(examples(text)).toHaveLength(lines.length);
  });

  test.each(Array.from(lines.entries()))("example %i does what it says", async (n, expected) => {
    const found = await printed(named(path, n));

    expect(found).toEqual(
      expected.map((line): unknown =>
        typeof line === "string" ? line : (expect.stringMatching(line) as unknown),
      ),
    );
  });
});

test("every method and class that the README names exists", () => {
  const run: Record<keyof Run, unknown> = new Client().run("r");
  const client = new Client();
  const tables = readme.slice(readme.indexOf("## Overview"), readme.indexOf("Every method"));
  const names = [...tables.matchAll(/`(\w+)\(?/g)].map(([, name = ""]) => name);

  expect(names.length).toBeGreaterThan(20);
  expect(names.filter((name) => !(name in run) && !(name in client))).toEqual(["completion"]);
  for (const name of ["RunNotFound", "SeqConflict", "WriterFenced", "ProtocolError"]) {
    expect(readme).toContain(name);
    expect(errors).toHaveProperty(name);
  }
});
