/** What is a project's or the server's own: requests about tokens, limits and records. */

import { CALL_OPTIONS, type CallOptions } from "../transport/options.js";
import * as check from "../values/arguments.js";
import { newId } from "../values/ids.js";
import { int64, type Int64 } from "../values/numbers.js";
import { duration } from "../values/times.js";
import { checkLimits, grantMessages, limitsMessage, type Grant, type NewLimits } from "./values.js";

/** Whose tokens or records a call is about. */
export interface OwnerOptions extends CallOptions {
  /** Those of the server itself instead of the project's. */
  readonly ofServer?: boolean;
}

/** Optional properties of a new token. */
export interface CreateTokenOptions extends OwnerOptions {
  /** How long it is valid: 90 days by default, at most 400. */
  readonly lifetimeMs?: number;
  /** Identifies a retry; by default the client generates one. */
  readonly requestId?: string;
}

/** How a token is revoked. */
export interface RevokeTokenOptions extends OwnerOptions {
  /** Identifies a retry; by default the client generates one. */
  readonly requestId?: string;
}

/** How limits are set. */
export interface SetLimitsOptions extends CallOptions {
  /** Identifies a retry; by default the client generates one. */
  readonly requestId?: string;
}

/** Which records to check. */
export interface VerifyRecordsOptions extends OwnerOptions {
  /** The first; by default the first there is. */
  readonly fromNumber?: Int64;
}

const OWNER_OPTIONS: check.Checks<OwnerOptions> = { ...CALL_OPTIONS, ofServer: check.flag };
const checkOwner = check.object<OwnerOptions>("options", OWNER_OPTIONS);
const checkCreate = check.object<CreateTokenOptions>("options", {
  ...OWNER_OPTIONS,
  lifetimeMs: check.finiteMilliseconds,
  requestId: check.text,
});
const checkRevoke = check.object<RevokeTokenOptions>("options", {
  ...OWNER_OPTIONS,
  requestId: check.text,
});
const checkSet = check.object<SetLimitsOptions>("options", {
  ...CALL_OPTIONS,
  requestId: check.text,
});
const checkVerify = check.object<VerifyRecordsOptions>("options", {
  ...OWNER_OPTIONS,
  fromNumber: check.int64,
});

export function ownerRequest(project: string, options: OwnerOptions) {
  checkOwner(options);
  return ownerOf(project, options);
}

export function createRequest(
  project: string,
  name: string,
  grants: readonly (Grant | string)[],
  options: CreateTokenOptions,
) {
  check.text(name, "name");
  checkCreate(options);
  const { lifetimeMs } = options;
  return {
    ...ownerOf(project, options),
    name,
    grants: grantMessages(grants),
    lifetime: lifetimeMs === undefined ? undefined : duration(Math.round(lifetimeMs * 1000)),
    requestId: options.requestId || newId(),
  };
}

export function revokeRequest(project: string, tokenId: string, options: RevokeTokenOptions) {
  check.text(tokenId, "tokenId");
  checkRevoke(options);
  return { ...ownerOf(project, options), tokenId, requestId: options.requestId || newId() };
}

export function setLimitsRequest(project: string, limits: NewLimits, options: SetLimitsOptions) {
  checkLimits(limits);
  checkSet(options);
  return { project, limits: limitsMessage(limits), requestId: options.requestId || newId() };
}

export function verifyRequest(project: string, options: VerifyRecordsOptions) {
  checkVerify(options);
  return { ...ownerOf(project, options), fromNumber: int64(options.fromNumber ?? 0) };
}

function ownerOf(project: string, { ofServer = false }: OwnerOptions) {
  return { project: ofServer ? "" : project, ofServer };
}
