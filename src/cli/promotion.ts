/** The command line with `promote`, in a separate bundle: the YAML parser alone is larger than all code of a login. */

import { setFlagsFromString } from "node:v8";
import { promote } from "./commands/promote.ts";
import { load, run } from "./program.ts";

// V8's young generation grows more slowly with this: a promotion of many images needs 5 MB less.
setFlagsFromString("--semi-space-growth-factor=1");
await run(async (command) => (command === "promote" ? promote : load(command)));
