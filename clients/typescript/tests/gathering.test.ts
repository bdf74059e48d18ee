/** Appends made at the same time share requests; to their callers nothing else changes. */

import { setImmediate as turn } from "node:timers/promises";

import { create } from "@bufbuild/protobuf";
import { expect, onTestFinished, test } from "vitest";

import {
  AppendEventRequestSchema,
  AppendEventResponseSchema,
  AppendManyResponseSchema,
  type AppendEventRequest,
  type AppendEventResponse,
  type AppendManyRequest,
  type AppendManyResponse,
} from "../src/gen/runstore/v1/run_service_pb.js";
import {
  connect,
  CredentialExpired,
  DeadlineExceeded,
  MessageTooLarge,
  PermissionDenied,
  ProtocolError,
  RunCompleted,
  RunstoreError,
  Unavailable,
} from "../src/index.js";
import { Gathering, type Attempt } from "../src/transport/gathering.js";
import { Script } from "./script.js";

type Answer = (request: AppendManyRequest) => AppendManyResponse | Promise<AppendManyResponse>;

const HOUR_MS = 3_600_000;

function answered(request: AppendEventRequest): AppendEventResponse {
  return create(AppendEventResponseSchema, { seq: 1n, eventId: request.event?.eventId ?? "" });
}

function eachAnswered(request: AppendManyRequest): AppendManyResponse {
  const results = request.appends.map((each) => ({
    result: { case: "appended" as const, value: answered(each) },
  }));
  return create(AppendManyResponseSchema, { results });
}

/** A gathering that has a request on its way, for which what it appends now waits. */
class Gatherer {
  /** How many appends each request had; 0 stands for AppendEvent. */
  readonly sizes: number[] = [];
  readonly types: string[] = [];
  readonly timeouts: number[] = [];
  answers: Answer[] = [];
  readonly #gathering: Gathering;
  readonly #first: Promise<AppendEventResponse>;
  #open = (): void => undefined;
  readonly #opened = new Promise<void>((resolve) => {
    this.#open = resolve;
  });

  constructor(patienceMs = HOUR_MS) {
    const send = async (method: { name: string }, request: unknown, _: unknown, left: number) => {
      this.timeouts.push(left);
      if (method.name === "AppendMany") {
        const { appends } = request as AppendManyRequest;
        this.#seen(appends.length, appends);
        return await (this.answers.shift() ?? eachAnswered)(request as AppendManyRequest);
      }
      this.#seen(0, [request as AppendEventRequest]);
      await this.#opened;
      return answered(request as AppendEventRequest);
    };
    this.#gathering = new Gathering(send as unknown as Attempt, patienceMs);
    this.#first = this.append("first");
  }

  append(
    type: string,
    {
      payload = "",
      timeoutMs = 60_000,
      signal,
    }: Partial<{
      payload: string;
      timeoutMs: number;
      signal: AbortSignal;
    }> = {},
  ): Promise<AppendEventResponse> {
    const content = { case: "json" as const, value: payload };
    const event = { type, eventId: type, payload: { content } };
    const request = create(AppendEventRequestSchema, { event });
    return this.#gathering.append(request, signal, timeoutMs);
  }

  /** Let the request on its way be answered. */
  async release(): Promise<void> {
    this.#open();
    await this.#first;
  }

  #seen(size: number, appends: AppendEventRequest[]): void {
    this.sizes.push(size);
    this.types.push(...appends.map((each) => each.event?.type ?? ""));
  }
}

function failing(error: RunstoreError): Answer {
  return () => Promise.reject(error);
}

function unavailable(message: string): Unavailable {
  return new Unavailable({ code: "UNAVAILABLE", message });
}

test("what waits goes together when the request before is answered", async () => {
  const gatherer = new Gatherer();
  const waiting = ["a", "b", "c"].map((type) => gatherer.append(type));
  expect(gatherer.sizes).toEqual([0]);

  await gatherer.release();

  const appended = await Promise.all(waiting);
  expect(appended.map((each) => each.eventId)).toEqual(["a", "b", "c"]);
  expect(gatherer.sizes).toEqual([0, 3]);
});

test("callers that were just answered are part of the next request", async () => {
  const gatherer = new Gatherer();
  const waiting = ["a", "b", "c"].map(async (type) => {
    await gatherer.append(type);
    await gatherer.append(type);
  });

  await gatherer.release();

  await Promise.all(waiting);
  expect(gatherer.sizes).toEqual([0, 3, 3]);
});

test("one that waits alone goes as a call of its own, and so do appends one after the other", async () => {
  const gatherer = new Gatherer();
  const waiting = gatherer.append("a");

  await gatherer.release();

  await waiting;
  await gatherer.append("b");
  await gatherer.append("c");
  expect(gatherer.sizes).toEqual([0, 0, 0, 0]);
});

test("what waits goes when the request before takes long", async () => {
  const gatherer = new Gatherer(1);

  await Promise.all([gatherer.append("a"), gatherer.append("b")]);

  expect(gatherer.sizes).toEqual([0, 2]);
  await gatherer.release();
});

test("a refusal is its own caller's", async () => {
  const gatherer = new Gatherer();
  gatherer.answers = [
    (request) => {
      const response = eachAnswered(request);
      const refusal = create(AppendManyResponseSchema, {
        results: [{ result: { case: "error", value: { code: 9, message: "over" } } }],
      });
      response.results.splice(1, 1, ...refusal.results);
      return response;
    },
  ];
  const waiting = ["a", "b", "c"].map((type) => gatherer.append(type));

  await gatherer.release();

  const ends = await Promise.allSettled(waiting);
  expect(ends.map((each) => each.status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
  expect(ends[1]).toMatchObject({ reason: { code: "FAILED_PRECONDITION" } });
});

test("a failure that may pass is one of each append", async () => {
  const gatherer = new Gatherer();
  gatherer.answers = [failing(unavailable("gone"))];
  const waiting = ["a", "b"].map((type) => gatherer.append(type));

  await gatherer.release();

  const ends = await Promise.allSettled(waiting);
  const errors = ends.map((each) => (each as PromiseRejectedResult).reason as unknown);
  expect(errors).toEqual([expect.any(Unavailable), expect.any(Unavailable)]);
  expect(errors[0]).not.toBe(errors[1]);
  expect(gatherer.sizes).toEqual([0, 2]);
});

test.each([
  new CredentialExpired({ code: "UNAUTHENTICATED", message: "expired" }),
  new PermissionDenied({ code: "PERMISSION_DENIED", message: "no writer" }),
])("a refusal of the caller is one of each append: $code", async (error) => {
  const gatherer = new Gatherer();
  gatherer.answers = [failing(error)];
  const waiting = ["a", "b"].map((type) => gatherer.append(type));

  await gatherer.release();

  const ends = await Promise.allSettled(waiting);
  const errors = ends.map((each) => (each as PromiseRejectedResult).reason as unknown);
  expect(errors).toEqual([expect.any(error.constructor), expect.any(error.constructor)]);
  expect(errors[0]).not.toBe(errors[1]);
  expect(gatherer.sizes).toEqual([0, 2]);
});

test.each([
  new RunstoreError({ code: "UNIMPLEMENTED", message: "unknown method" }),
  new MessageTooLarge({ code: "RESOURCE_EXHAUSTED", message: "HTTP 413" }),
  new RunCompleted({ code: "FAILED_PRECONDITION", message: "cannot be" }),
])("what can be the request's own fault is tried by each itself: $code", async (error) => {
  const gatherer = new Gatherer();
  gatherer.answers = [failing(error)];
  const waiting = ["a", "b", "c"].map((type) => gatherer.append(type));

  await gatherer.release();

  await Promise.all(waiting);
  expect(gatherer.sizes).toEqual([0, 3, 0, 0, 0]);
});

test("a server without the call is asked once", async () => {
  const gatherer = new Gatherer();
  gatherer.answers = [failing(new RunstoreError({ code: "UNIMPLEMENTED", message: "" }))];
  const waiting = ["a", "b"].map((type) => gatherer.append(type));
  await gatherer.release();
  await Promise.all(waiting);

  await Promise.all(["c", "d", "e"].map((type) => gatherer.append(type)));

  expect(gatherer.sizes).toEqual([0, 2, 0, 0, 0, 0, 0]);
});

test("an answer that lacks results is the server's fault", async () => {
  const gatherer = new Gatherer();
  gatherer.answers = [() => create(AppendManyResponseSchema, {})];
  const waiting = ["a", "b"].map((type) => gatherer.append(type));

  await gatherer.release();

  await expect(waiting[0]).rejects.toThrow(ProtocolError);
  await expect(waiting[1]).rejects.toThrow(ProtocolError);
});

test("a large append waits for none and takes none along", async () => {
  const gatherer = new Gatherer();
  const waiting = ["a", "b"].map((type) => gatherer.append(type));

  const large = gatherer.append("large", { payload: "x".repeat(64 * 1024 + 1) });

  expect(gatherer.sizes).toEqual([0, 0]);
  await gatherer.release();
  await Promise.all([large, ...waiting]);
  expect(gatherer.sizes).toEqual([0, 0, 2]);
});

test("a request has at most 1000 appends and half a mebibyte of payloads", async () => {
  const many = new Gatherer();
  const small = Array.from({ length: 1001 }, () => many.append("small"));
  await many.release();
  await Promise.all(small);
  expect(many.sizes).toEqual([0, 1000, 0]);

  const wide = new Gatherer();
  const payload = "x".repeat(60_000);
  const large = Array.from({ length: 10 }, () => wide.append("wide", { payload }));
  await wide.release();
  await Promise.all(large);
  expect(wide.sizes).toEqual([0, 8, 2]);
});

test("a caller that gives up waiting sends nothing", async () => {
  const gatherer = new Gatherer();
  const leaving = new AbortController();
  const waiting = [
    gatherer.append("a"),
    gatherer.append("given up", { signal: leaving.signal }),
    gatherer.append("b"),
  ];

  leaving.abort();
  await gatherer.release();

  const ends = await Promise.allSettled(waiting);
  expect(ends.map((each) => each.status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
  expect(gatherer.types).toEqual(["first", "a", "b"]);
});

test("a caller whose time is over fails though others wait on", async () => {
  const gatherer = new Gatherer();
  const waiting = gatherer.append("patient");

  await expect(gatherer.append("hasty", { timeoutMs: 10 })).rejects.toThrow(DeadlineExceeded);

  await gatherer.release();
  await waiting;
  expect(gatherer.types).toEqual(["first", "patient"]);
});

test("a request has the time of the one that has most, and another's failure is tried again", async () => {
  const gatherer = new Gatherer();
  gatherer.answers = [failing(new DeadlineExceeded({ code: "DEADLINE_EXCEEDED", message: "" }))];
  const waiting = [
    gatherer.append("a", { timeoutMs: 60_000 }),
    gatherer.append("b", { timeoutMs: 600_000 }),
  ];

  await gatherer.release();

  await expect(waiting[0]).rejects.toThrow(Unavailable);
  await expect(waiting[1]).rejects.toThrow(Unavailable);
  expect(gatherer.timeouts[1]).toBeGreaterThan(60_000);
});

test("a client that does not gather sends each append by itself", async () => {
  const script = new Script();
  await script.start();
  onTestFinished(() => {
    script.stop();
  });
  using client = connect(script.target, { gather: false });
  const run = client.run("r");

  await Promise.all(Array.from({ length: 10 }, () => run.append({ type: "tick" })));
  await turn();

  expect(script.appended).toHaveLength(10);
});
