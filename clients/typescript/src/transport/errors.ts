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
 *     ├── RunHeld                  a hold holds the run: see `holdId`
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
 *     ├── Unauthenticated          the server takes no credential, or another one
 *     │   └── CredentialExpired    the credential was valid, and has expired
 *     ├── PermissionDenied         no grant allows the call: see `project`, `role`
 *     ├── TokenNotFound
 *     ├── RunOpen                  complete the run first
 *     ├── RunInUse                 a fork's history begins with it: see `forkRunId`
 *     ├── RunIdReserved            a run of this id was deleted: choose another
 *     ├── EventsArchived           read the archive, or from `firstSeq` on
 *     ├── ArchiveNotFound          the run is not archived
 *     ├── ArchiveInvalid           an archive was changed: see `file` and `problem`
 *     ├── HoldNotFound
 *     ├── PolicyNotFound
 *     ├── ErasureNotFound
 *     ├── TokenSecretLost          a token was made, its secret did not arrive: see `tokenId`
 *     ├── Overloaded               the client has retried
 *     ├── QuotaExceeded            a limit is used up, see `limit`; the client has retried
 *     ├── Internal                 a bug in the server
 *     └── ProtocolError            the server broke its own contract
 *
 * The class depends on `ErrorInfo.reason`, never on the message. An aborted call rejects with the
 * reason of the caller's AbortSignal instead.
 */

import type { StatusCode } from "./codes.js";

export { STATUS_CODES, type StatusCode } from "./codes.js";

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
    const rest = { code, reason, metadata, violations, requestId, retryAfterMs, cause };
    return new kind({ ...rest, message: change(words) });
  }

  protected number(key: string): number {
    return Number(this.metadata[key] ?? 0);
  }
}

/** The server cannot be reached, or the path to it broke; the client has retried. */
export class Unavailable extends RunstoreError {}
/** The server's database or object store does not respond; the client has retried. */
export class StorageUnavailable extends Unavailable {}
/** The server is shutting down; the client has retried. */
export class ServerDraining extends Unavailable {}
/** The client was closed before the call, or during it. */
export class ClientClosed extends RunstoreError {}
/** The call took longer than its timeout; a write may have been stored nevertheless. */
export class DeadlineExceeded extends RunstoreError {}
/** A field breaks its rule: see `violations`. */
export class InvalidRequest extends RunstoreError {}
/** The bytes sent do not decode to the message. */
export class MalformedMessage extends RunstoreError {}
/** The request is larger than the server, or a proxy on the way to it, accepts. */
export class MessageTooLarge extends RunstoreError {}
/** The project has no such run. */
export class RunNotFound extends RunstoreError {}
/** The run has no such snapshot. */
export class SnapshotNotFound extends RunstoreError {}
/** The run has no output yet, or not this revision of it. */
export class OutputNotFound extends RunstoreError {}
/** An id that is known was sent again with other content. */
export class IdempotencyMismatch extends RunstoreError {}

/** Another writer was faster: read up to `currentSeq`, decide again, retry. */
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

/** A later resume claimed the run: stop writing. */
export class WriterFenced extends RunstoreError {
  /** The epoch that owns the run now. */
  get currentEpoch(): number {
    return this.number("current_epoch");
  }
}

/** The run never issued this writer epoch. */
export class WriterEpochUnknown extends RunstoreError {}
/** The run has ended and takes no more writes of this kind. */
export class RunCompleted extends RunstoreError {}
/** The run has ended with another outcome. */
export class OutcomeConflict extends RunstoreError {}
/** The run's end needs an outcome. */
export class OutcomeRequired extends RunstoreError {}
/** The snapshot's seq is beyond the run's last. */
export class SnapshotAhead extends RunstoreError {}
/** The consumer has not committed a position yet. */
export class ConsumerNotFound extends RunstoreError {}
/** The feed has not reached this position. */
export class PositionAhead extends RunstoreError {}
/** The run has not stored the part that a `Ref` stands for: send it in full. */
export class UnknownRef extends RunstoreError {}

/** A fork has the snapshot in its history. */
export class SnapshotInUse extends RunstoreError {
  /** A fork that has the snapshot in its history. */
  get forkRunId(): string {
    return this.metadata["fork_run_id"] ?? "";
  }
}

/** The project has no config of this kind and name. */
export class ConfigNotFound extends RunstoreError {}
/** The config has no such version. */
export class ConfigVersionNotFound extends RunstoreError {}
/** The config has no such label. */
export class ConfigLabelNotFound extends RunstoreError {}

/** The label was moved meanwhile. */
export class LabelConflict extends RunstoreError {
  /** The version that the label points to; 0 if there is no such label. */
  get currentVersion(): number {
    return this.number("current_version");
  }
}

/** The project has no such artifact. */
export class ArtifactNotFound extends RunstoreError {}
/** The bytes changed while they were uploaded. */
export class ContentMismatch extends RunstoreError {}
/** The artifact does not have these bytes. */
export class RangeBeyondEnd extends RunstoreError {}

/** The artifact's bytes are kept elsewhere. */
export class ArtifactIsLink extends RunstoreError {
  /** Where the bytes are. */
  get url(): string {
    return this.metadata["url"] ?? "";
  }
}

/** The awaited events are not searchable yet. */
export class SearchBehind extends RunstoreError {
  /** The position up to which the feed is searchable. */
  get indexedPosition(): number {
    return this.number("indexed_position");
  }
}

/** The run has not reached this seq. */
export class SeqAhead extends RunstoreError {}

/** The awaited events are not counted yet. */
export class StatisticsBehind extends RunstoreError {
  /** The position up to which the feed is counted. */
  get countedPosition(): number {
    return this.number("counted_position");
  }
}

/** The call has no credential, or one that the server does not know or no longer takes. */
export class Unauthenticated extends RunstoreError {}
/** The credential was valid, and has expired: get a new one. */
export class CredentialExpired extends Unauthenticated {}

/** No grant of the caller allows this call, whether or not there is such a project. */
export class PermissionDenied extends RunstoreError {
  /** The project that the call is about; empty if it is about the server. */
  get project(): string {
    return this.metadata["project"] ?? "";
  }

  /** The least role that the call needs. */
  get role(): string {
    return this.metadata["role"] ?? "";
  }
}

/** The project, or the server, has no such token. */
export class TokenNotFound extends RunstoreError {}

/** A token was made, but the only answer with its secret did not arrive: revoke the token. */
export class TokenSecretLost extends RunstoreError {
  /** The token to revoke. */
  get tokenId(): string {
    return this.metadata["token_id"] ?? "";
  }
}

/** The server has too much to do; the client has retried. */
export class Overloaded extends RunstoreError {}

/** The project has used up one of its limits; the client has retried. */
export class QuotaExceeded extends RunstoreError {
  /** Which limit is used up. */
  get limit(): string {
    return this.metadata["limit"] ?? "";
  }
}

/** A defect of the service; `requestId` finds it in the server's log. */
export class Internal extends RunstoreError {}

/** The server broke its own contract. */
export class ProtocolError extends RunstoreError {
  constructor(problem: string | Failure) {
    super(typeof problem === "string" ? { code: "INTERNAL", message: problem } : problem);
  }
}

/** A class of errors that are made of a status. */
export type ErrorClass = new (failure: Failure) => RunstoreError;
