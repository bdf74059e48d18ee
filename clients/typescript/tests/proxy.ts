/** A way to a server that can go dead without ending, as a lost network does. */

import { EventEmitter, once } from "node:events";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";

export class Proxy {
  connections = 0;
  target = "";
  readonly #sockets: Socket[] = [];
  readonly #server = createServer();
  readonly #frozen = new Set<Socket>();
  readonly #traffic = new EventEmitter();
  #passed = 0;

  static async started(target: string): Promise<Proxy> {
    const proxy = new Proxy();
    const port = Number(target.split(":")[1]);
    proxy.#server.on("connection", (near) => {
      const far = connect(port, "127.0.0.1");
      proxy.connections += 1;
      proxy.#sockets.push(near, far);
      near.pipe(far).pipe(near);
      near.on("data", ({ length }: Buffer) => {
        proxy.#passed += length;
        proxy.#traffic.emit("passed");
      });
      for (const [socket, other] of [
        [near, far],
        [far, near],
      ] as const) {
        socket.on("error", () => undefined);
        socket.on("close", () => {
          if (!proxy.#frozen.has(socket)) {
            other.destroy();
          }
        });
      }
    });
    proxy.#server.listen(0, "127.0.0.1");
    await once(proxy.#server, "listening");
    proxy.target = `127.0.0.1:${(proxy.#server.address() as AddressInfo).port}`;
    return proxy;
  }

  /** Wait until so many bytes were on their way to the server. */
  async untilPassed(bytes: number): Promise<void> {
    while (this.#passed < bytes) {
      await once(this.#traffic, "passed");
    }
  }

  /** Nothing passes any more over the connections there are; new ones are fine. */
  freeze(): void {
    for (const socket of this.#sockets) {
      this.#frozen.add(socket);
      socket.unpipe();
      socket.pause();
    }
  }

  stop(): void {
    this.#server.close();
    for (const socket of this.#sockets) {
      socket.destroy();
    }
  }
}
