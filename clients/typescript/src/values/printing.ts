/** What `console.log` and `util.inspect` show of values. */

import { inspect } from "node:util";

/** The generated enum and its name. */
type Enum = readonly [name: string, names: Readonly<Record<number, string>>];

/**
 * Make values of a kind print numbers of enums by their names and bytes as hexadecimal digits. The
 * values themselves stay what they are.
 */
export function printing<T extends object>(enums: { readonly [Name in keyof T]?: Enum } = {}) {
  const names = enums as Readonly<Record<string, Enum | undefined>>;
  const descriptor = {
    value(this: T): object {
      const members = Object.entries(this);
      return Object.fromEntries(members.map(([key, each]) => [key, shown(each, names[key])]));
    },
  };
  return (value: T): T => Object.defineProperty(value, inspect.custom, descriptor);
}

function shown(value: unknown, kind: Enum | undefined): unknown {
  if (value instanceof Uint8Array) {
    return bare(Buffer.from(value).toString("hex"));
  }
  if (kind && typeof value === "number") {
    const [name, names] = kind;
    return bare(`${name}.${names[value] ?? value}`);
  }
  return value;
}

/** Text that is shown without quotes. */
function bare(text: string): object {
  return { [inspect.custom]: () => text };
}
