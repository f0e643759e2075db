/** The npm package: command line and credential helper, with everything that they need in their bundles. */
import { chmodSync, cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { packageFile, type Release } from "./project.ts";
import { run } from "./run.ts";
import { withScratch } from "./scratch.ts";

/** Packs what `files` of package.json lists. What only the project's own scripts need is left out of its package.json. */
export async function packNpm(release: Release, folder: string): Promise<void> {
  const [packed] = JSON.parse(await run("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"]));
  await withScratch(async (scratch) => {
    for (const { path } of packed.files as { path: string }[]) {
      mkdirSync(dirname(join(scratch, path)), { recursive: true });
      cpSync(path, join(scratch, path));
      chmodSync(join(scratch, path), 0o644); // npm makes the programs executable
    }
    writeFileSync(join(scratch, "package.json"), `${JSON.stringify(published(), undefined, 2)}\n`);
    await run("npm", ["pack", "--ignore-scripts", "--pack-destination", folder], { cwd: scratch });
  });
  // What Node's zlib makes of the same bytes depends on the processor.
  const [file, tar] = [join(folder, packageFile(release)), join(folder, "package.tar")];
  await run("sh", [
    "-c",
    'gunzip --stdout "$0" >"$1" && gzip --no-name --best --stdout "$1" >"$0" && rm "$1"',
    file,
    tar,
  ]);
}

/** The packages of `dependencies` are in the bundles: an installation fetches nothing else. */
function published(): unknown {
  const { scripts, dependencies, devDependencies, allowScripts, ...rest } = JSON.parse(
    readFileSync("package.json", "utf8"),
  );
  return rest;
}
