/**
 * 64-bit integers.
 *
 * What counts within a run (seqs, epochs, events checked) is a `number`, refused beyond
 * `Number.MAX_SAFE_INTEGER` instead of being rounded; what is summed up (tokens, cost, time) and
 * what callers number themselves (config versions, sizes of what they link) is a `bigint`. Arguments may be either.
 */
export type Int64 = number | bigint;

/** The integer for the wire; a number that may have lost digits is refused. */
export function int64(value: Int64): bigint {
  if (typeof value === "number" && !Number.isSafeInteger(value)) {
    throw new RangeError(`${value} is not a safe integer; give a bigint`);
  }
  return BigInt(value);
}

/** As `int64`; what was not given stays away. */
export function optionalInt64(value: Int64 | undefined): bigint | undefined {
  return value === undefined ? undefined : int64(value);
}

/** The integer of the wire as a number, exactly or not at all. */
export function safeNumber(value: bigint): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number)) {
    throw new RangeError(`${value} is beyond what a number holds exactly`);
  }
  return number;
}
