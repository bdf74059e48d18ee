/** Addresses of servers: which a client accepts, and what it knows of the server at one. */

import { BlockList, isIP } from "node:net";

import { InvalidArgument } from "../values/arguments.js";
import { RunstoreError, Unavailable } from "./errors.js";

const SCHEME = /^[a-z][a-z0-9+.-]*:\/\//i;
const HOST_PORT = /^(?:\[[0-9a-f:.%]+\]|[^\s:/[\]@,]+):([0-9]+)$/i;
const MAX_PORT = 65_535;
const SECURE = "grpcs://";
const LOOPBACK = new BlockList();
LOOPBACK.addSubnet("127.0.0.0", 8, "ipv4");
LOOPBACK.addAddress("::1", "ipv6");

/** Whether the address asks for TLS. */
export function isSecure(target: string): boolean {
  return target.startsWith(SECURE);
}

/** What is connected to. */
export function addressOf(target: string): string {
  return isSecure(target) ? target.slice(SECURE.length) : target;
}

/** The address; throws `InvalidArgument` for one that no server can have. */
export function checkedTarget(target: string): string {
  const address = addressOf(target);
  const scheme = SCHEME.exec(address)?.[0];
  const port = HOST_PORT.exec(address)?.[1];
  if (scheme !== undefined || port === undefined) {
    const rule = "must be host:port, such as localhost:7411";
    const without = scheme === undefined ? "" : `, without ${scheme}`;
    throw new InvalidArgument("target", `${rule}${without}; is ${JSON.stringify(target)}`);
  }
  if (Number(port) < 1 || Number(port) > MAX_PORT) {
    const problem = `must have a port of 1..${MAX_PORT}; is ${JSON.stringify(target)}`;
    throw new InvalidArgument("target", problem);
  }
  return target;
}

/** Whether what is sent to the address stays on this machine. */
export function isLoopback(target: string): boolean {
  const host = addressOf(target)
    .replace(/:[0-9]+$/, "")
    .replace(/^\[(.*)\]$/, "$1");
  const version = isIP(host);
  if (version === 0 || host.includes("%")) {
    return host.toLowerCase() === "localhost";
  }
  return LOOPBACK.check(host, version === 4 ? "ipv4" : "ipv6");
}

/**
 * What a connection knows of its target: whether it has ever been reached.
 *
 * Until then a call is tried once: an address without a server is a mistake more often than a server
 * that is about to start, and trying on would hide it.
 */
export class Reach {
  #wasReached = false;
  #failingSince: number | undefined;

  constructor(readonly target: string) {}

  /** Something that speaks HTTP/2 is at the target. */
  connected(): void {
    this.#wasReached = true;
  }

  /** A call came to its end, or a message of a stream has arrived. */
  reached(): void {
    this.#wasReached = true;
    this.#failingSince = undefined;
  }

  /** Note a failed attempt; return whether another one may help. */
  failed(error: unknown): boolean {
    if (error instanceof RunstoreError && error.reason) {
      this.reached();
    } else {
      this.#failingSince ??= performance.now();
    }
    return !this.#isUnknown(error);
  }

  /**
   * The error, which names the target and how long it was tried unless the server gave a reason.
   *
   * Without `milliseconds` that is the time since the first failure after the last answer.
   */
  explained(error: RunstoreError, milliseconds?: number): RunstoreError {
    if (error.reason) {
      return error;
    }
    if (this.#isUnknown(error)) {
      return error.reworded((words) => `no server answers at ${this.target}, tried once: ${words}`);
    }
    const now = performance.now();
    const seconds = ((milliseconds ?? now - (this.#failingSince ?? now)) / 1000).toFixed(1);
    return error.reworded((words) => `${words} (${this.target}, tried for ${seconds} s)`);
  }

  /** Whether the error may be that of a target without a server. */
  #isUnknown(error: unknown): boolean {
    return error instanceof Unavailable && !this.#wasReached;
  }
}
