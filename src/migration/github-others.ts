/** Steps beside the ones that log in: Actions that take a password themselves, and logins that come later. Pure. */
import type { Node } from "yaml";
import { listed, robotOf } from "./finding.ts";
import type { Job } from "./github.ts";
import type { Found, StepAt } from "./github-found.ts";
import { loginsIn } from "./login-command.ts";
import { parseScript } from "./shell.ts";
import { belongs, readValue, secretsIn } from "./values.ts";
import { entriesOf, textOf } from "./yaml-tree.ts";

/** An Action that is given a stored password for this registry, such as redhat-actions/push-to-registry. */
export function passwordInputs({ job, step, wanted }: StepAt, uses: string): readonly Found[] {
  const { tree } = job.file;
  const inputs = [...entriesOf(tree, step.entries.get("with")?.value)].flatMap(([name, { value }]) => {
    const text = textOf(value);
    return text === undefined ? [] : [{ name, text, value: readValue(text, step.env) }];
  });
  const password = inputs.find(
    ({ name, text }) => /passw|token|credential|secret/i.test(name) && secretsIn(text).length > 0,
  );
  const isOurs = inputs.some(({ value }) => ["ours", "part"].includes(belongs(value, wanted.registry)));
  if (!password || !isOurs) {
    return [];
  }
  const user = inputs.find(({ name }) => /user/i.test(name));
  return [
    {
      what: uses.replace(/@.*$/s, ""),
      line: tree.lineOf(step.entries.get("uses")?.key as Node),
      robot: robotOf(user?.value),
      secrets: [...new Set(inputs.flatMap(({ text }) => secretsIn(text)))],
      change: listed(
        `it takes the password in its input ${password.name}: put a step with this login before it, and leave its user and password out if it can do without`,
      ),
    },
  ];
}

/** Later logins that skopeo, buildah and podman then don't see: they go to another file than the Action's. */
export function logsInAfter({ file: { tree }, steps }: Job, index: number, registry: string): readonly string[] {
  const lines = steps.slice(index + 1).flatMap((step) => {
    const uses = textOf(step.entries.get("uses")?.value) ?? "";
    const isAction = /^(?:docker\/login-action|redhat-actions\/podman-login|azure\/docker-login)(?:@|$)/i.test(uses);
    const text = textOf(entriesOf(tree, step.entries.get("with")?.value).get("registry")?.value);
    const isOther = text === undefined || belongs(readValue(text, step.env), registry) === "other";
    const byDocker = loginsIn(parseScript(textOf(step.entries.get("run")?.value) ?? ""), step.env).some(
      (login) => login.tool === "docker" && !(login.registry && belongs(login.registry, registry) !== "other"),
    );
    return (isAction && isOther) || byDocker ? [tree.lineOf(step.node)] : [];
  });
  return lines.length === 0
    ? []
    : [
        `Line ${lines.join(", ")} logs in to another registry after it, in a file that skopeo, buildah and podman then don't read: move it before this step.`,
      ];
}
