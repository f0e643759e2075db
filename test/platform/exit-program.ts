/** A program that ends as its argument says. */
import { run } from "../../src/platform/exit.ts";

const programs: Record<string, () => Promise<void>> = {
  done: async () => {},
  failed: async () => {
    process.exitCode = 1;
  },
  threw: async () => {
    throw new Error("unexpected");
  },
  unsettled: () => new Promise(() => {}),
  "failed, then unsettled": () => {
    process.exitCode = 2;
    return new Promise(() => {});
  },
};

run(programs[process.argv[2] ?? ""] ?? (async () => {}));
