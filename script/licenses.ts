// Prints the licences of all packages of a bundle: licenses.ts STATS [FILE…], where STATS is what `ncc --stats-out` wrote. The files
// are licences of what else is inside.
// ncc's own --license keeps only those of the last chunk, and each `import()` makes one.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

interface Module {
  nameForCondition: string | null; // the absolute path of its file
  chunks?: unknown[];
  modules?: Module[]; // what was concatenated into it
}

const [stats = "", ...others] = process.argv.slice(2);
const bundled = (JSON.parse(readFileSync(stats, "utf8")).modules as Module[]).filter((module) => module.chunks?.length);
const folders = new Set<string>();
for (const { nameForCondition } of bundled.flatMap((module) => [module, ...(module.modules ?? [])])) {
  const folder = nameForCondition?.match(/^.*\/node_modules\/(@[^/]+\/)?[^/]+/)?.[0];
  if (folder) folders.add(folder);
}

const texts = [...folders].map((folder) => {
  const { name, version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const files = readdirSync(folder).filter((file) => /^(licen[cs]e|copying|notice)/i.test(file));
  if (!license || files.length === 0) throw new Error(`${name} says nothing of its licence: may it be bundled?`);
  const contents = files.sort().map((file) => readFileSync(join(folder, file), "utf8").replaceAll("\r\n", "\n").trim());
  return `${name} ${version} (${license})\n\n${contents.join("\n\n")}\n`;
});
const more = others.map((file) => readFileSync(file, "utf8"));
process.stdout.write([...texts.sort(), ...more].join(`\n${"-".repeat(80)}\n\n`));
