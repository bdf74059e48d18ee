import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    globalSetup: "tests/setup.ts",
    include: ["tests/**/*.test.ts"],
    testTimeout: 60_000,
    hookTimeout: 120_000,
    // Two cores are shared with the servers under test.
    maxWorkers: 2,
  },
});
