/** The HTTP/2 sessions of a connection. */

import { constants, type ClientHttp2Session, type ClientHttp2Stream } from "node:http2";

import { Http2SessionManager } from "@connectrpc/connect-node";

type Ping = (callback: (error: Error | null, duration: number, data: Buffer) => void) => boolean;

/**
 * Sessions that never end the process, neither by a PING nor by an error.
 *
 * The manager's timer may fire after a session was destroyed and before its cleanup has run. Node's
 * `ping` then throws out of the timer and ends the process (connectrpc/connect-es#1795).
 */
export class Sessions extends Http2SessionManager {
  /** Called when a server has greeted, by its SETTINGS. */
  onGreeting: () => void = () => undefined;
  readonly #live = new Set<ClientHttp2Session>();

  /** As the manager does it; sessions and streams are kept from doing harm. */
  override async request(
    ...parameters: Parameters<Http2SessionManager["request"]>
  ): Promise<ClientHttp2Stream> {
    const stream = await super.request(...parameters);
    const session = stream.session as ClientHttp2Session | undefined;
    if (session && !this.#live.has(session)) {
      this.#live.add(session);
      session.once("close", () => this.#live.delete(session));
      session.once("remoteSettings", this.onGreeting);
      guardSession(session);
    }
    resetWithoutEnd(stream);
    retireWithUnsent(stream);
    return stream;
  }

  /** Close the sessions once the streams in flight have ended. */
  closeGracefully(): void {
    for (const session of this.#live) {
      session.close();
    }
  }
}

/**
 * Reset a stream that is closed early without ending it first.
 *
 * Node ends a stream before it resets it. A server that reads the end before the reset takes an
 * aborted upload for a complete one.
 */
function resetWithoutEnd(stream: ClientHttp2Stream): void {
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

/**
 * Let later calls use another session when a stream is reset before all of it was sent, as a request
 * that was refused for its size is; those in flight end on this one.
 *
 * Node counts what was left unsent against the memory of the session for good, and a session that has
 * none left refuses every call.
 */
function retireWithUnsent(stream: ClientHttp2Stream): void {
  const close = stream.close.bind(stream);
  stream.close = (code, callback) => {
    const { session, writableLength } = stream;
    const wasClosed = stream.closed; // by the server; Node then waits for what will not be sent
    close(code, callback);
    if (writableLength > 0 && session && !session.destroyed) {
      // The manager knows no other way to give up a session that has streams.
      session.emit("goaway", constants.NGHTTP2_NO_ERROR, 0, Buffer.alloc(0));
      session.close();
    }
    if (wasClosed) {
      stream.destroy();
    }
  };
}

function guardSession(session: ClientHttp2Session): void {
  const ping: Ping = session.ping.bind(session);
  const guarded: Ping = (callback) => {
    if (!session.destroyed) {
      return ping(callback);
    }
    process.nextTick(callback, new Error("the session was destroyed"), 0, Buffer.alloc(0));
    return false;
  };
  session.ping = guarded as ClientHttp2Session["ping"];
  // Each call on a session that breaks gets the error. The manager stops listening when it abandons a
  // session; an error after that would have no listener and would end the process.
  session.on("error", () => undefined);
}
