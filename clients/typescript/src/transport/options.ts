/** How to connect, and the options of every call. */

import type { SecureClientSessionOptions } from "node:http2";

import * as check from "../values/arguments.js";

/** Options of every call. */
export interface CallOptions {
  /** How long the call may take, retries included, in milliseconds. */
  readonly timeoutMs?: number | undefined;
  /** Aborts the call; it rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

export const CALL_OPTIONS: check.Checks<CallOptions> = {
  timeoutMs: check.milliseconds,
  signal: check.abortSignal,
};
/** Of a call that has no other options. */
export const checkCallOptions = check.object<CallOptions>("options", CALL_OPTIONS);

/** How a dead connection is detected: by a PING that is not answered. */
export interface Keepalive {
  /** Silence before a PING; the server allows one every 10 seconds. If idle, the next call sends it. */
  readonly intervalMs: number;
  readonly timeoutMs: number;
}

/** How to connect. */
export interface ConnectOptions {
  /** The tenant of all calls; "default" by default. */
  readonly project?: string;
  /** The default of `CallOptions.timeoutMs`; 10 seconds. */
  readonly timeoutMs?: number;
  /** Sent with every call. */
  readonly metadata?: Readonly<Record<string, string>>;
  /**
   * The token that every call carries, or a function that gives it, which is asked for each call. By
   * default it is that of $RUNSTORE_TOKEN or of the file that $RUNSTORE_TOKEN_FILE names.
   */
  readonly token?: string | (() => string | Promise<string>);
  /**
   * A file that holds the token. It is read again each minute, and at once when the caller is refused:
   * what was refused with a token that was replaced since is repeated, and streams go on.
   */
  readonly tokenFile?: string | URL;
  /**
   * Whether the token may be sent to other machines in plain text; false, unless
   * $RUNSTORE_ALLOW_INSECURE_TOKEN is "true". To loopback addresses it always may.
   */
  readonly insecureToken?: boolean;
  /** By default 30 and 5 seconds. */
  readonly keepalive?: Keepalive;
  /** Whether appends of single events that are made at the same time share requests; true. */
  readonly gather?: boolean;
  /**
   * True, or options of node:tls, to encrypt the connection. By default a target that begins with
   * grpcs:// is, with the PEM files of $RUNSTORE_CA_FILE, $RUNSTORE_CLIENT_CERT_FILE and
   * $RUNSTORE_CLIENT_KEY_FILE.
   */
  readonly tls?: boolean | SecureClientSessionOptions;
}

export const checkConnectOptions = check.object<ConnectOptions>("options", {
  project: check.text,
  timeoutMs: check.milliseconds,
  metadata: check.record(check.text),
  token: check.anything,
  tokenFile: check.anything,
  insecureToken: check.flag,
  keepalive: check.object<Keepalive>("keepalive", {
    intervalMs: check.milliseconds,
    timeoutMs: check.milliseconds,
  }),
  gather: check.flag,
  tls: check.anything,
});
