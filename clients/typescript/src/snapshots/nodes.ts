/** Plan nodes: what a snapshot holds of each step of a plan. */

import type { PlanNode as PlanNodeMessage } from "../gen/runstore/v1/snapshots_pb.js";
import * as check from "../values/arguments.js";
import { optionalPayload, payloadMessage, type Payload, type Value } from "../values/payloads.js";

/** A plan node in a snapshot to be stored; its payloads may be any `Value` or a `Ref`. */
export interface NewPlanNode {
  readonly nodeId: string;
  readonly kind?: string;
  readonly facets?: readonly string[];
  readonly status?: string;
  readonly inputSchema?: Value;
  readonly outputSchema?: Value;
  readonly provenance?: Value;
  readonly state?: Value;
}

/** A stored plan node. */
export interface PlanNode {
  readonly nodeId: string;
  readonly kind: string;
  readonly facets: readonly string[];
  readonly status: string;
  readonly inputSchema: Payload | undefined;
  readonly outputSchema: Payload | undefined;
  readonly provenance: Payload | undefined;
  readonly state: Payload | undefined;
}

export const checkNode = check.object<NewPlanNode>("node", {
  nodeId: check.text,
  kind: check.text,
  facets: check.texts,
  status: check.text,
  inputSchema: check.anything,
  outputSchema: check.anything,
  provenance: check.anything,
  state: check.anything,
});

/** The message of the node at this path. */
export function nodeMessage(node: NewPlanNode, at: string) {
  return {
    nodeId: node.nodeId,
    kind: node.kind ?? "",
    facets: [...(node.facets ?? [])],
    status: node.status ?? "",
    inputSchema: payloadMessage(node.inputSchema, `${at}inputSchema`),
    outputSchema: payloadMessage(node.outputSchema, `${at}outputSchema`),
    provenance: payloadMessage(node.provenance, `${at}provenance`),
    state: payloadMessage(node.state, `${at}state`),
  };
}

export function nodeValue(message: PlanNodeMessage): PlanNode {
  return {
    nodeId: message.nodeId,
    kind: message.kind,
    facets: message.facets,
    status: message.status,
    inputSchema: optionalPayload(message.inputSchema),
    outputSchema: optionalPayload(message.outputSchema),
    provenance: optionalPayload(message.provenance),
    state: optionalPayload(message.state),
  };
}
