/** actionlint, which script/lib.sh builds: what GitHub would say of a checkout's workflows. */
import { execFile } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { makeFolder } from "../fixtures.ts";
import { findBuilt } from "../quay-stand-in/built.ts";

/** @throws Error with its words if it finds anything */
export async function accepted(files: Record<string, string>): Promise<void> {
  const actionlint = findBuilt("actionlint");
  if (actionlint === undefined) {
    throw new Error("actionlint is missing: source script/lib.sh, need_go_tool actionlint");
  }
  const root = await makeFolder();
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), text);
  }
  // It looks for actions and reusable workflows in the folder of git.
  await mkdir(join(root, ".git"));
  await promisify(execFile)(actionlint, ["-shellcheck="], { cwd: root });
}
