/** The HTTP/2 sessions of a connection. */

import { constants, type ClientHttp2Session, type ClientHttp2Stream } from "node:http2";

import { Http2SessionManager } from "@connectrpc/connect-node";

type Ping = (callback: (error: Error | null, duration: number, data: Buffer) => void) => boolean;

/**
 * Sessions whose PING never throws, and whose end never does.
 *
 * The manager's timer may fire when a session was destroyed and its cleanup has not run yet. Node's
 * `ping` throws then, out of the timer, and ends the process (connectrpc/connect-es#1795).
 */
export class Sessions extends Http2SessionManager {
  readonly #live = new Set<ClientHttp2Session>();

  override async request(
    ...parameters: Parameters<Http2SessionManager["request"]>
  ): Promise<ClientHttp2Stream> {
    const stream = await super.request(...parameters);
    const session = stream.session as ClientHttp2Session | undefined;
    if (session && !this.#live.has(session)) {
      this.#live.add(session);
      session.once("close", () => this.#live.delete(session));
      guard(session);
    }
    keepWhatIsCutOpen(stream);
    return stream;
  }

  /** Take leave of the server: what is under way ends as it would have. */
  leave(): void {
    for (const session of this.#live) {
      session.close();
    }
  }
}

/**
 * Let a stream that is reset before its end be reset, and not ended first.
 *
 * Node ends a stream before it resets it. A server that reads the end before the reset takes an
 * upload that was cut for a complete one.
 */
function keepWhatIsCutOpen(stream: ClientHttp2Stream): void {
  const close = stream.close.bind(stream);
  stream.close = (code, callback) => {
    if (code !== constants.NGHTTP2_NO_ERROR && !stream.writableEnded) {
      stream._final = (done) => {
        done();
      };
    }
    close(code, callback);
  };
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
  // Why a session broke is told to each of its calls. The manager stops listening when it gives the
  // session up, and a session that breaks a moment before tells it with nobody listening.
  session.on("error", () => undefined);
}
