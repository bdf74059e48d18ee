/** The results of the client as every runner writes them; empty values are omitted. */

import { createHash } from "node:crypto";

import {
  ArchiveState,
  Instant,
  Outcome,
  Payload,
  PrincipalKind,
  ErasureState,
  RemovalKind,
  RemovalState,
  RetentionBlocker,
  Role,
  RunStatus,
  SnapshotReason,
  type RunstoreError,
  type StreamItem,
} from "../src/index.js";
import type { Fields, Json } from "./sent.js";

const MOST_INLINE_BYTES = 4096;
const FREE = new Set(["labels", "state", "metadata"]);
const ENUMS: Record<string, Record<number, string>> = {
  kind: PrincipalKind,
  archive_state: ArchiveState,
  erasure_state: ErasureState,
  removal_kind: RemovalKind,
  removal_state: RemovalState,
  removal_blocker: RetentionBlocker,
  outcome: Outcome,
  role: Role,
  status: RunStatus,
  reason: SnapshotReason,
};

/** How enums of one name are told apart: by another field of the value. */
const OF = [
  ["removalId", "removal_"],
  ["sampleRunIds", "removal_"],
  ["erasureId", "erasure_"],
  ["manifestHash", "archive_"],
] as const;

/** A value of the client; `key` is its name. */
export function seen(value: unknown, key = ""): Json {
  if (value instanceof Payload) {
    return seenPayload(value);
  }
  if (value instanceof Instant) {
    return value.toString();
  }
  if (value instanceof Uint8Array) {
    return Buffer.from(value).toString("hex");
  }
  if (Array.isArray(value)) {
    return value.map((each) => seen(each, key === "statuses" ? "status" : ""));
  }
  switch (typeof value) {
    case "bigint":
      return Number.isSafeInteger(Number(value)) ? Number(value) : value.toString();
    case "number":
      return ENUMS[key]?.[value] ?? value;
    case "object":
      return value === null ? null : seenFields(value, key);
    case "string":
    case "boolean":
      return value;
    default:
      return null;
  }
}

function seenFields(value: object, key: string): Fields {
  const isFree = FREE.has(key);
  const of = OF.find(([name]) => name in value)?.[1] ?? "";
  return pruned(
    Object.fromEntries(
      Object.entries(value).map(([name, each]) => [
        isFree ? name : snake(name),
        seen(each, isFree ? "" : of + snake(name)),
      ]),
    ),
  );
}

export function pruned(fields: Fields): Fields {
  return Object.fromEntries(Object.entries(fields).filter(([, each]) => !isEmpty(each)));
}

function isEmpty(value: Json): boolean {
  return (
    value === null || value === "" || (typeof value === "object" && Object.keys(value).length === 0)
  );
}

function seenPayload(value: Payload): Json {
  const type = value.contentType ? { content_type: value.contentType } : {};
  const { bytes, isJson } = value;
  if (bytes.length > MOST_INLINE_BYTES) {
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    return { ...type, is_json: isJson, sha256, size: bytes.length };
  }
  const base64 = () => Buffer.from(bytes).toString("base64");
  return { ...type, ...(isJson ? { json: value.text } : { base64: base64() }) };
}

export function seenError(error: RunstoreError): Fields {
  return pruned({
    type: error.constructor.name,
    code: error.code,
    reason: error.reason,
    metadata: { ...error.metadata },
    violations: error.violations.map(({ field, description }) => ({ field, description })),
  });
}

/** Events and the run's end; other progress depends on time. */
export function shownItem(item: StreamItem): object[] {
  switch (item.kind) {
    case "event":
      return [{ event: item.event }];
    case "endOfRun":
      return [{ endOfRun: { lastSeq: item.lastSeq, outcome: item.outcome } }];
    default:
      return [];
  }
}

function snake(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
