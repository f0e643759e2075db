/** The manifests of `kubernetes/`, read as text: existing names, confinement, and which container sees which secret. */
import { globSync, readFileSync } from "node:fs";
import { dirname } from "node:path";
import { describe, expect, test } from "vitest";
import { parseArguments } from "../../src/cli/arguments.ts";
import { type OwnOption, optionsOf } from "../../src/options/table.ts";
import { type Container, type PodSpec, type Probe, render } from "./render.ts";

const base = render("kubernetes/base");
const sidecars = ["base", "overlays/kubernetes", "overlays/spiffe", "overlays/private-ca"];
const overlays = [...sidecars, "overlays/credential-helper"];

/** The two containers of every variant with a sidecar. */
function containers({ initContainers, containers: [workload] }: PodSpec): { login: Container; workload: Container } {
  const login = initContainers.find(({ name }) => name === "login");
  if (!login || !workload) {
    throw new Error("login or workload is missing");
  }
  return { login, workload };
}

const mountOf = ({ volumeMounts = [] }: Container, volume: string) => volumeMounts.find(({ name }) => name === volume);
const variable = ({ env = [] }: Container, wanted: string) => env.find(({ name }) => name === wanted)?.value;
const option = ({ args = [] }: Container, name: string) =>
  args.find((arg) => arg.startsWith(`--${name}=`))?.slice(name.length + 3);

test("the list of variants is complete", () => {
  const found = globSync("kubernetes/{base,overlays/*}/kustomization.yaml").map(dirname);
  expect(found.sort()).toEqual(overlays.map((name) => `kubernetes/${name}`).sort());
});

describe.each(overlays)("the pod of %s", (name) => {
  const { pod, documents } = render(`kubernetes/${name}`);
  const all = [...pod.initContainers, ...pod.containers];

  test("mounts existing volumes, and has none that is not mounted", () => {
    const mounted = new Set(all.flatMap(({ volumeMounts = [] }) => volumeMounts.map((mount) => mount.name)));
    expect([...mounted].sort()).toEqual(pod.volumes.map((volume) => volume.name).sort());
  });

  test("sees no token for the Kubernetes API", () => {
    expect(pod.automountServiceAccountToken).toBe(false);
    expect(documents.find(({ kind }) => kind === "ServiceAccount")).toMatchObject({
      metadata: { name: pod.serviceAccountName },
      automountServiceAccountToken: false,
    });
  });

  test("confines each container by Pod Security's restricted, and more", () => {
    expect(pod.securityContext).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: "RuntimeDefault" } });
    for (const { securityContext, resources, name: container } of all) {
      expect(securityContext, container).toMatchObject({
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ["ALL"] },
      });
      expect(securityContext, container).not.toHaveProperty("capabilities.add");
      for (const amounts of [resources?.requests, resources?.limits]) {
        expect(Object.keys(amounts ?? {}), container).toEqual(["cpu", "memory"]);
      }
    }
    const kinds = pod.volumes.flatMap((volume) => Object.keys(volume).filter((key) => key !== "name"));
    expect(kinds.filter((kind) => !["configMap", "csi", "emptyDir", "projected"].includes(kind))).toEqual([]);
    expect(JSON.stringify(pod)).not.toMatch(/hostPath|hostNetwork|hostPID|hostIPC|privileged|"secret/);
  });
});

describe.each(sidecars)("%s", (name) => {
  const { pod, configMaps } = render(`kubernetes/${name}`);
  const { login, workload } = containers(pod);
  const all = [...pod.initContainers, ...pod.containers];

  test("shows the identity token to the login only", () => {
    const identities = pod.volumes.filter(({ projected, csi }) => projected ?? csi);
    expect(identities).toHaveLength(1);
    for (const { name: volume } of identities) {
      expect(mountOf(login, volume)?.readOnly).toBe(true);
      expect(all.filter((container) => mountOf(container, volume))).toEqual([login]);
    }
  });

  test("mounts the identity token where the login reads it", () => {
    const place = option(login, "token-file") ?? option(login, "spiffe-socket")?.replace("unix://", "");
    expect(login.volumeMounts?.map(({ mountPath }) => mountPath)).toContain(dirname(place ?? ""));
  });

  test("lets the workload read the login, but not change it", () => {
    const file = option(login, "auth-file") ?? "";
    expect(variable(workload, "REGISTRY_AUTH_FILE")).toBe(file);
    expect(mountOf(login, "quay-auth")).toEqual({ name: "quay-auth", mountPath: dirname(file) });
    expect(mountOf(workload, "quay-auth")).toEqual({ name: "quay-auth", mountPath: dirname(file), readOnly: true });
    expect(pod.volumes).toContainEqual({ name: "quay-auth", emptyDir: { medium: "Memory", sizeLimit: "1Mi" } });
    // Only the pod's group can read it.
    expect(option(login, "auth-file-mode")).toBe("0640");
  });

  test("gives the login known options, each once, and variables that are set", () => {
    expect([login.command, login.args?.[0]]).toEqual([["quay-keyless-login"], "login"]);
    const known = new Map<string, OwnOption>(optionsOf("login").map((each) => [each.name, each]));
    const names = login.args?.slice(1).map((arg) => /^--([a-z-]+)(?:=.+)?$/.exec(arg)?.[1] ?? arg) ?? [];
    expect(names.filter((each) => !known.has(each))).toEqual([]);
    const bare = login.args?.slice(1).filter((arg) => !arg.includes("="));
    expect(bare?.filter((arg) => known.get(arg.slice(2))?.takes !== "flag")).toEqual([]);
    expect(new Set(names).size).toBe(names.length);
    const used = login.args?.flatMap((arg) => [...arg.matchAll(/\$\((\w+)\)/g)].map(([, each]) => each)) ?? [];
    expect(used.sort()).toEqual(["QUAY_CA_FILE", "QUAY_REGISTRY", "QUAY_ROBOT", "QUAY_TOKEN_HOST"]);
    const set = new Map(login.env?.map((each) => [each.name, each]));
    expect(used.filter((each) => !set.has(each ?? ""))).toEqual([]);
    const references = [...set.values()].flatMap(({ valueFrom }) => valueFrom?.configMapKeyRef ?? []);
    expect(references.map(({ name: map, key }) => configMaps[map]?.[key])).toEqual([
      expect.stringMatching(/^quay\./),
      "",
      "acme+keyless",
    ]);
  });

  test("makes the login a sidecar that renews, and does not give up", () => {
    expect(login.restartPolicy).toBe("Always");
    expect(login.args).toContain("--watch");
    expect(option(login, "on-lapse")).toBe("retry");
    // A restarted sidecar must not remove the login of the running workload.
    expect(login.args).not.toContain("--logout-on-exit");
    expect(all.filter(({ restartPolicy }) => restartPolicy)).toEqual([login]);
  });

  test("probes the file and the registry of the login", () => {
    for (const probe of [login.startupProbe, login.readinessProbe, login.livenessProbe]) {
      const { values } = lookOf(probe);
      expect(values["auth-file"]).toBe(option(login, "auth-file"));
      // Kubernetes puts no variable from a ConfigMap into a probe; the shell does.
      expect(values.registry).toBe(option(login, "registry")?.replace(/^\$\((.*)\)$/, "$$$1"));
      expect(probe?.exec.command.join()).not.toContain("$(");
    }
  });

  test("names the workload's image by version, and requires a name for the login's", () => {
    expect(workload.image).toMatch(/:v?\d+\.\d+/);
    expect(login.image).toBe("registry.invalid/quay-keyless-login");
    expect(readFileSync("kubernetes/README.md", "utf8")).toContain(`  - name: ${login.image}\n    newName: `);
  });

  test("makes HOME and the temporary folder of each container volumes", () => {
    for (const container of [login, workload]) {
      expect(container.volumeMounts?.map(({ mountPath }) => mountPath)).toContain("/tmp");
      expect(variable(container, "HOME")).toBe("/tmp");
    }
    // The workload must not see the login's temporary files, which hold the robot token.
    const folders = [login, workload].map(({ volumeMounts }) =>
      volumeMounts?.find(({ mountPath }) => mountPath === "/tmp"),
    );
    expect(folders[0]?.name).not.toBe(folders[1]?.name);
  });
});

/** The command of a probe, with variables that the shell substitutes. */
function lookOf(probe: Probe | undefined) {
  const [shell, flag, script = "", ...more] = probe?.exec.command ?? [];
  expect([shell, flag, more]).toEqual(["sh", "-c", []]);
  const [exec, program, ...args] = script.split(" ").map((word) => word.replaceAll('"', ""));
  expect([exec, program]).toEqual(["exec", "quay-keyless-login"]);
  const invocation = parseArguments(args);
  if (invocation.kind !== "run" || invocation.command !== "status") {
    throw new Error(`not status: ${script}`);
  }
  return invocation;
}

describe("a probe fails at", () => {
  const { startupProbe, readinessProbe, livenessProbe } = containers(base.pod).login;
  const patience = (probe: Probe | undefined) => (probe?.periodSeconds ?? 0) * (probe?.failureThreshold ?? 0);
  const seconds = (text: string | undefined) => Number(/^(\d+)m$/.exec(text ?? "")?.[1] ?? 0) * 60;

  test("startup: soon, and never before the login itself has given up", () => {
    const timeout = Number(optionsOf("login").find(({ name }) => name === "timeout")?.default);
    expect(startupProbe?.periodSeconds).toBe(1);
    expect(patience(startupProbe)).toBeGreaterThan(timeout + 10);
  });

  test("readiness: before the login expires, at every timing of the probes", () => {
    const wanted = seconds(lookOf(readinessProbe).values.for);
    expect(wanted).toBe(patience(readinessProbe));
    // Renewals begin when 20 % of the hour is left: one failure alone changes nothing.
    expect(wanted).toBeLessThan(0.2 * 3600);
  });

  test("liveness: after half an hour without a login", () => {
    expect(lookOf(livenessProbe).values.for).toBeUndefined();
    expect(patience(livenessProbe)).toBe(1800);
  });

  test("most once a minute while the pod runs, with a long timeout", () => {
    for (const probe of [readinessProbe, livenessProbe]) {
      expect(probe?.periodSeconds).toBeGreaterThanOrEqual(60);
    }
    for (const probe of [startupProbe, readinessProbe, livenessProbe]) {
      expect(probe?.timeoutSeconds).toBe(10);
    }
  });
});

describe("the variants", () => {
  test("leave users and groups to OpenShift, except overlays/kubernetes", () => {
    const ids = /runAs(?:User|Group)|fsGroup|supplementalGroups/;
    for (const name of ["base", "overlays/spiffe", "overlays/private-ca"]) {
      expect(JSON.stringify(render(`kubernetes/${name}`).pod), name).not.toMatch(ids);
    }
    const { pod } = render("kubernetes/overlays/kubernetes");
    const { login, workload } = containers(pod);
    expect(pod.securityContext.fsGroup).toBeGreaterThan(0);
    // The login's image has a user; the workload's would be root.
    expect([login, workload].map(({ securityContext }) => securityContext?.runAsUser)).toEqual([undefined, 1000]);
  });

  test("SPIFFE replaces only the service account token", () => {
    const { pod } = render("kubernetes/overlays/spiffe");
    const [ours, theirs] = [containers(base.pod).login, containers(pod).login];
    const identity = /^--(?:identity|token-file|spiffe-socket)=/;
    const rest = ({ args = [] }: Container) => args.filter((arg) => !identity.test(arg));
    expect(rest(theirs)).toEqual(rest(ours));
    expect(option(theirs, "identity")).toBe("spiffe");
    expect(pod.volumes.map(({ name }) => name)).not.toContain("quay-token");
    expect(pod.volumes).toContainEqual({
      name: "spiffe-workload-api",
      csi: { driver: "csi.spiffe.io", readOnly: true },
    });
    expect(containers(pod).workload).toEqual(containers(base.pod).workload);
  });

  test("a private authority is trusted by the login and by the workload", () => {
    const { pod, configMaps } = render("kubernetes/overlays/private-ca");
    const { login, workload } = containers(pod);
    expect(variable(containers(base.pod).login, "QUAY_CA_FILE")).toBe("");
    expect(dirname(variable(login, "QUAY_CA_FILE") ?? "")).toBe(mountOf(login, "quay-ca")?.mountPath);
    expect(variable(workload, "SSL_CERT_DIR")).toBe(mountOf(workload, "quay-ca")?.mountPath);
    expect(configMaps["quay-login"]).toEqual({ registry: "quay.example.com", "token-host": "", robot: "acme+keyless" });
  });

  test("the service account token is for Quay, as the login expects it", () => {
    const token = base.pod.volumes.find(({ name }) => name === "quay-token");
    const { login } = containers(base.pod);
    expect(token).toEqual({
      name: "quay-token",
      projected: {
        sources: [
          { serviceAccountToken: { audience: option(login, "audience"), expirationSeconds: 3600, path: "quay-token" } },
        ],
      },
    });
  });

  test("the selector finds the pods", () => {
    const deployment = base.documents.find(({ kind }) => kind === "Deployment") as {
      spec: { selector: { matchLabels: object }; template: { metadata: { labels: object } } };
    };
    expect(deployment.spec.template.metadata.labels).toEqual(deployment.spec.selector.matchLabels);
  });
});

test("the README names every variant, and the component that has none", () => {
  const readme = readFileSync("kubernetes/README.md", "utf8");
  for (const name of [...overlays.map((each) => `kubernetes/${each}`), "components/fixed-user"]) {
    expect(readme).toContain(name);
  }
});
