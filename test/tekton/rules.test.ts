/** The rules find what they are for: the real Tasks and the real StepAction with one thing broken. */
import { describe, expect, test } from "vitest";
import { type Resource, resources } from "./resources.ts";
import { confinementProblems, declarationProblems } from "./rules.ts";

const [action, , spiffe, login, logout] = resources("tekton/{task,stepaction}/*/*/*.yaml") as [
  Resource,
  Resource,
  Resource,
  Resource,
  Resource,
];

const [longBuild] = resources("tekton/stepaction/*/*/samples/task-long-build.yaml") as [Resource];

describe("rejects", () => {
  const broken = (resource: Resource, change: (text: string) => string): Resource => {
    const before = JSON.stringify(resource);
    const after = change(before);
    expect(after).not.toBe(before);
    return JSON.parse(after);
  };
  test.each([
    [
      "an undeclared parameter in a volume",
      login,
      (text: string) => text.replace('"audience":"$(params.audience)"', '"audience":"$(params.nope)"'),
      "$(params.nope) is not declared",
    ],
    [
      "an undeclared parameter in a StepAction's mount",
      action,
      (text: string) => text.replace('"name":"$(params.token-volume)"', '"name":"$(params.nope)"'),
      "$(params.nope) is not declared",
    ],
    [
      "a parameter that nothing uses",
      action,
      (text: string) => text.replace("--timeout=$(params.timeout)", "--timeout=60"),
      "parameter timeout is declared and not used",
    ],
    [
      "an undeclared result",
      action,
      (text: string) => text.replace("$(step.results.robot.path)", "$(step.results.nope.path)"),
      "$(step.results.nope.path) is not declared",
    ],
    [
      "a Task's result in a StepAction",
      action,
      (text: string) => text.replace("$(step.results.robot.path)", "$(results.robot.path)"),
      "$(results.robot.path) is not declared",
    ],
    [
      "an undeclared workspace",
      logout,
      (text: string) => text.replace("$(workspaces.dockerconfig.path)", "$(workspaces.nope.path)"),
      "$(workspaces.nope.path) is not declared",
    ],
    [
      "a workspace that nothing uses",
      login,
      (text: string) => text.replace("$(workspaces.ca.path)", "/"),
      "workspace ca is declared and not used",
    ],
    [
      "a mount without its volume",
      spiffe,
      (text: string) => text.replace('{"name":"workload-api","mountPath"', '{"name":"ghost","mountPath"'),
      "volume ghost is mounted and not declared",
    ],
    [
      "a volume that nothing mounts",
      spiffe,
      (text: string) => text.replace('{"name":"workload-api","mountPath"', '{"name":"ghost","mountPath"'),
      "volume workload-api is declared and not mounted",
    ],
    [
      "a fixed volume name in a StepAction",
      action,
      (text: string) => text.replace('"name":"$(params.token-volume)"', '"name":"quay-token"'),
      "quay-token is not one parameter",
    ],
    [
      "a parameter in a probe",
      longBuild,
      (text: string) => text.replace("$(QUAY_REGISTRY)", "$(params.registry)"),
      "sidecar login, startupProbe.exec.command.3: $(params.registry) is not a variable of this container",
    ],
    [
      "a variable in a probe whose value comes from elsewhere",
      longBuild,
      (text: string) => text.replace('"value":"$(params.registry)"', '"valueFrom":{}'),
      "$(QUAY_REGISTRY) is not a variable of this container",
    ],
    [
      "an undeclared parameter in a sidecar",
      longBuild,
      (text: string) => text.replace("--robot=$(params.robot)", "--robot=$(params.nope)"),
      "$(params.nope) is not declared",
    ],
  ])("%s", (_, resource, change, problem) => {
    expect(declarationProblems(broken(resource, change)).join("\n")).toContain(problem);
  });

  test.each([
    ["runAsNonRoot", '"runAsNonRoot":true', '"runAsNonRoot":false', "runAsNonRoot is not true"],
    ["escalation", '"allowPrivilegeEscalation":false,', "", "allowPrivilegeEscalation is not false"],
    ["a writable root", '"readOnlyRootFilesystem":true,', "", "readOnlyRootFilesystem is not true"],
    ["capabilities", '"drop":["ALL"]', '"drop":["ALL"],"add":["CHOWN"]', "capabilities are kept"],
    ["seccomp", '"RuntimeDefault"', '"Unconfined"', "no seccomp profile"],
    ["a fixed user", '"runAsNonRoot":true', '"runAsNonRoot":true,"runAsUser":1000', "a fixed user or group"],
    ["limits", '"limits"', '"limit"', "no limits of cpu and memory"],
    ["a script", '"command":["quay-keyless-login"]', '"script":"quay-keyless-login $(params.registry)"', "a script"],
    ["no command", '"command":["quay-keyless-login"],', "", "no command"],
  ])("%s", (_, before, after, problem) => {
    expect(confinementProblems(broken(login, (text) => text.replace(before, after))).join("\n")).toContain(problem);
  });

  test("a sidecar with a command", () => {
    const sidecar = broken(longBuild, (text) =>
      text.replace('"args":["login"', '"command":["quay-keyless-login"],"args":["login"'),
    );
    expect(confinementProblems(sidecar).join("\n")).toContain("login: a command");
  });
});
