import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    environment: "node",
    include: ["test/**/*.test.ts"],
    // These have a configuration of their own: vitest.real.config.ts.
    exclude: ["test/real/**", "**/node_modules/**"],
    pool: "forks",
    testTimeout: 30_000,
    hookTimeout: 30_000,
    coverage: {
      provider: "v8",
      include: ["src/**/*.ts"],
      // The faces are tested from outside, in processes of their own, where coverage isn't measured.
      exclude: ["src/github/**", "src/cli/**"],
      reporter: [["text", { skipFull: true }]],
      thresholds: { lines: 95, branches: 95 },
    },
  },
});
