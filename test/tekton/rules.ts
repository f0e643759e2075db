/**
 * Rules for our Tasks and StepActions beyond Tekton's own validation, which checks the use of parameters in steps only;
 * tekton-lint skips StepActions.
 */
import type { Container, Resource } from "./resources.ts";

/** @returns one line for each name that is used and not declared, or declared and not used */
export function declarationProblems({ kind, spec }: Resource): string[] {
  const problems: string[] = [];
  const used = new Set<string>();
  const declared = new Map<string, string>([
    ...(spec.params ?? []).map(({ name }) => [`params.${name}`, `parameter ${name}`] as const),
    ...(spec.workspaces ?? []).map(({ name }) => [`workspaces.${name}`, `workspace ${name}`] as const),
    ...(spec.results ?? [])
      .filter(({ value }) => value === undefined)
      .map(({ name }) => [`${kind === "StepAction" ? "step.results" : "results"}.${name}`, `result ${name}`] as const),
  ]);
  const steps = new Set((spec.steps ?? []).map(({ name }) => name));
  const { withoutProbes, probes } = apart(spec);

  for (const { variable, place } of variablesIn(withoutProbes)) {
    const [, family, name] = /^(params|workspaces|results|step\.results)\.([^.[]+)/.exec(variable) ?? [];
    const [, step] = /^steps\.([^.]+)\.results\./.exec(variable) ?? [];
    const key = `${family}.${name}`;
    if (family !== undefined && declared.has(key)) {
      used.add(key);
    } else if (!(step !== undefined && steps.has(step)) && !variable.startsWith("context.")) {
      problems.push(`${place}: $(${variable}) is not declared`);
    }
  }
  for (const [key, what] of declared) {
    if (!used.has(key)) {
      problems.push(`${what} is declared and not used`);
    }
  }
  return [
    ...problems,
    ...probes.flatMap(probeProblems),
    ...(kind === "StepAction" ? stepActionMountProblems(spec) : volumeProblems({ spec })),
  ];
}

function apart(spec: Resource["spec"]) {
  const probes = (spec.sidecars ?? []).map(({ name, env, startupProbe, readinessProbe, livenessProbe }) => ({
    place: `sidecar ${name}`,
    env,
    probes: { startupProbe, readinessProbe, livenessProbe },
  }));
  const sidecars = (spec.sidecars ?? []).map(({ startupProbe, readinessProbe, livenessProbe, ...rest }) => rest);
  return { withoutProbes: { ...spec, sidecars }, probes };
}

/** Tekton substitutes nothing in a probe; the kubelet only variables with a text in the container's `env`. */
function probeProblems({ place, env = [], probes }: ReturnType<typeof apart>["probes"][number]): string[] {
  const known = new Set(env.flatMap(({ name, value }) => (value === undefined ? [] : [name])));
  return variablesIn(probes)
    .filter(({ variable }) => !known.has(variable))
    .map((use) => `${place}, ${use.place}: $(${use.variable}) is not a variable of this container`);
}

function volumeProblems({ spec }: Pick<Resource, "spec">): string[] {
  const volumes = new Set((spec.volumes ?? []).map(({ name }) => name));
  const containers = [...(spec.steps ?? []), ...(spec.sidecars ?? []), spec.stepTemplate ?? {}];
  const mounted = new Set(containers.flatMap(({ volumeMounts = [] }) => volumeMounts.map(({ name }) => name)));
  // A StepAction mounts the volume that its parameter names; without a value, its default.
  const passedOn = new Set(containers.flatMap(({ ref }) => (ref ? [...volumes] : [])));
  return [
    ...[...mounted].filter((name) => !volumes.has(name)).map((name) => `volume ${name} is mounted and not declared`),
    ...[...volumes]
      .filter((name) => !mounted.has(name) && !passedOn.has(name))
      .map((name) => `volume ${name} is declared and not mounted`),
  ];
}

/** The volume belongs to the Task that uses the StepAction: that Task must be able to choose its name. */
function stepActionMountProblems({ volumeMounts = [] }: Container): string[] {
  return volumeMounts
    .filter(({ name }) => !/^\$\(params\.[a-z-]+\)$/.test(name))
    .map(({ name }) => `volumeMounts: ${name} is not one parameter`);
}

/** @returns one line for each way in which a container violates Pod Security `restricted` or our stricter rules */
export function confinementProblems({ kind, spec }: Resource): string[] {
  return containersOf({ kind, spec }).flatMap((container) => {
    const problem = (text: string) => `${container.name ?? "step"}: ${text}`;
    // A step that refers to a StepAction gets its security settings from it.
    const problems = container.ref ? [] : securityProblems(container.securityContext);
    // A StepAction can't ask for resources.
    if (kind !== "StepAction") {
      const { requests, limits } = (container.computeResources ?? {}) as Record<string, Record<string, unknown>>;
      for (const [what, amounts] of Object.entries({ requests, limits })) {
        if (amounts?.cpu === undefined || amounts.memory === undefined) {
          problems.push(`no ${what} of cpu and memory`);
        }
      }
    }
    if (container.script !== undefined) {
      problems.push("a script: parameters belong into args, without a shell");
    }
    if (spec.sidecars?.includes(container)) {
      if (container.command) {
        problems.push("a command: Tekton ends a sidecar by another image, which lacks that command");
      }
    } else if (!container.ref && !container.command) {
      problems.push("no command: Tekton would have to look it up in the registry");
    }
    return problems.map(problem);
  });
}

function securityProblems(context: Container["securityContext"] = {}): string[] {
  const { capabilities, seccompProfile, runAsUser, runAsGroup } = context as {
    capabilities?: { drop?: readonly string[]; add?: readonly string[] };
    seccompProfile?: { type?: string };
    runAsUser?: number;
    runAsGroup?: number;
  };
  const wrong = {
    "runAsNonRoot is not true": context.runAsNonRoot !== true,
    "allowPrivilegeEscalation is not false": context.allowPrivilegeEscalation !== false,
    "readOnlyRootFilesystem is not true": context.readOnlyRootFilesystem !== true,
    "capabilities are kept": capabilities?.drop?.join() !== "ALL" || (capabilities.add ?? []).length > 0,
    "no seccomp profile": seccompProfile?.type !== "RuntimeDefault",
    "privileged is set": context.privileged !== undefined,
    // OpenShift's restricted-v2 gives each namespace its own.
    "a fixed user or group": runAsUser !== undefined || runAsGroup !== undefined,
  };
  return Object.entries(wrong).flatMap(([text, applies]) => (applies ? [text] : []));
}

export function containersOf({ kind, spec }: Pick<Resource, "kind" | "spec">): readonly Container[] {
  return kind === "StepAction" ? [spec] : [...(spec.steps ?? []), ...(spec.sidecars ?? [])];
}

interface Use {
  readonly variable: string;
  /** The path of its text, such as `steps.0.args.3`. */
  readonly place: string;
}

/** Every `$(…)` in every text, in volumes, sidecars and descriptions too. */
export function variablesIn(value: unknown, place = ""): Use[] {
  if (typeof value === "string") {
    return [...value.matchAll(/\$\(([^)]+)\)/g)].map(([, variable = ""]) => ({ variable, place }));
  }
  if (typeof value !== "object" || value === null) {
    return [];
  }
  return Object.entries(value).flatMap(([key, child]) => variablesIn(child, place ? `${place}.${key}` : key));
}
