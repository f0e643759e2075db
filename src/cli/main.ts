#!/usr/bin/env node
/** The command line without `promote`. Arguments with `promote` load the bundle that has all commands (promotion.ts). */
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { run } from "../platform/exit.ts";
import { load, runCommand } from "./program.ts";

if (process.argv.includes("promote")) {
  // It runs itself. Within `run`, the end of this import would count as the end of the program.
  void import(/* webpackIgnore: true */ pathToFileURL(join(import.meta.dirname, "./promote/index.js")).href);
} else {
  // The command is never promote here.
  run(() => runCommand((command) => load(command as Exclude<typeof command, "promote">)));
}
