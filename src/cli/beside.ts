/** What the program has beside its code: files beside the bundle, or inside the one file without Node (script/executable). */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { getAsset, isSea } from "node:sea";

/** A text that script/build writes beside the command line. */
export const readPage = async (name: "troubleshooting.md" | "all/licenses.txt"): Promise<string> =>
  isSea() ? getAsset(name, "utf8") : readFile(join(import.meta.dirname, name), "utf8");

/** The program that the name docker-credential-quay-keyless has to lead to. */
export const ownHelper = (): string =>
  isSea() ? process.execPath : join(import.meta.dirname, "../../helper/index.js");
