#!/usr/bin/env node
/** The command line as a login needs it. Whoever says `promote` gets the bundle that has it, and all the rest (promotion.ts). */
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { load, run } from "./program.ts";

if (process.argv.includes("promote")) {
  await import(/* webpackIgnore: true */ pathToFileURL(join(import.meta.dirname, "./promote/index.js")).href);
} else {
  // promote is never asked for here.
  await run((command) => load(command as Exclude<typeof command, "promote">));
}
