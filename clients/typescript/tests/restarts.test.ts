/** Clients of servers that are killed and stopped under them. */

import { inject } from "vitest";
import { describe, expect } from "vitest";

import { connect, type Client, type NewEvent } from "../src/index.js";
import { collect, test as base } from "./fixtures.js";
import { ServerProcess } from "./servers.js";

const SIGNALS = ["SIGKILL", "SIGTERM", "SIGKILL"] as const;

const test = base.extend<{ server: ServerProcess; patient: Client }>({
  // eslint-disable-next-line no-empty-pattern -- vitest reads the parameter's form
  server: async ({}, use) => {
    const server = await ServerProcess.started(inject("settings"));
    await use(server);
    await server.stop();
  },
  patient: async ({ server, project }, use) => {
    using client = connect(server.target, { project, timeoutMs: 60_000 });
    await use(client);
  },
});

function ticks(count: number): NewEvent[] {
  return Array.from({ length: count }, (_, n) => ({ type: "tick", payload: { n } }));
}

function upTo(last: number): number[] {
  return Array.from({ length: last }, (_, index) => index + 1);
}

describe("restarts", { timeout: 240_000 }, () => {
  test("a stream of 10,000 events goes on over three restarts without loss or repeat", async ({
    server,
    patient,
  }) => {
    const run = await patient.saveRun();
    const watching = collect(run.events({ follow: true, heartbeatMs: 1000 }));
    for (let batch = 0; batch < 100; batch += 1) {
      await run.appendMany(ticks(100));
      if (batch % 25 === 20 && batch < 80) {
        await server.restart(SIGNALS[(batch - 20) / 25] ?? "SIGKILL");
      }
    }
    await run.complete();

    const seen = await watching;

    expect(seen.map(({ seq }) => seq)).toEqual(upTo(10_001));
    expect((await run.verify()).verified).toBe(true);
  });
});
