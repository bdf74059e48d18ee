/** TLS with the files that the environment names. */

import { readFileSync } from "node:fs";
import type { SecureClientSessionOptions } from "node:http2";
import { createSecureContext, type SecureContext } from "node:tls";

import { InvalidArgument } from "../values/arguments.js";

const CA = "RUNSTORE_CA_FILE";
const CERT = "RUNSTORE_CLIENT_CERT_FILE";
const KEY = "RUNSTORE_CLIENT_KEY_FILE";

interface Contents {
  ca?: string;
  cert?: string;
  key?: string;
}

/**
 * Throws `InvalidArgument` for files that cannot be used; without any, the CAs of Node.js count.
 *
 * The files are read again for each connection. Those that cannot be used then leave in place what was
 * read before.
 */
export function tlsOfEnvironment(): SecureClientSessionOptions {
  const read = files();
  if (Object.keys(read()).length === 0) {
    return {};
  }
  let context = usable(read());
  return {
    // Node.js asks for it once for each connection.
    get secureContext(): SecureContext {
      try {
        context = usable(read());
      } catch (error) {
        if (!(error instanceof InvalidArgument)) {
          throw error;
        }
      }
      return context;
    },
  };
}

/** Reads the files that are named now. */
function files(): () => Contents {
  const [ca, cert, key] = [CA, CERT, KEY].map((variable) => process.env[variable] || undefined);
  if ((cert === undefined) !== (key === undefined)) {
    throw new InvalidArgument(CERT, `must be set together with ${KEY}, or neither`);
  }
  return () => ({
    ...(ca === undefined ? {} : { ca: content(CA, ca) }),
    ...(cert === undefined || key === undefined
      ? {}
      : { cert: content(CERT, cert), key: content(KEY, key) }),
  });
}

/** The contents as Node.js uses them; a key that is not that of the certificate is refused. */
function usable(contents: Contents): SecureContext {
  try {
    return createSecureContext(contents);
  } catch (error) {
    throw new InvalidArgument(contents.cert ? CERT : CA, `cannot be used: ${String(error)}`);
  }
}

function content(variable: string, path: string): string {
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
