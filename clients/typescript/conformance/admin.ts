/** The steps about who may use the server as calls of the client. */

import { setTimeout } from "node:timers/promises";

import { ArchiveState } from "../src/index.js";
import type {
  ArchiveRunOptions,
  Client,
  CreateTokenOptions,
  DeleteRunOptions,
  EraseOptions,
  ListHoldsOptions,
  ListRemovalsOptions,
  NewLimits,
  OwnerOptions,
  PlaceHoldOptions,
  ReleaseHoldOptions,
  RestoreRunOptions,
  RevokeTokenOptions,
  SeqRange,
  VerifyRecordsOptions,
} from "../src/index.js";
import { policySteps } from "./policies.js";
import { all, type Steps } from "./steps.js";

interface NewToken extends CreateTokenOptions {
  readonly name: string;
  readonly grants: readonly string[];
  readonly lifetimeSeconds?: number;
}

interface Erased extends EraseOptions {
  readonly runId: string;
  readonly seqs: readonly SeqRange[];
  readonly why: string;
}

interface Counted extends OwnerOptions {
  readonly count?: number;
}

interface Archiving extends ArchiveRunOptions {
  readonly runId: string;
  readonly why: string;
}

export function adminSteps(client: Client): Steps {
  const { admin } = client;
  const archive = ({ runId, why, ...options }: Archiving) => admin.archiveRun(runId, why, options);
  return {
    ...policySteps(client),
    admin_whoami: () => admin.whoAmI(),
    admin_projects: async ({ among }: { among: readonly string[] }) => {
      const listed = await all(admin.projects());
      return { projects: listed.filter((each) => among.includes(each)) };
    },
    token_create: ({ name, grants, lifetimeSeconds, ...options }: NewToken) =>
      admin.createToken(name, grants, {
        ...options,
        ...(lifetimeSeconds === undefined ? {} : { lifetimeMs: lifetimeSeconds * 1000 }),
      }),
    token_list: async ({ count, ...options }: Counted) => ({
      tokens: (await all(admin.tokens(options))).slice(0, count),
    }),
    token_revoke: ({ tokenId, ...options }: RevokeTokenOptions & { tokenId: string }) =>
      admin.revokeToken(tokenId, options),
    limits_set: (limits: NewLimits) => admin.setLimits(limits),
    limits_get: () => admin.limits(),
    hold_place: ({ why, ...options }: PlaceHoldOptions & { why: string }) =>
      admin.placeHold(why, options),
    hold_release: ({ holdId, ...options }: ReleaseHoldOptions & { holdId: string }) =>
      admin.releaseHold(holdId, options),
    hold_list: async (options: ListHoldsOptions) => ({ holds: await all(admin.holds(options)) }),
    delete_run: ({ runId, why, ...options }: DeleteRunOptions & { runId: string; why: string }) =>
      admin.deleteRun(runId, why, options),
    removal_list: async (options: ListRemovalsOptions) => ({
      removals: await all(admin.removals(options)),
    }),
    erase_events: ({ runId, seqs, why, ...options }: Erased) =>
      admin.eraseEvents(runId, seqs, why, options),
    erase_subject: ({
      subject,
      why,
      ...options
    }: EraseOptions & { subject: string; why: string }) =>
      admin.eraseSubject(subject, why, options),
    erasure_get: ({ erasureId }: { erasureId: string }) => admin.erasure(erasureId),
    archive_run: archive,
    archive_wait: async (sent: Archiving) => {
      for (;;) {
        const found = await archive(sent);
        if (found.state >= ArchiveState.DONE) {
          return found;
        }
        await setTimeout(50);
      }
    },
    restore_run: ({ runId, why, ...options }: RestoreRunOptions & { runId: string; why: string }) =>
      admin.restoreRun(runId, why, options),
    admin_records: async ({ count, ...options }: Counted) => ({
      records: (await all(admin.records(options))).slice(0, count),
    }),
    admin_verify: (options: VerifyRecordsOptions) => admin.verifyRecords(options),
  };
}
