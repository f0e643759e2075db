/**
 * Another program that takes the lock beside the file, and shares nothing else with ours:
 * `node foreign-writer.ts FILE PREFIX COUNT` adds entries under PREFIX0, PREFIX1, …, and prints each once it is written.
 */
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { withLock } from "../../src/authfile/lock.ts";
import { systemClock } from "../../src/platform/clock.ts";

const [path = "", prefix = "", count = "0"] = process.argv.slice(2);
const platform = { clock: systemClock, signal: new AbortController().signal };

for (let index = 0; index < Number(count); index++) {
  await withLock(path, platform, async () => {
    const content = JSON.parse(readFileSync(path, "utf8"));
    content.auths = { ...content.auths, [`${prefix}${index}`]: { auth: "Zm9yZWlnbg==" } };
    const temporary = `${path}.${process.pid}`;
    writeFileSync(temporary, JSON.stringify(content));
    renameSync(temporary, path);
  });
  process.stdout.write(`${prefix}${index}\n`);
  await systemClock.sleep(systemClock.random() * 30, platform.signal);
}
