/** The token that calls carry: where it comes from, and where it may go. */

import { closeSync, openSync, readSync } from "node:fs";

import { Code, ConnectError } from "@connectrpc/connect";

import { InvalidArgument, notOf, text } from "../values/arguments.js";
import { DeadlineExceeded, RunstoreError } from "./errors.js";
import type { ConnectOptions } from "./options.js";
import { isLoopback } from "./targets.js";

const TOKEN = "RUNSTORE_TOKEN";
const FILE = "RUNSTORE_TOKEN_FILE";
const INSECURE = "RUNSTORE_ALLOW_INSECURE_TOKEN";
const AUTHORIZATION = "authorization";
const MAX_LENGTH = 8192;
const LONGEST_TIMER_MS = 2 ** 31 - 1;
// How long a file is not read again unless a call is refused.
const READ_AGAIN_MS = 60_000;

/** What a call is sent with. */
export type Headers = Readonly<Record<string, string>>;

/** Gives the token. */
interface Source {
  /** The token as it was within the last minute. */
  current(): string | Promise<string>;
  /** The token as it is now; throws why it cannot be had. */
  look(): string | Promise<string>;
}

/** The errors of calls that were refused with a token that the client no longer has. */
const ofReplacedTokens = new WeakSet();

/** Whether a call was refused with a token that was replaced since, so that a repeat may help. */
export function isOfReplacedToken(error: unknown): boolean {
  return (
    error instanceof RunstoreError && isObject(error.cause) && ofReplacedTokens.has(error.cause)
  );
}

/**
 * What the calls of a client are sent with: its metadata, and the token as it is now if it has one.
 *
 * What is given comes before the environment, an authorization in the metadata included. Throws
 * `InvalidArgument` for a token that cannot be sent, or that must not: in plain text it goes nowhere but
 * to this machine, unless that is allowed.
 */
export class Tokens {
  readonly #metadata: Headers;
  readonly #source: Source | undefined;
  /** Why another token could not be had after a refusal. */
  readonly #problems = new WeakMap<object, string>();

  constructor(target: string, isEncrypted: boolean, options: ConnectOptions) {
    this.#metadata = options.metadata ?? {};
    this.#source = source(options, this.#metadata);
    const mayGo = isEncrypted || isLoopback(target) || (options.insecureToken ?? false);
    if (this.#source && !mayGo && !isAllowed()) {
      const ways = `allow it with insecureToken: true or ${INSECURE}=true`;
      const problem = `is not sent in plain text: connect to grpcs://${target}, or ${ways}`;
      throw new InvalidArgument("token", problem);
    }
  }

  /** What a call is sent with; waits for a token no longer than the call may take. */
  async headers(signal: AbortSignal | undefined, timeoutMs?: number): Promise<Headers> {
    const token = this.#source?.current();
    if (token === undefined) {
      return this.#metadata;
    }
    const known = typeof token === "string" ? token : await within(token, signal, timeoutMs);
    return { ...this.#metadata, [AUTHORIZATION]: `Bearer ${known}` };
  }

  /** Note why a call failed. If the caller was refused, the token is read again at once. */
  async judge(
    error: unknown,
    sent: Headers,
    signal: AbortSignal | undefined,
    timeoutMs?: number,
  ): Promise<void> {
    if (!this.#source || !isRefusal(error)) {
      return;
    }
    try {
      const token = this.#source.look();
      const known = typeof token === "string" ? token : await within(token, signal, timeoutMs);
      if (`Bearer ${known}` !== sent[AUTHORIZATION]) {
        ofReplacedTokens.add(error);
      }
    } catch (problem) {
      this.#problems.set(error, problem instanceof Error ? problem.message : String(problem));
    }
  }

  /** The error, with the reason why there was no other token. */
  explained(error: RunstoreError): RunstoreError {
    const problem = isObject(error.cause) ? this.#problems.get(error.cause) : undefined;
    return problem === undefined ? error : error.reworded((words) => `${words} (${problem})`);
  }
}

/** The token of a file, which is read again each minute. */
class FileSource implements Source {
  readonly #read: () => string;
  #token: string;
  #readAt = performance.now();

  constructor(path: string | URL, field: string) {
    this.#read = () => read(path, field);
    this.#token = this.#read();
  }

  current(): string {
    if (performance.now() - this.#readAt >= READ_AGAIN_MS) {
      try {
        this.look();
      } catch {
        // The one before stays; if it is refused, `judge` says what is wrong with the file.
      }
    }
    return this.#token;
  }

  look(): string {
    this.#readAt = performance.now();
    this.#token = this.#read();
    return this.#token;
  }
}

function source(options: ConnectOptions, metadata: Headers): Source | undefined {
  const { token, tokenFile } = options;
  if (token !== undefined && tokenFile !== undefined) {
    throw new InvalidArgument("token", "must not be set together with tokenFile");
  }
  if (Object.keys(metadata).some((key) => key.toLowerCase() === AUTHORIZATION)) {
    if (token !== undefined || tokenFile !== undefined) {
      throw new InvalidArgument("token", "must not be set together with authorization in metadata");
    }
    return undefined;
  }
  if (token !== undefined) {
    return typeof token === "function" ? called(token) : fixed(token, "token");
  }
  if (tokenFile !== undefined) {
    const isPath: boolean = typeof tokenFile === "string" || (tokenFile as unknown) instanceof URL;
    if (!isPath) {
      throw notOf("a path or a file: URL", tokenFile, "tokenFile");
    }
    return new FileSource(tokenFile, "tokenFile");
  }
  const { [TOKEN]: named, [FILE]: path } = process.env;
  if (named && path) {
    throw new InvalidArgument(TOKEN, `must not be set together with ${FILE}`);
  }
  if (path) {
    return new FileSource(path, FILE);
  }
  return named ? fixed(named, TOKEN) : undefined;
}

function fixed(token: unknown, field: string): Source {
  if (typeof token !== "string") {
    throw notOf("a string or a function", token, field);
  }
  const known = checked(token, field);
  return { current: () => known, look: () => known };
}

function called(token: () => string | Promise<string>): Source {
  const look = async () => checked(await token(), "token");
  return { current: look, look };
}

function read(path: string | URL, field: string): string {
  let content: string;
  try {
    content = start(path, MAX_LENGTH + 3); // one more than the longest line
  } catch (error) {
    throw new InvalidArgument(field, `cannot be read: ${String(error)}`);
  }
  if (/^[\r\n]*$/.test(content)) {
    throw new InvalidArgument(field, `has no token: ${String(path)} is empty`);
  }
  return checked(content, field);
}

/** The start of a file, at most so many bytes. */
function start(path: string | URL, most: number): string {
  const file = openSync(path, "r");
  try {
    const buffer = Buffer.alloc(most);
    let length = 0;
    let count: number;
    do {
      count = readSync(file, buffer, length, most - length, null);
      length += count;
    } while (count > 0 && length < most);
    return buffer.toString("latin1", 0, length);
  } finally {
    closeSync(file);
  }
}

/** The token without the end of its line; what is refused is not shown. */
function checked(given: unknown, field: string): string {
  text(given, field);
  const token = given.replace(/[\r\n]+$/, "");
  if (token === "") {
    throw new InvalidArgument(field, "must not be empty");
  }
  if (token.length > MAX_LENGTH) {
    throw new InvalidArgument(field, `must be a token of at most ${MAX_LENGTH} characters`);
  }
  if (!/^[\x21-\x7e]+$/.test(token)) {
    const rule = "must be a token of printable ASCII without spaces, and no more than that";
    throw new InvalidArgument(field, rule);
  }
  return token;
}

function isAllowed(): boolean {
  const said = (process.env[INSECURE] ?? "").toLowerCase();
  if (!["true", "1", "", "false", "0"].includes(said)) {
    throw new InvalidArgument(INSECURE, `must be true or false, is ${JSON.stringify(said)}`);
  }
  return said === "true" || said === "1";
}

function isRefusal(error: unknown): error is ConnectError {
  return (
    error instanceof ConnectError &&
    (error.code === Code.Unauthenticated || error.code === Code.PermissionDenied)
  );
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

/** What a promise resolves to, unless the call that needs it is aborted or runs out of time. */
async function within<T>(
  promise: Promise<T>,
  signal: AbortSignal | undefined,
  timeoutMs = Infinity,
): Promise<T> {
  signal?.throwIfAborted();
  return await new Promise<T>((resolve, reject: (why: Error) => void) => {
    const late = () => {
      reject(new DeadlineExceeded({ code: "DEADLINE_EXCEEDED", message: "no token came in time" }));
    };
    const abort = () => {
      reject(signal?.reason as Error);
    };
    const timer = setTimeout(late, Math.min(timeoutMs, LONGEST_TIMER_MS));
    signal?.addEventListener("abort", abort);
    promise.then(resolve, reject).finally(() => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
    });
  });
}
