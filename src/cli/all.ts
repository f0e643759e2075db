/** The command line with all commands, in a separate bundle: the YAML parser alone is larger than all code of a login. */

import { setFlagsFromString } from "node:v8";
import { unreachable } from "../platform/errors.ts";
import { run } from "../platform/exit.ts";
import { isOfLogins, load, runCommand } from "./program.ts";

// V8's young generation grows more slowly with this: a promotion of many images needs 5 MB less.
setFlagsFromString("--semi-space-growth-factor=1");
run(() =>
  runCommand(
    async (command) => {
      if (isOfLogins(command)) {
        return load(command);
      }
      switch (command) {
        case "configure":
          return (await import(/* webpackMode: "eager" */ "./commands/configure.ts")).configure;
        case "promote":
          return (await import(/* webpackMode: "eager" */ "./commands/promote.ts")).promote;
        case "federate":
          return (await import(/* webpackMode: "eager" */ "./commands/federate.ts")).federate;
        case "audit":
          return (await import(/* webpackMode: "eager" */ "./commands/audit.ts")).audit;
        case "retire-static-token":
          return (await import(/* webpackMode: "eager" */ "./commands/retire-static-token.ts")).retireStaticToken;
        case "migrate":
          return (await import(/* webpackMode: "eager" */ "./commands/migrate.ts")).migrate;
        default:
          return unreachable(command);
      }
    },
    async (shell) => (await import(/* webpackMode: "eager" */ "./completion/script.ts")).completionScript(shell),
  ),
);
