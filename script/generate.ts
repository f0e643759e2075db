/** What goes between which markers of which file, and who we are in every file; `script/generate` says what it is for. */
import { execFileSync } from "node:child_process";
import { globSync, lstatSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { parse } from "yaml";
import { federationOutputs, outputs, promotionOutputs } from "../src/options/table.ts";
import { type Known, rewrite, straysIn } from "./addresses.ts";
import {
  actionInputs,
  actionOutputs,
  flagTable,
  inputTable,
  outputTable,
  taskParams,
  taskTables,
  variableTable,
} from "./generated.ts";
import { type Project, readProject } from "./project.ts";

/** The text of each block, by the name in its markers, in the order of the file. */
type Blocks = Readonly<Record<string, string>>;

const fixed: Readonly<Record<string, Blocks>> = {
  "action.yml": { inputs: actionInputs("action"), outputs: actionOutputs(outputs) },
  "promote/action.yml": { inputs: actionInputs("promote-action"), outputs: actionOutputs(promotionOutputs) },
  "federate/action.yml": { inputs: actionInputs("federate-action"), outputs: actionOutputs(federationOutputs) },
  "federate/README.md": { inputs: inputTable("federate-action"), outputs: outputTable(federationOutputs) },
  "docs/options.md": {
    inputs: inputTable("action"),
    flags: flagTable("action", ["login", "logout", "status", "identity"]),
    configure: flagTable(undefined, ["configure"]),
    promotion: inputTable("promote-action"),
    promoting: flagTable("promote-action", ["promote"]),
    federate: flagTable(undefined, ["federate"]),
    audit: flagTable("federate", ["audit"]),
    retire: flagTable("federate", ["retire-static-token"]),
    migrate: flagTable("action", ["migrate"]),
  },
  "docs/outputs.md": { outputs: outputTable(outputs), promotion: outputTable(promotionOutputs) },
  "docs/credential-helper.md": { variables: variableTable() },
};

/** The Tasks whose parameters are options; each has its folder below tekton/. */
const tasks = {
  "task/quay-keyless-login": "login-task",
  "task/quay-keyless-login-spiffe": "login-task",
  "stepaction/quay-keyless-login": "login-step",
  "task/quay-promote": "promote-task",
  "task/quay-promote-spiffe": "promote-task",
  "task/quay-federate": "federate-task",
} as const;

const read = (file: string): string => readFileSync(file, "utf8");

/** In YAML a marker is `# begin …`, in Markdown `<!-- begin … -->`; the text has the markers' indentation. */
const block = /^( *)(# |<!-- )begin ([a-z]+) \(written by script\/generate\)( -->)?\n[\s\S]*?^\1\2end \3\4$/gm;

/** @throws Error where the file has other markers than these blocks need */
function fill(file: string, blocks: Blocks): string {
  const found: string[] = [];
  const text = read(file).replaceAll(block, (_, indent: string, opening: string, name: string, closing = "") => {
    found.push(name);
    const lines = (blocks[name] ?? "").trimEnd().split("\n");
    // In Markdown a table stands apart from a comment.
    const body = closing === "" ? lines : ["", ...lines, ""];
    return [
      `${opening}begin ${name} (written by script/generate)${closing}`,
      ...body,
      `${opening}end ${name}${closing}`,
    ]
      .map((line) => line && indent + line)
      .join("\n");
  });
  const wanted = Object.keys(blocks).join(", ");
  if (found.join(", ") !== wanted) {
    throw new Error(
      `${file} needs the markers "begin NAME (written by script/generate)" and "end NAME" for: ${wanted}. It has: ${found.join(", ") || "none"}`,
    );
  }
  return text;
}

/** @returns each file that has markers, with the text that it should have */
function generate(): Map<string, string> {
  const texts = new Map(Object.entries(fixed).map(([file, blocks]) => [file, fill(file, blocks)]));
  for (const file of globSync("tekton/{task,stepaction}/*/*/*.yaml").sort()) {
    const entryPoint = Object.entries(tasks).find(([folder]) => file.startsWith(`tekton/${folder}/`))?.[1];
    const yaml = entryPoint ? fill(file, { params: taskParams(entryPoint) }) : read(file);
    const readme = join(dirname(file), "README.md");
    texts.set(file, yaml).set(readme, fill(readme, { tables: taskTables(parse(yaml).spec) }));
  }
  return texts;
}

const versionFile = "src/platform/version.ts";
const versionText = (version: string): string =>
  `/** As in package.json; script/generate writes it. */\nexport const version = "${version}";\n`;

/** What the files of src/ say, which is what the others say, if nobody edits them by hand. */
function known(): Known {
  const owner = /github\.com\/([^/]+)/.exec(read("src/platform/project.ts"))?.[1];
  const version = /"(.*)"/.exec(read(versionFile))?.[1];
  if (owner === undefined || version === undefined) {
    throw new Error(`src/platform/project.ts needs the repository's address, ${versionFile} the version.`);
  }
  return { owner, version };
}

/** Not ours to rewrite, or written by others: builds, locks and sums, and the one place itself. */
const untouched = /^dist\/|(^|\/)(package-lock\.json|go\.(mod|sum))$|^package\.json$|^script\/(addresses|project)\.ts$/;

const textFiles = (): string[] =>
  execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"], {
    encoding: "utf8",
    maxBuffer: 2 ** 26,
  })
    .split("\0")
    .filter((file) => file && !untouched.test(file) && lstatSync(file, { throwIfNoEntry: false })?.isFile())
    .filter((file) => !readFileSync(file).includes(0));

/** package-lock.json repeats the version of the package that it belongs to. */
function lockText(version: string): string {
  const lock = JSON.parse(read("package-lock.json"));
  lock.version = version;
  lock.packages[""].version = version;
  return `${JSON.stringify(lock, null, 2)}\n`;
}

/** @returns each text file with the text that it should have */
function everything(project: Project): Map<string, string> {
  const generated = generate();
  const from = known();
  const texts = new Map(
    textFiles().map((file) => [file, rewrite(generated.get(file) ?? read(file), file, from, project)]),
  );
  return texts.set(versionFile, versionText(project.version)).set("package-lock.json", lockText(project.version));
}

/** The first line that differs. */
function differenceIn(file: string, text: string): string {
  const [lines, wanted] = [read(file).split("\n"), text.split("\n")];
  const index = wanted.findIndex((line, at) => line !== lines[at]);
  return `${file}:${index + 1}: is not what src/options/, the Tasks and package.json say: ${wanted[index]?.trim()}`;
}

try {
  const checks = process.argv.includes("--check");
  const project = readProject();
  const texts = everything(project);
  const stale = [...texts].filter(([file, text]) => read(file) !== text);
  for (const [file, text] of stale) {
    if (checks) {
      console.error(differenceIn(file, text));
    } else {
      writeFileSync(file, text);
      console.log(file);
    }
  }
  if (checks && stale.length > 0) {
    console.error("Type: script/generate");
    process.exitCode = 1;
  }
  if (!checks && stale.some(([file]) => file.startsWith("src/"))) {
    console.log("dist/ has these too. Type: script/build");
  }
  for (const [file, text] of texts) {
    for (const { line, what } of straysIn(text, file, project)) {
      console.error(
        `${file}:${line}: "${what}" stays as it is when package.json changes. Use a form that script/addresses.ts has, or add one.`,
      );
      process.exitCode = 1;
    }
  }
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
