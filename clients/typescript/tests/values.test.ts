/** Ids, times and numbers. */

import { expect, test, vi } from "vitest";

import { Instant } from "../src/index.js";
import { newId } from "../src/values/ids.js";
import { int64, safeNumber } from "../src/values/numbers.js";
import { duration, instantOf, microsOf, timestamp } from "../src/values/times.js";

test("ids are UUIDs of version 7 that sort by age", () => {
  vi.useFakeTimers();
  const made = [1, 10 ** 12, 10 ** 12 + 1, 2 * 10 ** 12].map((milliseconds) => {
    vi.setSystemTime(milliseconds);
    return newId();
  });
  vi.useRealTimers();

  expect([...made].sort()).toEqual(made);
  for (const id of made) {
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  }
  expect(new Set(Array.from({ length: 1000 }, newId)).size).toBe(1000);
});

test.each([
  ["2026-01-02T03:04:05Z", "2026-01-02T03:04:05.000000Z"],
  ["2026-01-02T03:04:05.6789019+01:00", "2026-01-02T02:04:05.678901Z"],
  ["1969-12-31T23:59:59.000001Z", "1969-12-31T23:59:59.000001Z"],
])("the time %s is read as %s", (text, expected) => {
  const instant = Instant.parse(text);

  expect(JSON.stringify(instant)).toBe(JSON.stringify(expected));
  expect(instantOf(timestamp(instant)).equals(instant)).toBe(true);
});

test.each(["", "yesterday", "2026-13-01T00:00:00Z", "2026-01-02T03:04:05"])(
  "%j is no time",
  (text) => {
    expect(() => Instant.parse(text)).toThrow(RangeError);
  },
);

test("a time is cut to the millisecond below for a date", () => {
  expect(Instant.ofEpochMicros(-1).toDate().getTime()).toBe(-1);
  expect(Instant.ofEpochMicros(1999).toDate().getTime()).toBe(1);
  expect(() => Instant.of(new Date(Number.NaN))).toThrow("time: is an invalid Date");
});

test.each([0n, 1n, 999_999n, 1_000_000n, 864_000_000_000_000n])("%i microseconds", (micros) => {
  expect(microsOf(duration(micros))).toBe(micros);
});

test("an integer is exact or refused", () => {
  expect(int64(2n ** 63n - 1n)).toBe(2n ** 63n - 1n);
  expect(safeNumber(2n ** 53n - 1n)).toBe(Number.MAX_SAFE_INTEGER);
  expect(() => safeNumber(2n ** 53n)).toThrow(RangeError);
  for (const value of [0.5, 2 ** 53, Number.NaN, Number.POSITIVE_INFINITY]) {
    expect(() => int64(value)).toThrow(RangeError);
  }
});
