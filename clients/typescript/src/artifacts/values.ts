/** Artifacts as they are described and read. */

import type {
  LinkArtifactResponse,
  UploadArtifactResponse,
} from "../gen/runstore/v1/artifact_service_pb.js";
import type { Artifact as ArtifactMessage } from "../gen/runstore/v1/artifacts_pb.js";
import { present } from "../transport/answers.js";
import * as check from "../values/arguments.js";
import { optionalInt64, safeNumber, type Int64 } from "../values/numbers.js";
import { optionalPayload, payloadMessage, type Payload, type Value } from "../values/payloads.js";
import { printing } from "../values/printing.js";
import { instantOf, type Instant } from "../values/times.js";

/** A version of a named result; its bytes are at `url` if that is not empty. */
export interface Artifact {
  readonly artifactId: string;
  readonly project: string;
  readonly runId: string;
  readonly name: string;
  readonly version: number;
  readonly type: string;
  readonly contentType: string;
  /** Undefined if a link was made without it. */
  readonly size: bigint | undefined;
  /** Empty if a link was made without it. */
  readonly sha256: Uint8Array;
  readonly url: string;
  readonly metadata: Payload | undefined;
  readonly actor: string;
  readonly createdAt: Instant;
}

/** An artifact that was uploaded or linked; `deduplicated` if it was stored before. */
export interface ArtifactPut {
  readonly artifact: Artifact;
  readonly deduplicated: boolean;
}

/** Optional properties of an artifact; the client computes size and sha256 of bytes and files. */
export interface ArtifactDescription {
  /** What readers take it for, such as "report" or "dataset". */
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

export const DESCRIPTION: check.Checks<ArtifactDescription> = {
  type: check.text,
  contentType: check.text,
  metadata: check.anything,
  actor: check.text,
  size: check.int64,
  sha256: check.bytes,
};

/** The fields of a message that describes an artifact. */
export function descriptionFields(description: ArtifactDescription) {
  const size = optionalInt64(description.size);
  return {
    type: description.type ?? "",
    contentType: description.contentType ?? "",
    metadata: payloadMessage(description.metadata, "metadata"),
    actor: description.actor ?? "",
    ...(size === undefined ? {} : { size }),
    sha256: description.sha256 ?? new Uint8Array(),
  };
}

export function putValue(message: UploadArtifactResponse | LinkArtifactResponse): ArtifactPut {
  return {
    artifact: artifactValue(present(message.artifact)),
    deduplicated: message.deduplicated,
  };
}

const printedArtifact = printing<Artifact>();

export function artifactValue(message: ArtifactMessage): Artifact {
  return printedArtifact({
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
  });
}
