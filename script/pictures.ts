/** The part of script/pictures that reads and writes. */
import { stale, writeAll } from "./draw/pictures.ts";

if (process.argv.includes("--check")) {
  for (const file of (await stale()).keys()) {
    console.error(`${file} is not what script/pictures draws. Type: script/pictures`);
    process.exitCode = 1;
  }
} else {
  for (const file of await writeAll()) console.log(file);
}
