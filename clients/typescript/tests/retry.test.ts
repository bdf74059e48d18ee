/** When a failure is tried again, and for how long. */

import { beforeEach, expect, test } from "vitest";

import { Unavailable, WriterFenced } from "../src/index.js";
import { Backoff, Patience, pause } from "../src/transport/retry.js";

const GONE = new Unavailable({ code: "UNAVAILABLE", message: "gone" });
const FENCED = new WriterFenced({ code: "FAILED_PRECONDITION", message: "fenced" });

let now = 0;

beforeEach(() => {
  now = 1_000_000;
});

function patience(milliseconds: number): Patience {
  return new Patience(milliseconds, new Backoff(100), () => now);
}

test.each([
  [1, 100],
  [2, 200],
  [3, 400],
  [4, 800],
  [5, 1000],
  [1000, 1000],
])("the delay after try %i is at most %i ms and at least half of it", (attempt, ceiling) => {
  const delay = new Backoff(100, 2, 1000).delay(attempt, GONE);

  expect(delay).toBeGreaterThanOrEqual(ceiling / 2);
  expect(delay).toBeLessThanOrEqual(ceiling);
});

test("the server's wish is respected", () => {
  const asking = new Unavailable({ code: "UNAVAILABLE", message: "", retryAfterMs: 5000 });

  expect(new Backoff().delay(1, asking)).toBe(5000);
});

test("patience is used up by failing, not by a slow caller", () => {
  const used = patience(60_000);
  now += 3_600_000;

  expect(used.delay(GONE)).toBeDefined();
  now += 60_000;
  expect(used.delay(GONE)).toBeDefined();
  now += 1;
  expect(used.delay(GONE)).toBeUndefined();
});

test("patience is renewed by a success", () => {
  const used = patience(60_000);
  used.delay(GONE);
  now += 59_000;
  used.delay(GONE);

  used.renew();

  now += 3_600_000;
  expect(used.delay(GONE)).toBeLessThanOrEqual(100);
});

test("no patience helps against a refusal", () => {
  expect(patience(60_000).delay(FENCED)).toBeUndefined();
});

test("a pause ends with its time, or early with any signal", async () => {
  const waking = new AbortController();
  const began = performance.now();

  await pause(30);
  const waiting = pause(60_000, undefined, waking.signal);
  waking.abort();
  await waiting;
  await pause(60_000, AbortSignal.abort());

  expect(performance.now() - began).toBeGreaterThanOrEqual(29);
  expect(performance.now() - began).toBeLessThan(30_000);
});
