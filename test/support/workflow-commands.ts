/** The runner's side of its protocol: what it makes of a step's standard output and of the files it gave the step. */

export interface Annotation {
  level: "error" | "warning" | "notice";
  title: string;
  message: string;
}

export interface Shown {
  /** The log as users see it: masked values are stars, from the line after their `add-mask` on. */
  text: string;
  masks: string[];
  annotations: Annotation[];
}

/**
 * Masks only exact values: stricter than GitHub, which masks some encodings of a value too.
 * @throws if a value is printed that belongs in a file: GitHub still obeys two of these commands
 */
export function show(stdout: string): Shown {
  const masks: string[] = [];
  const annotations: Annotation[] = [];
  const lines: string[] = [];
  const hide = (text: string) =>
    masks.toSorted((a, b) => b.length - a.length).reduce((rest, mask) => rest.replaceAll(mask, "***"), text);
  for (const line of stdout.split("\n")) {
    const [, command = "", properties = "", data = ""] = /^\s*::([a-z-]+)((?: [^:]*)?)::(.*)$/.exec(line) ?? [];
    const message = unescapeData(data);
    if (/^(?:set-output|save-state|set-env|add-path)$/.test(command)) {
      throw new Error(`a value is printed, by the command ${command}, instead of written into the runner's file`);
    }
    if (command === "add-mask") {
      masks.push(...[message, ...message.split(/\r?\n/)].filter((value) => value.trim() !== ""));
    } else if (command === "error" || command === "warning" || command === "notice") {
      const title = unescapeProperty(/title=([^,]*)/.exec(properties)?.[1] ?? "");
      annotations.push({ level: command, title: hide(title), message: hide(message) });
      lines.push(hide(`${command}: ${title ? `${title}: ` : ""}${message}`));
    } else {
      // Debug lines count as shown: a user can ask for them.
      lines.push(hide(command === "" ? line : `${command}${properties}: ${message}`));
    }
  }
  return { text: lines.join("\n"), masks, annotations };
}

const unescapeData = (text: string): string =>
  text.replaceAll("%0D", "\r").replaceAll("%0A", "\n").replaceAll("%25", "%");

const unescapeProperty = (text: string): string => unescapeData(text.replaceAll("%3A", ":").replaceAll("%2C", ","));

/** `NAME=value` and `NAME<<DELIMITER`, as GITHUB_OUTPUT, GITHUB_ENV and GITHUB_STATE take them. */
export function parseFileCommands(text: string): Record<string, string> {
  const found: Record<string, string> = {};
  const lines = text.split("\n");
  for (let index = 0; index < lines.length; index++) {
    const line = lines[index] ?? "";
    const [, name, delimiter] = /^([^=<]+)<<(.+)$/.exec(line) ?? [];
    if (name !== undefined && delimiter !== undefined) {
      const end = lines.indexOf(delimiter, index + 1);
      if (end < 0) throw new Error(`the value of ${name} has no end`);
      found[name] = lines.slice(index + 1, end).join("\n");
      index = end;
    } else if (line.includes("=")) {
      found[line.slice(0, line.indexOf("="))] = line.slice(line.indexOf("=") + 1);
    } else if (line !== "") {
      throw new Error(`not a file command: ${line}`);
    }
  }
  return found;
}

export interface ActionFile {
  /** Default of each input, as in the file. */
  inputs: Record<string, string>;
  main: string;
  /** undefined: the Action has no post step. */
  post: string | undefined;
}

/** The YAML that this project's action.yml uses: two levels, scalars plain or in double quotes. */
export function parseActionFile(text: string): ActionFile {
  const inputs: Record<string, string> = {};
  const runs: Record<string, string> = {};
  let section = "";
  let input = "";
  for (const line of text.split("\n")) {
    const [, indent = "", key = "", rest = ""] = /^( *)([\w-]+):\s*(.*)$/.exec(line) ?? [];
    const value = rest.startsWith('"') ? String(JSON.parse(rest)) : rest;
    if (key !== "" && indent === "") section = key;
    else if (section === "inputs" && indent.length === 2) {
      input = key;
      inputs[input] = "";
    } else if (section === "inputs" && key === "default") inputs[input] = value;
    else if (section === "runs" && key !== "") runs[key] = value;
  }
  if (runs.using !== "node24" || !runs.main) throw new Error("action.yml does not run on node24");
  return { inputs, main: runs.main, post: runs.post };
}
