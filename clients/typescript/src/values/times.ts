/** Times and durations to the microsecond, as the store keeps them. */

import { inspect } from "node:util";

import { create } from "@bufbuild/protobuf";
import {
  DurationSchema,
  TimestampSchema,
  type Duration,
  type Timestamp,
} from "@bufbuild/protobuf/wkt";

import { InvalidArgument, notOf } from "./arguments.js";
import { int64, type Int64 } from "./numbers.js";

const MICROS = 1_000_000n;
const ISO = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)$/;

/** A point in time, exact to the microsecond, which a `Date` would cut to the millisecond. */
export class Instant {
  /** Microseconds since 1970-01-01T00:00:00Z. */
  readonly epochMicros: bigint;

  private constructor(epochMicros: bigint) {
    this.epochMicros = epochMicros;
  }

  /** The time that is so many microseconds after 1970-01-01T00:00:00Z. */
  static ofEpochMicros(micros: Int64): Instant {
    return new Instant(int64(micros));
  }

  /** The time of a `Date`; throws `InvalidArgument` for what is no time. */
  static of(time: Date | Instant): Instant {
    checkTime(time, "time");
    return time instanceof Instant ? time : new Instant(int64(time.getTime()) * 1000n);
  }

  /** Parse an RFC 3339 time; digits beyond a microsecond are cut off. */
  static parse(text: string): Instant {
    const [, whole, fraction = "", zone] = ISO.exec(text) ?? [];
    const millis = Date.parse(`${whole}${zone}`);
    if (Number.isNaN(millis)) {
      throw new RangeError(`not an RFC 3339 time: ${text}`);
    }
    return new Instant(BigInt(millis) * 1000n + BigInt(fraction.padEnd(6, "0").slice(0, 6)));
  }

  /** The time of this machine's clock, to the millisecond. */
  static now(): Instant {
    return Instant.of(new Date());
  }

  /** The time to the millisecond. */
  toDate(): Date {
    return new Date(Number(floorDivide(this.epochMicros, 1000n)));
  }

  /** RFC 3339 in UTC, always with six fractional digits. */
  toString(): string {
    const seconds = floorDivide(this.epochMicros, MICROS);
    const micros = this.epochMicros - seconds * MICROS;
    const whole = new Date(Number(seconds) * 1000).toISOString().slice(0, -".000Z".length);
    return `${whole}.${micros.toString().padStart(6, "0")}Z`;
  }

  /** As `toString`: what `JSON.stringify` writes. */
  toJSON(): string {
    return this.toString();
  }

  /** @internal */
  [inspect.custom](): string {
    return this.toString();
  }

  /** Whether it is the same microsecond. */
  equals(other: Instant): boolean {
    return this.epochMicros === other.epochMicros;
  }
}

/** Throws `InvalidArgument` unless the argument at this path is a valid `Date` or an `Instant`. */
export function checkTime(value: unknown, path: string): asserts value is Date | Instant {
  if (!(value instanceof Date || value instanceof Instant)) {
    throw notOf("a Date or an Instant", value, path);
  }
  if (value instanceof Date && Number.isNaN(value.getTime())) {
    throw new InvalidArgument(path, "is an invalid Date");
  }
}

export function timestamp(time: Date | Instant | undefined): Timestamp | undefined {
  if (time === undefined) {
    return undefined;
  }
  const micros = Instant.of(time).epochMicros;
  const seconds = floorDivide(micros, MICROS);
  return create(TimestampSchema, { seconds, nanos: Number(micros - seconds * MICROS) * 1000 });
}

export function instantOf(message: Timestamp | undefined): Instant {
  const { seconds, nanos } = message ?? { seconds: 0n, nanos: 0 };
  return Instant.ofEpochMicros(seconds * MICROS + BigInt(Math.floor(nanos / 1000)));
}

export function optionalInstant(message: Timestamp | undefined): Instant | undefined {
  return message && instantOf(message);
}

export function duration(micros: Int64): Duration {
  const whole = int64(micros);
  return create(DurationSchema, { seconds: whole / MICROS, nanos: Number(whole % MICROS) * 1000 });
}

export function microsOf(message: Duration | undefined): bigint {
  return message ? message.seconds * MICROS + BigInt(Math.trunc(message.nanos / 1000)) : 0n;
}

function floorDivide(value: bigint, by: bigint): bigint {
  return (value - (((value % by) + by) % by)) / by;
}
