/** The steps about policies of retention as calls of the client. */

import type { Client, NewPolicy, Policy, PolicyOptions, RunSelection } from "../src/index.js";
import { all, type Steps } from "./steps.js";

interface Asked extends PolicyOptions {
  readonly name: string;
  readonly why: string;
  readonly filter?: RunSelection;
  readonly keepLastSnapshots?: number;
  readonly includeExternal?: boolean;
  readonly keepRunSeconds?: number;
  readonly keepEventsSeconds?: number;
  readonly keepSnapshotsSeconds?: number;
  readonly keepArtifactsSeconds?: number;
  readonly keepSearchTextSeconds?: number;
}

export function policySteps({ admin }: Client): Steps {
  return {
    policy_put: async ({ why, requestId, ...args }: Asked) =>
      seenPolicy(
        await admin.putPolicy(policy(args), why, requestId === undefined ? {} : { requestId }),
      ),
    policy_list: async () => ({ policies: (await all(admin.policies())).map(seenPolicy) }),
    policy_delete: async ({
      name,
      why,
      ...options
    }: PolicyOptions & { name: string; why: string }) => {
      await admin.deletePolicy(name, why, options);
      return {};
    },
    retention_preview: (args: Omit<Asked, "why">) =>
      admin.previewRetention("name" in args ? policy(args) : undefined),
  };
}

function policy(args: Omit<Asked, "why">): NewPolicy {
  const { keepRunSeconds, keepEventsSeconds, keepSnapshotsSeconds } = args;
  const { keepArtifactsSeconds, keepSearchTextSeconds } = args;
  const { name, filter, keepLastSnapshots, includeExternal } = args;
  return {
    name,
    keepRunMs: milliseconds(keepRunSeconds),
    keepEventsMs: milliseconds(keepEventsSeconds),
    keepSnapshotsMs: milliseconds(keepSnapshotsSeconds),
    keepArtifactsMs: milliseconds(keepArtifactsSeconds),
    keepSearchTextMs: milliseconds(keepSearchTextSeconds),
    ...(keepLastSnapshots === undefined ? {} : { keepLastSnapshots }),
    ...(filter === undefined ? {} : { filter }),
    ...(includeExternal === undefined ? {} : { includeExternal }),
  };
}

function milliseconds(seconds: number | undefined): number | undefined {
  return seconds === undefined ? undefined : seconds * 1000;
}

function seenPolicy(policy: Policy) {
  const { keepRunMs, keepEventsMs, keepSnapshotsMs, keepArtifactsMs, keepSearchTextMs, ...rest } =
    policy;
  return {
    ...rest,
    keepRunSeconds: seconds(keepRunMs),
    keepEventsSeconds: seconds(keepEventsMs),
    keepSnapshotsSeconds: seconds(keepSnapshotsMs),
    keepArtifactsSeconds: seconds(keepArtifactsMs),
    keepSearchTextSeconds: seconds(keepSearchTextMs),
  };
}

function seconds(milliseconds: number | undefined): number | undefined {
  return milliseconds === undefined ? undefined : milliseconds / 1000;
}
