/** Versions of configs, and the labels that point to them. */

import { createHash } from "node:crypto";

import type { RegisterVersionResponse } from "../gen/runstore/v1/config_service_pb.js";
import type {
  Config as ConfigMessage,
  ConfigVersion as ConfigVersionMessage,
  LabelMove as LabelMoveMessage,
} from "../gen/runstore/v1/configs_pb.js";
import { present } from "../transport/answers.js";
import { safeNumber } from "../values/numbers.js";
import { optionalPayload, payloadOf, type Payload, type Value } from "../values/payloads.js";
import { instantOf, optionalInstant, type Instant } from "../values/times.js";

/** Which version a body has; `deduplicated` if it had been registered before. */
export interface RegisteredVersion {
  readonly version: bigint;
  readonly digest: string;
  readonly createdAt: Instant;
  readonly deduplicated: boolean;
}

/** An immutable version, and the labels that point to it now; lists do not return `body`. */
export interface ConfigVersion {
  readonly kind: string;
  readonly name: string;
  readonly version: bigint;
  readonly digest: string;
  readonly body: Payload | undefined;
  readonly bodyBytes: number;
  readonly description: string;
  readonly metadata: Payload | undefined;
  readonly labels: readonly string[];
  readonly actor: string;
  readonly createdAt: Instant;
}

/** A name for a version that can be moved to another. */
export interface ConfigLabel {
  readonly label: string;
  readonly version: bigint;
  readonly actor: string;
  readonly movedAt: Instant;
}

/** A named series of versions: the latest without its body, and all labels. */
export interface Config {
  readonly kind: string;
  readonly name: string;
  readonly latest: ConfigVersion;
  readonly labels: readonly ConfigLabel[];
  readonly createdAt: Instant;
}

/**
 * The move of a label from one version to another; 0 stands for no label.
 *
 * The two are equal if the label did not have to move; `movedAt` is undefined if there was no label
 * to remove.
 */
export interface LabelMove {
  readonly label: string;
  readonly fromVersion: bigint;
  readonly toVersion: bigint;
  readonly actor: string;
  readonly movedAt: Instant | undefined;
}

/** The digest of a version with this body, to check a pin without a server. */
export function configDigest(body: Value): string {
  const payload = payloadOf(body, "body");
  const hash = createHash("sha256");
  const kind = payload.isJson ? "json" : "binary";
  for (const field of ["config", kind, payload.contentType, payload.bytes]) {
    const bytes = Buffer.from(field);
    const length = Buffer.alloc(8);
    length.writeBigUInt64BE(BigInt(bytes.length));
    hash.update(length).update(bytes);
  }
  return `sha256:${hash.digest("hex")}`;
}

export function registeredValue(message: RegisterVersionResponse): RegisteredVersion {
  return {
    version: message.version,
    digest: message.digest,
    createdAt: instantOf(message.createdAt),
    deduplicated: message.deduplicated,
  };
}

export function versionValue(message: ConfigVersionMessage): ConfigVersion {
  return {
    kind: message.kind,
    name: message.name,
    version: message.version,
    digest: message.digest,
    body: optionalPayload(message.body),
    bodyBytes: safeNumber(message.bodyBytes),
    description: message.description,
    metadata: optionalPayload(message.metadata),
    labels: message.labels,
    actor: message.actor,
    createdAt: instantOf(message.createdAt),
  };
}

export function configValue(message: ConfigMessage): Config {
  return {
    kind: message.kind,
    name: message.name,
    latest: versionValue(present(message.latest)),
    labels: message.labels.map(({ label, version, actor, movedAt }) => ({
      label,
      version,
      actor,
      movedAt: instantOf(movedAt),
    })),
    createdAt: instantOf(message.createdAt),
  };
}

export function moveValue(message: LabelMoveMessage): LabelMove {
  return {
    label: message.label,
    fromVersion: message.fromVersion,
    toVersion: message.toVersion,
    actor: message.actor,
    movedAt: optionalInstant(message.movedAt),
  };
}
