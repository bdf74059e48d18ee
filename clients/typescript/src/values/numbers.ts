/**
 * 64-bit integers.
 *
 * Counts within a run (seqs, epochs, events checked) are `number`s, which are rejected beyond
 * `Number.MAX_SAFE_INTEGER` instead of being rounded. Sums (tokens, cost, time) and numbers that the
 * caller chooses (config versions, sizes of links) are `bigint`s. Arguments may be either.
 */
export type Int64 = number | bigint;

/** The integer for the wire; throws RangeError for a number that may have lost digits. */
export function int64(value: Int64): bigint {
  if (typeof value === "number" && !Number.isSafeInteger(value)) {
    throw new RangeError(`${value} is not a safe integer; use a bigint`);
  }
  return BigInt(value);
}

/** As `int64`; undefined stays undefined. */
export function optionalInt64(value: Int64 | undefined): bigint | undefined {
  return value === undefined ? undefined : int64(value);
}

/** The integer of the wire as a number; throws RangeError if it would be rounded. */
export function safeNumber(value: bigint): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number)) {
    throw new RangeError(`${value} is too large for an exact number`);
  }
  return number;
}
