/** Clients of servers that are killed and stopped under them. */

import { inject } from "vitest";
import { describe, expect } from "vitest";

import { connect, type Client, type NewEvent } from "../src/index.js";
import { collect, test as base } from "./fixtures.js";
import { ServerProcess } from "./servers.js";

// A server takes a minute to start where the machine is very busy.
const PATIENCE_MS = 300_000;
const SIGNALS = ["SIGKILL", "SIGTERM", "SIGKILL"] as const;
const FOLLOW = { follow: true, patienceMs: PATIENCE_MS };

const test = base.extend<{ server: ServerProcess; patient: Client }>({
  server: [
    // eslint-disable-next-line no-empty-pattern -- vitest reads the parameter's form
    async ({}, use) => {
      const server = await ServerProcess.started(inject("settings"));
      await use(server);
      await server.stop();
    },
    { scope: "file" },
  ],
  patient: async ({ server, project }, use) => {
    using client = connect(server.target, { project, timeoutMs: PATIENCE_MS });
    await use(client);
  },
});

function ticks(count: number): NewEvent[] {
  return Array.from({ length: count }, (_, n) => ({ type: "tick", payload: { n } }));
}

function upTo(last: number): number[] {
  return Array.from({ length: last }, (_, index) => index + 1);
}

describe("restarts", { timeout: 1_800_000 }, () => {
  test("a stream of 10,000 events goes on over three restarts without loss or repeat", async ({
    server,
    patient,
  }) => {
    const run = await patient.saveRun();
    const seen: number[] = [];
    const watching = (async () => {
      for await (const { seq } of run.events({ ...FOLLOW, heartbeatMs: 1000 })) {
        seen.push(seq);
      }
    })();
    const signals = [...SIGNALS];
    for (let batch = 1; batch <= 100; batch += 1) {
      await run.appendMany(ticks(100));
      const signal = batch % 25 === 0 ? signals.shift() : undefined;
      if (signal) {
        // The stream is in the middle of the run, so that it is this one that breaks.
        await expect.poll(() => seen.length, { timeout: PATIENCE_MS }).toBe(batch * 100);
        await server.restart(signal);
      }
    }
    await run.complete();

    await watching;

    expect(signals).toEqual([]);
    expect(seen).toEqual(upTo(10_001));
    expect((await run.verify()).verified).toBe(true);
  });

  test("pipelined appends go on over three restarts, once each and in order", async ({
    server,
    patient,
  }) => {
    const run = await patient.saveRun();
    await using appender = run.appender({ window: 100 });
    const sent = [];
    for (const [n, event] of ticks(3000).entries()) {
      sent.push(await appender.append(event));
      const signal = SIGNALS[(n - 500) / 1000];
      if (signal) {
        await server.restart(signal);
      }
    }

    const answers = await Promise.all(sent.map((each) => each.answer()));

    expect(answers.map(({ seq }) => seq)).toEqual(upTo(3000));
    const events = await collect(run.events());
    expect(events.map(({ payload }) => payload?.json())).toEqual(ticks(3000).map((e) => e.payload));
  });

  test.for(["SIGTERM", "SIGKILL"] as const)(
    "calls made as a server gets %s are answered by the next",
    async (signal, { server, patient }) => {
      const runs = [];
      for (let n = 0; n < 8; n += 1) {
        runs.push(await patient.saveRun());
      }
      const watching = runs.map((run) => run.events({ ...FOLLOW, heartbeatMs: 1000 }).next());
      const writing = runs.map((run) => run.append({ type: "tick" }));

      await server.restart(signal);

      const written = await Promise.all(writing);
      const watched = await Promise.all(watching);
      expect(written.map(({ seq }) => seq)).toEqual(Array(8).fill(1));
      expect(watched.map(({ value }) => value?.seq)).toEqual(Array(8).fill(1));
    },
  );

  test("a quiet stream is there again when something happens", async ({ server, patient }) => {
    const run = await patient.saveRun();
    const watching = collect(run.events({ ...FOLLOW, heartbeatMs: 500 }));
    for (const signal of SIGNALS) {
      await server.restart(signal);
      await server.untilServing();
    }

    await run.complete();

    expect((await watching).map(({ type }) => type)).toEqual(["run.completed"]);
  });
});
