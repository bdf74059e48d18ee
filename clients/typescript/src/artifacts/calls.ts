/** Calls of artifacts: named results of runs, with their bytes in an object store or elsewhere. */

import { inspect } from "node:util";

import { create, type MessageInitShape } from "@bufbuild/protobuf";

import {
  ArtifactService,
  UploadArtifactRequestSchema,
} from "../gen/runstore/v1/artifact_service_pb.js";
import { pages, present } from "../transport/answers.js";
import type { Connection } from "../transport/connection.js";
import { CALL_OPTIONS, type CallOptions } from "../transport/options.js";
import { Patience } from "../transport/retry.js";
import { follow, sendStream } from "../transport/streams.js";
import * as check from "../values/arguments.js";
import { DownloadState, PATIENCE_MS, type DownloadOptions } from "./downloads.js";
import {
  checkChoice,
  checkFilter,
  choiceFields,
  type ArtifactChoice,
  type ArtifactFilter,
} from "./query.js";
import { isRepeatable, measure, pieces, type Data } from "./uploads.js";
import {
  artifactValue,
  DESCRIPTION,
  descriptionFields,
  putValue,
  type Artifact,
  type ArtifactDescription,
  type ArtifactPut,
} from "./values.js";

const PAGE_SIZE = 100;

/** Optional properties of an upload. */
export interface UploadOptions extends ArtifactDescription {
  /** How long to retry before rejecting; 60 seconds. An upload of chunks is not retried. */
  readonly patienceMs?: number;
  /** Aborts the upload; it rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

const checkUpload = check.object<UploadOptions>("options", {
  ...DESCRIPTION,
  patienceMs: check.milliseconds,
  signal: check.abortSignal,
});
const checkLink = check.object<ArtifactDescription & CallOptions>("options", {
  ...CALL_OPTIONS,
  ...DESCRIPTION,
});

/** Named results of a project's runs that are too large or too opaque for a payload. */
export class Artifacts {
  readonly #connection: Connection;
  readonly #project: string;

  /** @internal */
  constructor(connection: Connection, project: string) {
    this.#connection = connection;
    this.#project = project;
  }

  /** Its project, as it is printed. */
  toString(): string {
    return `<Artifacts of project ${JSON.stringify(this.#project)}>`;
  }

  /** @internal */
  [inspect.custom](): string {
    return this.toString();
  }

  /**
   * Store bytes as the next version of a name. If the newest version has these bytes, return that.
   *
   * Bytes and files that the server already has are not sent again, so repeating an upload is cheap;
   * the client retries it for a minute while the server is unavailable.
   */
  async upload(
    runId: string,
    name: string,
    data: Data,
    options: UploadOptions = {},
  ): Promise<ArtifactPut> {
    checkUpload(options);
    const named = this.#named(runId, name);
    const { signal, patienceMs = PATIENCE_MS } = options;
    const known = await measure(data);
    const header = create(UploadArtifactRequestSchema, {
      message: {
        case: "header",
        value: {
          ...named,
          ...descriptionFields({ size: known.size, sha256: known.sha256, ...options }),
        },
      },
    });
    const patience = isRepeatable(data)
      ? new Patience(patienceMs, this.#connection.backoff)
      : undefined;
    const { uploadArtifact } = ArtifactService.method;
    const requests = () => messages(header, data);
    return putValue(await sendStream(this.#connection, uploadArtifact, requests, patience, signal));
  }

  /**
   * Yield an artifact's bytes, or a range of them.
   *
   * A download that breaks continues where it was. A whole artifact is checked against its SHA-256:
   * if they differ, it rejects with `ProtocolError` instead of yielding the last bytes.
   */
  download(options: DownloadOptions): AsyncGenerator<Uint8Array, void, undefined> {
    const state = new DownloadState(this.#project, options, this.#connection.backoff);
    const { downloadArtifact } = ArtifactService.method;
    return follow(this.#connection, downloadArtifact, state, options.signal);
  }

  /** As `download`, all bytes at once. */
  async read(options: DownloadOptions): Promise<Uint8Array> {
    const chunks = [];
    for await (const chunk of this.download(options)) {
      chunks.push(chunk);
    }
    return new Uint8Array(Buffer.concat(chunks));
  }

  /** Record the URL of bytes that are stored elsewhere as the next version of a name. */
  async link(
    runId: string,
    name: string,
    url: string,
    options: ArtifactDescription & CallOptions = {},
  ): Promise<ArtifactPut> {
    check.text(url, "url");
    checkLink(options);
    const request = { ...this.#named(runId, name), url, ...descriptionFields(options) };
    const { linkArtifact } = ArtifactService.method;
    return putValue(await this.#connection.send(linkArtifact, request, options));
  }

  /** One artifact, without its bytes. */
  async get(options: ArtifactChoice & CallOptions): Promise<Artifact> {
    checkChoice(options);
    const request = { project: this.#project, ...choiceFields(options) };
    const { getArtifact } = ArtifactService.method;
    const answer = await this.#connection.send(getArtifact, request, options);
    return artifactValue(present(answer.artifact));
  }

  /** Yield the artifacts of a run, or of the whole project, newest first. */
  list(options: ArtifactFilter & CallOptions = {}): AsyncGenerator<Artifact, void, undefined> {
    checkFilter(options);
    const { runId = "", type = "", name = "" } = options;
    const request = { project: this.#project, runId, type, name, pageSize: PAGE_SIZE };
    const { listArtifacts } = ArtifactService.method;
    return pages(
      (pageToken) => this.#connection.send(listArtifacts, { ...request, pageToken }, options),
      (page) => page.artifacts.map(artifactValue),
    );
  }

  #named(runId: string, name: string) {
    check.text(runId, "runId");
    check.text(name, "name");
    return { project: this.#project, runId, name };
  }
}

async function* messages(
  header: MessageInitShape<typeof UploadArtifactRequestSchema>,
  data: Data,
): AsyncGenerator<MessageInitShape<typeof UploadArtifactRequestSchema>, void, undefined> {
  yield header;
  for await (const value of pieces(data)) {
    yield { message: { case: "chunk", value } };
  }
}
