/**
 * The errors that calls reject with.
 *
 *     RunstoreError
 *     ├── Unavailable              no server, or it went away; the client has retried
 *     │   ├── StorageUnavailable   the server's database does not answer
 *     │   └── ServerDraining       the server is shutting down
 *     ├── ClientClosed             the client was closed
 *     ├── DeadlineExceeded         the timeout of the call has passed
 *     ├── InvalidRequest           a field is invalid: see `violations`
 *     ├── MalformedMessage         the bytes sent do not decode as the request
 *     ├── MessageTooLarge          more than the server accepts
 *     ├── RunNotFound
 *     ├── SnapshotNotFound
 *     ├── OutputNotFound
 *     ├── IdempotencyMismatch      a known id with other content
 *     ├── SeqConflict              another writer wrote first: see `currentSeq`
 *     ├── WriterFenced             a later resume claimed the run: stop writing
 *     ├── WriterEpochUnknown       an epoch that the run never issued
 *     ├── RunCompleted
 *     ├── OutcomeConflict
 *     ├── OutcomeRequired
 *     ├── SnapshotAhead
 *     ├── ConsumerNotFound         it has never committed
 *     ├── PositionAhead            a position beyond the end of the feed
 *     ├── UnknownRef               send the part in full
 *     ├── SnapshotInUse            a fork has it in its history: see `forkRunId`
 *     ├── ConfigNotFound
 *     ├── ConfigVersionNotFound
 *     ├── ConfigLabelNotFound
 *     ├── LabelConflict            someone else moved it: see `currentVersion`
 *     ├── ArtifactNotFound
 *     ├── ContentMismatch          the bytes changed while they were uploaded
 *     ├── RangeBeyondEnd           bytes that the artifact does not have
 *     ├── ArtifactIsLink           its bytes are elsewhere: see `url`
 *     ├── SearchBehind             the awaited event or position is not searchable yet
 *     ├── SeqAhead                 the run has not reached this seq
 *     ├── StatisticsBehind         the awaited event or position is not counted yet
 *     ├── Overloaded               the client has retried
 *     ├── Internal                 a bug in the server
 *     └── ProtocolError            the server broke its own contract
 *
 * The class depends on `ErrorInfo.reason`, never on the message. An aborted call rejects with the
 * reason of the caller's AbortSignal instead.
 */

import type { ErrorReason } from "../gen/runstore/v1/errors_pb.js";

/** The names of gRPC's status codes; the index is the number. */
export const STATUS_CODES = [
  "OK",
  "CANCELLED",
  "UNKNOWN",
  "INVALID_ARGUMENT",
  "DEADLINE_EXCEEDED",
  "NOT_FOUND",
  "ALREADY_EXISTS",
  "PERMISSION_DENIED",
  "RESOURCE_EXHAUSTED",
  "FAILED_PRECONDITION",
  "ABORTED",
  "OUT_OF_RANGE",
  "UNIMPLEMENTED",
  "INTERNAL",
  "UNAVAILABLE",
  "DATA_LOSS",
  "UNAUTHENTICATED",
] as const;

export type StatusCode = (typeof STATUS_CODES)[number];

/** An invalid field of a request. */
export interface Violation {
  readonly field: string;
  readonly description: string;
}

/** The contents of a status. */
export interface Failure {
  readonly code: StatusCode;
  readonly message: string;
  readonly reason?: string;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly violations?: readonly Violation[];
  readonly requestId?: string;
  readonly retryAfterMs?: number | undefined;
  readonly cause?: unknown;
}

/** A failed call: `reason` and `metadata` as errors.proto defines them. */
export class RunstoreError extends Error {
  readonly code: StatusCode;
  /** Stable, for branching on; empty if the failure has none. */
  readonly reason: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly violations: readonly Violation[];
  /** Identifies the call in the server's log. */
  readonly requestId: string;
  /** How long the server asks the caller to wait. */
  readonly retryAfterMs: number | undefined;

  constructor(failure: Failure) {
    super(`${failure.reason || failure.code}: ${failure.message}`, { cause: failure.cause });
    this.name = new.target.name;
    this.code = failure.code;
    this.reason = failure.reason ?? "";
    this.metadata = failure.metadata ?? {};
    this.violations = failure.violations ?? [];
    this.requestId = failure.requestId ?? "";
    this.retryAfterMs = failure.retryAfterMs;
  }

  /** @internal The same error in words that are made of its own. */
  reworded(change: (words: string) => string): RunstoreError {
    const kind = this.constructor as ErrorClass;
    const words = this.message.slice(`${this.reason || this.code}: `.length);
    const { code, reason, metadata, violations, requestId, retryAfterMs, cause } = this;
    const message = change(words);
    return new kind({
      code,
      message,
      reason,
      metadata,
      violations,
      requestId,
      retryAfterMs,
      cause,
    });
  }

  protected number(key: string): number {
    return Number(this.metadata[key] ?? 0);
  }
}

export class Unavailable extends RunstoreError {}
export class StorageUnavailable extends Unavailable {}
export class ServerDraining extends Unavailable {}
export class ClientClosed extends RunstoreError {}
export class DeadlineExceeded extends RunstoreError {}
export class InvalidRequest extends RunstoreError {}
export class MalformedMessage extends RunstoreError {}
export class MessageTooLarge extends RunstoreError {}
export class RunNotFound extends RunstoreError {}
export class SnapshotNotFound extends RunstoreError {}
export class OutputNotFound extends RunstoreError {}
export class IdempotencyMismatch extends RunstoreError {}

export class SeqConflict extends RunstoreError {
  /** The last seq that the writer expected. */
  get expectedSeq(): number {
    return this.number("expected_seq");
  }

  /** The run's last seq: read the events after `expectedSeq`, decide again, retry. */
  get currentSeq(): number {
    return this.number("current_seq");
  }
}

export class WriterFenced extends RunstoreError {
  /** The epoch that owns the run now. */
  get currentEpoch(): number {
    return this.number("current_epoch");
  }
}

export class WriterEpochUnknown extends RunstoreError {}
export class RunCompleted extends RunstoreError {}
export class OutcomeConflict extends RunstoreError {}
export class OutcomeRequired extends RunstoreError {}
export class SnapshotAhead extends RunstoreError {}
export class ConsumerNotFound extends RunstoreError {}
export class PositionAhead extends RunstoreError {}
export class UnknownRef extends RunstoreError {}

export class SnapshotInUse extends RunstoreError {
  /** A fork that has the snapshot in its history. */
  get forkRunId(): string {
    return this.metadata["fork_run_id"] ?? "";
  }
}

export class ConfigNotFound extends RunstoreError {}
export class ConfigVersionNotFound extends RunstoreError {}
export class ConfigLabelNotFound extends RunstoreError {}

export class LabelConflict extends RunstoreError {
  /** The version that the label points to; 0 if there is no such label. */
  get currentVersion(): number {
    return this.number("current_version");
  }
}

export class ArtifactNotFound extends RunstoreError {}
export class ContentMismatch extends RunstoreError {}
export class RangeBeyondEnd extends RunstoreError {}

export class ArtifactIsLink extends RunstoreError {
  /** Where the bytes are. */
  get url(): string {
    return this.metadata["url"] ?? "";
  }
}

export class SearchBehind extends RunstoreError {
  /** The position up to which the feed is searchable. */
  get indexedPosition(): number {
    return this.number("indexed_position");
  }
}

export class SeqAhead extends RunstoreError {}

export class StatisticsBehind extends RunstoreError {
  /** The position up to which the feed is counted. */
  get countedPosition(): number {
    return this.number("counted_position");
  }
}

export class Overloaded extends RunstoreError {}
export class Internal extends RunstoreError {}

export class ProtocolError extends RunstoreError {
  constructor(problem: string | Failure) {
    super(typeof problem === "string" ? { code: "INTERNAL", message: problem } : problem);
  }
}

export type ErrorClass = new (failure: Failure) => RunstoreError;

type Reason = Exclude<keyof typeof ErrorReason, "UNSPECIFIED">;

/** The class of each reason in errors.proto. */
export const BY_REASON: Readonly<Record<Reason, ErrorClass>> = {
  INVALID_REQUEST: InvalidRequest,
  MALFORMED_MESSAGE: MalformedMessage,
  MESSAGE_TOO_LARGE: MessageTooLarge,
  RUN_NOT_FOUND: RunNotFound,
  SNAPSHOT_NOT_FOUND: SnapshotNotFound,
  OUTPUT_NOT_FOUND: OutputNotFound,
  IDEMPOTENCY_MISMATCH: IdempotencyMismatch,
  SEQ_CONFLICT: SeqConflict,
  WRITER_FENCED: WriterFenced,
  WRITER_EPOCH_UNKNOWN: WriterEpochUnknown,
  RUN_COMPLETED: RunCompleted,
  OUTCOME_CONFLICT: OutcomeConflict,
  OUTCOME_REQUIRED: OutcomeRequired,
  SNAPSHOT_AHEAD: SnapshotAhead,
  CONSUMER_NOT_FOUND: ConsumerNotFound,
  POSITION_AHEAD: PositionAhead,
  UNKNOWN_REF: UnknownRef,
  SNAPSHOT_IN_USE: SnapshotInUse,
  CONFIG_NOT_FOUND: ConfigNotFound,
  CONFIG_VERSION_NOT_FOUND: ConfigVersionNotFound,
  CONFIG_LABEL_NOT_FOUND: ConfigLabelNotFound,
  LABEL_CONFLICT: LabelConflict,
  ARTIFACT_NOT_FOUND: ArtifactNotFound,
  CONTENT_MISMATCH: ContentMismatch,
  RANGE_BEYOND_END: RangeBeyondEnd,
  ARTIFACT_IS_LINK: ArtifactIsLink,
  SEARCH_BEHIND: SearchBehind,
  SEQ_AHEAD: SeqAhead,
  STATISTICS_BEHIND: StatisticsBehind,
  OVERLOADED: Overloaded,
  STORAGE_UNAVAILABLE: StorageUnavailable,
  SERVER_DRAINING: ServerDraining,
  INTERNAL: Internal,
};
