/** The command that adds a binding to a robot, ready to paste. Pure. */
import { defaultOf } from "../options/reader.ts";
import { shellWord } from "../platform/text.ts";

export interface BindingToAdd {
  /** undefined: the default one */
  readonly registry?: string;
  readonly robot: string;
  readonly issuer: string;
  readonly subject: string;
  /** `(none)`: the identity token has none */
  readonly audience: string;
}

export function federateCommand({ registry, robot, issuer, subject, audience }: BindingToAdd): string {
  const options: readonly (readonly [name: "registry" | "robot" | "issuer" | "subject" | "audience", value: string])[] =
    [
      ["robot", robot],
      ["issuer", issuer],
      ["subject", subject],
      ...(audience === "(none)" ? [] : [["audience", audience] as const]),
      ...(registry === undefined ? [] : [["registry", registry] as const]),
    ];
  const given = options.filter(([name, value]) => value !== defaultOf(name));
  return `quay-keyless-login federate ${given.map(([name, value]) => `--${name} ${shellWord(value)}`).join(" ")}`;
}
