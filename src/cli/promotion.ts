/** The command line with `promote`, in a bundle of its own: reading YAML alone is more than a whole login has to load. */

import { setFlagsFromString } from "node:v8";
import { promote } from "./commands/promote.ts";
import { load, run } from "./program.ts";

// A new program's memory grows with what it throws away at once: a promotion of many images needs 5 MB less so.
setFlagsFromString("--semi-space-growth-factor=1");
await run(async (command) => (command === "promote" ? promote : load(command)));
