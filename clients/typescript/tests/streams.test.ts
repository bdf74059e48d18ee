/** Streams against a server that drops, repeats, leaves out and falls silent. */

import { Code, ConnectError } from "@connectrpc/connect";
import { expect } from "vitest";

import {
  ClientClosed,
  connect,
  Internal,
  ProtocolError,
  type StreamOptions,
} from "../src/index.js";
import { collect, scripted as test } from "./fixtures.js";
import { Proxy } from "./proxy.js";
import {
  batch,
  caughtUp,
  endOfRun,
  heartbeat,
  refusal,
  type Message,
  type Script,
} from "./script.js";

type Shown = number | "caughtUp" | "heartbeat" | "endOfRun";

/** Seqs of events, names of marks. */
async function read(script: Script, options: StreamOptions = {}): Promise<Shown[]> {
  using client = connect(script.target);
  const shown: Shown[] = [];
  for await (const item of client.run("run").stream({ follow: true, ...options })) {
    shown.push(item.kind === "event" ? item.event.seq : item.kind);
  }
  return shown;
}

test("a dropped stream goes on at the next seq", async ({ script }) => {
  script.streams = [[batch(1, 2), "drop"], ["drop"], [batch(3), endOfRun(3)]];

  expect(await read(script)).toEqual([1, 2, 3, "endOfRun"]);
  expect(script.asked).toEqual([1n, 3n, 3n]);
});

const BROKEN_PATH = [
  Code.Unavailable,
  Code.Canceled,
  Code.Internal,
  Code.Unknown,
  Code.DeadlineExceeded,
];

test.for(BROKEN_PATH)(
  "a stream that a broken path ends with code %i goes on at the next seq",
  async (code, { script }) => {
    const broken = new ConnectError("RST_STREAM with error code 2", code);
    script.streams = [[batch(1, 2), broken], [broken], [batch(3), endOfRun(3)]];

    expect(await read(script)).toEqual([1, 2, 3, "endOfRun"]);
    expect(script.asked).toEqual([1n, 3n, 3n]);
  },
);

test.for([502, 503, 504, 413])(
  "a stream that a proxy answers with HTTP %i is opened again",
  async (status, { script }) => {
    script.pages = [status, status];
    script.streams = [[batch(1), endOfRun(1)]];

    expect(await read(script)).toEqual([1, "endOfRun"]);
  },
);

test("a stream that the server refuses is not opened again", async ({ script }) => {
  script.streams = [[refusal(Code.Internal, "INTERNAL")]];

  await expect(read(script)).rejects.toBeInstanceOf(Internal);
  expect(script.asked).toHaveLength(1);
});

test("a stream whose connection is lost goes on", async ({ script }) => {
  // What was on its way when the connection was lost may or may not have arrived.
  const everything = [batch(1, 2), batch(3), endOfRun(3)];
  script.streams = [[batch(1, 2), "cut"], ["cut"], everything];

  expect(await read(script)).toEqual([1, 2, 3, "endOfRun"]);
  expect(script.asked).toHaveLength(3);
});

test("marks move a filtered stream forward", async ({ script }) => {
  script.streams = [
    [batch(2), caughtUp(5), "drop"],
    [heartbeat(9), "drop"],
    [batch(12), endOfRun(13)],
  ];

  const seen = await read(script, { types: ["tick"] });

  expect(seen).toEqual([2, "caughtUp", "heartbeat", 12, "endOfRun"]);
  expect(script.asked).toEqual([1n, 6n, 10n]);
});

test("an event that comes again is left out", async ({ script }) => {
  script.streams = [[batch(1, 2), batch(2, 3), batch(1), endOfRun(3)]];

  expect(await read(script)).toEqual([1, 2, 3, "endOfRun"]);
});

test.for([
  ["event", batch(3), "expected event 2, got 3"],
  ["heartbeat", heartbeat(2), "the server skipped events 2 to 2"],
  ["caughtUp", caughtUp(2), "the server skipped events 2 to 2"],
  ["endOfRun", endOfRun(2), "the server skipped events 2 to 2"],
] as const)("an event left out before %s is an error", async ([, next, problem], { script }) => {
  script.streams = [[batch(1), next, "hang"]];

  const reading = read(script);

  await expect(reading).rejects.toThrow(ProtocolError);
  await expect(reading).rejects.toThrow(problem);
});

test("patience is renewed by every message", async ({ script }) => {
  const drops = Array.from({ length: 12 }, (_, n): [Message, "drop"] => [batch(n + 1), "drop"]);
  script.streams = [...drops, [endOfRun(12)]];

  const seen = await read(script, { patienceMs: 150 });

  expect(seen).toHaveLength(13);
});

test("a silent stream is opened again", async ({ script }) => {
  script.streams = [
    [batch(1), "hang"],
    [batch(2), endOfRun(2)],
  ];

  expect(await read(script, { heartbeatMs: 1000 })).toEqual([1, 2, "endOfRun"]);
  expect(script.asked).toEqual([1n, 2n]);
});

test("a dead connection is found and another one made", async ({ script }) => {
  script.streams = [
    [batch(1), "hang"],
    [batch(2), endOfRun(2)],
  ];
  const proxy = await Proxy.started(script.target);
  using client = connect(proxy.target, { keepalive: { intervalMs: 1000, timeoutMs: 1000 } });
  const events = client.run("run").events({ follow: true, heartbeatMs: 1000 });
  const first = await events.next();

  proxy.freeze();
  const rest = await collect(events);

  expect([first.value?.seq, ...rest.map(({ seq }) => seq)]).toEqual([1, 2]);
  expect(script.asked).toEqual([1n, 2n]);
  expect(proxy.connections).toBe(2);
  proxy.stop();
});

test("silence is raised when it lasts longer than the caller's patience", async ({ script }) => {
  script.streams = Array.from({ length: 9 }, () => ["hang"] as const).map((each) => [...each]);

  const reading = read(script, { heartbeatMs: 100, patienceMs: 500 });

  await expect(reading).rejects.toThrow(/silent for 0.3 seconds/);
});

test("the time a caller takes is no silence", async ({ script }) => {
  script.streams = [[batch(1), endOfRun(1)]];
  using client = connect(script.target);

  for await (const event of client.run("run").events({ follow: true, heartbeatMs: 1000 })) {
    await new Promise((resolve) => setTimeout(resolve, 3200));
    expect(event.seq).toBe(1);
  }

  expect(script.asked).toEqual([1n]);
});

test("a stream that does not follow ends with the server's", async ({ script }) => {
  script.streams = [[batch(1, 2), caughtUp(2)]];

  expect(await read(script, { follow: false })).toEqual([1, 2, "caughtUp"]);
});

test("a followed stream may not just end", async ({ script }) => {
  script.streams = [[batch(1)]];

  await expect(read(script)).rejects.toThrow(/before the run's end/);
});

test("an abort ends a silent stream with its reason", async ({ script }) => {
  script.streams = [[batch(1), "hang"]];
  const giveUp = new AbortController();
  const reading = read(script, { signal: giveUp.signal });
  await expect.poll(() => script.asked.length).toBe(1);

  giveUp.abort(new Error("enough"));

  await expect(reading).rejects.toThrow("enough");
});

test("an abort ends a stream in the middle of a batch", async ({ script }) => {
  script.streams = [[batch(1, 2, 3), "hang"]];
  using client = connect(script.target);
  const giveUp = new AbortController();
  const seen: number[] = [];

  const reading = (async () => {
    for await (const event of client.run("run").events({ signal: giveUp.signal })) {
      seen.push(event.seq);
      giveUp.abort(new Error("enough"));
    }
  })();

  await expect(reading).rejects.toThrow("enough");
  expect(seen).toEqual([1]);
});

test("an abort ends the wait between two tries", async ({ script }) => {
  script.streams = Array.from({ length: 1000 }, () => ["drop"]);
  const signal = AbortSignal.timeout(200);

  const reading = read(script, { signal, patienceMs: 600_000 });

  await expect(reading).rejects.toMatchObject({ name: "TimeoutError" });
});

test("a closed client does not open a stream again", async ({ script }) => {
  script.streams = [["hang"]];
  const client = connect(script.target);
  const reading = client.run("run").events({ follow: true }).next();
  await expect.poll(() => script.asked.length).toBe(1);

  client.close();

  await expect(reading).rejects.toThrow(ClientClosed);
  expect(script.asked).toEqual([1n]);
});

test("a caller who leaves ends the stream", async ({ script }) => {
  script.streams = [[batch(1, 2), "hang"]];
  using client = connect(script.target);

  for await (const event of client.run("run").events({ follow: true })) {
    expect(event.seq).toBe(1);
    break;
  }

  expect(script.asked).toEqual([1n]);
});
