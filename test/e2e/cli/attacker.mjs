/** Puts a link to `target` in the place of each temporary file that appears in `folder`. */
import { symlinkSync, unlinkSync, watch } from "node:fs";
import { join } from "node:path";

const [folder, target] = process.argv.slice(2);
watch(folder, (_, name) => {
  if (!name?.endsWith(".tmp")) return;
  try {
    unlinkSync(join(folder, name));
    symlinkSync(target, join(folder, name));
  } catch {
    // Too late for this one.
  }
});
console.log("watching");
