/** JSON texts of values: what JSON can represent, and encoders for what it cannot. */

import { described, InvalidArgument, isPlain } from "./arguments.js";

type Class<T> = abstract new (...args: never[]) => T;
/** Where a value is: its key or index, and the path of what holds it. */
interface Path {
  readonly key: string | number;
  readonly within?: Path;
}
type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

const encoders = new Map<unknown, (value: never) => unknown>();
const NAME = /^[\p{ID_Start}$_][\p{ID_Continue}$\u200c\u200d]*$/u;

/**
 * In payloads of this process, replace instances of a class, or of its subclasses, by JSON values.
 *
 *     registerEncoder(Date, (date) => date.toISOString());
 *     registerEncoder(Map, (map) => Object.fromEntries(map));
 *     registerEncoder(Set, (set) => [...set]);
 *     registerEncoder(Decimal, (number) => number.toJSON());
 *
 * The nearest class counts. What an encoder returns may hold further values that need one.
 */
export function registerEncoder<T>(kind: Class<T>, encode: (value: T) => unknown): void {
  encoders.set(kind.prototype, encode);
}

/** The JSON text of an argument; throws `InvalidArgument` with the path of what is not JSON. */
export function jsonText(value: unknown, name: string): string {
  try {
    return JSON.stringify(plain(value, { key: name }));
  } catch (error) {
    if (error instanceof RangeError) {
      throw new InvalidArgument(name, "is nested too deeply, or contains itself");
    }
    throw error;
  }
}

/** The value made of what `JSON.stringify` writes without changing its meaning. */
function plain(value: unknown, path: Path): Json {
  if (value === null || typeof value === "string" || typeof value === "boolean") {
    return value;
  }
  if (typeof value === "number") {
    if (Number.isFinite(value)) {
      return value;
    }
    throw refused(path, `${value} is not JSON`);
  }
  if (typeof value !== "object") {
    throw refused(path, `${described(value)} is not JSON`);
  }
  if (Array.isArray(value)) {
    return Array.from(value, (item, index) => plain(item, { key: index, within: path }));
  }
  return isPlain(value) ? members(value, path) : plain(encoded(value, path), path);
}

function members(value: object, path: Path): Json {
  const symbols = Object.getOwnPropertySymbols(value);
  if (symbols.some((symbol) => Object.prototype.propertyIsEnumerable.call(value, symbol))) {
    throw refused(path, "a symbol as a key is not JSON");
  }
  return Object.fromEntries(
    Object.entries(value).map(([key, member]) => [key, plain(member, { key, within: path })]),
  );
}

function encoded(value: object, path: Path): unknown {
  for (let kind: unknown = value; kind !== null; kind = Object.getPrototypeOf(kind)) {
    const encode = encoders.get(kind);
    if (encode) {
      return encode(value as never);
    }
  }
  const problem = `${described(value)} is not JSON: convert it, or registerEncoder`;
  throw refused(path, problem);
}

function refused(path: Path, problem: string): InvalidArgument {
  return new InvalidArgument(shown(path), problem);
}

/** The path as one would write it. */
function shown({ key, within }: Path): string {
  return within ? memberPath(shown(within), key) : String(key);
}

/** The path of a member or an item. */
export function memberPath(path: string, key: string | number): string {
  const isName = typeof key === "string" && NAME.test(key);
  return isName ? `${path}.${key}` : `${path}[${JSON.stringify(key)}]`;
}
