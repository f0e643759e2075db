/** The tables that a README of the catalog has: written from the YAML, so that the two can't differ. */
import type { Resource } from "./resources.ts";

/** @returns the README's tables by heading; only those that the resource has something for */
export function expectedTables({ spec }: Resource): Readonly<Record<string, string>> {
  const { params = [], workspaces = [], results = [] } = spec;
  const tables: Record<string, string> = {};
  if (params.length > 0) {
    tables.Parameters = table(
      ["parameter", "type", "default", "meaning"],
      params.map((param) => [
        code(param.name),
        param.type ?? "string",
        defaultOf(param.default),
        oneLine(param.description),
      ]),
    );
  }
  if (workspaces.length > 0) {
    tables.Workspaces = table(
      ["workspace", "", "meaning"],
      workspaces.map((workspace) => [
        code(workspace.name),
        [workspace.optional ? "optional" : "**required**", workspace.readOnly ? "read only" : ""]
          .filter(Boolean)
          .join(", "),
        oneLine(workspace.description),
      ]),
    );
  }
  if (results.length > 0) {
    tables.Results = table(
      ["result", "meaning"],
      results.map((result) => [code(result.name), oneLine(result.description)]),
    );
  }
  return tables;
}

function defaultOf(value: unknown): string {
  if (value === undefined) {
    return "**required**";
  }
  // An empty list as well.
  return String(value) === "" ? "" : code(String(value));
}

const code = (text: string): string => `\`${text}\``;
const oneLine = (text: string | undefined): string => (text ?? "").replace(/\s+/g, " ").trim();

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`.replaceAll("|  |", "| |");
  return [line(head), `|${head.map(() => "---").join("|")}|`, ...rows.map(line)].join("\n");
}
