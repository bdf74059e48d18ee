/** Turns what the transport throws into the errors that calls reject with. */

import { fromBinary, type DescMessage, type MessageShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";

import {
  BadRequestSchema,
  ErrorInfoSchema,
  RequestInfoSchema,
  RetryInfoSchema,
} from "../gen/google/rpc/error_details_pb.js";
import type { Status } from "../gen/google/rpc/status_pb.js";
import { microsOf } from "../values/times.js";
import {
  DeadlineExceeded,
  MessageTooLarge,
  RunstoreError,
  STATUS_CODES,
  Unavailable,
  type ErrorClass,
  type StatusCode,
} from "./errors.js";
import { BY_REASON } from "./reasons.js";

const DOMAIN = "runstore.v1";
const STATUS_HEADERS = ["grpc-status", "grpc-status-details-bin"];

type Classes = Partial<Record<StatusCode, ErrorClass>>;

const BY_CODE: Classes = { UNAVAILABLE: Unavailable, DEADLINE_EXCEEDED: DeadlineExceeded };

// What a call ends with where the path to the server breaks. The server gives a reason with every
// status; these come without one, from gRPC and from proxies: CANCELLED from a server that stops as
// the call reaches it, INTERNAL for a reset stream, UNKNOWN for a response that is not gRPC's, such
// as a proxy's error page.
const OF_CALLS: Classes = {
  ...BY_CODE,
  CANCELLED: Unavailable,
  INTERNAL: Unavailable,
  UNKNOWN: Unavailable,
};

// Our streams have no deadline, so one that passed was a proxy's.
const OF_STREAMS: Classes = { ...OF_CALLS, DEADLINE_EXCEEDED: Unavailable };

// What the transport reports for a broken connection: a reset, a destroyed session, a response
// without a status, a truncated message.
const BROKEN = new Set([
  Code.Aborted,
  Code.Canceled,
  Code.Internal,
  Code.InvalidArgument,
  Code.Unavailable,
]);

interface Packed {
  readonly type: string;
  readonly value: Uint8Array;
}

// What the transport says of a response with this HTTP status; it keeps the status nowhere else.
const CONTENT_TOO_LARGE = "HTTP 413";
// What gRPC says of a message that is far beyond the server's limit, before the server sees it.
const MESSAGE_TOO_LARGE = "SERVER: Received message larger than max";

/** The error of a failed call; an error that is not from the transport is returned unchanged. */
export function fromTransport(error: unknown): unknown {
  return tooLarge(error) ?? fromConnect(error, OF_CALLS);
}

/** As `fromTransport`, for a stream, which was opened without a deadline. */
export function fromStream(error: unknown): unknown {
  return fromConnect(error, OF_STREAMS);
}

/** As `fromStream`, for a stream of requests, which are one body to a proxy. */
export function fromRequests(error: unknown): unknown {
  return tooLarge(error) ?? fromStream(error);
}

/** The error of a request that a proxy or gRPC refused for its size, as they will each time. */
function tooLarge(error: unknown): MessageTooLarge | undefined {
  if (!(error instanceof ConnectError)) {
    return undefined;
  }
  if (error.rawMessage.startsWith(MESSAGE_TOO_LARGE)) {
    const { rawMessage: message } = error;
    return new MessageTooLarge({ code: "RESOURCE_EXHAUSTED", message, cause: error });
  }
  if (error.rawMessage !== CONTENT_TOO_LARGE) {
    return undefined;
  }
  const message =
    "the request is larger than a proxy lets pass (HTTP 413): raise the proxy's limit of a " +
    "request body, such as client_max_body_size of nginx";
  return new MessageTooLarge({ code: "RESOURCE_EXHAUSTED", message, cause: error });
}

function fromConnect(error: unknown, classes: Classes): unknown {
  if (!(error instanceof ConnectError)) {
    return error;
  }
  const hasStatus = STATUS_HEADERS.some((name) => error.metadata.has(name));
  if (!hasStatus && BROKEN.has(error.code)) {
    return brokenStream(error.rawMessage, error);
  }
  const details = error.details.filter((each): each is Packed => "type" in each);
  return fromParts(error.code, error.rawMessage, details, classes, error);
}

/** The error of a status with details. */
export function fromStatus(status: Status): RunstoreError {
  const details = status.details.map(({ typeUrl, value }) => ({
    type: typeUrl.slice(typeUrl.lastIndexOf("/") + 1),
    value,
  }));
  return fromParts(status.code, status.message, details, BY_CODE);
}

/** The error of a stream on which not even a heartbeat arrived for too long. */
export function silentStream(milliseconds: number): Unavailable {
  return brokenStream(`the stream was silent for ${milliseconds / 1000} seconds`);
}

/** The error of a stream that broke without a status from the server. */
export function brokenStream(message: string, cause?: unknown): Unavailable {
  return new Unavailable({ code: "UNAVAILABLE", message, cause });
}

function fromParts(
  number: number,
  message: string,
  details: readonly Packed[],
  classes: Classes,
  cause?: unknown,
): RunstoreError {
  const info = find(ErrorInfoSchema, details);
  const delay = find(RetryInfoSchema, details)?.retryDelay;
  const violations = find(BadRequestSchema, details)?.fieldViolations ?? [];
  const code = STATUS_CODES[number] ?? "UNKNOWN";
  const reason = info?.domain === DOMAIN ? info.reason : "";
  const kind = byReason(reason) ?? (reason ? undefined : classes[code]) ?? RunstoreError;
  return new kind({
    code,
    message,
    reason,
    metadata: info?.metadata ?? {},
    violations: violations.map(({ field, description }) => ({ field, description })),
    requestId: find(RequestInfoSchema, details)?.requestId ?? "",
    retryAfterMs: delay && Number(microsOf(delay)) / 1000,
    cause,
  });
}

function byReason(reason: string): ErrorClass | undefined {
  return Object.hasOwn(BY_REASON, reason) ? BY_REASON[reason as keyof typeof BY_REASON] : undefined;
}

function find<Desc extends DescMessage>(
  schema: Desc,
  details: readonly Packed[],
): MessageShape<Desc> | undefined {
  const packed = details.find(({ type }) => type === schema.typeName);
  try {
    return packed && fromBinary(schema, packed.value);
  } catch {
    return undefined; // malformed; the code still says what happened
  }
}
