/**
 * The client of runstore, the durable record of AI-agent runs.
 *
 *     const client = connect("localhost:7411", { project: "acme/search" });
 *     const run = await client.saveRun({ objective: "answer the question" });
 *     await run.append({ type: "tool.called", payload: { query: "..." }, tool: "search" });
 *
 * Every call may reject with what `errors` lists.
 */

export type { Appender, AppenderOptions, PipelinedOptions, RunAppender } from "./appender.js";
export type { Sent } from "./appending.js";
export type {
  Artifact,
  ArtifactDescription,
  ArtifactFilter,
  ArtifactPut,
  Artifacts,
  UploadOptions,
} from "./artifacts.js";
export type { Claim, ResumeOptions } from "./claims.js";
export { Client, connect } from "./client.js";
export type { Configs, ListConfigsOptions, MoveLabelOptions, RegisterOptions } from "./configs.js";
export type { ArtifactChoice, DownloadOptions } from "./downloads.js";
export * from "./errors.js";
export type { Appended, Event, EventFilter, NewEvent, WriteOptions } from "./events.js";
export type {
  Consumer,
  Feed,
  FeedEntry,
  FeedFilter,
  FeedItem,
  FeedPage,
  FollowFeedOptions,
  ReadFeedOptions,
} from "./feed.js";
export type { StreamItem, StreamOptions } from "./following.js";
export { Outcome } from "./gen/runstore/v1/outputs_pb.js";
export { RunOrder } from "./gen/runstore/v1/run_service_pb.js";
export { RunStatus } from "./gen/runstore/v1/runs_pb.js";
export { SnapshotReason } from "./gen/runstore/v1/snapshots_pb.js";
export type { ConfigFilter, ExternalFilter, RunQuery } from "./listing.js";
export type { NewPlanNode, PlanNode } from "./nodes.js";
export type { Int64 } from "./numbers.js";
export type { Completed, Completion, Output } from "./outputs.js";
export type { EventPage, ListEventsOptions } from "./paging.js";
export { Payload, Ref, type Value } from "./payloads.js";
export type { PinnedConfig, Replayed, ReplayOptions } from "./replayed.js";
export type { Resumed, Run, VerifyOptions } from "./run.js";
export type {
  ConfigRef,
  ExternalRef,
  ForkBase,
  NewConfigRef,
  NewFork,
  NewRun,
  RunInfo,
  Verification,
} from "./runs.js";
export { marked, type Highlight, type SearchHit, type SearchQuery } from "./search.js";
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
} from "./snapshots.js";
export type { Dimension, StatisticsQuery, StatisticsRow } from "./statistics.js";
export { Instant } from "./times.js";
export type { CallOptions, ConnectOptions, Keepalive } from "./transport.js";
export type { Data } from "./uploads.js";
export type { NewUsage, Usage } from "./usage.js";
export {
  configDigest,
  type Config,
  type ConfigLabel,
  type ConfigVersion,
  type LabelMove,
  type RegisteredVersion,
  type VersionChoice,
} from "./versions.js";
export type { RunRef } from "./writers.js";
