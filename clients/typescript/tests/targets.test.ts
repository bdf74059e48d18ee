/** What cannot be the address of a server is refused when a client is made. */

import { expect, test } from "vitest";

import { connect, InvalidArgument } from "../src/index.js";

test.each([
  "localhost",
  "localhost:",
  ":7411",
  "localhost:port",
  "localhost:0",
  "localhost:65536",
  "localhost:7411/",
  "local host:7411",
  "localhost:7411\n",
  "::1:7411",
  "a:1,b:2",
  "http://localhost:7411",
  "grpc://localhost:7411",
  "user@localhost:7411",
])("%j is no address", (target) => {
  expect(() => connect(target)).toThrow(InvalidArgument);
  expect(() => connect(target)).toThrow(/^target: must/);
});

test.each(["localhost:7411", "[::1]:7411", "a.b-c.svc.cluster.local:7411", "10.0.0.1:1"])(
  "%j is an address",
  (target) => {
    connect(target).close();
  },
);
