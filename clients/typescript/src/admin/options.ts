/** The options of calls about tokens, limits and records. */

import { CALL_OPTIONS, type CallOptions } from "../transport/options.js";
import * as check from "../values/arguments.js";
import type { Int64 } from "../values/numbers.js";

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
export const checkOwner = check.object<OwnerOptions>("options", OWNER_OPTIONS);
export const checkCreate = check.object<CreateTokenOptions>("options", {
  ...OWNER_OPTIONS,
  lifetimeMs: check.finiteMilliseconds,
  requestId: check.text,
});
export const checkRevoke = check.object<RevokeTokenOptions>("options", {
  ...OWNER_OPTIONS,
  requestId: check.text,
});
export const checkSet = check.object<SetLimitsOptions>("options", {
  ...CALL_OPTIONS,
  requestId: check.text,
});
export const checkVerify = check.object<VerifyRecordsOptions>("options", {
  ...OWNER_OPTIONS,
  fromNumber: check.int64,
});
