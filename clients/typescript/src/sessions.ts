/** The HTTP/2 sessions of a connection. */

import type { ClientHttp2Session, ClientHttp2Stream } from "node:http2";

import { Http2SessionManager } from "@connectrpc/connect-node";

type Ping = (callback: (error: Error | null, duration: number, data: Buffer) => void) => boolean;

/**
 * Sessions whose PING never throws.
 *
 * The manager's timer may fire when a session was destroyed and its cleanup has not run yet. Node's
 * `ping` throws then, out of the timer, and ends the process (connectrpc/connect-es#1795).
 */
export class Sessions extends Http2SessionManager {
  readonly #guarded = new WeakSet<ClientHttp2Session>();

  override async request(
    ...parameters: Parameters<Http2SessionManager["request"]>
  ): Promise<ClientHttp2Stream> {
    const stream = await super.request(...parameters);
    const { session } = stream;
    if (session && !this.#guarded.has(session as ClientHttp2Session)) {
      this.#guarded.add(session as ClientHttp2Session);
      guard(session as ClientHttp2Session);
    }
    return stream;
  }
}

function guard(session: ClientHttp2Session): void {
  const ping: Ping = session.ping.bind(session);
  const guarded: Ping = (callback) => {
    if (!session.destroyed) {
      return ping(callback);
    }
    process.nextTick(callback, new Error("the session was destroyed"), 0, Buffer.alloc(0));
    return false;
  };
  session.ping = guarded as ClientHttp2Session["ping"];
}
