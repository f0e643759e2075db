import { defineConfig } from "vitest/config";

/** Tests in which a tool logs in or copies: with today's skopeo and buildah as well. */
const withTools = [
  "test/login/login*.test.ts",
  "test/promotion/promote.test.ts",
  "test/concurrency/{commands,foreign}.test.ts",
  "test/e2e/**/*.test.ts",
  "test/faults/!(matrix).test.ts",
  "test/tools/{tool-login,tools}.test.ts",
  "test/support/support.test.ts",
];
/** Those of them that `script/test` has a minute for; `script/test --real` runs all. */
const most = [
  "test/promotion/promote.test.ts",
  "test/e2e/{act,files,login}.test.ts",
  "test/e2e/cli/login.test.ts",
  "test/e2e/helper/clients.test.ts",
  "test/e2e/promote/signatures.test.ts",
  "test/tools/tool-login.test.ts",
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
                include: process.env.TODAYS_TESTS === "all" ? withTools : most,
                exclude: [
                  // They have to do with no tool's generation.
                  "test/e2e/{executable,get-started-gitlab,get-started-pod,platforms-page,token-command}.test.ts",
                  "test/e2e/helper/{cache,configuration,get,variables}.test.ts",
                  "test/e2e/together.test.ts", // it takes both by itself
                  "test/e2e/recipes.test.ts", // today's buildah runs a build's commands only with a right that few machines give (RLIMIT_NPROC)
                ],
                env: { TOOLS_FIRST: first ? `${today}:${first}` : today, PATH: `${today}:${path}` },
              },
            },
          ]
        : []),
    ],
    coverage: {
      provider: "v8",
      include: ["src/**/*.ts"],
      // The entry points are tested from outside, in processes of their own, where coverage isn't measured.
      exclude: ["src/github/**", "src/cli/**"],
      reporter: [["text", { skipFull: true }]],
      thresholds: { lines: 95, branches: 95 },
    },
  },
});
