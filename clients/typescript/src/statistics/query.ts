/** Which usage to sum up, and how to group it. */

import type { MessageInitShape } from "@bufbuild/protobuf";

import {
  StatisticsDimension,
  type GetStatisticsRequestSchema,
} from "../gen/runstore/v1/statistics_pb.js";
import { CALL_OPTIONS, type CallOptions } from "../transport/options.js";
import * as check from "../values/arguments.js";
import { int64, type Int64 } from "../values/numbers.js";
import { duration } from "../values/times.js";

/** What statistics can be grouped by. */
export type Dimension = "run" | "node" | "model" | "tool" | "type" | "day";

/** Options of statistics besides their dimensions; an event must meet all conditions. */
export interface StatisticsQuery extends CallOptions {
  /** Any of these runs. */
  readonly runIds?: readonly string[];
  /** Whether to count the descendants of `runIds` too. */
  readonly includeDescendants?: boolean;
  readonly planId?: string;
  /** Runs with all of the labels and tags. */
  readonly labels?: Readonly<Record<string, string>>;
  readonly tags?: readonly string[];
  /** Events with any of the types, models, tools and nodes. */
  readonly types?: readonly string[];
  readonly models?: readonly string[];
  readonly tools?: readonly string[];
  readonly nodeIds?: readonly string[];
  /** Recorded on this day or later: "YYYY-MM-DD", in UTC. */
  readonly fromDay?: string;
  /** Recorded on this day or earlier. */
  readonly toDay?: string;
  /** Groups by the value of this label of the run too. */
  readonly labelKey?: string;
  /** Whether each run counts as its topmost ancestor; requires "run". */
  readonly rollUpToRoot?: boolean;
  /** An event that must be counted before the call answers. */
  readonly after?: { readonly runId: string; readonly seq: Int64 };
  /** A position of the feed that must be counted before the call answers. */
  readonly minPosition?: Int64;
  /** How long to wait for them, at most 30 seconds; then it rejects with `StatisticsBehind`. */
  readonly waitMs?: number;
  /** How many rows are fetched at once, 1 to 1000; 100. */
  readonly pageSize?: number;
}

const checkQuery = check.object<StatisticsQuery>("options", {
  ...CALL_OPTIONS,
  runIds: check.texts,
  includeDescendants: check.flag,
  planId: check.text,
  labels: check.record(check.text),
  tags: check.texts,
  types: check.texts,
  models: check.texts,
  tools: check.texts,
  nodeIds: check.texts,
  fromDay: check.text,
  toDay: check.text,
  labelKey: check.text,
  rollUpToRoot: check.flag,
  after: check.object("after", { runId: check.text, seq: check.int64 }),
  minPosition: check.int64,
  waitMs: check.finiteMilliseconds,
  pageSize: check.int32,
});

const DIMENSIONS: Readonly<Record<Dimension, StatisticsDimension>> = {
  run: StatisticsDimension.RUN,
  node: StatisticsDimension.NODE,
  model: StatisticsDimension.MODEL,
  tool: StatisticsDimension.TOOL,
  type: StatisticsDimension.TYPE,
  day: StatisticsDimension.DAY,
};

export function statisticsRequest(
  project: string,
  by: readonly Dimension[],
  query: StatisticsQuery,
  pageToken: string,
): MessageInitShape<typeof GetStatisticsRequestSchema> {
  check.texts(by, "by");
  checkQuery(query);
  return {
    project,
    filter: {
      runIds: [...(query.runIds ?? [])],
      planId: query.planId ?? "",
      labels: { ...query.labels },
      tags: [...(query.tags ?? [])],
      types: [...(query.types ?? [])],
      models: [...(query.models ?? [])],
      tools: [...(query.tools ?? [])],
      nodeIds: [...(query.nodeIds ?? [])],
      fromDay: query.fromDay ?? "",
      toDay: query.toDay ?? "",
    },
    groupBy: by.map(dimension),
    labelKey: query.labelKey ?? "",
    includeDescendants: query.includeDescendants ?? false,
    rollUpToRoot: query.rollUpToRoot ?? false,
    pageSize: query.pageSize ?? 100,
    pageToken,
    minPosition: int64(query.minPosition ?? 0),
    after: query.after && { runId: query.after.runId, seq: int64(query.after.seq) },
    wait: query.waitMs === undefined ? undefined : duration(Math.round(query.waitMs * 1000)),
  };
}

function dimension(name: Dimension, index: number): StatisticsDimension {
  if (!Object.hasOwn(DIMENSIONS, name)) {
    const problem = `must be one of ${Object.keys(DIMENSIONS).join(", ")}, is ${name}`;
    throw new check.InvalidArgument(`by[${index}]`, problem);
  }
  return DIMENSIONS[name];
}
