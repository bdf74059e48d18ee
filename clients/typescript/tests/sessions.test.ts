/** A PING on a session that was destroyed is harmless. */

import { expect } from "vitest";

import { connect } from "../src/index.js";
import { Sessions } from "../src/transport/sessions.js";
import { scripted as test } from "./fixtures.js";

test("a timer that pings a destroyed session does not end the process", async ({ script }) => {
  const pings = { pingIntervalMs: 20, pingTimeoutMs: 1000, pingIdleConnection: true };
  const sessions = new Sessions(`http://${script.target}`, pings);
  const stream = await sessions.request("POST", "/none", {}, {});
  stream.on("error", () => undefined);
  const { session } = stream;

  sessions.abort(); // the stream's end starts the timer anew

  await new Promise((resolve) => setTimeout(resolve, 200));
  expect(session?.destroyed).toBe(true);
});

test("a client that is closed at rest takes leave of the server without an error", async ({
  script,
}) => {
  const client = connect(script.target);
  await client.run("run").append({ type: "tick" });
  await expect.poll(() => script.connections).toBe(1);

  client.close();

  await expect.poll(() => script.connections).toBe(0);
  expect(new Set(script.farewells)).toEqual(new Set([0]));
});
