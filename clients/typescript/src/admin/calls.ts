/** Calls about who may use a server, how much of it, and what was done about that. */

import { inspect } from "node:util";

import { AdminService } from "../gen/runstore/v1/admin_service_pb.js";
import { pages } from "../transport/answers.js";
import type { Connection } from "../transport/connection.js";
import { checkCallOptions, type CallOptions } from "../transport/options.js";
import * as check from "../values/arguments.js";
import { newId } from "../values/ids.js";
import { int64 } from "../values/numbers.js";
import { duration } from "../values/times.js";
import {
  archiveRequest,
  archiveValue,
  restoreRequest,
  type Archive,
  type ArchiveRunOptions,
  type RestoreRunOptions,
} from "./archives.js";
import {
  holdValue,
  listHoldsRequest,
  placeRequest,
  releaseRequest,
  type Hold,
  type ListHoldsOptions,
  type PlaceHoldOptions,
  type ReleaseHoldOptions,
} from "./holds.js";
import {
  deleteRequest,
  listRemovalsRequest,
  removalValue,
  type DeleteRunOptions,
  type ListRemovalsOptions,
  type Removal,
} from "./removals.js";
import {
  checkCreate,
  checkOwner,
  checkRevoke,
  checkSet,
  checkVerify,
  type CreateTokenOptions,
  type OwnerOptions,
  type RevokeTokenOptions,
  type SetLimitsOptions,
  type VerifyRecordsOptions,
} from "./options.js";
import {
  callerValue,
  checkLimits,
  grantMessages,
  limitsMessage,
  limitsValue,
  newTokenValue,
  projectLimitsValue,
  recordValue,
  recordVerificationValue,
  tokenValue,
  type AdminRecord,
  type Caller,
  type Grant,
  type Limits,
  type NewLimits,
  type NewToken,
  type ProjectLimits,
  type RecordVerification,
  type Token,
} from "./values.js";

const PAGE_SIZE = 100;

/**
 * Tokens, limits, holds, removals and records of a project, or of the server itself. Made by `Client.admin`.
 */
export class Admin {
  readonly #connection: Connection;
  readonly #project: string;

  /** @internal */
  constructor(connection: Connection, project: string) {
    this.#connection = connection;
    this.#project = project;
  }

  /** Its project, as it is printed. */
  toString(): string {
    return `<Admin of project ${JSON.stringify(this.#project)}>`;
  }

  /** @internal */
  [inspect.custom](): string {
    return this.toString();
  }

  /** Who the server takes the client for, and what it may do. */
  async whoAmI(options: CallOptions = {}): Promise<Caller> {
    checkCallOptions(options);
    return callerValue(await this.#connection.send(AdminService.method.whoAmI, {}, options));
  }

  /** Yield the projects that have runs or configs and that the client has a grant for, by name. */
  projects(options: CallOptions = {}): AsyncGenerator<string, void, undefined> {
    checkCallOptions(options);
    const { listProjects } = AdminService.method;
    const request = { pageSize: PAGE_SIZE };
    return pages(
      (pageToken) => this.#connection.send(listProjects, { ...request, pageToken }, options),
      (page) => page.projects,
    );
  }

  /**
   * Make a token. A grant may be written as a text, such as "writer@acme/*".
   *
   * Rejects with `TokenSecretLost` if the token was made and the answer with its secret did not
   * arrive.
   */
  async createToken(
    name: string,
    grants: readonly (Grant | string)[],
    options: CreateTokenOptions = {},
  ): Promise<NewToken> {
    check.text(name, "name");
    checkCreate(options);
    const { lifetimeMs } = options;
    const request = {
      ...this.#owner(options),
      name,
      grants: grantMessages(grants),
      lifetime: lifetimeMs === undefined ? undefined : duration(Math.round(lifetimeMs * 1000)),
      requestId: options.requestId || newId(),
    };
    const { createToken } = AdminService.method;
    return newTokenValue(await this.#connection.send(createToken, request, options));
  }

  /** Yield tokens, newest first, those that have ended among them. */
  tokens(options: OwnerOptions = {}): AsyncGenerator<Token, void, undefined> {
    checkOwner(options);
    const request = { ...this.#owner(options), pageSize: PAGE_SIZE };
    const { listTokens } = AdminService.method;
    return pages(
      (pageToken) => this.#connection.send(listTokens, { ...request, pageToken }, options),
      (page) => page.tokens.map(tokenValue),
    );
  }

  /**
   * End a token for good, or return one that has been revoked before.
   *
   * It is refused everywhere within five seconds. Rejects with `TokenNotFound`.
   */
  async revokeToken(tokenId: string, options: RevokeTokenOptions = {}): Promise<Token> {
    check.text(tokenId, "tokenId");
    checkRevoke(options);
    const requestId = options.requestId || newId();
    const request = { ...this.#owner(options), tokenId, requestId };
    const { revokeToken } = AdminService.method;
    return tokenValue((await this.#connection.send(revokeToken, request, options)).token);
  }

  /** Replace all limits of the project; those that are left out are none. */
  async setLimits(limits: NewLimits, options: SetLimitsOptions = {}): Promise<Limits> {
    checkLimits(limits);
    checkSet(options);
    const requestId = options.requestId || newId();
    const request = { project: this.#project, limits: limitsMessage(limits), requestId };
    const { setLimits } = AdminService.method;
    return limitsValue((await this.#connection.send(setLimits, request, options)).limits);
  }

  /** The limits of the project; all 0 if none were ever set. */
  async limits(options: CallOptions = {}): Promise<ProjectLimits> {
    checkCallOptions(options);
    const request = { project: this.#project };
    const { getLimits } = AdminService.method;
    return projectLimitsValue(await this.#connection.send(getLimits, request, options));
  }

  /** Yield the records of what was done or refused, greatest number first. */
  records(options: OwnerOptions = {}): AsyncGenerator<AdminRecord, void, undefined> {
    checkOwner(options);
    const request = { ...this.#owner(options), pageSize: PAGE_SIZE };
    const { listAdminRecords } = AdminService.method;
    return pages(
      (pageToken) => this.#connection.send(listAdminRecords, { ...request, pageToken }, options),
      (page) => page.records.map(recordValue),
    );
  }

  /** Check the hash chain of the records. */
  async verifyRecords(options: VerifyRecordsOptions = {}): Promise<RecordVerification> {
    checkVerify(options);
    const request = { ...this.#owner(options), fromNumber: int64(options.fromNumber ?? 0) };
    const { verifyAdminRecords } = AdminService.method;
    return recordVerificationValue(
      await this.#connection.send(verifyAdminRecords, request, options),
    );
  }

  /**
   * Keep a run, or all runs that a filter selects, from being removed by anybody.
   *
   * Once it resolves nothing of them is being removed, nor will be until the hold is released: such
   * calls reject with `RunHeld`.
   */
  async placeHold(reason: string, options: PlaceHoldOptions): Promise<Hold> {
    const request = placeRequest(this.#project, reason, options);
    const { placeHold } = AdminService.method;
    return holdValue((await this.#connection.send(placeHold, request, options)).hold);
  }

  /** End a hold for good, or return one that was released before. Rejects with `HoldNotFound`. */
  async releaseHold(holdId: string, options: ReleaseHoldOptions = {}): Promise<Hold> {
    const request = releaseRequest(this.#project, holdId, options);
    const { releaseHold } = AdminService.method;
    return holdValue((await this.#connection.send(releaseHold, request, options)).hold);
  }

  /** Yield the holds of the project, or those that hold a run, newest first. */
  holds(options: ListHoldsOptions = {}): AsyncGenerator<Hold, void, undefined> {
    const request = { ...listHoldsRequest(this.#project, options), pageSize: PAGE_SIZE };
    const { listHolds } = AdminService.method;
    return pages(
      (pageToken) => this.#connection.send(listHolds, { ...request, pageToken }, options),
      (page) => page.holds.map(holdValue),
    );
  }

  /**
   * Delete a run that has ended, for good, with all that is stored of it. The reason, of 1 to 1000
   * characters, is kept, so it should name nobody.
   *
   * Once it resolves the run is not found, and its id is never used again; `removals` says when all
   * of it is gone. Rejects with `RunOpen`, `RunHeld`, `RunInUse` if it has forks, or `SeqConflict` if
   * it is not at `expectedLastSeq`.
   */
  async deleteRun(runId: string, reason: string, options: DeleteRunOptions = {}): Promise<Removal> {
    const request = deleteRequest(this.#project, runId, reason, options);
    const { deleteRun } = AdminService.method;
    return removalValue((await this.#connection.send(deleteRun, request, options)).removal);
  }

  /**
   * Yield what was removed of the project, or of a run that it had, newest first. A run that it never
   * had rejects with `RunNotFound`.
   */
  removals(options: ListRemovalsOptions = {}): AsyncGenerator<Removal, void, undefined> {
    const request = { ...listRemovalsRequest(this.#project, options), pageSize: PAGE_SIZE };
    const { listRemovals } = AdminService.method;
    return pages(
      (pageToken) => this.#connection.send(listRemovals, { ...request, pageToken }, options),
      (page) => page.removals.map(removalValue),
    );
  }

  /**
   * Move the events of a run that has ended to the object store. It resolves once that is decided;
   * repeated with its `requestId`, to how far it has come. Rejects as `deleteRun` does, and with
   * `ArchiveNotFound` if the run has no events of its own.
   */
  async archiveRun(
    runId: string,
    reason: string,
    options: ArchiveRunOptions = {},
  ): Promise<Archive> {
    const request = archiveRequest(this.#project, runId, reason, options);
    const { archiveRun } = AdminService.method;
    return archiveValue((await this.#connection.send(archiveRun, request, options)).archive);
  }

  /**
   * Put a run's archived events back into the database as they were, all or none. Rejects with
   * `ArchiveNotFound` if it has none, and `ArchiveInvalid` if something has changed them.
   */
  async restoreRun(
    runId: string,
    reason: string,
    options: RestoreRunOptions = {},
  ): Promise<Archive> {
    const request = restoreRequest(this.#project, runId, reason, options);
    const { restoreRun } = AdminService.method;
    return archiveValue((await this.#connection.send(restoreRun, request, options)).archive);
  }

  #owner({ ofServer = false }: OwnerOptions) {
    return { project: ofServer ? "" : this.#project, ofServer };
  }
}
