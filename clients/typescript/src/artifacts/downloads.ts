/** How far a download has got: what to request next, and how to read the responses. */

import { createHash, type Hash } from "node:crypto";

import type { MessageInitShape } from "@bufbuild/protobuf";

import type {
  DownloadArtifactRequestSchema,
  DownloadArtifactResponse,
} from "../gen/runstore/v1/artifact_service_pb.js";
import type { Artifact as ArtifactMessage } from "../gen/runstore/v1/artifacts_pb.js";
import { ProtocolError } from "../transport/errors.js";
import { Patience, type Backoff } from "../transport/retry.js";
import * as check from "../values/arguments.js";
import { int64, type Int64 } from "../values/numbers.js";
import { ARTIFACT_CHOICE, choiceFields, type ArtifactChoice } from "./query.js";

export const PATIENCE_MS = 60_000;

const SILENCE_MS = 60_000;

/** Which bytes of an artifact to download. */
export interface DownloadOptions extends ArtifactChoice {
  /** The first byte to read; 0. */
  readonly offset?: Int64;
  /** How many bytes; 0 means up to the end. */
  readonly length?: Int64;
  /** How long to retry, from the first failure after a message, before rejecting; 60 seconds. */
  readonly patienceMs?: number;
  /** Aborts the download; it rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

const checkOptions = check.object<DownloadOptions>("options", {
  ...ARTIFACT_CHOICE,
  offset: check.int64,
  length: check.int64,
  patienceMs: check.milliseconds,
  signal: check.abortSignal,
});

/**
 * How far a download has got; see `StreamState`.
 *
 * It continues after the bytes received, and checks the SHA-256 of a whole artifact.
 */
export class DownloadState {
  readonly silenceMs = SILENCE_MS;
  readonly #project: string;
  readonly #patience: Patience;
  #which: ReturnType<typeof choiceFields>;
  #offset: bigint;
  #length: bigint;
  #sha256: Uint8Array | undefined;
  #hash: Hash | undefined;
  #isOver = false;

  constructor(project: string, options: DownloadOptions, backoff: Backoff) {
    checkOptions(options);
    this.#project = project;
    this.#which = choiceFields(options);
    this.#offset = int64(options.offset ?? 0);
    this.#length = int64(options.length ?? 0);
    this.#hash = this.#offset || this.#length ? undefined : createHash("sha256");
    this.#patience = new Patience(options.patienceMs ?? PATIENCE_MS, backoff);
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** The request for all bytes not delivered yet. */
  request(): MessageInitShape<typeof DownloadArtifactRequestSchema> {
    return {
      project: this.#project,
      ...this.#which,
      offset: this.#offset,
      length: this.#length,
    };
  }

  /** Yield the bytes of a message, and record how far the download has got. */
  *take({ message }: DownloadArtifactResponse): Generator<Uint8Array> {
    this.#patience.renew();
    switch (message.case) {
      case "artifact":
        this.#begin(message.value);
        break;
      case "chunk":
        yield this.#receive(message.value);
        break;
      case undefined: // a kind of message that is newer than this client
    }
  }

  /** How long to wait before reopening the stream; undefined to give up. */
  retryDelay(error: unknown): number | undefined {
    return this.#patience.delay(error);
  }

  /** The server ended the stream with OK, which is right once all bytes are here. */
  ended(): void {
    if (!this.#isOver) {
      throw new ProtocolError(`the server ended a download ${this.#length} bytes early`);
    }
  }

  #begin(artifact: ArtifactMessage): void {
    if (this.#sha256) {
      return; // the stream was reopened
    }
    this.#sha256 = artifact.sha256;
    this.#length ||= (artifact.size ?? 0n) - this.#offset;
    // The download must not continue in a newer version.
    this.#which = choiceFields({ artifactId: artifact.artifactId });
    this.#check();
  }

  #receive(chunk: Uint8Array): Uint8Array {
    const count = BigInt(chunk.length);
    if (!this.#sha256 || count > this.#length) {
      throw new ProtocolError("the server sent bytes that were not requested");
    }
    this.#offset += count;
    this.#length -= count;
    this.#hash?.update(chunk);
    this.#check();
    return chunk;
  }

  #check(): void {
    this.#isOver = this.#length === 0n;
    if (this.#isOver && this.#hash && !this.#hash.digest().equals(this.#sha256 ?? Buffer.of())) {
      throw new ProtocolError("the received bytes do not match the artifact's SHA-256");
    }
  }
}
