/** TLS with the files that the environment names. */

import { readFileSync } from "node:fs";
import type { SecureClientSessionOptions } from "node:http2";

import { InvalidArgument } from "../values/arguments.js";

const CA = "RUNSTORE_CA_FILE";
const CERT = "RUNSTORE_CLIENT_CERT_FILE";
const KEY = "RUNSTORE_CLIENT_KEY_FILE";

/** Throws `InvalidArgument` for files that cannot be used; without any, the CAs of Node.js count. */
export function tlsOfEnvironment(): SecureClientSessionOptions {
  const [ca, cert, key] = [CA, CERT, KEY].map(content);
  if ((cert === undefined) !== (key === undefined)) {
    throw new InvalidArgument(CERT, `must be set together with ${KEY}, or neither`);
  }
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined || key === undefined ? {} : { cert, key }),
  };
}

function content(variable: string): string | undefined {
  const path = process.env[variable];
  if (!path) {
    return undefined;
  }
  let pem: string;
  try {
    pem = readFileSync(path, "utf8");
  } catch (error) {
    throw new InvalidArgument(variable, `cannot be read: ${String(error)}`);
  }
  if (!pem.includes("-----BEGIN ")) {
    throw new InvalidArgument(variable, `must name a PEM file, which ${path} is not`);
  }
  return pem;
}
