/** What TLS is asked for with is checked when a client is made. */

import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import type { SecureServerOptions } from "node:http2";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, expect, test, vi } from "vitest";

import { connect, InvalidArgument } from "../src/index.js";
import { Gate } from "./gate.js";
import { PYTHON, ROOT } from "./servers.js";

const TARGET = "grpcs://localhost:7411";
const CA = "RUNSTORE_CA_FILE";
const CERT = "RUNSTORE_CLIENT_CERT_FILE";
const KEY = "RUNSTORE_CLIENT_KEY_FILE";
const folder = mkdtempSync(join(tmpdir(), "runstore-tls-"));
const pem = join(folder, "some.pem");
const text = join(folder, "text");
writeFileSync(pem, "-----BEGIN CERTIFICATE-----\n");
writeFileSync(text, "no PEM");

afterEach(() => {
  vi.unstubAllEnvs();
});

test.each([
  [{ [CA]: join(folder, "none") }, /^RUNSTORE_CA_FILE: cannot be read: .*none/],
  [{ [CA]: text }, /^RUNSTORE_CA_FILE: must name a PEM file, which .*text is not/],
  [{ [CERT]: pem }, /^RUNSTORE_CLIENT_CERT_FILE: must be set together with RUNSTORE_CLIENT_KEY/],
  [{ [KEY]: pem }, /^RUNSTORE_CLIENT_CERT_FILE: must be set together with RUNSTORE_CLIENT_KEY/],
])("files of the environment that cannot be used are refused by name: %j", (named, problem) => {
  for (const [variable, path] of Object.entries(named)) {
    vi.stubEnv(variable, path);
  }

  expect(() => connect(TARGET)).toThrow(InvalidArgument);
  expect(() => connect(TARGET)).toThrow(problem);
  expect(() => connect(TARGET, { tls: false })).toThrow(problem); // is no way around TLS
});

test("a key of another certificate is refused", () => {
  const one = issued("one");
  const other = issued("other");
  vi.stubEnv(CERT, join(one, "client.crt"));
  vi.stubEnv(KEY, join(other, "client.key"));

  expect(() => connect(TARGET)).toThrow(/^RUNSTORE_CLIENT_CERT_FILE: cannot be used: .*mismatch/);
});

test("files are read again for each connection, and half a pair leaves the one before", async () => {
  const files = join(folder, "files");
  mkdirSync(files);
  const [first, second] = [issued("first"), issued("second")];
  place(first, files);
  vi.stubEnv(CA, join(files, "ca.pem"));
  vi.stubEnv(CERT, join(files, "client.crt"));
  vi.stubEnv(KEY, join(files, "client.key"));
  let gate = new Gate("");
  await gate.start(served(first));
  using client = connect(`grpcs://${gate.target}`, { timeoutMs: 60_000 });
  const append = () => client.run("run").append({ type: "tick" });
  await append();

  place(second, files, "client.key");
  gate.cut();
  await append();
  expect(gate.connections).toBe(2);
  const { target } = gate;
  await gate.stop();
  place(second, files);
  gate = new Gate("");
  await gate.start(served(second), Number(target.slice(target.lastIndexOf(":") + 1)));
  await append();
  await gate.stop();
});

/** A folder with an authority, and what it has issued to a server and a client. */
function issued(name: string): string {
  const made = join(folder, name);
  mkdirSync(made);
  const program =
    "import pathlib, sys; from certificates import Authority; " +
    "authority = Authority(pathlib.Path(sys.argv[1])); " +
    "authority.issue('server'); authority.issue('client')";
  execFileSync(PYTHON, ["-c", program, made], { cwd: join(ROOT, "tests") });
  return made;
}

/** Put what a client needs into its folder, or one file of that. */
function place(from: string, into: string, ...names: string[]): void {
  for (const name of names.length > 0 ? names : ["ca.pem", "client.crt", "client.key"]) {
    copyFileSync(join(from, name), join(into, name));
  }
}

function served(from: string): SecureServerOptions {
  const [ca, cert, key] = ["ca.pem", "server.crt", "server.key"].map((name) =>
    readFileSync(join(from, name)),
  ) as [Buffer, Buffer, Buffer];
  return { ca, cert, key, requestCert: true, rejectUnauthorized: true };
}

test("what is given comes before the environment", () => {
  vi.stubEnv(CA, join(folder, "none"));

  connect(TARGET, { tls: true }).close();
  connect("localhost:7411").close(); // has no use for it
});

test.each(["grpcs://localhost", "grpcs://", "grpcs://grpcs://localhost:1"])(
  "the address of %j is checked as any",
  (target) => {
    expect(() => connect(target)).toThrow(/^target: must be host:port/);
  },
);
