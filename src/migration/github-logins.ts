/** Logins with stored passwords in GitHub's workflows and composite actions, each with its change. Pure. */
import { isScalar, type Node } from "yaml";
import { anyRobot, type Change, type Finding, federated, listed, robotOf } from "./finding.ts";
import { type GithubFile, type Job, runnerOf, type Step, type World } from "./github.ts";
import { type Found, fromStep, inputNotes, type StepAt, secretsOf, type Wanted, whyNot } from "./github-found.ts";
import { logsInAfter, passwordInputs } from "./github-others.ts";
import { scriptLogins } from "./github-scripts.ts";
import { federateFor } from "./github-subjects.ts";
import { permit } from "./permissions.ts";
import { changeOf, rewriteAction, type Target } from "./rewrite.ts";
import { belongs, readValue, secretsIn, type Value } from "./values.ts";
import { entriesOf, nodeAt, textOf, textOrEmpty } from "./yaml-tree.ts";

/** All logins of a file. */
export function githubLogins(file: GithubFile, world: World, wanted: Wanted): readonly Finding[] {
  return file.jobs.flatMap((job) => [
    ...containerLogins(job, world, wanted),
    ...job.steps.flatMap((step, index) =>
      loginsOf({ job, step, wanted }).map((found) => complete(found, { job, step, index }, world, wanted)),
    ),
  ]);
}

interface At {
  readonly job: Job;
  readonly step: Step | undefined;
  readonly index: number;
}

/** Adds what the job has to say: the permission, the identity, logins to other registries. */
function complete(found: Found, { job, step, index }: At, world: World, wanted: Wanted): Finding {
  const { robot, change, notes = [] } = found;
  const permission = permit(job, world);
  const subjects = federateFor(job, step, world);
  return {
    path: job.file.tree.path,
    line: found.line,
    place: job.id,
    what: found.what,
    robot,
    secrets: found.secrets,
    notes: [
      ...notes,
      ...(change.kind === "rewritten" && !("name" in robot)
        ? [`Write the robot's name in the place of ${anyRobot}.`]
        : []),
      ...(found.isUncertain ? [] : subjects.notes),
      ...(change.kind === "rewritten" ? logsInAfter(job, index, wanted.registry) : []),
      ...(permission.kind === "given" ? permission.notes : []),
    ],
    change: permitted(change, job, permission),
    federate: (found.isUncertain ? [] : subjects.options).map((options) => [
      ...federated(wanted.registry, robot),
      ...options,
    ]),
  };
}

function permitted(change: Change, job: Job, permission: ReturnType<typeof permit>): Change {
  if (change.kind === "listed") {
    return change;
  }
  if (runnerOf(job) === "not Linux") {
    return listed("the Action runs on Linux only");
  }
  return permission.kind === "refused"
    ? listed(permission.why)
    : { kind: "rewritten", edits: [...change.edits, ...permission.edits] };
}

function loginsOf(at: StepAt): readonly Found[] {
  const { step } = at;
  const uses = textOf(step.entries.get("uses")?.value);
  if (uses !== undefined) {
    const kind = /^(docker\/login-action|redhat-actions\/podman-login)(?:@|$)/i.exec(uses)?.[1]?.toLowerCase();
    return kind === undefined ? passwordInputs(at, uses) : actionLogins(at, kind);
  }
  return scriptLogins(at);
}

function actionLogins(at: StepAt, kind: string): readonly Found[] {
  const { job, step, wanted } = at;
  const { tree } = job.file;
  const inputs = entriesOf(tree, step.entries.get("with")?.value);
  const value = (name: string): Value | undefined => {
    const text = textOf(inputs.get(name)?.value);
    return text === undefined ? undefined : readValue(text, step.env);
  };
  const line = tree.lineOf(step.entries.get("uses")?.key as Node);
  const several = textOf(inputs.get("registry-auth")?.value);
  if (several?.includes(wanted.registry)) {
    return [
      {
        what: kind,
        line,
        robot: { from: "its input registry-auth" },
        secrets: secretsIn(several),
        change: listed(
          "its input registry-auth names several registries: take this one out of it, and log in by a step of its own",
        ),
      },
    ];
  }
  const registry = value("registry");
  const where = registry && belongs(registry, wanted.registry);
  if (registry === undefined || where === "other") {
    return [];
  }
  const robot = robotOf(value("username"));
  const password = value("password");
  const secrets = secretsOf([value("username"), password]);
  const target: Target = {
    job,
    step,
    ...wanted,
    robot,
    needsDockerConfig: kind === "docker/login-action" && runnerOf(job) !== "hosted",
  };
  const why = whyNot(registry, robot, at) ?? fromStep(password);
  const change = why === undefined ? changeOf(target, rewriteAction(target)) : listed(why);
  return [{ what: kind, line, robot, secrets, change, notes: inputNotes(password), isUncertain: where === "unknown" }];
}

/** GitHub pulls a job's containers before any step runs. */
function containerLogins(job: Job, world: World, wanted: Wanted): readonly Finding[] {
  const { tree } = job.file;
  const services = [...entriesOf(tree, job.entries.get("services")?.value).values()].map(({ value }) => value);
  return [job.entries.get("container")?.value, ...services].flatMap((node) => {
    const credentials = nodeAt(tree, node, "credentials");
    const image = readValue(textOrEmpty(nodeAt(tree, node, "image")), new Map());
    const isOurs = belongs(image, wanted.registry) === "part";
    if (!credentials || !isOurs || isScalar(credentials)) {
      return [];
    }
    const values = ["username", "password"].map((name) =>
      readValue(textOrEmpty(nodeAt(tree, credentials, name)), new Map()),
    );
    const found: Found = {
      what: "credentials of a container",
      line: tree.lineOf(credentials),
      robot: robotOf(values[0]),
      secrets: secretsOf(values),
      change: listed(
        "GitHub pulls this image before any step runs, with a stored password: make the image public, or run it by podman in a step after the login",
      ),
    };
    return [complete(found, { job, step: undefined, index: -1 }, world, wanted)];
  });
}
