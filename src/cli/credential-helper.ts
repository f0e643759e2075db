#!/usr/bin/env node
/** The credential helper's entry point; an exchange is in a second bundle. */
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { runHelper } from "./helper.ts";

runHelper(() => import(/* webpackIgnore: true */ pathToFileURL(join(import.meta.dirname, "exchange/index.js")).href));
