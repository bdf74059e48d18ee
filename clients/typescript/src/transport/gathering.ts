/** Appends of single events that share requests. */

import {
  create,
  type DescMessage,
  type DescMethodUnary,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";

import {
  AppendManyRequestSchema,
  RunService,
  type AppendEventRequest,
  type AppendEventResponse,
  type AppendManyResponse,
} from "../gen/runstore/v1/run_service_pb.js";
import {
  DeadlineExceeded,
  PermissionDenied,
  ProtocolError,
  RunstoreError,
  Unauthenticated,
} from "./errors.js";
import { brokenStream, fromStatus } from "./failures.js";
import { mayPass } from "./retry.js";

const MAX_APPENDS = 1000;
// An append with a payload of so many bytes goes alone: it would hold up those that share its request.
const LARGE_BYTES = 64 * 1024;
// A request's payloads; proxies limit the body of one, nginx to 1 MiB by default.
const MAX_BYTES = 512 * 1024;
// The longest that an append waits for the request before it, by default.
const PATIENCE_MS = 50;
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** The answer to an append; undefined if it has to be sent by itself. */
type Outcome = AppendEventResponse | RunstoreError | undefined;

/** Makes one attempt of a call; throws `RunstoreError`. */
export type Attempt = <I extends DescMessage, O extends DescMessage>(
  method: DescMethodUnary<I, O>,
  request: MessageInitShape<I>,
  signal: AbortSignal | undefined,
  timeoutMs: number,
) => Promise<MessageShape<O>>;

/** An append that waits for the request it will be part of, or for that request's answer. */
interface Waiting {
  readonly request: AppendEventRequest;
  readonly bytes: number;
  readonly deadline: number;
  readonly settle: (outcome: Outcome) => void;
}

/**
 * Lets the appends of single events that are made at the same time share requests.
 *
 * An append goes at once if no request is on its way. Those that come meanwhile go together when it
 * is answered, or has taken as long as the patience.
 */
export class Gathering {
  readonly #send: Attempt;
  #waiting: Waiting[] = [];
  /** The latest request, as the end of the patience with it. */
  #onItsWay: NodeJS.Timeout | undefined;
  #isOffered = true;

  constructor(
    send: Attempt,
    private readonly patienceMs = PATIENCE_MS,
  ) {
    this.#send = send;
  }

  /** Make one attempt of an append; throws `RunstoreError`. */
  async append(
    request: AppendEventRequest,
    signal: AbortSignal | undefined,
    timeoutMs: number,
  ): Promise<AppendEventResponse> {
    const bytes = payloadBytes(request);
    if (!this.#isOffered || bytes > LARGE_BYTES) {
      return await this.#send(RunService.method.appendEvent, request, signal, timeoutMs);
    }
    if (this.#onItsWay === undefined) {
      return await this.#goAlone(request, signal, timeoutMs);
    }
    const deadline = performance.now() + timeoutMs;
    const outcome = await this.#outcome(request, bytes, signal, deadline);
    if (outcome instanceof RunstoreError) {
      throw outcome;
    }
    return outcome ?? (await this.#goAlone(request, signal, deadline - performance.now()));
  }

  async #goAlone(
    request: AppendEventRequest,
    signal: AbortSignal | undefined,
    timeoutMs: number,
  ): Promise<AppendEventResponse> {
    const departed = this.#depart();
    try {
      return await this.#send(RunService.method.appendEvent, request, signal, timeoutMs);
    } finally {
      this.#arrive(departed, true);
    }
  }

  /** Wait for what becomes of an append, until its deadline or an abort. */
  async #outcome(
    request: AppendEventRequest,
    bytes: number,
    signal: AbortSignal | undefined,
    deadline: number,
  ): Promise<Outcome> {
    signal?.throwIfAborted();
    let timer: NodeJS.Timeout | undefined;
    let giveUp = (): void => undefined;
    try {
      return await new Promise<Outcome>((resolve) => {
        const waiting = { request, bytes, deadline, settle: resolve };
        this.#waiting.push(waiting);
        giveUp = () => {
          this.#waiting = this.#waiting.filter((each) => each !== waiting);
          resolve(outOfTime());
        };
        signal?.addEventListener("abort", giveUp);
        timer = setTimeout(giveUp, Math.min(deadline - performance.now(), LONGEST_TIMER_MS));
      });
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", giveUp);
    }
  }

  #depart(): NodeJS.Timeout {
    const departed = setTimeout(() => {
      this.#sendWaiting();
    }, this.patienceMs);
    this.#onItsWay = departed;
    return departed;
  }

  #arrive(departed: NodeJS.Timeout, wasAlone = false): void {
    clearTimeout(departed);
    if (departed !== this.#onItsWay) {
      return;
    }
    if (wasAlone && this.#waiting.length === 0) {
      this.#onItsWay = undefined;
      return;
    }
    // Those just answered run first, so that their next appends go along.
    setImmediate(() => {
      this.#sendWaiting();
    });
  }

  #sendWaiting(): void {
    this.#onItsWay = undefined;
    while (this.#waiting.length > 0) {
      const batch = this.#take();
      if (batch.length === 1) {
        batch[0]?.settle(undefined);
      } else {
        void this.#carry(batch, this.#depart());
      }
    }
  }

  /** Take what fits into one request. */
  #take(): Waiting[] {
    let bytes = 0;
    const tooMuch = this.#waiting.findIndex((each) => (bytes += each.bytes) > MAX_BYTES);
    const room = tooMuch < 0 ? this.#waiting.length : Math.max(tooMuch, 1);
    return this.#waiting.splice(0, Math.min(room, MAX_APPENDS));
  }

  async #carry(batch: readonly Waiting[], departed: NodeJS.Timeout): Promise<void> {
    const outcomes = await this.#outcomes(batch);
    for (const [index, each] of batch.entries()) {
      each.settle(outcomes[index]);
    }
    this.#arrive(departed);
  }

  async #outcomes(batch: readonly Waiting[]): Promise<readonly Outcome[]> {
    const latest = Math.max(...batch.map((each) => each.deadline));
    const request = create(AppendManyRequestSchema, {
      project: batch[0]?.request.project ?? "",
      appends: batch.map((each) => each.request),
    });
    const left = latest - performance.now();
    try {
      const { appendMany } = RunService.method;
      return outcomesOf(await this.#send(appendMany, request, undefined, left), batch.length);
    } catch (error) {
      this.#isOffered &&= !(error instanceof RunstoreError && error.code === "UNIMPLEMENTED");
      return batch.map((each) => failure(error, each));
    }
  }
}

function payloadBytes({ event }: AppendEventRequest): number {
  const content = event?.payload?.content;
  return typeof content?.value === "string"
    ? Buffer.byteLength(content.value)
    : (content?.value?.length ?? 0);
}

/** What the answer says of each append. */
function outcomesOf({ results }: AppendManyResponse, appends: number): Outcome[] {
  if (results.length !== appends) {
    const words = `the server answered ${results.length} of ${appends} appends`;
    return Array.from({ length: appends }, () => new ProtocolError(words));
  }
  return results.map(({ result }) =>
    result.case === "error" ? fromStatus(result.value) : result.value,
  );
}

/**
 * What the failure of a request means for one of its appends.
 *
 * A failure that may pass is one of each of them, and so is a refusal of the caller. Any other may be the
 * request's own, which is larger than theirs and unknown to older servers.
 */
function failure(error: unknown, { deadline }: Waiting): Outcome {
  if (error instanceof DeadlineExceeded) {
    return performance.now() < deadline
      ? brokenStream("the request that the append was part of ran out of time", error)
      : outOfTime(error);
  }
  const isOfCaller = error instanceof Unauthenticated || error instanceof PermissionDenied;
  if (isOfCaller || mayPass(error)) {
    return error.reworded((words) => words);
  }
  return undefined;
}

function outOfTime(cause?: unknown): DeadlineExceeded {
  return new DeadlineExceeded({
    code: "DEADLINE_EXCEEDED",
    message: "the deadline has passed",
    cause,
  });
}
