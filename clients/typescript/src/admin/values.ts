/** Grants, tokens and limits, and the records of what was done about them. */

import { inspect } from "node:util";

import {
  PrincipalKind,
  Role,
  type AdminRecord as AdminRecordMessage,
  type Grant as GrantMessage,
  type Limits as LimitsMessage,
  type Principal as PrincipalMessage,
  type Token as TokenMessage,
} from "../gen/runstore/v1/admin_pb.js";
import type {
  CreateTokenResponse,
  GetLimitsResponse,
  VerifyAdminRecordsResponse,
  WhoAmIResponse,
} from "../gen/runstore/v1/admin_service_pb.js";
import { present } from "../transport/answers.js";
import { TokenSecretLost } from "../transport/errors.js";
import * as check from "../values/arguments.js";
import { int64, safeNumber, type Int64 } from "../values/numbers.js";
import { printing } from "../values/printing.js";
import { instantOf, optionalInstant, type Instant } from "../values/times.js";

/** A role in projects: a project's name, a prefix of names that ends in "/*", or "*". */
export interface Grant {
  readonly role: Role;
  readonly projectPattern: string;
}

/** Who calls: a token's id, a JSON Web Token's subject, the name in a certificate, or the server's duty. */
export interface Principal {
  readonly kind: PrincipalKind;
  readonly id: string;
  readonly issuer: string;
}

/** Who the server takes the client for, and what it may do. */
export interface Caller {
  readonly principal: Principal;
  readonly grants: readonly Grant[];
  /** Undefined if the credential does not expire. */
  readonly expiresAt: Instant | undefined;
}

/** A token without its secret; its text begins with `prefix`. */
export interface Token {
  readonly tokenId: string;
  readonly prefix: string;
  readonly name: string;
  readonly grants: readonly Grant[];
  readonly createdBy: Principal;
  readonly createdAt: Instant;
  readonly expiresAt: Instant;
  /** Undefined if it was not revoked. */
  readonly revokedAt: Instant | undefined;
  /** Exact to about a minute; undefined if it was never used. */
  readonly lastUsedAt: Instant | undefined;
}

/** A token that was made, with its text, which is returned this once and not printed. */
export interface NewToken {
  readonly token: Token;
  readonly secret: string;
}

/** What a project may use of one server process, and what it may store; 0 is no limit. */
export interface Limits {
  readonly callsPerSecond: bigint;
  readonly eventsPerSecond: bigint;
  readonly bytesPerSecond: bigint;
  readonly streams: bigint;
  /** Through all processes together. */
  readonly storedBytes: bigint;
}

/** The limits that a project shall have; those that are left out are none. */
export type NewLimits = { readonly [Name in keyof Limits]?: Int64 };

/** The limits of a project, when they were set (undefined: never), and how much it stores. */
export interface ProjectLimits {
  readonly limits: Limits;
  readonly updatedAt: Instant | undefined;
  /** It lags writes by some seconds. */
  readonly storedBytesUsed: bigint;
}

/** Who did what, or was refused it; the records of a project are a hash chain. */
export interface AdminRecord {
  readonly number: number;
  readonly recordedAt: Instant;
  readonly method: string;
  readonly resource: string;
  readonly principal: Principal;
  readonly grants: readonly Grant[];
  readonly allowed: boolean;
  readonly peer: string;
  readonly requestId: string;
  readonly callId: string;
  /** JSON, without secrets. */
  readonly request: string;
  /** "OK", or the reason of the refusal. */
  readonly status: string;
  readonly previousHash: Uint8Array;
  readonly hash: Uint8Array;
}

/**
 * The result of checking the chain of records; `problem` is empty if everything agrees.
 *
 * Keep `lastNumber` and `lastHash` elsewhere: they tell a chain that was made anew.
 */
export interface RecordVerification {
  readonly verified: boolean;
  readonly checkedRecords: number;
  readonly lastNumber: number;
  readonly lastHash: Uint8Array;
  readonly problem: string;
  readonly problemNumber: number;
}

const ROLES = new Map(
  [Role.RECORDER, Role.READER, Role.WRITER, Role.ADMIN, Role.OPERATOR].map((role) => [
    Role[role].toLowerCase(),
    role,
  ]),
);

const checkGrant = check.object<Grant>("grant", {
  role: check.member("Role"),
  projectPattern: check.text,
});

export const checkLimits = check.object<NewLimits>("limits", {
  callsPerSecond: check.int64,
  eventsPerSecond: check.int64,
  bytesPerSecond: check.int64,
  streams: check.int64,
  storedBytes: check.int64,
});

/** The grant that is written as role@pattern, such as "writer@acme/*". */
export function parseGrant(written: string, path = "grant"): Grant {
  check.text(written, path);
  const at = written.indexOf("@");
  const role = ROLES.get(written.slice(0, Math.max(at, 0)));
  const projectPattern = written.slice(at + 1);
  if (role === undefined || projectPattern === "") {
    const roles = [...ROLES.keys()].join(", ");
    const words = `must be ROLE@PROJECTS with a role of ${roles}, is ${JSON.stringify(written)}`;
    throw new check.InvalidArgument(path, words);
  }
  return grantValue({ role, projectPattern });
}

/** A grant as `parseGrant` takes it. */
export function grantText({ role, projectPattern }: Grant): string {
  const names: Readonly<Record<number, string | undefined>> = Role;
  return `${(names[role] ?? String(role)).toLowerCase()}@${projectPattern}`;
}

/** Grants of which each is a value or written as role@pattern. */
export function grantMessages(grants: readonly (Grant | string)[]): Grant[] {
  check.list(checkGrantOrText, "grants")(grants, "grants");
  return grants.map((each, index) =>
    typeof each === "string"
      ? parseGrant(each, `grants[${index}]`)
      : { role: each.role, projectPattern: each.projectPattern },
  );
}

function checkGrantOrText(value: unknown, path: string): void {
  if (typeof value !== "string") {
    checkGrant(value, path);
  }
}

export function limitsMessage(limits: NewLimits) {
  return {
    callsPerSecond: int64(limits.callsPerSecond ?? 0),
    eventsPerSecond: int64(limits.eventsPerSecond ?? 0),
    bytesPerSecond: int64(limits.bytesPerSecond ?? 0),
    streams: int64(limits.streams ?? 0),
    storedBytes: int64(limits.storedBytes ?? 0),
  };
}

const printedGrant = printing<Grant>({ role: ["Role", Role] });
const printedPrincipal = printing<Principal>({ kind: ["PrincipalKind", PrincipalKind] });
const printedRecord = printing<AdminRecord>();
const printedVerification = printing<RecordVerification>();

function grantValue({ role, projectPattern }: Grant | GrantMessage): Grant {
  return printedGrant({ role, projectPattern });
}

export function principalValue(message: PrincipalMessage | undefined): Principal {
  const { kind, id, issuer } = present(message);
  return printedPrincipal({ kind, id, issuer });
}

export function callerValue(message: WhoAmIResponse): Caller {
  return {
    principal: principalValue(message.principal),
    grants: message.grants.map(grantValue),
    expiresAt: optionalInstant(message.expiresAt),
  };
}

export function tokenValue(message: TokenMessage | undefined): Token {
  const token = present(message);
  return {
    tokenId: token.tokenId,
    prefix: token.prefix,
    name: token.name,
    grants: token.grants.map(grantValue),
    createdBy: principalValue(token.createdBy),
    createdAt: instantOf(token.createdAt),
    expiresAt: instantOf(token.expiresAt),
    revokedAt: optionalInstant(token.revokedAt),
    lastUsedAt: optionalInstant(token.lastUsedAt),
  };
}

/** The token; throws `TokenSecretLost` if an answer that was lost had its secret. */
export function newTokenValue({ token: message, secret }: CreateTokenResponse): NewToken {
  const token = tokenValue(message);
  if (!secret) {
    const { tokenId } = token;
    throw new TokenSecretLost({
      code: "DATA_LOSS",
      message: `token ${tokenId} was made, but its secret did not arrive: revoke the token`,
      metadata: { token_id: tokenId },
    });
  }
  const made = { token, secret };
  return Object.defineProperty(made, inspect.custom, { value: () => ({ token }) });
}

export function limitsValue(message: LimitsMessage | undefined): Limits {
  const { callsPerSecond, eventsPerSecond, bytesPerSecond, streams, storedBytes } =
    present(message);
  return { callsPerSecond, eventsPerSecond, bytesPerSecond, streams, storedBytes };
}

export function projectLimitsValue(message: GetLimitsResponse): ProjectLimits {
  return {
    limits: limitsValue(message.limits),
    updatedAt: optionalInstant(message.updatedAt),
    storedBytesUsed: message.storedBytesUsed,
  };
}

export function recordValue(message: AdminRecordMessage): AdminRecord {
  return printedRecord({
    number: safeNumber(message.number),
    recordedAt: instantOf(message.recordedAt),
    method: message.method,
    resource: message.resource,
    principal: principalValue(message.principal),
    grants: message.grants.map(grantValue),
    allowed: message.allowed,
    peer: message.peer,
    requestId: message.requestId,
    callId: message.callId,
    request: message.request,
    status: message.status,
    previousHash: message.previousHash,
    hash: message.hash,
  });
}

export function recordVerificationValue(message: VerifyAdminRecordsResponse): RecordVerification {
  return printedVerification({
    verified: message.problem === "",
    checkedRecords: safeNumber(message.checkedRecords),
    lastNumber: safeNumber(message.lastNumber),
    lastHash: message.lastHash,
    problem: message.problem,
    problemNumber: safeNumber(message.problemNumber),
  });
}
