/** A server that lets in whom it knows by a token. */

import { once } from "node:events";
import * as http2 from "node:http2";
import type { AddressInfo } from "node:net";

import { create } from "@bufbuild/protobuf";
import { Code, type ConnectError, type HandlerContext } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";

import { Health, HealthCheckResponse_ServingStatus } from "../src/gen/grpc/health/v1/health_pb.js";
import {
  ArtifactService,
  DownloadArtifactResponseSchema,
  type DownloadArtifactRequest,
  type UploadArtifactRequest,
} from "../src/gen/runstore/v1/artifact_service_pb.js";
import { FeedService, FollowFeedResponseSchema } from "../src/gen/runstore/v1/feed_service_pb.js";
import {
  AppendEventStreamResponseSchema,
  RunService,
  StreamEventsResponseSchema,
  type AppendEventStreamRequest,
} from "../src/gen/runstore/v1/run_service_pb.js";
import { batch, chunk, described, endOfRun, refusal } from "./script.js";

export const CONTENT = Buffer.from("both halves");
export const UNKNOWN = refusal(Code.Unauthenticated, "UNAUTHENTICATED");
export const EXPIRED = refusal(Code.Unauthenticated, "CREDENTIAL_EXPIRED");
export const WITHDRAWN = refusal(Code.PermissionDenied, "PERMISSION_DENIED");

/**
 * Streams end after their first item, as `ending` says, for the tokens in `ended`; others go on to the
 * second. Everybody may ask for its health.
 */
export class Gate {
  readonly known = new Set<string>();
  readonly ended = new Set<string>();
  refusedAs: ConnectError = UNKNOWN;
  ending: ConnectError = EXPIRED;
  /** Called before a call is refused or a stream is ended. */
  refusing: () => void = () => undefined;
  /** What each call has shown. */
  readonly tokens: string[] = [];
  target = "";

  readonly #handler = connectNodeAdapter({
    connect: false,
    grpcWeb: false,
    routes: (router) => {
      router.service(RunService, {
        appendEvent: (request, context) => {
          this.#letIn(context);
          return { seq: 1n, eventId: request.event?.eventId ?? "" };
        },
        appendMany: (request, context) => {
          this.#letIn(context);
          const appended = { case: "appended", value: { seq: 1n } } as const;
          return { results: request.appends.map(() => ({ result: appended })) };
        },
        streamEvents: (request, context) => this.#events(request.fromSeq, context),
        appendEventStream: (requests, context) => this.#appends(requests, context),
      });
      router.service(FeedService, {
        followFeed: (request, context) => this.#feed(request.fromPosition, context),
      });
      router.service(ArtifactService, {
        uploadArtifact: (requests, context) => this.#upload(requests, context),
        downloadArtifact: (request, context) => this.#download(request, context),
      });
      router.service(Health, {
        check: (_, context) => {
          this.#note(context);
          return { status: HealthCheckResponse_ServingStatus.SERVING };
        },
      });
    },
  });
  #server: http2.Http2Server | http2.Http2SecureServer | undefined;

  constructor(...known: string[]) {
    for (const token of known) {
      this.known.add(token);
    }
  }

  async start(tls?: http2.SecureServerOptions, port = 0): Promise<void> {
    this.#server = tls
      ? http2.createSecureServer(tls, this.#handler)
      : http2.createServer(this.#handler);
    this.#server.on("session", (session) => {
      session.on("error", () => undefined);
      this.#sessions.add(session);
    });
    this.#server.listen(port, "127.0.0.1");
    await once(this.#server, "listening");
    this.target = `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  readonly #sessions = new Set<http2.Http2Session>();

  /** How many connections there have been. */
  get connections(): number {
    return this.#sessions.size;
  }

  /** Lose all connections, as when a machine dies. */
  cut(): void {
    for (const session of this.#sessions) {
      session.destroy();
    }
  }

  async stop(): Promise<void> {
    const closed = this.#server && once(this.#server, "close");
    this.#server?.close();
    this.cut();
    await closed;
  }

  #note({ requestHeader }: HandlerContext): string {
    const shown = (requestHeader.get("authorization") ?? "").replace(/^Bearer /, "");
    this.tokens.push(shown);
    return shown;
  }

  #letIn(context: HandlerContext): string {
    const shown = this.#note(context);
    if (!this.known.has(shown)) {
      this.refusing();
      throw this.refusedAs;
    }
    return shown;
  }

  #mayGoOn(token: string): void {
    if (this.ended.has(token)) {
      this.refusing();
      throw this.ending;
    }
  }

  async *#events(fromSeq: bigint, context: HandlerContext) {
    const token = this.#letIn(context);
    for (let seq = Number(fromSeq); seq < 3; seq += 1) {
      yield create(StreamEventsResponseSchema, batch(seq));
      await Promise.resolve();
      this.#mayGoOn(token);
    }
    yield create(StreamEventsResponseSchema, endOfRun(2));
  }

  async *#appends(requests: AsyncIterable<AppendEventStreamRequest>, context: HandlerContext) {
    const token = this.#letIn(context);
    for await (const { correlationId } of requests) {
      const result = { case: "appended", value: { seq: 1n } } as const;
      yield create(AppendEventStreamResponseSchema, { correlationId, result });
      this.#mayGoOn(token);
    }
  }

  async *#feed(fromPosition: bigint, context: HandlerContext) {
    const token = this.#letIn(context);
    for (let position = fromPosition || 1n; position < 3n; position += 1n) {
      const entry = { position, runId: "run", event: { type: "tick" } };
      const value = { entries: [entry] };
      yield create(FollowFeedResponseSchema, { message: { case: "entries", value } });
      await Promise.resolve();
      this.#mayGoOn(token);
    }
  }

  async #upload(requests: AsyncIterable<UploadArtifactRequest>, context: HandlerContext) {
    const token = this.#letIn(context);
    let size = 0;
    for await (const { message } of requests) {
      this.#mayGoOn(token);
      size += message.case === "chunk" ? message.value.length : 0;
    }
    return { artifact: { artifactId: "a", size: BigInt(size) } };
  }

  async *#download({ offset }: DownloadArtifactRequest, context: HandlerContext) {
    const token = this.#letIn(context);
    yield create(DownloadArtifactResponseSchema, described(CONTENT));
    const half = Number(offset) || Math.floor(CONTENT.length / 2);
    if (offset === 0n) {
      yield create(DownloadArtifactResponseSchema, chunk(CONTENT.subarray(0, half)));
      await Promise.resolve();
      this.#mayGoOn(token);
    }
    yield create(DownloadArtifactResponseSchema, chunk(CONTENT.subarray(half)));
  }
}
