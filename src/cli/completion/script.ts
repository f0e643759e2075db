/** `completion`: a shell's script. */
import { unreachable } from "../../platform/errors.ts";
import type { Shell } from "../arguments.ts";
import { bashScript } from "./bash.ts";
import { fishScript } from "./fish.ts";
import { completedCommands } from "./words.ts";
import { zshScript } from "./zsh.ts";

export function completionScript(shell: Shell): string {
  const commands = completedCommands();
  switch (shell) {
    case "bash":
      return bashScript(commands);
    case "zsh":
      return zshScript(commands);
    case "fish":
      return fishScript(commands);
    default:
      return unreachable(shell);
  }
}
