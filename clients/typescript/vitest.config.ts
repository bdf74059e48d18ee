import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    globalSetup: "tests/setup.ts",
    include: ["tests/**/*.test.ts"],
    // Generous: a busy machine is slow, and what hangs is found all the same.
    testTimeout: 300_000,
    hookTimeout: 600_000,
    expect: { poll: { timeout: 60_000 } },
    // The files only share code, which each would else load again for seconds.
    isolate: false,
    // Two cores are shared with the servers under test.
    maxWorkers: 2,
  },
});
