#!/usr/bin/env node
/** The command line. Arguments with another command than those of logins load the bundle that has all (all.ts). */
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { commands } from "../options/table.ts";
import { run } from "../platform/exit.ts";
import { isOfLogins, load, runCommand } from "./program.ts";

const others: readonly string[] = [...commands.filter((command) => !isOfLogins(command)), "completion"];

if (process.argv.some((word) => others.includes(word))) {
  // It runs itself. Within `run`, the end of this import would count as the end of the program, and exit 0 as its exit code.
  void import(/* webpackIgnore: true */ pathToFileURL(join(import.meta.dirname, "./all/index.js")).href);
} else {
  // The command is one of logins here: others are among the arguments.
  run(() => runCommand((command) => load(command as Parameters<typeof load>[0])));
}
