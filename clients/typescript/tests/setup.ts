/** One database and one server for all tests. */

import { spawn } from "node:child_process";
import { once } from "node:events";

import type { TestProject } from "vitest/node";

import { connect } from "../src/index.js";
import { firstLine, PYTHON, ROOT, ServerProcess, type Settings } from "./servers.js";

declare module "vitest" {
  interface ProvidedContext {
    settings: Settings;
    target: string;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const database = spawn(PYTHON, ["clients/typescript/tests/database.py"], {
    cwd: ROOT,
    stdio: ["pipe", "pipe", "inherit"],
  });
  const settings = JSON.parse(await firstLine(database)) as Settings;
  const server = await ServerProcess.started(settings);
  // The first run of a schema makes its first partition; tests that save at once do not race for it.
  using client = connect(server.target);
  await client.saveRun();
  project.provide("settings", settings);
  project.provide("target", server.target);
  return async () => {
    await server.stop();
    database.stdin.end();
    await once(database, "exit");
  };
}
