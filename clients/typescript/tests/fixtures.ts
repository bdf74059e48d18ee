/** What tests may ask for. */

import { randomUUID } from "node:crypto";

import { inject, test as plain } from "vitest";

import { connect, type Client } from "../src/index.js";
import { Script } from "./script.js";

interface Fixtures {
  /** A project of the test's own. */
  project: string;
  /** A client of the server all tests share. */
  client: Client;
}

export const test = plain.extend<Fixtures>({
  // eslint-disable-next-line no-empty-pattern -- vitest reads the parameter's form
  project: async ({}, use) => {
    await use(`test/${randomUUID()}`);
  },
  client: async ({ project }, use) => {
    using client = connect(inject("target"), { project, timeoutMs: 240_000 });
    await use(client);
  },
});

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const collected: T[] = [];
  for await (const item of items) {
    collected.push(item);
  }
  return collected;
}

export const scripted = plain.extend<{ script: Script }>({
  // eslint-disable-next-line no-empty-pattern -- vitest reads the parameter's form
  script: async ({}, use) => {
    const script = new Script();
    await script.start();
    await use(script);
    script.stop();
  },
});
