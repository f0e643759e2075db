/** Our Tasks and the StepAction, read as text: nothing undeclared, nothing unused, no drift between them. */
import { globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { parseArguments } from "../../src/cli/arguments.ts";
import { parseRequest } from "../../src/login/request.ts";
import { type OwnOption, optionsOf, outputs, promotionOutputs } from "../../src/options/table.ts";
import { image, version } from "../support/project.ts";
import { type Resource, resources } from "./resources.ts";
import { confinementProblems, containersOf, declarationProblems, variablesIn } from "./rules.ts";

const catalog = resources("tekton/{task,stepaction}/*/*/*.yaml");
const find = (kind: string, name: string): Resource => {
  const found = catalog.find((resource) => resource.kind === kind && resource.metadata.name === name);
  if (!found) {
    throw new Error(`no ${kind} ${name}`);
  }
  return found;
};
const login = find("Task", "quay-keyless-login");
const spiffe = find("Task", "quay-keyless-login-spiffe");
const logout = find("Task", "quay-keyless-logout");
const promote = find("Task", "quay-promote");
const promoteSpiffe = find("Task", "quay-promote-spiffe");
const federate = find("Task", "quay-federate");
const action = find("StepAction", "quay-keyless-login");

test("the list is complete", () => {
  expect(catalog).toEqual([action, federate, spiffe, login, logout, promoteSpiffe, promote]);
});

/** The array that each command takes as plain arguments. */
const words = { login: "robots", logout: undefined, promote: "tags", federate: undefined };
/** The names that Tekton Chains reads. */
const outputOf: Readonly<Record<string, string>> = {
  IMAGE_URL: "repository",
  IMAGE_DIGEST: "digest",
  IMAGES: "image",
};

describe.each(catalog.map((resource) => [resource.file, resource] as const))("%s", (file, resource) => {
  const { kind, metadata, spec } = resource;
  const [container] = containersOf(resource);
  const args = container?.args ?? [];
  const command = args[0] as keyof typeof words;

  test("declares what it uses and uses what it declares", () => {
    expect(declarationProblems(resource)).toEqual([]);
  });

  test("is confined, and requests its resources", () => {
    expect(confinementProblems(resource)).toEqual([]);
  });

  test("has only known options, each once unless it can be repeated", () => {
    const known = new Map<string, OwnOption>(optionsOf(command).map((option) => [option.name, option]));
    const given = args.slice(1).filter((arg) => arg.startsWith("--") && arg !== "--");
    const names = given.map((arg) => /^--([a-z-]+)=/.exec(arg)?.[1] ?? arg);
    expect(names.filter((name) => !known.has(name))).toEqual([]);
    expect(names.filter((name, index) => known.get(name)?.takes !== "list" && names.indexOf(name) !== index)).toEqual(
      [],
    );
  });

  test("passes each result to the command line under its name", () => {
    const from = kind === "StepAction" ? "step.results" : "results";
    const handed = args.filter((arg) => arg.startsWith("--result="));
    const named = (spec.results ?? []).map(({ name }) => [name, outputOf[name] ?? name] as const);
    expect(handed).toEqual(named.map(([name, output]) => `--result=${output}=$(${from}.${name}.path)`));
    const known: string[] = (command === "promote" ? promotionOutputs : outputs)
      .map(({ name }) => name)
      .filter((name) => name !== "token");
    expect(named.filter(([, output]) => !known.includes(output))).toEqual([]);
  });

  test("puts its list last, after --, so that no item is read as an option", () => {
    const list = words[command];
    const lists = variablesIn(args).filter(({ variable }) => variable.endsWith("[*]"));
    expect(lists.map(({ variable }) => variable)).toEqual(list ? [`params.${list}[*]`] : []);
    if (list) {
      expect(args.slice(-2)).toEqual(["--", `$(params.${list}[*])`]);
    }
    expect((spec.params ?? []).filter(({ type }) => type === "array").map(({ name }) => name)).toEqual(
      list ? [list] : [],
    );
  });

  // The owner of a default image would get the identity tokens of all who apply the YAML unchanged: there is none before a release.
  test("runs the image of its required parameter", () => {
    expect(container?.image).toBe("$(params.image)");
    const parameter = spec.params?.find(({ name }) => name === "image");
    expect(parameter).toBeDefined();
    expect(parameter).not.toHaveProperty("default");
  });

  test("has no Secret and no credential", () => {
    const { env, volumeMounts } = container ?? {};
    expect(JSON.stringify([spec.volumes, args, env, volumeMounts])).not.toMatch(
      /secret(?:KeyRef|Name|Ref)?"|password/i,
    );
    expect(container).not.toHaveProperty("envFrom");
  });

  test("has the form that the catalog requires", () => {
    const [, folder, name, ownVersion, own] =
      /^tekton\/(task|stepaction)\/([^/]+)\/([^/]+)\/([^/]+)\.yaml$/.exec(file) ?? [];
    expect([folder, name, own]).toEqual([kind.toLowerCase(), metadata.name, metadata.name]);
    expect(metadata.labels?.["app.kubernetes.io/version"]).toBe(ownVersion);
    const annotations = metadata.annotations ?? {};
    expect(Object.keys(annotations)).toEqual(
      expect.arrayContaining(
        ["pipelines.minVersion", "categories", "tags", "displayName", "platforms"].map((key) => `tekton.dev/${key}`),
      ),
    );
    // StepActions are stable since 1.0, and need a feature flag in older versions.
    expect(annotations["tekton.dev/pipelines.minVersion"]).toBe(kind === "StepAction" ? "1.0.0" : "0.50.0");
    // One summary line, then a blank one.
    expect(spec.description).toMatch(/^[^\n]{20,120}\.?\n[^\n]/);
    expect(globSync(join(dirname(file), "samples/*.yaml"))).not.toEqual([]);
  });

  test("describes everything", () => {
    const named = [...(spec.params ?? []), ...(spec.workspaces ?? []), ...(spec.results ?? [])];
    expect(named.filter(({ description = "" }) => description.length < 15).map(({ name }) => name)).toEqual([]);
  });

  test("names each sample in its README", () => {
    const readme = readFileSync(join(dirname(file), "README.md"), "utf8");
    for (const sample of globSync(join(dirname(file), "samples/*.yaml"))) {
      expect(readme).toContain(`(samples/${sample.split("/").at(-1)})`);
    }
  });
});

test("names our image as the published one, or under names that nobody can own, always with this version", () => {
  const files = globSync(["*.md", "docs/**/*.md", "kubernetes/**/*.{md,yaml}", "tekton/**/*.{md,yaml}"]);
  const all = files.map((file) => readFileSync(file, "utf8")).join("\n");
  const ours =
    /(?<!https:\/\/|[\w.-])(?!task\.tekton\.dev\/)([\w-]+\.[\w.-]+(?:\/[\w.-]+)*\/quay-keyless-login)(?::([\w.-]+))?(?=[@\s]|$)/gm;
  const images = [...all.matchAll(ours)];
  expect(new Set(images.map(([, , tag]) => tag))).toEqual(new Set([undefined, version]));
  const named = images.map(([, name]) => name).filter((name) => name !== image);
  // Reserved by RFC 2606.
  expect([...new Set(named)].sort()).toEqual([
    "registry.example.com/tools/quay-keyless-login",
    "registry.invalid/quay-keyless-login",
  ]);
});

describe("the command line gets", () => {
  /** As Tekton substitutes: an array becomes several arguments, an unbound workspace has no path. */
  const requestOf = (resource: Resource, given: Readonly<Record<string, string | readonly string[]>>) => {
    const values = Object.fromEntries((resource.spec.params ?? []).map((param) => [param.name, param.default]));
    const all = { ...values, ...given, "workspaces.dockerconfig.path": "/workspace/dockerconfig" };
    const args = (containersOf(resource)[0]?.args ?? []).flatMap((arg) => {
      const [, list = ""] = /^\$\(params\.([a-z-]+)\[\*\]\)$/.exec(arg) ?? [];
      const substitute = (_: string, name: string) => String(all[name as keyof typeof all] ?? `/results/${name}`);
      return list
        ? [all[list as keyof typeof all] ?? []].flat()
        : [arg.replace(/\$\((?:params\.)?([^)]+)\)/g, substitute)];
    });
    const invocation = parseArguments(args as string[]);
    if (invocation.kind !== "run") {
      throw new Error(invocation.kind);
    }
    return { ...invocation, request: parseRequest(invocation.values) };
  };

  test.each([
    ["service account", login, { source: "file", path: "/var/run/secrets/tokens/quay-token" }],
    ["SPIFFE", spiffe, expect.objectContaining({ source: "spiffe" })],
    ["StepAction", action, { source: "file", path: "/var/run/secrets/tokens/quay-token" }],
  ])("the defaults with robots only: %s", (_, resource, wanted) => {
    const { request, values } = requestOf(resource, { robots: ["acme+ci"] });
    expect(request).toMatchObject({
      registry: "quay.io",
      robots: [{ robot: "acme+ci", scope: "quay.io" }],
      identity: { wanted, audience: "quay" },
      tool: "skopeo",
      store: {
        authFile: resource === action ? "/tekton/home/auth.json" : "/workspace/dockerconfig/config.json",
        authFileMode: undefined,
        dockerConfig: false,
      },
      access: [],
    });
    expect(values).toMatchObject({ "ca-file": "", timeout: "120" });
    expect(values.session).toBe(resource === action ? "" : "/workspace/dockerconfig/.quay-keyless-login");
  });

  test.each([login, spiffe, action])("every parameter: $kind $metadata.name", (resource) => {
    const { request, values } = requestOf(resource, {
      registry: "quay.example.com:8443",
      robots: ["acme+ci", "quay.example.com:8443/acme/release=acme+release"],
      audience: "quay.example.com",
      access: "acme/app:pull,push\nacme/release/app:push",
      "auth-file-mode": "0640",
      "ca-file": "ca.crt",
      timeout: "60",
    });
    expect(request).toMatchObject({
      robots: [
        { robot: "acme+ci", scope: "quay.example.com:8443/acme" },
        { robot: "acme+release", scope: "quay.example.com:8443/acme/release" },
      ],
      identity: { audience: "quay.example.com" },
      access: [
        { repository: "acme/app", actions: ["pull", "push"] },
        { repository: "acme/release/app", actions: ["push"] },
      ],
      store: { authFileMode: 0o640 },
    });
    expect(values).toMatchObject({ "ca-file": "ca.crt", timeout: "60" });
  });

  test("the socket in the volume and the SPIFFE ID", () => {
    const { request } = requestOf(spiffe, { robots: ["acme+ci"], socket: "api.sock", "spiffe-id": "spiffe://acme/ci" });
    expect(JSON.stringify(request.identity)).toContain("/spiffe-workload-api/api.sock");
    expect(request.identity.spiffeId).toBe("spiffe://acme/ci");
  });

  test("a robot that looks like an option as a robot, and no robot as an error", () => {
    expect(() => requestOf(login, { robots: ["--export-token"] })).toThrow(/robot/);
    expect(() => requestOf(login, { robots: [] })).toThrow(/robot/);
  });
});

describe("no drift", () => {
  const own = (resource: Resource, prefixes: readonly string[]) =>
    (containersOf(resource)[0]?.args ?? []).filter((arg) => !prefixes.some((prefix) => arg.startsWith(prefix)));

  test("the two login Tasks differ in the identity only", () => {
    const identity = ["--identity=", "--token-file=", "--spiffe-socket=", "--spiffe-id="];
    expect(own(spiffe, identity)).toEqual(own(login, identity));
    expect(spiffe.spec.workspaces).toEqual(login.spec.workspaces);
    const [one, other] = [login, spiffe].map(({ spec }) => spec.steps?.[0]);
    for (const part of ["image", "command", "env", "securityContext", "computeResources"] as const) {
      expect(other?.[part], part).toEqual(one?.[part]);
    }
    const names = (resource: Resource) => resource.spec.results?.map(({ name }) => name);
    expect(names(spiffe)).toEqual(names(login));
  });

  test("the StepAction does what the Task does, without workspaces", () => {
    const places = ["--token-file=", "--auth-file=", "--session=", "--result="];
    expect(own(action, places)).toEqual(own(login, places));
    const [step] = login.spec.steps ?? [];
    expect(action.spec.command).toEqual(step?.command);
    expect(action.spec.securityContext).toEqual(step?.securityContext);
    expect(action.spec.results).toEqual(login.spec.results);
  });

  test("the logout finds the login's session, and has the same confinement", () => {
    const session = "--session=$(workspaces.dockerconfig.path)/.quay-keyless-login";
    for (const task of [login, spiffe, logout]) {
      expect(task.spec.steps?.[0]?.args).toContain(session);
    }
    expect(logout.spec.steps?.[0]?.securityContext).toEqual(login.spec.steps?.[0]?.securityContext);
    expect(logout.spec.steps?.[0]?.env).toEqual(login.spec.steps?.[0]?.env);
  });

  test("the token is mounted where it is read", () => {
    expect(login.spec.steps?.[0]?.args).toContain("--token-file=/var/run/secrets/tokens/quay-token");
    for (const mounts of [login.spec.steps?.[0]?.volumeMounts, action.spec.volumeMounts]) {
      expect(mounts).toContainEqual(expect.objectContaining({ mountPath: "/var/run/secrets/tokens", readOnly: true }));
    }
    // Tekton's own SPIRE mode adds a volume of that name to every pod.
    expect(spiffe.spec.volumes?.map(({ name }) => name)).not.toContain("spiffe-workload-api");
  });
});
