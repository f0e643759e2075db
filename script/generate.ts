/** What goes between which markers of which file; `script/generate` says what it is for. */
import { globSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { parse } from "yaml";
import { federationOutputs, outputs, promotionOutputs } from "../src/options/table.ts";
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

/** The text of each block, by the name in its markers, in the order of the file. */
type Blocks = Readonly<Record<string, string>>;

const fixed: Readonly<Record<string, Blocks>> = {
  "action.yml": { inputs: actionInputs("action"), outputs: actionOutputs(outputs) },
  "promote/action.yml": { inputs: actionInputs("promote-action"), outputs: actionOutputs(promotionOutputs) },
  "federate/action.yml": { inputs: actionInputs("federate-action"), outputs: actionOutputs(federationOutputs) },
  "federate/README.md": { inputs: inputTable("federate-action"), outputs: outputTable(federationOutputs) },
  "README.md": {
    inputs: inputTable("action"),
    flags: flagTable("action", ["login", "logout", "status", "identity"]),
    outputs: outputTable(outputs),
  },
  "docs/promotion.md": {
    inputs: inputTable("promote-action"),
    flags: flagTable("promote-action", ["promote"]),
    outputs: outputTable(promotionOutputs),
  },
  "docs/trust.md": {
    federate: flagTable(undefined, ["federate"]),
    audit: flagTable("federate", ["audit"]),
    retire: flagTable("federate", ["retire-static-token"]),
  },
  "docs/credential-helper.md": { variables: variableTable() },
  "docs/migration.md": { flags: flagTable("action", ["migrate"]) },
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

/** @returns each file with the text that it should have */
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

try {
  const stale = [...generate()].filter(([file, text]) => read(file) !== text);
  for (const [file, text] of stale) {
    if (process.argv.includes("--check")) {
      console.error(`${file}: the text between the markers is not what src/options/ and the Tasks say.`);
      process.exitCode = 1;
    } else {
      writeFileSync(file, text);
      console.log(file);
    }
  }
  if (process.exitCode) {
    console.error("Type: script/generate");
  }
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
