/** The command line with `promote`, in a separate bundle: the YAML parser alone is larger than all code of a login. */

import { setFlagsFromString } from "node:v8";
import { run } from "../platform/exit.ts";
import { promote } from "./commands/promote.ts";
import { load, runCommand } from "./program.ts";

// V8's young generation grows more slowly with this: a promotion of many images needs 5 MB less.
setFlagsFromString("--semi-space-growth-factor=1");
run(() => runCommand(async (command) => (command === "promote" ? promote : load(command))));
