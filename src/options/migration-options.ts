/** The options of `migrate`. */
import type { Option } from "./option.ts";

export const migrationOptions = [
  {
    name: "path",
    group: "migration",
    entryPoints: ["migrate"],
    takes: "list",
    value: "PATH",
    argumentsOf: ["migrate"],
  },
  {
    name: "action",
    group: "migration",
    entryPoints: ["migrate"],
    value: "REF",
  },
  {
    name: "write",
    group: "migration",
    entryPoints: ["migrate"],
    default: "false",
    takes: "flag",
  },
] as const satisfies readonly Option[];
