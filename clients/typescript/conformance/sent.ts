/** Arguments of the scenarios as the client takes them. */

import {
  Instant,
  Outcome,
  Payload,
  Ref,
  RunOrder,
  RunStatus,
  SnapshotReason,
} from "../src/index.js";

export type Json = string | number | boolean | null | Json[] | { [name: string]: Json };
export type Fields = Record<string, Json>;

// Members whose names are the caller's, which stay as they are.
const FREE = new Set(["labels", "state"]);
const SUMS = new Set(["usage", "config_refs"]);

/** JSON whose integers beyond a double become strings, digit for digit. */
export function parsed(text: string): unknown {
  const tokens = /("(?:[^"\\]|\\.)*")|-?\d{16,}(?![\d.eE])/g;
  return JSON.parse(
    text.replace(tokens, (token: string, string: string | undefined) =>
      string === undefined && !Number.isSafeInteger(Number(token)) ? `"${token}"` : token,
    ),
  );
}

/** The arguments of a step with the client's names, and with payloads and times as its values. */
export function sentArguments(fields: Fields): Record<string, unknown> {
  return sentFields(fields, "");
}

function sent(value: Json, key = ""): unknown {
  if (Array.isArray(value)) {
    return value.map((each) => sent(each, key));
  }
  if (typeof value === "object" && value !== null) {
    return payloadOf(value) ?? sentFields(value, key);
  }
  if (typeof value !== "string") {
    return value;
  }
  switch (key) {
    case "outcome":
      return Outcome[value as keyof typeof Outcome];
    case "reason":
      return SnapshotReason[value as keyof typeof SnapshotReason];
    case "order":
      return RunOrder[value as keyof typeof RunOrder];
    case "statuses":
      return RunStatus[value as keyof typeof RunStatus];
    default:
      return /^occurred_at$|_time$/.test(key) ? Instant.parse(value) : value;
  }
}

function sentFields(fields: Fields, key: string): Record<string, unknown> {
  const isFree = FREE.has(key);
  return Object.fromEntries(
    Object.entries(fields).map(([name, each]) => {
      if ((SUMS.has(key) || name === "size") && typeof each === "string" && /^-?\d+$/.test(each)) {
        return [camel(name), BigInt(each)];
      }
      return [isFree ? name : camel(name.replace(/_time$/, "")), sent(each, isFree ? "" : name)];
    }),
  );
}

function payloadOf(value: Fields): Payload | Ref | undefined {
  const { json, base64, sha256, sha256_of: of, content_type: type = "" } = value;
  if (of !== undefined) {
    return (payloadOf(of as Fields) as Payload).ref;
  }
  if (sha256 !== undefined) {
    return new Ref(Uint8Array.from(Buffer.from(sha256 as string, "hex")));
  }
  if (json !== undefined) {
    return Payload.json(text(json), type as string);
  }
  if (base64 !== undefined) {
    return Payload.binary(Uint8Array.from(Buffer.from(base64 as string, "base64")), type as string);
  }
  return undefined;
}

/** A text: as it is, or from strings with the number of their repetitions. */
function text(raw: Json): string {
  if (typeof raw === "string") {
    return raw;
  }
  const { repeat } = raw as { repeat: [string, number][] };
  return repeat.map(([piece, times]) => piece.repeat(times)).join("");
}

function camel(name: string): string {
  return name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

/** The arguments with "$name.path" replaced by its value. */
export function resolved(value: Json, known: Fields): Json {
  if (typeof value === "string" && value.startsWith("$")) {
    const [name = "", ...path] = value.slice(1).split(".");
    return path.reduce<Json>((found, part) => step(found, part, value), step(known, name, value));
  }
  if (Array.isArray(value)) {
    return value.map((each) => resolved(each, known));
  }
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(
      Object.entries(value).map(([name, each]) => [name, resolved(each, known)]),
    );
  }
  return value;
}

function step(found: Json, part: string, reference: string): Json {
  const next = (found as Fields)[part];
  if (next === undefined) {
    throw new Error(`cannot resolve ${reference}`);
  }
  return next;
}
