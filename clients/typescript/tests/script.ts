/** A server that follows a script, for what a real one does only when things go wrong. */

import { createHash } from "node:crypto";
import { once } from "node:events";
import * as http2 from "node:http2";
import type { AddressInfo, Socket } from "node:net";

import { create, toBinary, type MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, type HandlerContext } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";

import { ErrorInfoSchema } from "../src/gen/google/rpc/error_details_pb.js";
import { RemovalKind, RetentionBlocker } from "../src/gen/runstore/v1/admin_pb.js";
import { AdminService } from "../src/gen/runstore/v1/admin_service_pb.js";
import {
  ArtifactService,
  DownloadArtifactResponseSchema,
  type DownloadArtifactRequest,
  type UploadArtifactRequest,
} from "../src/gen/runstore/v1/artifact_service_pb.js";
import { ConfigService } from "../src/gen/runstore/v1/config_service_pb.js";
import { Outcome } from "../src/gen/runstore/v1/outputs_pb.js";
import {
  AppendEventStreamRequestSchema,
  AppendEventStreamResponseSchema,
  RunService,
  StreamEventsResponseSchema,
  type AppendEventRequest,
  type AppendEventStreamRequest,
} from "../src/gen/runstore/v1/run_service_pb.js";

export type Message = MessageInitShape<typeof StreamEventsResponseSchema>;
export type Downloaded = MessageInitShape<typeof DownloadArtifactResponseSchema>;
type Appended = MessageInitShape<typeof AppendEventStreamResponseSchema>;

/** A download that depends on what was asked for. */
type Answer = (request: DownloadArtifactRequest) => (Downloaded | Mishap)[];

/** In a script: drop the call as UNAVAILABLE; destroy the connection; wait for ever. */
export type Mishap = "drop" | "cut" | "hang";
/** How a call ends in a script. */
export type Failure = ConnectError | Mishap;

export class Script {
  /** What each stream of events brings, one after the other. */
  streams: (Message | Failure)[][] = [];
  /** The seq each stream was asked from. */
  readonly asked: bigint[] = [];
  /** What each append stream does with a request. */
  appends: ((request: AppendEventStreamRequest) => Appended | Failure)[] = [];
  /** The events each append stream saw. */
  readonly sent: string[][] = [];
  /** The size of each append stream's request body. */
  readonly bodies: number[] = [];
  /** The ids by which other writes are known. */
  readonly named: string[] = [];
  /** How single writes fail, one after the other; then they succeed. */
  failures: Failure[] = [];
  /** The HTTP statuses that a proxy answers with, before any call reaches the server. */
  pages: number[] = [];
  /** The single appends that came. */
  readonly appended: AppendEventRequest[] = [];
  /** What each download brings, one after the other. */
  downloads: ((Downloaded | Mishap)[] | Answer)[] = [];
  /** What each download was asked for. */
  readonly wanted: DownloadArtifactRequest[] = [];
  /** The bytes that each upload brought before it failed or was answered. */
  readonly uploads: number[] = [];
  /** How uploads fail after their first chunk, one after the other; then they succeed. */
  uploadFailures: Failure[] = [];
  /** The codes with which clients took leave. */
  readonly farewells: number[] = [];
  target = "";

  readonly #sockets = new Set<Socket>();
  readonly #server = http2.createServer((request, response) => {
    const status = this.pages.shift();
    if (status === undefined) {
      this.#serve(request, response);
    } else {
      response.writeHead(status, { "content-type": "text/html" }).end("<html></html>");
    }
  });
  readonly #serve = connectNodeAdapter({
    connect: false,
    grpcWeb: false,
    routes: (router) => {
      router.service(RunService, {
        saveRun: async (request, context) => {
          await this.#name(request.runId, context);
          return { run: { runId: request.runId } };
        },
        putSnapshot: async (request, context) => {
          await this.#name(request.requestId, context);
          return {};
        },
        resumeRun: async (request, context) => {
          await this.#name(request.requestId, context);
          return { run: {} };
        },
        appendEvent: (request, context) => this.#append(request, context),
        appendEventStream: (requests, context) => this.#appendStream(requests, context),
        streamEvents: (request, context) => this.#stream(request.fromSeq, context),
        forkRun: async (request, context) => {
          await this.#name(request.forkRunId, context);
          return { run: { runId: request.forkRunId } };
        },
      });
      router.service(AdminService, {
        createToken: async (request, context) => {
          const deduplicated = this.named.includes(request.requestId);
          await this.#name(request.requestId, context);
          const token = { tokenId: "made", createdBy: {} };
          return { token, secret: deduplicated ? "" : "secret", deduplicated };
        },
        revokeToken: async (request, context) => {
          await this.#name(request.requestId, context);
          return { token: { createdBy: {} } };
        },
        deleteRun: async (request, context) => {
          await this.#name(request.requestId, context);
          return { removal: { at: {} } };
        },
        putPolicy: async (request, context) => {
          await this.#name(request.requestId, context);
          return { policy: { putBy: {} } };
        },
        deletePolicy: async (request, context) => {
          await this.#name(request.requestId, context);
          return {};
        },
        previewRetention: () => ({
          sums: [{ kind: RemovalKind.SNAPSHOTS, blocker: RetentionBlocker.UNREAD, runs: 1n }],
          lookedAtRuns: 10_000n,
          hasMore: true,
          warnings: ["no server does"],
        }),
        eraseEvents: async (request, context) => {
          await this.#name(request.requestId, context);
          return { erasure: { at: {} } };
        },
        eraseSubject: async (request, context) => {
          await this.#name(request.requestId, context);
          return { erasure: { at: {} } };
        },
        setLimits: async (request, context) => {
          await this.#name(request.requestId, context);
          return { limits: {} };
        },
      });
      router.service(ConfigService, {
        registerVersion: async (request, context) => {
          await this.#name(request.requestId, context);
          return {};
        },
        setLabel: async (request, context) => {
          await this.#name(request.requestId, context);
          return { move: {} };
        },
        removeLabel: async (request, context) => {
          await this.#name(request.requestId, context);
          return { move: {} };
        },
      });
      router.service(ArtifactService, {
        uploadArtifact: (requests, context) => this.#upload(requests, context),
        downloadArtifact: (request, context) => this.#download(request, context),
      });
    },
  });

  async start(): Promise<void> {
    this.#server.on("connection", (socket: Socket) => {
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
    });
    this.#server.on("session", (session) => {
      session.on("error", () => undefined);
      session.on("goaway", (code: number) => this.farewells.push(code));
    });
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    this.target = `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get connections(): number {
    return this.#sockets.size;
  }

  stop(): void {
    this.#server.close();
    this.cut();
  }

  /** Lose all connections, as when a machine dies. */
  cut(): void {
    for (const socket of this.#sockets) {
      socket.destroy();
    }
  }

  async #append(request: AppendEventRequest, context: HandlerContext) {
    this.appended.push(request);
    await this.#suffer(context);
    return { seq: BigInt(this.appended.length), eventId: request.event?.eventId ?? "" };
  }

  async #name(id: string, context: HandlerContext): Promise<void> {
    this.named.push(id);
    await this.#suffer(context);
  }

  async #suffer(context: HandlerContext): Promise<void> {
    const failure = this.failures.shift();
    if (failure !== undefined) {
      await this.#fail(failure, context);
    }
  }

  async #upload(requests: AsyncIterable<UploadArtifactRequest>, context: HandlerContext) {
    const place = this.uploads.push(0) - 1;
    const failure = this.uploadFailures.shift();
    for await (const { message } of requests) {
      if (message.case === "chunk") {
        this.uploads[place] = (this.uploads[place] ?? 0) + message.value.length;
        if (failure !== undefined) {
          await this.#fail(failure, context);
        }
      }
    }
    return { artifact: { artifactId: "a", size: BigInt(this.uploads[place] ?? 0) } };
  }

  async *#download(request: DownloadArtifactRequest, context: HandlerContext) {
    this.wanted.push(request);
    const answer = this.downloads[this.wanted.length - 1] ?? [];
    for (const message of typeof answer === "function" ? answer(request) : answer) {
      if (typeof message === "string") {
        await this.#fail(message, context);
      } else {
        yield create(DownloadArtifactResponseSchema, message);
      }
    }
  }

  async *#stream(fromSeq: bigint, context: HandlerContext) {
    this.asked.push(fromSeq);
    for (const message of this.streams[this.asked.length - 1] ?? []) {
      if (isFailure(message)) {
        await this.#fail(message, context);
      } else {
        yield create(StreamEventsResponseSchema, message);
      }
    }
  }

  async *#appendStream(requests: AsyncIterable<AppendEventStreamRequest>, context: HandlerContext) {
    const seen: string[] = [];
    const place = this.sent.push(seen) - 1;
    this.bodies.push(0);
    const answer = this.appends[place];
    for await (const request of requests) {
      const size = 5 + toBinary(AppendEventStreamRequestSchema, request).length;
      this.bodies[place] = (this.bodies[place] ?? 0) + size;
      seen.push(request.append?.event?.eventId ?? "");
      const response = answer?.(request) ?? "hang";
      if (isFailure(response)) {
        await this.#fail(response, context);
      } else {
        yield create(AppendEventStreamResponseSchema, response);
      }
    }
  }

  async #fail(failure: Failure, context: HandlerContext): Promise<void> {
    if (failure instanceof ConnectError) {
      throw failure;
    }
    if (failure === "drop") {
      throw new ConnectError("dropped", Code.Unavailable);
    }
    if (failure === "cut") {
      this.cut();
    }
    await new Promise((resolve) => {
      context.signal.addEventListener("abort", resolve);
    });
  }
}

function isFailure(given: object | string): given is Failure {
  return typeof given === "string" || given instanceof ConnectError;
}

export function batch(...seqs: number[]): Message {
  const events = seqs.map((seq) => ({ seq: BigInt(seq), type: "tick" }));
  return { message: { case: "events", value: { events } } };
}

export function caughtUp(lastSeq: number): Message {
  return { message: { case: "caughtUp", value: { lastSeq: BigInt(lastSeq) } } };
}

export function heartbeat(lastSeq: number): Message {
  return { message: { case: "heartbeat", value: { lastSeq: BigInt(lastSeq) } } };
}

export function endOfRun(lastSeq: number): Message {
  return {
    message: { case: "endOfRun", value: { lastSeq: BigInt(lastSeq), outcome: Outcome.SUCCEEDED } },
  };
}

/** The first message of a download of these bytes. */
export function described(bytes: Uint8Array, artifactId = "a"): Downloaded {
  const sha256 = createHash("sha256").update(bytes).digest();
  const value = { artifactId, size: BigInt(bytes.length), sha256: Uint8Array.from(sha256) };
  return { message: { case: "artifact", value } };
}

export function chunk(value: Uint8Array): Downloaded {
  return { message: { case: "chunk", value } };
}

/** A refusal as the server makes it. */
export function refusal(
  code: Code,
  reason: string,
  metadata: Record<string, string> = {},
): ConnectError {
  const value = { reason, domain: "runstore.v1", metadata };
  return new ConnectError(reason.toLowerCase(), code, undefined, [
    { desc: ErrorInfoSchema, value },
  ]);
}
