/**
 * Arguments that a call cannot take, and the checks that find them.
 *
 * TypeScript checks types when it compiles; these find what JavaScript lets through: a string would
 * become a list of its characters, a misspelt name would be ignored.
 */

/** An argument that was refused before anything was sent; `field` is the path of the value. */
export class InvalidArgument extends TypeError {
  constructor(
    /** Where the value is, such as `events[0].tags`. */
    readonly field: string,
    /** What is wrong with it. */
    readonly problem: string,
  ) {
    super(`${field}: ${problem}`);
    this.name = "InvalidArgument";
  }
}

/** Throws `InvalidArgument` for a value that the argument at this path cannot have. */
export type Check = (value: unknown, path: string) => void;

/** The check of each member of an argument that is an object. */
export type Checks<T> = { readonly [Name in keyof T]-?: Check };

const INT64_BITS = 63;
const INT32_BITS = 31;

/** Any value: another function checks it. */
export function anything(): void {
  // What it holds depends on more than its type.
}

/** Text that has a UTF-8 form; the encoder would silently replace a lone surrogate. */
export function text(value: unknown, path: string): asserts value is string {
  if (typeof value !== "string") {
    throw notOf("a string", value, path);
  }
  if (!value.isWellFormed()) {
    throw new InvalidArgument(path, "holds a lone surrogate, which has no UTF-8 form");
  }
}

export function flag(value: unknown, path: string): void {
  if (typeof value !== "boolean") {
    throw notOf("a boolean", value, path);
  }
}

export function bytes(value: unknown, path: string): void {
  if (!(value instanceof Uint8Array)) {
    throw notOf("a Uint8Array", value, path);
  }
}

export function callback(value: unknown, path: string): void {
  if (typeof value !== "function") {
    throw notOf("a function", value, path);
  }
}

/** An integer of 64 bits: a bigint, or a number that has not lost digits. */
export function int64(value: unknown, path: string): void {
  integer(value, path, INT64_BITS);
}

/** As `int64`, of 32 bits. */
export function int32(value: unknown, path: string): void {
  integer(value, path, INT32_BITS);
}

function integer(value: unknown, path: string, bits: number): void {
  if (typeof value !== "bigint" && typeof value !== "number") {
    throw notOf("a number or a bigint", value, path);
  }
  if (typeof value === "number" && !Number.isSafeInteger(value)) {
    throw new InvalidArgument(path, `${value} is not a safe integer; use a bigint`);
  }
  if (BigInt.asIntN(bits + 1, BigInt(value)) !== BigInt(value)) {
    throw new InvalidArgument(path, `must be -2^${bits}..2^${bits}-1, is ${value}`);
  }
}

/** A length of time that may be without end. */
export function milliseconds(value: unknown, path: string): void {
  if (typeof value !== "number") {
    throw notOf("a number of milliseconds", value, path);
  }
  if (!(value >= 0)) {
    throw new InvalidArgument(path, `must be 0 milliseconds or more, is ${value}`);
  }
}

/** A length of time that is sent to the server. */
export function finiteMilliseconds(value: unknown, path: string): void {
  milliseconds(value, path);
  if (!Number.isSafeInteger(Math.round((value as number) * 1000))) {
    throw new InvalidArgument(path, `is too long: ${value as number}`);
  }
}

export function abortSignal(value: unknown, path: string): void {
  if (!(value instanceof AbortSignal)) {
    throw notOf("an AbortSignal", value, path);
  }
}

/** A number of the enum with this name. */
export function member(of: string): Check {
  return (value, path) => {
    if (!Number.isInteger(value)) {
      throw notOf(`a number of ${of}`, value, path);
    }
  };
}

/** An array of what passes the check; `of` names that in the plural. */
export function list(check: Check, of: string): Check {
  return (value, path) => {
    if (!Array.isArray(value)) {
      throw notOf(`an array of ${of}`, value, path);
    }
    for (const [index, item] of value.entries()) {
      check(item, `${path}[${index}]`);
    }
  };
}

export const texts = list(text, "strings");

/** An object literal with any names, whose values pass the check. */
export function record(check: Check): Check {
  return (value, path) => {
    for (const [name, each] of entries(value, path)) {
      text(name, `${path}: the name ${JSON.stringify(name)}`);
      check(each, `${path}[${JSON.stringify(name)}]`);
    }
  };
}

/**
 * An object with the names of the table and no other; one that is undefined is not given.
 *
 * `name` stands for an argument of its own, whose members' paths begin with nothing.
 */
export function object<T>(
  name: string,
  checks: Checks<T>,
): (value: unknown, path?: string) => void {
  const table: Readonly<Record<string, Check>> = checks;
  const known = Object.keys(table).sort().join(", ");
  return (value, path) => {
    const at = path === undefined ? "" : `${path}.`;
    for (const [key, each] of entries(value, path ?? name)) {
      const check = Object.hasOwn(table, key) ? table[key] : undefined;
      if (!check) {
        throw new InvalidArgument(at + key, `is unknown here; there are ${known}`);
      }
      if (each !== undefined) {
        check(each, at + key);
      }
    }
  };
}

function entries(value: unknown, path: string): [string, unknown][] {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    const found = Object.entries(value);
    // What a Map, a Date or a promise holds is not in its properties.
    if (found.length > 0 || isPlain(value)) {
      return found;
    }
  }
  throw notOf("an object", value, path);
}

/** Whether a value is an object literal, of this realm or of another, or has no prototype. */
export function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

/** The error of a value that is not what was expected. */
export function notOf(expected: string, value: unknown, path: string): InvalidArgument {
  return new InvalidArgument(path, `must be ${expected}, not ${described(value)}`);
}

/** What a value is, in words. */
export function described(value: unknown): string {
  if (value === undefined || value === null) {
    return String(value);
  }
  if (Array.isArray(value)) {
    return "an array";
  }
  if (typeof value !== "object") {
    return `a ${typeof value}`;
  }
  return isPlain(value) ? "an object" : `an instance of ${classOf(value)}`;
}

function classOf(value: object): string {
  const { constructor } = value;
  return typeof constructor === "function" && constructor.name ? constructor.name : "a class";
}
