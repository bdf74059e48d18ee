/** Pipelined appends: order, refusals, broken streams. */

import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect } from "vitest";

import { ErrorInfoSchema } from "../src/gen/google/rpc/error_details_pb.js";
import type {
  AppendEventStreamRequest,
  AppendEventStreamResponseSchema,
} from "../src/gen/runstore/v1/run_service_pb.js";
import {
  connect,
  MessageTooLarge,
  ProtocolError,
  RunstoreError,
  SeqConflict,
  Unavailable,
  WriterFenced,
  type AppenderOptions,
} from "../src/index.js";
import { MAX_STREAM_BYTES } from "../src/events/appends.js";
import { collect, scripted, test } from "./fixtures.js";
import type { Failure, Script } from "./script.js";

type Answer = MessageInitShape<typeof AppendEventStreamResponseSchema> | Failure;
type Decide = (request: AppendEventStreamRequest) => Answer;

function eventId(request: AppendEventStreamRequest): string {
  return request.append?.event?.eventId ?? "";
}

function accept(request: AppendEventStreamRequest): Answer {
  return {
    correlationId: request.correlationId,
    result: { case: "appended", value: { seq: 1n, eventId: eventId(request) } },
  };
}

function refuse(code: Code, reason: string): Decide {
  const info = create(ErrorInfoSchema, { reason, domain: "runstore.v1" });
  return ({ correlationId }) => ({
    correlationId,
    result: { case: "error", value: { code, details: [anyPack(ErrorInfoSchema, info)] } },
  });
}

/** Accepts all but the events from an id on. */
function from(id: string, decide: Decide): Decide {
  return (request) => (eventId(request) < id ? accept(request) : decide(request));
}

/** Accepts all but one event. */
function but(id: string, decide: Decide): Decide {
  return (request) => (eventId(request) === id ? decide(request) : accept(request));
}

/** Appends events; their ids or errors. */
async function append(
  script: Script,
  ids: string[],
  { payload, ...options }: AppenderOptions & { payload?: string } = {},
) {
  using client = connect(script.target, { timeoutMs: 60_000 });
  const appender = client.appender(options);
  const sent = [];
  for (const id of ids) {
    sent.push(await appender.append(client.run("run"), { type: "tick", eventId: id, payload }));
  }
  const answers = sent.map((each) =>
    each.answer().then(
      (appended) => appended.eventId,
      (error: unknown) => error,
    ),
  );
  await appender.close();
  return await Promise.all(answers);
}

describe("against a scripted server", () => {
  scripted.for([1, 2, 256])(
    "appends are sent in order and answered each, %i at once",
    async (window, { script }) => {
      script.appends = [accept];
      const ids = Array.from({ length: 10 }, (_, n) => String(n));

      expect(await append(script, ids, { window })).toEqual(ids);
      expect(script.sent).toEqual([ids]);
    },
  );

  scripted("appends that wait for room are sent in the order of the calls", async ({ script }) => {
    script.appends = [accept];
    using client = connect(script.target);
    const appender = client.run("run").appender({ window: 2 });
    const ids = Array.from({ length: 20 }, (_, n) => String(n));

    await Promise.all(ids.map((eventId) => appender.append({ type: "tick", eventId })));
    await appender.close();

    expect(script.sent).toEqual([ids]);
  });

  scripted("what a dropped stream did not answer is sent again in order", async ({ script }) => {
    script.appends = [but("b", () => "drop"), () => "drop", accept];

    expect(await append(script, ["a", "b", "c"])).toEqual(["a", "b", "c"]);
    expect(script.sent.at(-1)).toEqual(["b", "c"]);
  });

  scripted.for([Code.Canceled, Code.Internal, Code.Unknown, Code.DeadlineExceeded])(
    "what a path that broke with code %i did not answer is sent again in order",
    async (code, { script }) => {
      const broken = new ConnectError("a proxy's", code);
      script.appends = [but("b", () => broken), () => broken, accept];

      expect(await append(script, ["a", "b", "c"])).toEqual(["a", "b", "c"]);
      expect(script.sent.at(-1)).toEqual(["b", "c"]);
    },
  );

  scripted.for([502, 413])(
    "appends that a proxy answers with HTTP %i are sent again",
    async (status, { script }) => {
      script.pages = [status];
      script.appends = [accept, accept, accept];

      expect(await append(script, ["a", "b"])).toEqual(["a", "b"]);
    },
  );

  scripted("an append that no proxy lets pass fails alone and at once", async ({ script }) => {
    script.pages = [413];
    script.appends = [accept];

    const [first, second] = await append(script, ["a", "b"], { window: 1 });

    expect(first).toBeInstanceOf(MessageTooLarge);
    expect(second).toBe("b");
    expect(script.sent).toEqual([["b"]]);
  });

  scripted.for([1, 2, 256])(
    "a stream ends before the size that proxies allow, and another goes on, %i at once",
    async (window, { script }) => {
      script.appends = Array.from({ length: 10 }, () => accept);
      const ids = Array.from({ length: 10 }, (_, n) => String(n));
      const payload = "x".repeat(MAX_STREAM_BYTES / 3 - 1024);

      expect(await append(script, ids, { window, payload })).toEqual(ids);
      expect(script.sent.map(({ length }) => length)).toEqual([3, 3, 3, 1]);
      expect(script.sent.flat()).toEqual(ids);
      expect(Math.max(...script.bodies)).toBeLessThanOrEqual(MAX_STREAM_BYTES);
    },
  );

  scripted("an append that is larger than a stream has one of its own", async ({ script }) => {
    script.appends = [accept, accept];
    const payload = "x".repeat(MAX_STREAM_BYTES);

    expect(await append(script, ["a", "b"], { payload })).toEqual(["a", "b"]);
    expect(script.sent).toEqual([["a"], ["b"]]);
  });

  scripted("a full stream that breaks is sent again before the next", async ({ script }) => {
    script.appends = [but("b", () => "drop"), accept, accept];
    const ids = ["a", "b", "c", "d", "e"];
    const payload = "x".repeat(MAX_STREAM_BYTES / 3 - 1024);

    expect(await append(script, ids, { payload })).toEqual(ids);
    expect(script.sent.slice(1)).toEqual([["b", "c", "d"], ["e"]]);
  });

  scripted("what a lost connection did not answer is sent again in order", async ({ script }) => {
    script.appends = [but("b", () => "cut"), accept];

    expect(await append(script, ["a", "b", "c"])).toEqual(["a", "b", "c"]);
    expect(script.sent.at(-1)?.slice(-2)).toEqual(["b", "c"]);
  });

  scripted("what a draining server refused is sent to the next", async ({ script }) => {
    script.appends = [from("b", refuse(Code.Unavailable, "SERVER_DRAINING")), accept];

    expect(await append(script, ["a", "b", "c"])).toEqual(["a", "b", "c"]);
    expect(script.sent.at(-1)).toEqual(["b", "c"]);
  });

  scripted("a refusal is its own append's alone", async ({ script }) => {
    script.appends = [but("b", refuse(Code.Aborted, "SEQ_CONFLICT"))];

    const [first, second, third] = await append(script, ["a", "b", "c"]);

    expect([first, third]).toEqual(["a", "c"]);
    expect(second).toBeInstanceOf(SeqConflict);
  });

  scripted("a refusal nobody asked for is raised by the close", async ({ script }) => {
    script.appends = [but("b", refuse(Code.Aborted, "SEQ_CONFLICT"))];
    using client = connect(script.target);
    const appender = client.run("run").appender();
    for (const id of ["a", "b", "c"]) {
      await appender.append({ type: "tick", eventId: id });
    }

    await expect(appender.close()).rejects.toThrow(SeqConflict);
  });

  scripted.for<[string, Decide, typeof RunstoreError | typeof ProtocolError]>([
    [
      "the answer of another append",
      (request) => ({ ...(accept(request) as object), correlationId: "other" }),
      ProtocolError,
    ],
    ["an unknown reason", refuse(Code.Aborted, "NEW_REASON"), RunstoreError],
    ["an answer that says nothing", ({ correlationId }) => ({ correlationId }), ProtocolError],
  ])("%s is not taken for success", async ([, decide, kind], { script }) => {
    script.appends = [decide];
    using client = connect(script.target);
    const appender = client.run("run").appender();
    const sent = await appender.append({ type: "tick" });

    await expect(sent.answer()).rejects.toThrow(kind);
    await appender.close().catch((error: unknown) => {
      expect(error).toBeInstanceOf(kind);
    });
  });

  scripted("an aborted appender waits for nothing", async ({ script }) => {
    script.appends = [() => "hang"];
    using client = connect(script.target);
    const appender = client.run("run").appender({ window: 1 });
    const sent = await appender.append({ type: "tick" });
    const waiting = appender.append({ type: "tick" });

    appender.abort(new Error("enough"));

    await Promise.all([
      expect(sent.answer()).rejects.toThrow("enough"),
      expect(waiting).rejects.toThrow("enough"),
    ]);
    await expect(appender.close()).rejects.toThrow("enough");
  });

  scripted("a closed appender takes nothing", async ({ script }) => {
    using client = connect(script.target);
    const appender = client.run("run").appender();
    await appender.close();

    await expect(appender.append({ type: "tick" })).rejects.toThrow("closed");
    expect(script.sent).toEqual([]);
  });

  scripted("an appender can rest and go on", async ({ script }) => {
    script.appends = [accept];
    using client = connect(script.target);
    await using appender = client.run("run").appender();

    await (await appender.append({ type: "tick", eventId: "a" })).answer();
    await new Promise((resolve) => setTimeout(resolve, 50)); // it rests once all is answered
    await (await appender.append({ type: "tick", eventId: "b" })).answer();

    expect(script.sent).toEqual([["a", "b"]]);
  });

  scripted("an event that cannot be sent is refused before it is", async ({ script }) => {
    script.appends = [accept];
    using client = connect(script.target);
    await using appender = client.run("run").appender();

    await expect(appender.append({ type: "tick", payload: Number.NaN })).rejects.toThrow(TypeError);
    const sent = await appender.append({ type: "tick", eventId: "fine" });

    expect((await sent.answer()).eventId).toBe("fine");
  });

  scripted(
    "appends that keep failing are given up, and the close with them",
    async ({ script }) => {
      script.appends = Array.from({ length: 1000 }, () => () => "drop");
      using client = connect(script.target, { timeoutMs: 300 });
      const appender = client.run("run").appender();
      const sent = await appender.append({ type: "tick" });

      await expect(appender.close()).rejects.toThrow(Unavailable);
      await expect(sent.answer()).rejects.toThrow(/dropped \(127.0.0.1:\d+, tried for \d+\.\d s\)/);
    },
  );
});

describe("against a real server", () => {
  test("pipelined appends to several runs are recorded in order", async ({ client }) => {
    const runs = await Promise.all([1, 2, 3].map(() => client.saveRun()));
    const appender = client.appender({ window: 50 });
    const sent = [];
    for (let n = 0; n < 300; n += 1) {
      const run = runs[n % 3];
      if (run) {
        sent.push(await appender.append(run, { type: "tick", payload: { n } }));
      }
    }

    await appender.close();

    for (const [place, run] of runs.entries()) {
      const events = await collect(run.events());
      const expected = Array.from({ length: 100 }, (_, n) => ({ n: place + 3 * n }));
      expect(events.map(({ payload }) => payload?.json())).toEqual(expected);
      expect((await sent[place]?.answer())?.seq).toBe(1);
    }
  });

  test("pipelined appends are fenced one by one", async ({ client }) => {
    const [first, other] = [await client.saveRun(), await client.saveRun()];
    await client.resume(first.runId);
    await using appender = client.appender();

    const refused = await appender.append(first, { type: "late" });
    const accepted = await appender.append(other, { type: "fine" });

    await expect(refused.answer()).rejects.toThrow(WriterFenced);
    expect((await accepted.answer()).seq).toBe(1);
  });
});
