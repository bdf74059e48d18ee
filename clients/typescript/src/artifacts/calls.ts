/** Artifacts: named results of runs, their bytes in an object store or elsewhere. */

import { create, type MessageInitShape } from "@bufbuild/protobuf";

import {
  ArtifactService,
  UploadArtifactRequestSchema,
  type LinkArtifactResponse,
  type UploadArtifactResponse,
} from "../gen/runstore/v1/artifact_service_pb.js";
import type { Artifact as ArtifactMessage } from "../gen/runstore/v1/artifacts_pb.js";
import { pages, present } from "../transport/answers.js";
import type { CallOptions, Connection } from "../transport/connection.js";
import { Patience } from "../transport/retry.js";
import { follow, sendStream } from "../transport/streams.js";
import { optionalInt64, safeNumber, type Int64 } from "../values/numbers.js";
import { optionalPayload, payloadMessage, type Payload, type Value } from "../values/payloads.js";
import { instantOf, type Instant } from "../values/times.js";
import {
  ArtifactReading,
  choiceFields,
  PATIENCE_MS,
  type ArtifactChoice,
  type DownloadOptions,
} from "./downloads.js";
import { canRepeat, measured, pieces, type Data } from "./uploads.js";

const PAGE_SIZE = 100;

/** A version of a named result; its bytes are at `url` where that is not empty. */
export interface Artifact {
  readonly artifactId: string;
  readonly project: string;
  readonly runId: string;
  readonly name: string;
  readonly version: number;
  readonly type: string;
  readonly contentType: string;
  /** Undefined where a link was made without. */
  readonly size: bigint | undefined;
  /** Empty where a link was made without. */
  readonly sha256: Uint8Array;
  readonly url: string;
  readonly metadata: Payload | undefined;
  readonly actor: string;
  readonly createdAt: Instant;
}

/** An artifact that was uploaded or linked; `deduplicated` where it was there already. */
export interface ArtifactPut {
  readonly artifact: Artifact;
  readonly deduplicated: boolean;
}

/** What may be said of an artifact; size and sha256 of bytes or of a file the client finds. */
export interface ArtifactDescription {
  /** What it is to its readers, such as "report" or "dataset". */
  readonly type?: string;
  /** Media type of its bytes. */
  readonly contentType?: string;
  /** A JSON object of at most 64 KiB. */
  readonly metadata?: Value;
  /** Who writes it. */
  readonly actor?: string;
  readonly size?: Int64 | undefined;
  readonly sha256?: Uint8Array;
}

export interface UploadOptions extends ArtifactDescription {
  /** How long to go on failing before a failure is raised; 60 seconds. Chunks are sent once. */
  readonly patienceMs?: number;
  /** Gives the upload up; it rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** Which artifacts: of a run, of a type, versions of a name. */
export interface ArtifactFilter {
  readonly runId?: string;
  readonly type?: string;
  readonly name?: string;
}

/** Named results of a project's runs, too large or too opaque for a payload. */
export class Artifacts {
  readonly #connection: Connection;
  readonly #project: string;

  /** @internal */
  constructor(connection: Connection, project: string) {
    this.#connection = connection;
    this.#project = project;
  }

  /**
   * Store bytes as the next version of a name; the newest one where it has these bytes.
   *
   * Of bytes and files the server takes what it does not have, so an upload may be repeated at no
   * cost; the client does so for a minute while the server is away.
   */
  async upload(
    runId: string,
    name: string,
    data: Data,
    options: UploadOptions = {},
  ): Promise<ArtifactPut> {
    const { signal, patienceMs = PATIENCE_MS } = options;
    const known = await measured(data);
    const header = create(UploadArtifactRequestSchema, {
      message: {
        case: "header",
        value: {
          ...{ project: this.#project, runId, name },
          ...descriptionFields({ size: known.size, sha256: known.sha256, ...options }),
        },
      },
    });
    const patience = canRepeat(data)
      ? new Patience(patienceMs, this.#connection.backoff)
      : undefined;
    const { uploadArtifact } = ArtifactService.method;
    const requests = () => messages(header, data);
    return putValue(await sendStream(this.#connection, uploadArtifact, requests, patience, signal));
  }

  /**
   * Yield an artifact's bytes, or a range of them.
   *
   * A download that breaks goes on where it was. A whole one is checked against its SHA-256: where
   * it differs, it rejects with `ProtocolError` in place of the last bytes.
   */
  download(options: DownloadOptions): AsyncGenerator<Uint8Array, void, undefined> {
    const reading = new ArtifactReading(this.#project, options, this.#connection.backoff);
    const { downloadArtifact } = ArtifactService.method;
    return follow(this.#connection, downloadArtifact, reading, options.signal);
  }

  /** As `download`, all in one. */
  async read(options: DownloadOptions): Promise<Uint8Array> {
    const chunks = [];
    for await (const chunk of this.download(options)) {
      chunks.push(chunk);
    }
    return new Uint8Array(Buffer.concat(chunks));
  }

  /** Record a pointer to bytes that are kept elsewhere as the next version of a name. */
  async link(
    runId: string,
    name: string,
    url: string,
    options: ArtifactDescription & CallOptions = {},
  ): Promise<ArtifactPut> {
    const request = { project: this.#project, runId, name, url, ...descriptionFields(options) };
    const { linkArtifact } = ArtifactService.method;
    return putValue(await this.#connection.send(linkArtifact, request, options));
  }

  /** One artifact, without its bytes. */
  async get(options: ArtifactChoice & CallOptions): Promise<Artifact> {
    const request = { project: this.#project, ...choiceFields(options) };
    const { getArtifact } = ArtifactService.method;
    const answer = await this.#connection.send(getArtifact, request, options);
    return artifactValue(present(answer.artifact));
  }

  /** Yield the artifacts of a run, or of the whole project, newest first. */
  list(options: ArtifactFilter & CallOptions = {}): AsyncGenerator<Artifact, void, undefined> {
    const { runId = "", type = "", name = "" } = options;
    const request = { project: this.#project, runId, type, name, pageSize: PAGE_SIZE };
    const { listArtifacts } = ArtifactService.method;
    return pages(
      (pageToken) => this.#connection.send(listArtifacts, { ...request, pageToken }, options),
      (page) => page.artifacts.map(artifactValue),
    );
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

/** The fields of a message that describes an artifact. */
function descriptionFields(description: ArtifactDescription) {
  const size = optionalInt64(description.size);
  return {
    type: description.type ?? "",
    contentType: description.contentType ?? "",
    metadata: payloadMessage(description.metadata),
    actor: description.actor ?? "",
    ...(size === undefined ? {} : { size }),
    sha256: description.sha256 ?? new Uint8Array(),
  };
}

function putValue(message: UploadArtifactResponse | LinkArtifactResponse): ArtifactPut {
  return {
    artifact: artifactValue(present(message.artifact)),
    deduplicated: message.deduplicated,
  };
}

function artifactValue(message: ArtifactMessage): Artifact {
  return {
    artifactId: message.artifactId,
    project: message.project,
    runId: message.runId,
    name: message.name,
    version: safeNumber(message.version),
    type: message.type,
    contentType: message.contentType,
    size: message.size,
    sha256: message.sha256,
    url: message.url,
    metadata: optionalPayload(message.metadata),
    actor: message.actor,
    createdAt: instantOf(message.createdAt),
  };
}
