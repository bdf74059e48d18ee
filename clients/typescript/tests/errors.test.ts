/** Statuses become errors by their reason. */

import { create } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";

import { ErrorInfoSchema } from "../src/gen/google/rpc/error_details_pb.js";
import { StatusSchema } from "../src/gen/google/rpc/status_pb.js";
import { ErrorReasonSchema } from "../src/gen/runstore/v1/errors_pb.js";
import {
  BY_REASON,
  DeadlineExceeded,
  PermissionDenied,
  QuotaExceeded,
  RunstoreError,
  SeqConflict,
  STATUS_CODES,
  StorageUnavailable,
  Unauthenticated,
  Unavailable,
  WriterFenced,
} from "../src/index.js";
import { fromStatus, fromStream, fromTransport } from "../src/transport/failures.js";

const REASONS = ErrorReasonSchema.values
  .map(({ name }) => name.replace("ERROR_REASON_", ""))
  .filter((name) => name !== "UNSPECIFIED");

function status(code: number, reason: string, metadata: Record<string, string> = {}) {
  const info = create(ErrorInfoSchema, { reason, domain: "runstore.v1", metadata });
  return create(StatusSchema, {
    code,
    message: "words",
    details: [anyPack(ErrorInfoSchema, info)],
  });
}

/** A status that a server sent, without details. */
function told(code: Code): ConnectError {
  return new ConnectError("words", code, { "grpc-status": String(code) });
}

test("every reason of the contract has a class of its own", () => {
  expect(new Set(Object.keys(BY_REASON))).toEqual(new Set(REASONS));
  expect(new Set(Object.values(BY_REASON)).size).toBe(REASONS.length);
});

test.each(Object.entries(BY_REASON))("%s becomes its class whatever the code", (reason, kind) => {
  const error = fromStatus(status(2, reason));

  expect(error.constructor).toBe(kind);
  expect(error).toMatchObject({ reason, code: "UNKNOWN", name: kind.name });
});

test("status codes are named as gRPC numbers them", () => {
  for (const [name, number] of Object.entries(Code).filter(
    ([, each]) => typeof each === "number",
  )) {
    const words = name.replace(/(?<=[a-z])[A-Z]/g, "_$&").toUpperCase();
    expect(STATUS_CODES[Number(number)]).toBe(words === "CANCELED" ? "CANCELLED" : words);
  }
});

test("a conflict tells both seqs, a fenced writer the epoch", () => {
  const conflict = fromStatus(status(10, "SEQ_CONFLICT", { expected_seq: "3", current_seq: "5" }));
  const fenced = fromStatus(status(9, "WRITER_FENCED", { current_epoch: "2" }));

  expect(conflict).toBeInstanceOf(SeqConflict);
  expect(conflict).toMatchObject({ expectedSeq: 3, currentSeq: 5 });
  expect(fenced).toBeInstanceOf(WriterFenced);
  expect(fenced).toMatchObject({ currentEpoch: 2 });
});

test("a denial says what would be needed, a quota which limit it is", () => {
  const denied = fromStatus(status(7, "PERMISSION_DENIED", { project: "acme", role: "writer" }));
  const exceeded = fromStatus(status(8, "QUOTA_EXCEEDED", { limit: "events" }));

  expect(denied).toBeInstanceOf(PermissionDenied);
  expect(denied).toMatchObject({ project: "acme", role: "writer" });
  expect(exceeded).toBeInstanceOf(QuotaExceeded);
  expect(exceeded).toMatchObject({ limit: "events" });
});

test("an expired credential is one that the server no longer takes", () => {
  expect(fromStatus(status(16, "CREDENTIAL_EXPIRED"))).toBeInstanceOf(Unauthenticated);
  expect(fromStatus(status(16, "UNAUTHENTICATED")).constructor).toBe(Unauthenticated);
});

test("an unknown reason is a plain error that names it", () => {
  const error = fromStatus(status(9, "NEW_IN_VERSION_TWO", { key: "value" }));

  expect(error.constructor).toBe(RunstoreError);
  expect(error.metadata).toEqual({ key: "value" });
  expect(error.message).toContain("NEW_IN_VERSION_TWO");
});

test("a name every object has is no reason", () => {
  expect(fromStatus(status(9, "constructor")).constructor).toBe(RunstoreError);
});

test("a reason of another domain is none of ours", () => {
  const info = create(ErrorInfoSchema, { reason: "OVERLOADED", domain: "proxy.example" });
  const details = [anyPack(ErrorInfoSchema, info)];

  const error = fromStatus(create(StatusSchema, { code: 8, details }));

  expect(error.constructor).toBe(RunstoreError);
});

test("details that cannot be read leave the code", () => {
  const details = [
    { typeUrl: "type.googleapis.com/google.rpc.ErrorInfo", value: Uint8Array.of(255) },
  ];

  expect(fromStatus(create(StatusSchema, { code: 14, details }))).toBeInstanceOf(Unavailable);
});

describe("without details", () => {
  test.each([
    [Code.Unavailable, Unavailable],
    [Code.Canceled, Unavailable],
    [Code.DeadlineExceeded, DeadlineExceeded],
    [Code.Internal, Unavailable],
    [Code.Unknown, Unavailable],
    [Code.Aborted, RunstoreError],
  ])("the server's code %i decides", (code, kind) => {
    expect((fromTransport(told(code)) as Error).constructor).toBe(kind);
  });

  test("a deadline of a stream, which has none of ours, is a broken path", () => {
    expect((fromStream(told(Code.DeadlineExceeded)) as Error).constructor).toBe(Unavailable);
  });

  test("a status inside of a response does not tell of the path", () => {
    expect(fromStatus(create(StatusSchema, { code: 13 })).constructor).toBe(RunstoreError);
  });

  test.each([Code.Aborted, Code.Canceled, Code.Internal, Code.InvalidArgument, Code.Unavailable])(
    "the transport's own code %i means that the connection broke",
    (code) => {
      const error = fromTransport(new ConnectError("words", code));

      expect((error as Error).constructor).toBe(Unavailable);
    },
  );

  test("what is no failure of a call stays what it is", () => {
    const error = new RangeError("words");

    expect(fromTransport(error)).toBe(error);
  });
});

test("an outage of the storage is one of the service", () => {
  expect(fromStatus(status(14, "STORAGE_UNAVAILABLE"))).toBeInstanceOf(StorageUnavailable);
  expect(StorageUnavailable.prototype).toBeInstanceOf(Unavailable);
});
