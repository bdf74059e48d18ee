/**
 * The client of runstore, the durable record of AI-agent runs.
 *
 *     const client = connect("localhost:7411", { project: "acme/search" });
 *     const run = await client.saveRun({ objective: "answer the question" });
 *     await run.append({ type: "tool.called", payload: { query: "..." }, tool: "search" });
 *
 * Every call may reject with what `errors` lists.
 */

export type {
  Artifact,
  ArtifactDescription,
  ArtifactFilter,
  ArtifactPut,
  Artifacts,
  UploadOptions,
} from "./artifacts/calls.js";
export type { ArtifactChoice, DownloadOptions } from "./artifacts/downloads.js";
export type { Data } from "./artifacts/uploads.js";
export { Client, connect } from "./client.js";
export type {
  Configs,
  ListConfigsOptions,
  MoveLabelOptions,
  RegisterOptions,
} from "./configs/calls.js";
export {
  configDigest,
  type Config,
  type ConfigLabel,
  type ConfigVersion,
  type LabelMove,
  type RegisteredVersion,
  type VersionChoice,
} from "./configs/values.js";
export type {
  Appender,
  AppenderOptions,
  PipelinedOptions,
  RunAppender,
} from "./events/appender.js";
export type { Sent } from "./events/appends.js";
export type { StreamItem, StreamOptions } from "./events/following.js";
export type { EventPage, ListEventsOptions } from "./events/query.js";
export type { Appended, Event, EventFilter, NewEvent, WriteOptions } from "./events/values.js";
export type {
  Consumer,
  Feed,
  FeedEntry,
  FeedFilter,
  FeedItem,
  FeedPage,
  FollowFeedOptions,
  ReadFeedOptions,
} from "./feed/calls.js";
export { Outcome } from "./gen/runstore/v1/outputs_pb.js";
export { RunOrder } from "./gen/runstore/v1/run_service_pb.js";
export { RunStatus } from "./gen/runstore/v1/runs_pb.js";
export { SnapshotReason } from "./gen/runstore/v1/snapshots_pb.js";
export type { Completed, Completion, Output } from "./outputs/values.js";
export type { Resumed, Run, VerifyOptions } from "./run.js";
export type { Claim, ResumeOptions } from "./runs/claims.js";
export type { ConfigFilter, ExternalFilter, RunQuery } from "./runs/query.js";
export type { PinnedConfig, Replayed, ReplayOptions } from "./runs/replayed.js";
export type {
  ConfigRef,
  ExternalRef,
  ForkBase,
  NewConfigRef,
  NewFork,
  NewRun,
  RunInfo,
  Verification,
} from "./runs/values.js";
export { marked, type Highlight, type SearchHit, type SearchQuery } from "./search/values.js";
export type { NewPlanNode, PlanNode } from "./snapshots/nodes.js";
export type {
  ListSnapshotsOptions,
  NewSnapshot,
  NewTaskWrite,
  Snapshot,
  SnapshotChoice,
  SnapshotPut,
  SnapshotsDeleted,
  Step,
  TaskWrite,
} from "./snapshots/values.js";
export type { Dimension, StatisticsQuery, StatisticsRow } from "./statistics/values.js";
export type { CallOptions, ConnectOptions, Keepalive } from "./transport/connection.js";
export * from "./transport/errors.js";
export type { Int64 } from "./values/numbers.js";
export { Payload, Ref, type Value } from "./values/payloads.js";
export { Instant } from "./values/times.js";
export type { NewUsage, Usage } from "./values/usage.js";
export type { RunRef } from "./values/writers.js";
