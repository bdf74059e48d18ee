/**
 * The client of runstore, the durable record of AI-agent runs.
 *
 *     const client = connect("localhost:7411", { project: "acme/search" });
 *     const run = await client.saveRun({ objective: "answer the question" });
 *     await run.append({ type: "tool.called", payload: { query: "..." }, tool: "search" });
 *
 * Calls reject with the errors of `transport/errors`.
 */

export type { Admin } from "./admin/calls.js";
export type {
  CreateTokenOptions,
  OwnerOptions,
  RevokeTokenOptions,
  SetLimitsOptions,
  VerifyRecordsOptions,
} from "./admin/owners.js";
export type { Archive, ArchiveRunOptions, RestoreRunOptions } from "./admin/archives.js";
export type { EraseOptions, Erasure, ErasureBlocker, SeqRange } from "./admin/erasures.js";
export type {
  NewPolicy,
  Policy,
  PolicyOptions,
  RetentionPreview,
  RetentionSum,
} from "./admin/policies.js";
export type { DeleteRunOptions, ListRemovalsOptions, Removal } from "./admin/removals.js";
export type {
  Hold,
  ListHoldsOptions,
  PlaceHoldOptions,
  ReleaseHoldOptions,
  RunSelection,
} from "./admin/holds.js";
export {
  type AdminRecord,
  type Caller,
  type Grant,
  grantText,
  type Limits,
  type NewLimits,
  type NewToken,
  parseGrant,
  type Principal,
  type ProjectLimits,
  type RecordVerification,
  type Token,
} from "./admin/values.js";
export type { Artifacts, UploadOptions } from "./artifacts/calls.js";
export type { DownloadOptions } from "./artifacts/downloads.js";
export type { ExportOptions } from "./archives/exports.js";
export type { ArtifactChoice, ArtifactFilter } from "./artifacts/query.js";
export type { Data } from "./artifacts/uploads.js";
export type { Artifact, ArtifactDescription, ArtifactPut } from "./artifacts/values.js";
export { Client, connect } from "./client.js";
export type {
  Configs,
  LabelMovesOptions,
  ListConfigsOptions,
  MoveLabelOptions,
  RegisterOptions,
} from "./configs/calls.js";
export type { VersionChoice } from "./configs/query.js";
export {
  type Config,
  configDigest,
  type ConfigLabel,
  type ConfigVersion,
  type LabelMove,
  type RegisteredVersion,
} from "./configs/values.js";
export type {
  Appender,
  AppenderOptions,
  PipelinedOptions,
  RunAppender,
} from "./events/appender.js";
export type { Sent } from "./events/appends.js";
export type { EventFilter, EventPage, ListEventsOptions } from "./events/query.js";
export type { StreamItem, StreamOptions } from "./events/stream.js";
export type { Appended, Event, NewEvent, WriteOptions } from "./events/values.js";
export type { Feed } from "./feed/calls.js";
export type { FeedFilter, ReadFeedOptions } from "./feed/query.js";
export type { FollowFeedOptions } from "./feed/stream.js";
export type { Consumer, FeedEntry, FeedItem, FeedPage } from "./feed/values.js";
export {
  ArchiveState,
  ErasureState,
  PrincipalKind,
  RemovalKind,
  RemovalState,
  RetentionBlocker,
  Role,
} from "./gen/runstore/v1/admin_pb.js";
export { Outcome } from "./gen/runstore/v1/outputs_pb.js";
export { RunOrder } from "./gen/runstore/v1/run_service_pb.js";
export { RunStatus } from "./gen/runstore/v1/runs_pb.js";
export { SnapshotReason } from "./gen/runstore/v1/snapshots_pb.js";
export type { Completed, Completion, Output, OutputOptions } from "./outputs/values.js";
export type { Resumed, Run } from "./run.js";
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
} from "./runs/values.js";
export type { Verification, VerifyOptions } from "./runs/verification.js";
export type { SearchQuery } from "./search/query.js";
export { type Highlight, marked, type SearchHit } from "./search/values.js";
export type { NewPlanNode, PlanNode } from "./snapshots/nodes.js";
export type { ListSnapshotsOptions, SnapshotChoice } from "./snapshots/query.js";
export type {
  NewSnapshot,
  Snapshot,
  SnapshotPut,
  SnapshotsDeleted,
  Step,
} from "./snapshots/values.js";
export type { NamespaceOptions, NewTaskWrite, TaskWrite } from "./snapshots/writes.js";
export type { Dimension, StatisticsQuery } from "./statistics/query.js";
export type { StatisticsRow } from "./statistics/values.js";
export type { CallOptions, ConnectOptions, Keepalive } from "./transport/options.js";
export * from "./transport/errors.js";
export * from "./transport/removals.js";
export * from "./transport/archives.js";
export { BY_REASON } from "./transport/reasons.js";
export { InvalidArgument } from "./values/arguments.js";
export { registerEncoder } from "./values/json.js";
export type { Int64 } from "./values/numbers.js";
export { Payload, Ref, type Value } from "./values/payloads.js";
export { Instant } from "./values/times.js";
export type { NewUsage, Usage } from "./values/usage.js";
export type { RunRef } from "./values/writers.js";
