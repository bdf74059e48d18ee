/** Which runs to list, and in which order. */

import type { MessageInitShape } from "@bufbuild/protobuf";

import { RunOrder, type ListRunsRequestSchema } from "../gen/runstore/v1/run_service_pb.js";
import type { RunStatus } from "../gen/runstore/v1/runs_pb.js";
import * as check from "../values/arguments.js";
import { int64, type Int64 } from "../values/numbers.js";
import { checkTime, timestamp, type Instant } from "../values/times.js";

/** Selects runs pinned to a config, or to one version of it if given. */
export interface ConfigFilter {
  readonly kind: string;
  readonly name: string;
  readonly version?: Int64;
  readonly digest?: string;
}

/** Selects runs by their execution in another system; without an id, any there. */
export interface ExternalFilter {
  readonly system: string;
  readonly id?: string;
}

/** Which runs to list; a run must meet all conditions. */
export interface RunQuery {
  readonly statuses?: readonly RunStatus[];
  /** Runs with all of them. */
  readonly tags?: readonly string[];
  /** Runs with at least one of them. */
  readonly anyTags?: readonly string[];
  readonly labels?: Readonly<Record<string, string>>;
  readonly createdFrom?: Date | Instant;
  readonly createdBefore?: Date | Instant;
  readonly updatedFrom?: Date | Instant;
  readonly updatedBefore?: Date | Instant;
  readonly completedFrom?: Date | Instant;
  readonly completedBefore?: Date | Instant;
  readonly planId?: string;
  readonly model?: string;
  readonly tool?: string;
  readonly parentRunId?: string;
  /** This run and all its descendants. */
  readonly rootRunId?: string;
  readonly external?: ExternalFilter;
  /** Runs that are pinned to it. */
  readonly config?: ConfigFilter;
  /** Searches the objective: words, "a phrase" in quotes, `a OR b`, `-word`. */
  readonly objective?: string;
  /** By default CREATED_DESC, newest first. */
  readonly order?: RunOrder;
  /** Means CREATED_ASC; ignored if `order` is given. */
  readonly oldestFirst?: boolean;
  /** How many runs are fetched at once, 1 to 100; 100. */
  readonly pageSize?: number;
}

const checkQuery = check.object<RunQuery>("query", {
  statuses: check.list(check.member("RunStatus"), "statuses"),
  tags: check.texts,
  anyTags: check.texts,
  labels: check.record(check.text),
  createdFrom: checkTime,
  createdBefore: checkTime,
  updatedFrom: checkTime,
  updatedBefore: checkTime,
  completedFrom: checkTime,
  completedBefore: checkTime,
  planId: check.text,
  model: check.text,
  tool: check.text,
  parentRunId: check.text,
  rootRunId: check.text,
  external: check.object<ExternalFilter>("external", { system: check.text, id: check.text }),
  config: check.object<ConfigFilter>("config", {
    kind: check.text,
    name: check.text,
    version: check.int64,
    digest: check.text,
  }),
  objective: check.text,
  order: check.member("RunOrder"),
  oldestFirst: check.flag,
  pageSize: check.int32,
});

export function listRequest(
  project: string,
  query: RunQuery,
  pageToken: string,
): MessageInitShape<typeof ListRunsRequestSchema> {
  checkQuery(query);
  return {
    project,
    filter: {
      statuses: [...(query.statuses ?? [])],
      tags: [...(query.tags ?? [])],
      anyTags: [...(query.anyTags ?? [])],
      labels: { ...query.labels },
      createdFromTime: timestamp(query.createdFrom),
      createdBeforeTime: timestamp(query.createdBefore),
      updatedFromTime: timestamp(query.updatedFrom),
      updatedBeforeTime: timestamp(query.updatedBefore),
      completedFromTime: timestamp(query.completedFrom),
      completedBeforeTime: timestamp(query.completedBefore),
      planId: query.planId ?? "",
      model: query.model ?? "",
      tool: query.tool ?? "",
      parentRunId: query.parentRunId ?? "",
      rootRunId: query.rootRunId ?? "",
      external: query.external && { ...query.external },
      objective: query.objective ?? "",
      config: query.config && { ...query.config, version: int64(query.config.version ?? 0) },
    },
    order: query.order ?? (query.oldestFirst ? RunOrder.CREATED_ASC : RunOrder.CREATED_DESC),
    pageSize: query.pageSize ?? 100,
    pageToken,
  };
}
