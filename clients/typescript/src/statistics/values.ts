/** Rows of statistics. */

import type { StatisticsRow as StatisticsRowMessage } from "../gen/runstore/v1/statistics_pb.js";
import { safeNumber } from "../values/numbers.js";
import { usageValue, type Usage } from "../values/usage.js";

/** The counts of one group. Fields that it is not grouped by are empty. */
export interface StatisticsRow {
  readonly runId: string;
  readonly nodeId: string;
  readonly model: string;
  readonly tool: string;
  readonly type: string;
  /** "YYYY-MM-DD", in UTC. */
  readonly day: string;
  readonly labelValue: string;
  readonly events: number;
  /** Events of a type whose last word is error or failed. */
  readonly errors: number;
  /** Events that name a tool and do not report how a call ended. */
  readonly toolCalls: number;
  /** Runs that have any of the events. */
  readonly runs: number;
  readonly usage: Usage;
}

export function rowValue(message: StatisticsRowMessage): StatisticsRow {
  return {
    runId: message.runId,
    nodeId: message.nodeId,
    model: message.model,
    tool: message.tool,
    type: message.type,
    day: message.day,
    labelValue: message.labelValue,
    events: safeNumber(message.events),
    errors: safeNumber(message.errors),
    toolCalls: safeNumber(message.toolCalls),
    runs: safeNumber(message.runs),
    usage: usageValue(message.usage),
  };
}
