// Succeeds when node_modules holds what package-lock.json says, so that nothing needs to be installed.
import { readFileSync } from "node:fs";

type Packages = Record<string, { version: string; optional?: boolean }>;

function packagesIn(path: string): Packages {
  const { "": _project, ...packages } = JSON.parse(readFileSync(path, "utf8")).packages;
  return packages;
}

const wanted = packagesIn("package-lock.json");
const installed = packagesIn("node_modules/.package-lock.json");
const missing = Object.entries(wanted).some(
  ([path, { version, optional }]) => installed[path]?.version !== version && !(optional && !(path in installed)),
);
// Packages of this platform may be left out of the lock, see need_node in lib.sh.
const left = Object.entries(installed).some(([path, { optional }]) => !(path in wanted) && !optional);
process.exitCode = missing || left ? 1 : 0;
