/** What script/mutation runs over and over: the tests of the core's functions, the quick ones first. */
import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** These start servers and tools; most mutants are dead before it comes to them. */
const slow = [
  "test/platform/http.test.ts",
  "test/identity/spiffe/client.test.ts",
  "test/identity/spiffe/wire.test.ts",
  "test/registry/merge.test.ts",
  "test/registry/lock.test.ts",
  "test/quay/exchange.test.ts",
  "test/registry/login.test.ts",
  "test/refresh.test.ts",
  "test/login.test.ts",
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
    include: ["test/*.test.ts", "test/{identity,platform,quay,registry}/**/*.test.ts"],
    // Dozens of processes, whose code is not the one that is mutated; what reads the source as a text; what threads may not.
    testNamePattern:
      /^(?!many at once|every code is one that|.*takes no longer than a blink|.*a socket that is not for this user)/,
    sequence: { sequencer: QuickFirst },
    testTimeout: 20_000,
    hookTimeout: 20_000,
  },
});
