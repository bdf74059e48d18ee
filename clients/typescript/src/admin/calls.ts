/** Calls about who may use a server, how much of it, and what was done about that. */

import { inspect } from "node:util";

import { AdminService } from "../gen/runstore/v1/admin_service_pb.js";
import { pages } from "../transport/answers.js";
import type { Connection } from "../transport/connection.js";
import { checkCallOptions, type CallOptions } from "../transport/options.js";
import * as archiving from "./archives.js";
import * as erasing from "./erasures.js";
import * as holding from "./holds.js";
import * as owning from "./owners.js";
import * as retaining from "./policies.js";
import * as removing from "./removals.js";
import * as values from "./values.js";

const PAGE_SIZE = 100;
const { method } = AdminService;

/** What is seen to in a project, or for the server itself, and its records. Made by `Client.admin`. */
export class Admin {
  readonly #send: Connection["send"];
  readonly #project: string;

  /** @internal */
  constructor(connection: Connection, project: string) {
    this.#send = connection.send.bind(connection);
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
  async whoAmI(options: CallOptions = {}): Promise<values.Caller> {
    checkCallOptions(options);
    return values.callerValue(await this.#send(method.whoAmI, {}, options));
  }

  /** Yield the projects that have runs or configs and that the client has a grant for, by name. */
  projects(options: CallOptions = {}): AsyncGenerator<string, void, undefined> {
    checkCallOptions(options);
    const request = { pageSize: PAGE_SIZE };
    return pages(
      (pageToken) => this.#send(method.listProjects, { ...request, pageToken }, options),
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
    grants: readonly (values.Grant | string)[],
    options: owning.CreateTokenOptions = {},
  ): Promise<values.NewToken> {
    const request = owning.createRequest(this.#project, name, grants, options);
    return values.newTokenValue(await this.#send(method.createToken, request, options));
  }

  /** Yield tokens, newest first, those that have ended among them. */
  tokens(options: owning.OwnerOptions = {}): AsyncGenerator<values.Token, void, undefined> {
    const request = { ...owning.ownerRequest(this.#project, options), pageSize: PAGE_SIZE };
    return pages(
      (pageToken) => this.#send(method.listTokens, { ...request, pageToken }, options),
      (page) => page.tokens.map(values.tokenValue),
    );
  }

  /**
   * End a token for good, or return one that has been revoked before.
   *
   * It is refused everywhere within five seconds. Rejects with `TokenNotFound`.
   */
  async revokeToken(
    tokenId: string,
    options: owning.RevokeTokenOptions = {},
  ): Promise<values.Token> {
    const request = owning.revokeRequest(this.#project, tokenId, options);
    return values.tokenValue((await this.#send(method.revokeToken, request, options)).token);
  }

  /** Replace all limits of the project; those that are left out are none. */
  async setLimits(
    limits: values.NewLimits,
    options: owning.SetLimitsOptions = {},
  ): Promise<values.Limits> {
    const request = owning.setLimitsRequest(this.#project, limits, options);
    return values.limitsValue((await this.#send(method.setLimits, request, options)).limits);
  }

  /** The limits of the project; all 0 if none were ever set. */
  async limits(options: CallOptions = {}): Promise<values.ProjectLimits> {
    checkCallOptions(options);
    const request = { project: this.#project };
    return values.projectLimitsValue(await this.#send(method.getLimits, request, options));
  }

  /** Yield the records of what was done or refused, greatest number first. */
  records(options: owning.OwnerOptions = {}): AsyncGenerator<values.AdminRecord, void, undefined> {
    const request = { ...owning.ownerRequest(this.#project, options), pageSize: PAGE_SIZE };
    return pages(
      (pageToken) => this.#send(method.listAdminRecords, { ...request, pageToken }, options),
      (page) => page.records.map(values.recordValue),
    );
  }

  /** Check the hash chain of the records. */
  async verifyRecords(
    options: owning.VerifyRecordsOptions = {},
  ): Promise<values.RecordVerification> {
    const request = owning.verifyRequest(this.#project, options);
    return values.recordVerificationValue(
      await this.#send(method.verifyAdminRecords, request, options),
    );
  }

  /**
   * Keep a run, or all runs that a filter selects, from being removed by anybody.
   *
   * Once it resolves nothing of them is being removed, nor will be until the hold is released: such
   * calls reject with `RunHeld`.
   */
  async placeHold(reason: string, options: holding.PlaceHoldOptions): Promise<holding.Hold> {
    const request = holding.placeRequest(this.#project, reason, options);
    return holding.holdValue((await this.#send(method.placeHold, request, options)).hold);
  }

  /** End a hold for good, or return one that was released before. Rejects with `HoldNotFound`. */
  async releaseHold(
    holdId: string,
    options: holding.ReleaseHoldOptions = {},
  ): Promise<holding.Hold> {
    const request = holding.releaseRequest(this.#project, holdId, options);
    return holding.holdValue((await this.#send(method.releaseHold, request, options)).hold);
  }

  /** Yield the holds of the project, or those that hold a run, newest first. */
  holds(options: holding.ListHoldsOptions = {}): AsyncGenerator<holding.Hold, void, undefined> {
    const request = { ...holding.listHoldsRequest(this.#project, options), pageSize: PAGE_SIZE };
    return pages(
      (pageToken) => this.#send(method.listHolds, { ...request, pageToken }, options),
      (page) => page.holds.map(holding.holdValue),
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
  async deleteRun(
    runId: string,
    reason: string,
    options: removing.DeleteRunOptions = {},
  ): Promise<removing.Removal> {
    const request = removing.deleteRequest(this.#project, runId, reason, options);
    return removing.removalValue((await this.#send(method.deleteRun, request, options)).removal);
  }

  /**
   * Yield what was removed of the project, or of a run that it had, newest first. A run that it never
   * had rejects with `RunNotFound`.
   */
  removals(
    options: removing.ListRemovalsOptions = {},
  ): AsyncGenerator<removing.Removal, void, undefined> {
    const request = {
      ...removing.listRemovalsRequest(this.#project, options),
      pageSize: PAGE_SIZE,
    };
    return pages(
      (pageToken) => this.#send(method.listRemovals, { ...request, pageToken }, options),
      (page) => page.removals.map(removing.removalValue),
    );
  }

  /**
   * Erase, for good, what events said: payloads, actors, tags and subjects. The reason is kept. It is
   * done after the call, once the run is neither open nor held; `erasure` says how far it has come.
   * Rejects with `RunNotFound`.
   */
  async eraseEvents(
    runId: string,
    seqs: readonly erasing.SeqRange[],
    reason: string,
    options: erasing.EraseOptions = {},
  ): Promise<erasing.Erasure> {
    const request = erasing.eraseEventsRequest(this.#project, runId, seqs, reason, options);
    return erasing.erasureValue((await this.#send(method.eraseEvents, request, options)).erasure);
  }

  /** Erase likewise every event that names a subject, in the runs that do so now; it is not kept. */
  async eraseSubject(
    subject: string,
    reason: string,
    options: erasing.EraseOptions = {},
  ): Promise<erasing.Erasure> {
    const request = erasing.eraseSubjectRequest(this.#project, subject, reason, options);
    return erasing.erasureValue((await this.#send(method.eraseSubject, request, options)).erasure);
  }

  /** An erasure as far as it has come. Rejects with `ErasureNotFound`. */
  async erasure(erasureId: string, options: CallOptions = {}): Promise<erasing.Erasure> {
    const request = erasing.erasureRequest(this.#project, erasureId, options);
    return erasing.erasureValue((await this.#send(method.getErasure, request, options)).erasure);
  }

  /**
   * Make a policy of retention, or replace the one of its name; resolves to it as it was put. The
   * reason, of 1 to 1000 characters, is for people.
   *
   * It is applied when the server next looks for what may go: `previewRetention` shows what that would
   * be.
   */
  async putPolicy(
    policy: retaining.NewPolicy,
    reason: string,
    options: retaining.PolicyOptions = {},
  ): Promise<retaining.Policy> {
    const request = retaining.putPolicyRequest(this.#project, policy, reason, options);
    return retaining.policyValue((await this.#send(method.putPolicy, request, options)).policy);
  }

  /** Yield the policies of the project, by name. */
  policies(options: CallOptions = {}): AsyncGenerator<retaining.Policy, void, undefined> {
    checkCallOptions(options);
    const request = { project: this.#project, pageSize: PAGE_SIZE };
    return pages(
      (pageToken) => this.#send(method.listPolicies, { ...request, pageToken }, options),
      (page) => page.policies.map(retaining.policyValue),
    );
  }

  /**
   * End a policy; what it has let go stays gone. The reason, of 1 to 1000 characters, is for people.
   * Rejects with `PolicyNotFound`.
   */
  async deletePolicy(
    name: string,
    reason: string,
    options: retaining.PolicyOptions = {},
  ): Promise<void> {
    const request = retaining.deletePolicyRequest(this.#project, name, reason, options);
    await this.#send(method.deletePolicy, request, options);
  }

  /**
   * What the policies of the project would remove now, and what keeps the rest; with a policy, as if
   * that had been put in place of the one of its name. It changes nothing.
   */
  async previewRetention(
    policy?: retaining.NewPolicy,
    options: CallOptions = {},
  ): Promise<retaining.RetentionPreview> {
    const request = retaining.previewRequest(this.#project, policy, options);
    return retaining.previewValue(await this.#send(method.previewRetention, request, options));
  }

  /**
   * Move the events of a run that has ended to the object store. It resolves once that is decided;
   * repeated with its `requestId`, to how far it has come. Rejects as `deleteRun` does, and with
   * `ArchiveNotFound` if the run has no events of its own.
   */
  async archiveRun(
    runId: string,
    reason: string,
    options: archiving.ArchiveRunOptions = {},
  ): Promise<archiving.Archive> {
    const request = archiving.archiveRequest(this.#project, runId, reason, options);
    return archiving.archiveValue((await this.#send(method.archiveRun, request, options)).archive);
  }

  /**
   * Put a run's archived events back into the database as they were, all or none. Rejects with
   * `ArchiveNotFound` if it has none, and `ArchiveInvalid` if something has changed them.
   */
  async restoreRun(
    runId: string,
    reason: string,
    options: archiving.RestoreRunOptions = {},
  ): Promise<archiving.Archive> {
    const request = archiving.restoreRequest(this.#project, runId, reason, options);
    return archiving.archiveValue((await this.#send(method.restoreRun, request, options)).archive);
  }
}
