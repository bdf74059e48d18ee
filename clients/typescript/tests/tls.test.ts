/** What TLS is asked for with is checked when a client is made. */

import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, expect, test, vi } from "vitest";

import { connect, InvalidArgument } from "../src/index.js";

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
