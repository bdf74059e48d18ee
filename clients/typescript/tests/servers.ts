/** Server processes of their own, to be killed and started again. */

import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

import { connect } from "../src/index.js";

export const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
export const PYTHON = process.env["RUNSTORE_PYTHON"] ?? `${ROOT}/.venv/bin/python`;

export type Settings = Record<string, string>;

// Below the ports that the kernel gives to connections and to listeners that ask for none.
const [FIRST_PORT, PORTS] = [20_000, 12_000];

/** A port that no other program gets by chance while a server on it is restarted. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = FIRST_PORT + Math.floor(Math.random() * PORTS);
    const server = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      server.on("error", () => {
        resolve(false);
      });
      server.listen(port, "127.0.0.1", () => {
        resolve(true);
      });
    });
    if (isFree) {
      server.close();
      await once(server, "close");
      return port;
    }
  }
}

/** The first line a process prints. */
export async function firstLine(child: ChildProcess): Promise<string> {
  if (!child.stdout) {
    throw new Error("the process has no standard output");
  }
  for await (const line of createInterface({ input: child.stdout })) {
    return line;
  }
  throw new Error("the process ended without a word");
}

/** `runstore serve` on a port that stays the same. */
export class ServerProcess {
  readonly target: string;
  #process: ChildProcess | undefined;

  private constructor(
    private readonly port: number,
    private readonly settings: Settings,
  ) {
    this.target = `127.0.0.1:${port}`;
  }

  static async started(settings: Settings): Promise<ServerProcess> {
    const server = new ServerProcess(await freePort(), settings);
    server.start();
    await server.untilServing();
    return server;
  }

  start(): void {
    this.#process = spawn(PYTHON, ["-m", "runstore_server", "serve", "--port", String(this.port)], {
      cwd: ROOT,
      env: {
        ...process.env,
        GRPC_VERBOSITY: "NONE",
        RUNSTORE_LOG_LEVEL: "error",
        RUNSTORE_HTTP: "false", // its port would be the same for all
        ...this.settings,
      },
      stdio: ["ignore", "ignore", "inherit"],
    });
  }

  async untilServing(): Promise<void> {
    using client = connect(this.target);
    for (;;) {
      try {
        await client.health();
        return;
      } catch {
        if (this.#process?.exitCode != null) {
          throw new Error(`the server ended with ${this.#process.exitCode}`);
        }
        await sleep(50);
      }
    }
  }

  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    const child = this.#process;
    if (child?.exitCode === null && child.signalCode === null) {
      const exit = once(child, "exit");
      child.kill(signal);
      await exit;
    }
  }

  async restart(signal: NodeJS.Signals): Promise<void> {
    await this.stop(signal);
    this.start();
  }
}
