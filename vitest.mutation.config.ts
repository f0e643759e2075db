/** What script/mutation runs over and over: the tests of the core's functions, the quick ones first. */
import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** These start servers and tools; most mutants are dead before it comes to them. */
const slow = [
  "test/platform/http.test.ts",
  "test/identity/spiffe/workload-api.test.ts",
  "test/identity/spiffe/wire.test.ts",
  "test/authfile/change.test.ts",
  "test/authfile/lock.test.ts",
  "test/quay/exchange.test.ts",
  "test/tools/tool-login.test.ts",
  "test/login/renewal.test.ts",
  "test/login/login-files.test.ts",
  "test/login/login-refused.test.ts",
  "test/login/login-renewed.test.ts",
  "test/login/login.test.ts",
];

const placeOf = ({ moduleId }: TestSpecification): number => slow.findIndex((name) => moduleId.endsWith(`/${name}`));

class QuickFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    return files.toSorted((a, b) => placeOf(a) - placeOf(b));
  }
}

export default defineConfig({
  test: {
    environment: "node",
    include: ["test/{authfile,identity,login,options,platform,quay,registry,tools}/**/*.test.ts"],
    // Dozens of processes, whose code is not the one that is mutated; what reads the source as a text; what threads may not.
    testNamePattern:
      /^(?!many at once|every code is one that|.*takes no longer than a blink|.*a socket that is not for this user)/,
    sequence: { sequencer: QuickFirst },
    testTimeout: 20_000,
    hookTimeout: 20_000,
  },
});
