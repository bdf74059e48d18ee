/** Calls carry a token, which may be replaced while they go on, and which nobody gets to see. */

import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { inspect } from "node:util";

import { Code, ConnectError } from "@connectrpc/connect";
import { afterEach, beforeEach, describe, expect, test as plain, vi } from "vitest";

import {
  connect,
  CredentialExpired,
  DeadlineExceeded,
  InvalidArgument,
  Unauthenticated,
  type Client,
  type ConnectOptions,
} from "../src/index.js";
import { isLoopback } from "../src/transport/targets.js";
import { collect } from "./fixtures.js";
import { CONTENT, EXPIRED, Gate, UNKNOWN, WITHDRAWN } from "./gate.js";

const [OLD, NEW] = ["rs1_old", "rs1_new"];
const FAR = "runstore.example.com:7411";
const TICK = { type: "tick" };
const file = join(mkdtempSync(join(tmpdir(), "runstore-tokens-")), "token");

const test = plain.extend<{ gate: Gate }>({
  // eslint-disable-next-line no-empty-pattern -- vitest reads the parameter's form
  gate: async ({}, use) => {
    const gate = new Gate(NEW);
    await gate.start();
    await use(gate);
    await gate.stop();
  },
});

beforeEach(() => {
  vi.stubEnv("RUNSTORE_TOKEN", "");
  vi.stubEnv("RUNSTORE_TOKEN_FILE", "");
  vi.stubEnv("RUNSTORE_ALLOW_INSECURE_TOKEN", "");
  writeFileSync(file, `${OLD}\n`);
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllEnvs();
});

async function pipelined(client: Client): Promise<number[]> {
  const appender = client.appender();
  const seqs = [];
  for (let sent = 0; sent < 2; sent += 1) {
    seqs.push((await (await appender.append(client.run("run"), TICK)).answer()).seq);
  }
  await appender.close();
  return seqs;
}

async function followed(client: Client): Promise<number[]> {
  const positions = [];
  for await (const { position } of client.feed.entries()) {
    if (positions.push(position) === 2) {
      break;
    }
  }
  return positions;
}

/** What a client does over each kind of call, and what it gets. */
const WORK: Record<string, [(client: Client) => Promise<unknown>, unknown]> = {
  append: [async (client) => (await client.run("run").append(TICK)).seq, 1],
  events: [
    async (client) =>
      (await collect(client.run("run").events({ follow: true }))).map(({ seq }) => seq),
    [1, 2],
  ],
  feed: [followed, [1, 2]],
  appender: [pipelined, [1, 1]],
  upload: [
    async (client) => Number((await client.artifacts.upload("run", "name", CONTENT)).artifact.size),
    CONTENT.length,
  ],
  download: [
    async (client) => Buffer.from(await client.artifacts.read({ artifactId: "a" })).toString(),
    CONTENT.toString(),
  ],
};
const KINDS = Object.keys(WORK);
const STREAMS = KINDS.filter((kind) => kind !== "append");

async function use(gate: Gate, options: ConnectOptions = {}, kind = "append"): Promise<unknown> {
  using client = connect(gate.target, options);
  return await WORK[kind]?.[0](client);
}

/** Have the gate put a new token into the file the first time that it refuses. */
function rotating(gate: Gate): void {
  gate.refusing = () => {
    gate.refusing = () => undefined;
    writeFileSync(file, `${NEW}\n`);
  };
}

describe("where it comes from", () => {
  test.for(KINDS)("every kind of call carries the token: %s", async (kind, { gate }) => {
    expect(await use(gate, { token: NEW }, kind)).toEqual(WORK[kind]?.[1]);

    expect(gate.tokens).toEqual([NEW]);
  });

  test("the question for health carries it too", async ({ gate }) => {
    using client = connect(gate.target, { token: NEW });

    expect(await client.health()).toBe(true);

    expect(gate.tokens).toEqual([NEW]);
  });

  test.for(["", "\n", "\r\n"])(
    "a file holds it with or without the end of a line: %j",
    async (end, { gate }) => {
      writeFileSync(file, NEW + end);

      await use(gate, { tokenFile: file });
      await use(gate, { tokenFile: pathToFileURL(file) });

      expect(gate.tokens).toEqual([NEW, NEW]);
    },
  );

  test("a function gives it for each call", async ({ gate }) => {
    gate.known.add(OLD);
    const given = [OLD, NEW];
    using client = connect(gate.target, { token: () => given.shift() ?? "" });

    await client.run("run").append(TICK);
    await client.run("run").append(TICK);

    expect(gate.tokens).toEqual([OLD, NEW]);
  });

  test("a function may take its time, but not longer than the call", async ({ gate }) => {
    const later = () => new Promise<string>((resolve) => setTimeout(resolve, 20, NEW));
    await use(gate, { token: later });
    using client = connect(gate.target, { token: () => new Promise<string>(() => undefined) });

    const late = client.run("run").append(TICK, { timeoutMs: 50 });
    const aborted = collect(client.run("run").events({ signal: AbortSignal.timeout(50) }));

    await Promise.all([
      expect(late).rejects.toThrow(DeadlineExceeded),
      expect(aborted).rejects.toThrow("timeout"),
    ]);
    expect(gate.tokens).toEqual([NEW]);
  });

  test("a function that fails fails the call", async ({ gate }) => {
    const failing = () => Promise.reject(new Error("no such secret"));

    await expect(use(gate, { token: failing })).rejects.toThrow("no such secret");
    await expect(use(gate, { token: failing }, "events")).rejects.toThrow("no such secret");
    await expect(use(gate, { token: () => "two words" })).rejects.toThrow(InvalidArgument);
    expect(gate.tokens).toEqual([]);
  });

  test("the environment names it unless an option does", async ({ gate }) => {
    writeFileSync(file, NEW);
    vi.stubEnv("RUNSTORE_TOKEN_FILE", file);
    await use(gate);
    vi.stubEnv("RUNSTORE_TOKEN_FILE", "");
    vi.stubEnv("RUNSTORE_TOKEN", `${NEW}\n`);
    await use(gate);
    vi.stubEnv("RUNSTORE_TOKEN", OLD);
    vi.stubEnv("RUNSTORE_TOKEN_FILE", "/none");
    await use(gate, { token: NEW });
    await use(gate, { tokenFile: file });
    await use(gate, { metadata: { Authorization: `Bearer ${NEW}` } });

    expect(gate.tokens).toEqual([NEW, NEW, NEW, NEW, NEW]);
  });

  test.for<[string, object, Record<string, string>, string]>([
    ["both", { token: OLD, tokenFile: file }, {}, "token: must not be set together with tokenFile"],
    [
      "both variables",
      {},
      { RUNSTORE_TOKEN: OLD, RUNSTORE_TOKEN_FILE: file },
      "RUNSTORE_TOKEN: must not be set together with RUNSTORE_TOKEN_FILE",
    ],
    [
      "beside its own metadata",
      { token: OLD, metadata: { Authorization: "x" } },
      {},
      "token: must not be set together with authorization in metadata",
    ],
    ["nothing", { token: "" }, {}, "token: must not be empty"],
    ["a number", { token: 5 }, {}, "token: must be a string or a function, not a number"],
    ["a number for a file", { tokenFile: 5 }, {}, "tokenFile: must be a path or a file: URL"],
    ["no file", { tokenFile: "/none" }, {}, "tokenFile: cannot be read: "],
    ["a folder", { tokenFile: "/" }, {}, "tokenFile: cannot be read: "],
    [
      "an empty file",
      { tokenFile: "/dev/null" },
      {},
      "tokenFile: has no token: /dev/null is empty",
    ],
    [
      "no file of a variable",
      {},
      { RUNSTORE_TOKEN_FILE: "/none" },
      "RUNSTORE_TOKEN_FILE: cannot be read: ",
    ],
    [
      "a file without an end",
      { tokenFile: "/dev/zero" },
      {},
      "tokenFile: must be a token of at most",
    ],
    ["words", { token: "Bearer Secret" }, {}, "token: must be a token of printable ASCII"],
    ["two lines", { token: "Secret\nx" }, {}, "token: must be a token of printable ASCII"],
    ["a letter", { token: "Secrét" }, {}, "token: must be a token of printable ASCII"],
    ["a surrogate", { token: "Secret\ud800" }, {}, "token: holds a lone surrogate"],
    [
      "a variable",
      {},
      { RUNSTORE_TOKEN: "Secret x" },
      "RUNSTORE_TOKEN: must be a token of printable",
    ],
    ["a long one", { token: "Secret".repeat(8192) }, {}, "token: must be a token of at most 8192"],
  ])(
    "what is no token is refused in a line that does not show it: %s",
    ([, options, variables, problem]) => {
      for (const [name, value] of Object.entries(variables)) {
        vi.stubEnv(name, value);
      }

      let said = "";
      try {
        connect("localhost:7411", options).close();
      } catch (error) {
        expect(error).toBeInstanceOf(InvalidArgument);
        said = (error as Error).message;
      }

      expect(said.startsWith(problem)).toBe(true);
      expect(said).not.toMatch(/Secr|\n/);
    },
  );
});

describe("where it may go", () => {
  test("in plain text to no other machine unless that is allowed", () => {
    const dial =
      (target: string, options: ConnectOptions = {}) =>
      () => {
        connect(target, { token: OLD, ...options }).close();
      };

    expect(dial(FAR)).toThrow(InvalidArgument);
    expect(dial(FAR)).toThrow(
      `token: is not sent in plain text: connect to grpcs://${FAR}, or allow it with ` +
        "insecureToken: true or RUNSTORE_ALLOW_INSECURE_TOKEN=true",
    );
    expect(dial(FAR, { token: () => OLD })).toThrow("token: is not sent in plain text");
    dial(FAR, { insecureToken: true })();
    dial(`grpcs://${FAR}`)();
    dial(FAR, { tls: true })();
    dial("[::1]:7411")();
    vi.stubEnv("RUNSTORE_ALLOW_INSECURE_TOKEN", "perhaps");
    expect(dial(FAR)).toThrow("RUNSTORE_ALLOW_INSECURE_TOKEN: must be true or false");
    vi.stubEnv("RUNSTORE_ALLOW_INSECURE_TOKEN", "true");
    dial(FAR)();
  });

  test.each([
    ["localhost:7411", true],
    ["LOCALHOST:1", true],
    ["127.0.0.1:7411", true],
    ["127.9.9.9:7411", true],
    ["[::1]:7411", true],
    ["[0:0:0:0:0:0:0:1]:7411", true],
    ["[::ffff:127.0.0.1]:7411", true],
    ["grpcs://localhost:7411", true],
    [FAR, false],
    ["10.0.0.1:7411", false],
    ["0.0.0.0:7411", false],
    ["128.0.0.1:7411", false],
    ["[::]:7411", false],
    ["[::2]:7411", false],
    ["[::1%1]:7411", false],
    ["[::ffff:10.0.0.1]:7411", false],
    ["localhost.example.com:7411", false],
    ["127.0.0.1.example.com:7411", false],
  ])("%s is this machine: %s", (target, isIt) => {
    expect(isLoopback(target)).toBe(isIt);
  });
});

describe("a token that is replaced", () => {
  test("a file is read again each minute", async ({ gate }) => {
    gate.known.add(OLD);
    vi.useFakeTimers({ toFake: ["performance"] });
    using client = connect(gate.target, { tokenFile: file, gather: false });
    writeFileSync(file, NEW);

    await client.run("run").append(TICK);
    vi.advanceTimersByTime(59_999);
    await client.run("run").append(TICK);
    vi.advanceTimersByTime(1);
    await client.run("run").append(TICK);

    expect(gate.tokens).toEqual([OLD, OLD, NEW]);
  });

  test.for([UNKNOWN, EXPIRED, WITHDRAWN, new ConnectError("a proxy's", Code.Unauthenticated)])(
    "a call that was refused is repeated once the file has changed: %s",
    async (refused, { gate }) => {
      gate.refusedAs = refused;
      rotating(gate);

      await use(gate, { tokenFile: file });

      expect(gate.tokens).toEqual([OLD, NEW]);
    },
  );

  test("it is repeated once a function gives another", async ({ gate }) => {
    let token = OLD;
    gate.refusing = () => {
      token = NEW;
    };

    await use(gate, { token: () => Promise.resolve(token) });

    expect(gate.tokens).toEqual([OLD, NEW]);
  });

  test.for(KINDS)("it is not repeated while the file is the same: %s", async (kind, { gate }) => {
    await expect(use(gate, { tokenFile: file }, kind)).rejects.toThrow(
      /^UNAUTHENTICATED: unauthenticated$/,
    );

    expect(gate.tokens).toEqual([OLD]);
  });

  test("it is repeated once for each change", async ({ gate }) => {
    gate.known.clear();
    rotating(gate);

    await expect(use(gate, { tokenFile: file })).rejects.toThrow(Unauthenticated);

    expect(gate.tokens).toEqual([OLD, NEW]);
  });

  test("a token that was given is not tried again", async ({ gate }) => {
    await expect(use(gate, { token: OLD })).rejects.toThrow(Unauthenticated);
    await expect(use(gate, { token: () => OLD })).rejects.toThrow(Unauthenticated);

    expect(gate.tokens).toEqual([OLD, OLD]);
  });

  test("a file that cannot be read meanwhile leaves the token and is told", async ({ gate }) => {
    gate.known.add(OLD);
    vi.useFakeTimers({ toFake: ["performance"] });
    using client = connect(gate.target, { tokenFile: file, gather: false });
    writeFileSync(file, "");
    vi.advanceTimersByTime(60_000);
    await client.run("run").append(TICK);
    gate.known.delete(OLD);

    await expect(client.run("run").append(TICK)).rejects.toThrow(/tokenFile: has no token: /);
    writeFileSync(file, NEW);
    await client.run("run").append(TICK);

    expect(gate.tokens).toEqual([OLD, OLD, OLD, NEW]);
  });

  test.for(STREAMS.flatMap((kind) => [EXPIRED, WITHDRAWN].map((why) => [kind, why] as const)))(
    "a stream whose token has expired goes on with the next: %s, %s",
    async ([kind, ending], { gate }) => {
      gate.known.add(OLD);
      gate.ended.add(OLD);
      gate.ending = ending;
      rotating(gate);

      expect(await use(gate, { tokenFile: file }, kind)).toEqual(WORK[kind]?.[1]);

      expect(gate.tokens).toEqual([OLD, NEW]);
    },
  );

  test.for(STREAMS)("it ends while there is no next: %s", async (kind, { gate }) => {
    gate.known.add(OLD);
    gate.ended.add(OLD);

    await expect(use(gate, { tokenFile: file }, kind)).rejects.toThrow(CredentialExpired);

    expect(gate.tokens).toEqual([OLD]);
  });

  test("data that can be read once is not sent again", async ({ gate }) => {
    rotating(gate);
    using client = connect(gate.target, { tokenFile: file });

    const sent = client.artifacts.upload("run", "name", [CONTENT]);

    await expect(sent).rejects.toThrow(Unauthenticated);
    expect(gate.tokens).toEqual([OLD]);
  });

  test("appends that share a request are all repeated", async ({ gate }) => {
    gate.known.add(OLD);
    using client = connect(gate.target, { tokenFile: file });
    const run = client.run("run");
    const first = run.append(TICK);
    const others = Array.from({ length: 10 }, () => run.append(TICK));
    await first;
    gate.known.delete(OLD);
    rotating(gate);

    await Promise.all(others);

    expect(gate.tokens.slice(0, 2)).toEqual([OLD, OLD]);
    expect(gate.tokens.slice(2)).not.toContain(OLD);
    expect(gate.tokens.length).toBeLessThanOrEqual(4);
  });
});

test("nobody gets to see it", async ({ gate }) => {
  const seen: string[] = [];
  for (const options of [{ token: OLD }, { token: () => OLD }, { tokenFile: file }]) {
    using client = connect(gate.target, options);
    const error = await client
      .run("run")
      .append(TICK)
      .catch((refused: unknown) => refused);
    seen.push(inspect(client, { showHidden: true, depth: 10 }), inspect(error, { depth: 10 }));
    seen.push(String(error), JSON.stringify(error));
  }

  expect(gate.tokens).toEqual([OLD, OLD, OLD]);
  expect(seen.filter((each) => each.includes(OLD))).toEqual([]);
});
