import { defineConfig } from "vitest/config";

/** What runs a second time, with today's skopeo and buildah: tests in which a tool logs in or copies. */
const withTools = [
  "test/{login,promote}.test.ts",
  "test/concurrency/{commands,foreign}.test.ts",
  "test/e2e/**/*.test.ts",
  "test/faults/!(matrix).test.ts",
  "test/registry/{login,tools}.test.ts",
  "test/support/support.test.ts",
];
/** A folder with both, for every user: script/test makes it. */
const { TODAYS_TOOLS: today, TOOLS_FIRST: first, PATH: path } = process.env;

export default defineConfig({
  test: {
    environment: "node",
    // These have a configuration of their own: vitest.real.config.ts.
    exclude: ["test/real/**", "**/node_modules/**"],
    pool: "forks",
    testTimeout: 30_000,
    hookTimeout: 30_000,
    projects: [
      { extends: true, test: { name: "debian", include: ["test/**/*.test.ts"] } },
      ...(today
        ? [
            {
              extends: true as const,
              test: {
                name: "today",
                include: withTools,
                env: { TOOLS_FIRST: first ? `${today}:${first}` : today, PATH: `${today}:${path}` },
              },
            },
          ]
        : []),
    ],
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
