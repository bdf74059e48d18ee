/** An export of a run: what to request, and how to read the responses. */

import type { MessageInitShape } from "@bufbuild/protobuf";

import {
  AdminService,
  type ExportRunRequestSchema,
  type ExportRunResponse,
} from "../gen/runstore/v1/admin_service_pb.js";
import type { Connection } from "../transport/connection.js";
import { Patience, type Backoff } from "../transport/retry.js";
import { follow } from "../transport/streams.js";
import * as check from "../values/arguments.js";

const PATIENCE_MS = 60_000;

/** The server reads a run's snapshots and outputs before it sends the first bytes. */
const SILENCE_MS = 300_000;

/** How a run is exported. */
export interface ExportOptions {
  /** Aborts the export; it rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

const checkOptions = check.object<ExportOptions>("options", { signal: check.abortSignal });

interface Named {
  readonly project: string;
  readonly runId: string;
}

/** Yield the bytes of a run's archive. An export that breaks is not continued. */
export function exported(
  connection: Connection,
  run: Named,
  options: ExportOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  const state = new ExportState(run, options, connection.backoff);
  return follow(connection, AdminService.method.exportRun, state, options.signal);
}

/** An export; see `StreamState`. It is begun again only if nothing has been received of it. */
class ExportState {
  readonly silenceMs = SILENCE_MS;
  readonly #run: Named;
  readonly #patience: Patience;
  #hasBegun = false;
  #isOver = false;

  constructor(run: Named, options: ExportOptions, backoff: Backoff) {
    checkOptions(options);
    this.#run = run;
    this.#patience = new Patience(PATIENCE_MS, backoff);
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** The request. */
  request(): MessageInitShape<typeof ExportRunRequestSchema> {
    return this.#run;
  }

  /** Yield the bytes of a message. */
  *take({ data }: ExportRunResponse): Generator<Uint8Array> {
    this.#hasBegun = true;
    yield data;
  }

  /** How long to wait before beginning again; undefined to give up. */
  retryDelay(error: unknown): number | undefined {
    return this.#hasBegun ? undefined : this.#patience.delay(error);
  }

  /** The server ended the stream with OK: that was all. */
  ended(): void {
    this.#isOver = true;
  }
}
