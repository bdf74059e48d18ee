/** A PING on a session that was destroyed is harmless. */

import { expect } from "vitest";

import { Sessions } from "../src/sessions.js";
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
