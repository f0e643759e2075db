/** How big the bundles are. */
import { execFile } from "node:child_process";
import { readdir, stat, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { promisify } from "node:util";
import { at } from "./run.ts";

const run = promisify(execFile);

/** Bytes of the JavaScript of one of dist's folders. */
export async function bundleSize(
  name: "main" | "post" | "cli" | "cli/all" | "helper" | "helper/exchange",
): Promise<number> {
  const folder = join("dist", name);
  const files = (await readdir(folder)).filter((file) => file.endsWith(".js"));
  const sizes = await Promise.all(files.map(async (file) => (await stat(join(folder, file))).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}

export interface SpiffeSizes {
  /** What speaks the protocol: the call, its messages, the choice of an identity. */
  client: number;
  /** The same with the code that reads addresses and explains failures. */
  all: number;
}

/** Bytes of src/identity/spiffe alone, bundled and minified as dist/ is, the bundler's own few hundred included. */
export async function spiffeSizes(): Promise<SpiffeSizes> {
  await run("tsc", ["-p", "tsconfig.json", "--noCheck", "--outDir", at("out")]);
  await writeFile(at("package.json"), '{"type":"module"}');
  const folder = at("out/identity/spiffe");
  await writeFile(join(folder, "all.js"), 'export * from "./workload-api.js";\nexport * from "./endpoint.js";\n');
  const around = (await readdir(at("out"), { recursive: true }))
    .map((file) => relative(folder, at(join("out", file))))
    .filter((file) => file.startsWith("../") && file.endsWith(".js"));
  const bundle = async (name: string, without: readonly string[]) => {
    const options = ["--minify", "--no-cache", "--quiet", ...without.flatMap((file) => ["--external", file])];
    await run("ncc", ["build", join(folder, name), ...options, "--out", at(`bundled-${name}`)]);
    return (await stat(join(at(`bundled-${name}`), "index.js"))).size;
  };
  const [client, all] = await Promise.all([
    bundle("workload-api.js", [...around, "./explain-call.js"]),
    bundle("all.js", around),
  ]);
  return { client, all };
}
