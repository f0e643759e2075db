/** The samples, read as text: what they refer to exists and gets what it requires. test/real runs them. */
import { dirname } from "node:path";
import { describe, expect, test } from "vitest";
import { parseArguments } from "../../src/cli/arguments.ts";
import { referenceProblems } from "./references.ts";
import { type Binding, type Resource, resources } from "./resources.ts";
import { confinementProblems, declarationProblems, variablesIn } from "./rules.ts";

interface Reference {
  readonly name?: string;
  readonly resolver?: string;
  readonly params?: readonly Binding[];
}

interface PipelineTask {
  readonly name: string;
  readonly taskRef: Reference;
  readonly runAfter?: readonly string[];
  readonly params?: readonly Binding[];
  readonly workspaces?: readonly (Binding & { readonly subPath?: string })[];
}

interface PipelineSpec {
  readonly tasks: readonly PipelineTask[];
  readonly finally?: readonly PipelineTask[];
}

/** Our Tasks in each Pipeline, and how many it takes from the catalog. */
const pipelines: Readonly<Record<string, { readonly own: readonly string[]; readonly foreign: number }>> = {
  "build-and-push-to-quay": { own: ["login", "logout"], foreign: 2 },
  "release-to-quay": { own: ["login", "promote", "logout"], foreign: 2 },
  "federate-quay": { own: ["federate"], foreign: 1 },
};

interface RunSpec {
  readonly serviceAccountName?: string;
  readonly taskRunTemplate?: { readonly serviceAccountName?: string };
  readonly taskRunSpecs?: readonly { readonly pipelineTaskName: string; readonly serviceAccountName: string }[];
  readonly taskRef?: Reference;
  readonly pipelineRef?: Reference;
  readonly workspaces?: readonly Binding[];
  readonly params?: readonly Binding[];
}

const all = resources("tekton/{task,stepaction}/**/*.yaml");
const samples = all.filter(({ file }) => file.includes("/samples/"));
const of = (kind: string) => samples.filter((sample) => sample.kind === kind);
const find = (kind: string, name: string | undefined): Resource => {
  const found = all.find((resource) => resource.kind === kind && resource.metadata.name === name);
  if (!found) {
    throw new Error(`there is no ${kind} ${name}`);
  }
  return found;
};

test("has a TaskRun for each Task and the StepAction, and no unexpected kind", () => {
  const folders = new Set(of("TaskRun").map(({ file }) => dirname(dirname(file))));
  expect(folders).toEqual(new Set(all.filter((one) => !samples.includes(one)).map(({ file }) => dirname(file))));
  const kinds = new Set(samples.map(({ apiVersion, kind }) => `${apiVersion} ${kind}`));
  expect([...kinds].sort()).toEqual(
    [
      "v1 ServiceAccount",
      ...["Pipeline", "PipelineRun", "Task", "TaskRun"].map((kind) => `tekton.dev/v1 ${kind}`),
    ].sort(),
  );
});

describe.each([...of("TaskRun"), ...of("PipelineRun")].map((run) => [run.file, run] as const))("%s", (file, run) => {
  const spec = run.spec as unknown as RunSpec;

  test("sets what its Task or Pipeline requires", () => {
    const target = spec.taskRef ? find("Task", spec.taskRef.name) : find("Pipeline", spec.pipelineRef?.name);
    expect(referenceProblems({ place: file, ...spec }, target.spec)).toEqual([]);
  });

  test("runs under a service account of a sample", () => {
    const account = spec.serviceAccountName ?? spec.taskRunTemplate?.serviceAccountName;
    const loggingOut = spec.taskRef?.name === "quay-keyless-logout";
    expect(account === undefined ? loggingOut : find("ServiceAccount", account).kind === "ServiceAccount").toBe(true);
    const { tasks = [] } = (
      spec.pipelineRef ? find("Pipeline", spec.pipelineRef.name).spec : {}
    ) as Partial<PipelineSpec>;
    for (const { pipelineTaskName, serviceAccountName } of spec.taskRunSpecs ?? []) {
      expect(tasks.map(({ name }) => name)).toContain(pipelineTaskName);
      expect(find("ServiceAccount", serviceAccountName).metadata.name).not.toBe(account);
    }
  });

  test("can be created several times", () => {
    expect(run.metadata).toEqual({ generateName: expect.stringMatching(/-$/) });
  });
});

describe.each(of("Pipeline").map((pipeline) => [pipeline.file, pipeline] as const))("%s", (file, pipeline) => {
  const { tasks, finally: last = [] } = pipeline.spec as unknown as PipelineSpec;
  const wanted = pipelines[pipeline.metadata.name ?? ""];
  const ours = [...tasks, ...last].filter(({ taskRef }) => !taskRef.resolver);

  test("sets what our Tasks require", () => {
    expect(ours.map(({ name }) => name)).toEqual(wanted?.own);
    expect(
      ours.flatMap((task) =>
        referenceProblems({ place: `${file} ${task.name}`, ...task }, find("Task", task.taskRef.name).spec),
      ),
    ).toEqual([]);
  });

  test("takes the catalog's Tasks from the hub, in a named version", () => {
    const hub = tasks.flatMap(({ taskRef }) => (taskRef.resolver ? [taskRef] : []));
    expect(hub.map(({ resolver }) => resolver)).toEqual(Array.from({ length: wanted?.foreign ?? 0 }, () => "hub"));
    for (const { params = [] } of hub) {
      expect(Object.fromEntries(params.map(({ name, value }) => [name, value]))).toEqual({
        kind: "task",
        name: expect.stringMatching(/^(git-clone|buildah)$/),
        version: expect.stringMatching(/^\d+\.\d+$/),
      });
    }
  });

  test("uses what it declares, and runs after existing tasks", () => {
    const names = tasks.map(({ name }) => name);
    const variables = variablesIn([tasks, last, pipeline.spec.results ?? []]).map(({ variable }) => variable);
    const used = new Set([
      ...variables.filter((variable) => !variable.startsWith("tasks.")),
      ...[...tasks, ...last].flatMap(({ workspaces = [] }) =>
        workspaces.map(({ workspace }) => `workspaces.${workspace}`),
      ),
    ]);
    const { params = [], workspaces = [] } = pipeline.spec;
    expect([...used].sort()).toEqual(
      [...params.map(({ name }) => `params.${name}`), ...workspaces.map(({ name }) => `workspaces.${name}`)].sort(),
    );
    expect(tasks.flatMap(({ runAfter = [] }) => runAfter).filter((name) => !names.includes(name))).toEqual([]);
    for (const variable of variables.filter((each) => each.startsWith("tasks."))) {
      const [, task, result] = /^tasks\.([^.]+)\.results\.([^.]+)$/.exec(variable) ?? [];
      const { taskRef } = tasks.find(({ name }) => name === task) ?? {};
      // The catalog's buildah has these two in the named version.
      const results = taskRef?.name
        ? find("Task", taskRef.name).spec.results?.map(({ name }) => name)
        : ["IMAGE_URL", "IMAGE_DIGEST"];
      expect(results, variable).toContain(result);
    }
  });

  if (last.length > 0) {
    test("login, build and logout share one folder, separate from the source's", () => {
      const folders = [...tasks, ...last].flatMap(({ workspaces = [] }) =>
        workspaces.map(({ name, subPath }) => `${name} ${subPath}`),
      );
      expect(folders).toEqual([
        "output source",
        "dockerconfig dockerconfig",
        "source source",
        "dockerconfig dockerconfig",
        "dockerconfig dockerconfig",
      ]);
    });
  }
});

describe("a Task with the StepAction", () => {
  const task = of("Task").find(({ metadata }) => metadata.name === "copy-image");
  const steps = task?.spec.steps ?? [];

  test("sets what it requires, and leaves nothing unused", () => {
    const [login] = steps.filter(({ ref }) => ref);
    expect(login?.ref?.name).toBe("quay-keyless-login");
    expect(
      referenceProblems({ place: "login", params: login?.params }, find("StepAction", login?.ref?.name).spec),
    ).toEqual([]);
    expect(task && declarationProblems(task)).toEqual([]);
    expect(task && confinementProblems(task)).toEqual([]);
  });

  test("has the default volume of the StepAction, and reads its default file", () => {
    const { params = [] } = find("StepAction", "quay-keyless-login").spec;
    const byDefault = (name: string) => params.find((param) => param.name === name)?.default;
    expect(task?.spec.volumes).toContainEqual({
      name: byDefault("token-volume"),
      projected: {
        sources: [
          {
            serviceAccountToken: {
              audience: byDefault("audience"),
              expirationSeconds: 600,
              path: byDefault("token-file"),
            },
          },
        ],
      },
    });
    expect(steps[1]?.env).toContainEqual({ name: "REGISTRY_AUTH_FILE", value: byDefault("auth-file") });
  });
});

describe("a Task whose sidecar renews the login", () => {
  const task = find("Task", "long-build");
  const { steps = [], sidecars = [], volumes } = task.spec;
  const [sidecar] = sidecars;
  const option = (name: string) => sidecar?.args?.find((arg) => arg.startsWith(`--${name}=`))?.slice(name.length + 3);
  const substituted = (args: readonly string[] = []) =>
    args.map((arg) => arg.replace(/^(--registry)=.*/, "$1=quay.io"));
  const login = parseArguments(sidecar?.args ?? []);

  test("leaves nothing unused", () => {
    expect(declarationProblems(task)).toEqual([]);
    expect(confinementProblems(task)).toEqual([]);
    expect(of("Task").map(({ metadata }) => metadata.name)).toEqual(["long-build", "copy-image"]);
  });

  test("logs in as the Task quay-keyless-login does, and stays", () => {
    expect(login).toMatchObject({ command: "login", values: { watch: "true", "on-lapse": "retry" } });
    const own = find("Task", "quay-keyless-login").spec.steps?.[0];
    const same = (args: readonly string[] = []) =>
      args.filter((arg) => /^--(?:registry|identity|token-file|tool|docker-config)=/.test(arg));
    expect(same(sidecar?.args)).toEqual(same(own?.args));
    expect(sidecar?.securityContext).toEqual(own?.securityContext);
  });

  test("the steps wait for the login, and the first one checks it", () => {
    const [check] = steps;
    expect(check?.command).toEqual(["quay-keyless-login"]);
    const looks = [check?.args, sidecar?.startupProbe?.exec.command.slice(1)].map(substituted);
    expect(looks[0]).toEqual(looks[1]);
    expect(parseArguments(looks[0] ?? [])).toEqual({
      kind: "run",
      command: "status",
      values: { "auth-file": option("auth-file"), registry: "quay.io" },
    });
  });

  test("every step can read the login, and none can change it", () => {
    const file = option("auth-file") ?? "";
    for (const { name, volumeMounts } of steps) {
      expect(volumeMounts, name).toContainEqual({ name: "quay-auth", mountPath: dirname(file), readOnly: true });
    }
    for (const { name, env } of steps.slice(1)) {
      expect(env, name).toContainEqual({ name: "REGISTRY_AUTH_FILE", value: file });
    }
    expect(volumes).toContainEqual({ name: "quay-auth", emptyDir: { medium: "Memory", sizeLimit: "1Mi" } });
  });

  test("only the sidecar sees the identity token, which lasts as long as the robot token", () => {
    const mounts = (containers: typeof steps) =>
      containers.flatMap(({ volumeMounts = [] }) => volumeMounts.filter(({ name }) => name === "quay-token"));
    expect([mounts(sidecars).length, mounts(steps).length]).toEqual([1, 0]);
    expect(JSON.stringify(volumes)).toContain('"audience":"quay","expirationSeconds":3600,');
  });

  test("its TaskRun may take longer than Tekton's hour", () => {
    const run = of("TaskRun").find(({ metadata }) => JSON.stringify(metadata).includes("long-build"));
    expect(run?.spec).toMatchObject({ timeout: "3h", taskRef: { name: "long-build" } });
  });
});

test("finds what a reference lacks", () => {
  const target = {
    params: [
      { name: "robots", type: "array" as const },
      { name: "registry", default: "quay.io" },
    ],
    workspaces: [{ name: "dockerconfig" }, { name: "ca", optional: true }],
  };
  expect(
    referenceProblems({ place: "run", params: [{ name: "robot", value: "acme+ci" }], workspaces: [] }, target),
  ).toEqual([
    "run: parameter robots is missing",
    "run: parameter robot is unknown",
    "run: workspace dockerconfig is missing",
  ]);
  const twice = { name: "dockerconfig" };
  expect(
    referenceProblems(
      { place: "run", params: [{ name: "robots", value: "acme+ci" }], workspaces: [twice, twice, { name: "cert" }] },
      target,
    ),
  ).toEqual([
    "run: workspace cert is unknown",
    "run: workspace dockerconfig is given twice",
    "run: parameter robots is string, not array",
  ]);
});
