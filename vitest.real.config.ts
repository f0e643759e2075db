/** Tests on real components that take minutes to build: `script/test --real` makes them ready and runs these. */
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    environment: "node",
    include: ["test/real/**/*.test.ts"],
    pool: "forks",
    // They share one cluster and the machine's ports.
    fileParallelism: false,
    testTimeout: 180_000,
    hookTimeout: 240_000,
  },
});
