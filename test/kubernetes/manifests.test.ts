/** The manifests of `kubernetes/`, read as text: names that are there, confinement, and who sees which secret. */
import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { type Option, optionsOf } from "../../src/options.ts";
import { version } from "../../src/version.ts";
import { type Container, type PodSpec, render } from "./render.ts";

const image = `quay.io/quay-keyless-login/quay-keyless-login:${version}`;
const base = render("kubernetes/base");
const overlays = ["base", "overlays/kubernetes", "overlays/spiffe", "overlays/private-ca"];

/** Its two containers, which every variant has. */
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

test("these are all variants", () => {
  const found = globSync("kubernetes/{base,overlays/*}/kustomization.yaml").map(dirname);
  expect(found.sort()).toEqual(overlays.map((name) => `kubernetes/${name}`).sort());
});

describe.each(overlays)("%s", (name) => {
  const { pod, documents, configMaps } = render(`kubernetes/${name}`);
  const { login, workload } = containers(pod);
  const all = [...pod.initContainers, ...pod.containers];

  test("mounts volumes that are there, and has none that nobody mounts", () => {
    const mounted = new Set(all.flatMap(({ volumeMounts = [] }) => volumeMounts.map((mount) => mount.name)));
    expect([...mounted].sort()).toEqual(pod.volumes.map((volume) => volume.name).sort());
  });

  test("only the login sees the identity", () => {
    const identities = pod.volumes.filter(({ projected, csi }) => projected ?? csi);
    expect(identities).toHaveLength(1);
    for (const { name: volume } of identities) {
      expect(mountOf(login, volume)?.readOnly).toBe(true);
      expect(all.filter((container) => mountOf(container, volume))).toEqual([login]);
    }
    // Nor does any of them see the token for the Kubernetes API.
    expect(pod.automountServiceAccountToken).toBe(false);
    expect(documents.find(({ kind }) => kind === "ServiceAccount")).toMatchObject({
      metadata: { name: pod.serviceAccountName },
      automountServiceAccountToken: false,
    });
  });

  test("the identity is looked for where it is mounted", () => {
    const place = option(login, "token-file") ?? option(login, "spiffe-socket")?.replace("unix://", "");
    expect(login.volumeMounts?.map(({ mountPath }) => mountPath)).toContain(dirname(place ?? ""));
  });

  test("the workload finds the login where it is written, and can't change it", () => {
    const file = option(login, "auth-file") ?? "";
    expect(variable(workload, "REGISTRY_AUTH_FILE")).toBe(file);
    expect(mountOf(login, "quay-auth")).toEqual({ name: "quay-auth", mountPath: dirname(file) });
    expect(mountOf(workload, "quay-auth")).toEqual({ name: "quay-auth", mountPath: dirname(file), readOnly: true });
    expect(pod.volumes).toContainEqual({ name: "quay-auth", emptyDir: { medium: "Memory", sizeLimit: "1Mi" } });
    // Readable for the pod's group, for nobody else.
    expect(option(login, "auth-file-mode")).toBe("0640");
  });

  test("the login has options that the command line knows, each once, and variables that are set", () => {
    expect([login.command, login.args?.[0]]).toEqual([["quay-keyless-login"], "login"]);
    const names = login.args?.slice(1).map((arg) => /^--([a-z-]+)=./.exec(arg)?.[1] ?? arg) ?? [];
    const known = optionsOf("login").map((each: Option) => each.name);
    expect(names.filter((each) => !known.includes(each))).toEqual([]);
    expect(new Set(names).size).toBe(names.length);
    const used = login.args?.flatMap((arg) => [...arg.matchAll(/\$\((\w+)\)/g)].map(([, each]) => each)) ?? [];
    expect(used.sort()).toEqual(["QUAY_CA_FILE", "QUAY_REGISTRY", "QUAY_ROBOT"]);
    const set = new Map(login.env?.map((each) => [each.name, each]));
    expect(used.filter((each) => !set.has(each ?? ""))).toEqual([]);
    const references = [...set.values()].flatMap(({ valueFrom }) => valueFrom?.configMapKeyRef ?? []);
    expect(references.map(({ name: map, key }) => configMaps[map]?.[key])).toEqual([
      expect.stringMatching(/^quay\./),
      "acme+keyless",
    ]);
  });

  test("each container is confined as Pod Security's restricted wants it, and a bit more", () => {
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

  test("images have a tag that says which, ours this version's", () => {
    expect(login.image).toBe(image);
    expect(all.filter(({ image: each }) => !/:v?\d+\.\d+/.test(each))).toEqual([]);
  });

  test("each has somewhere to write: HOME and the temporary folder are volumes", () => {
    for (const container of [login, workload]) {
      expect(container.volumeMounts?.map(({ mountPath }) => mountPath)).toContain("/tmp");
      expect(variable(container, "HOME")).toBe("/tmp");
    }
    // The login's temporary files, which hold the robot token, are not the workload's to see.
    const folders = [login, workload].map(({ volumeMounts }) =>
      volumeMounts?.find(({ mountPath }) => mountPath === "/tmp"),
    );
    expect(folders[0]?.name).not.toBe(folders[1]?.name);
  });
});

describe("the variants", () => {
  test("leave users and groups to OpenShift, but for the one that is not for it", () => {
    const ids = /runAs(?:User|Group)|fsGroup|supplementalGroups/;
    for (const name of ["base", "overlays/spiffe", "overlays/private-ca"]) {
      expect(JSON.stringify(render(`kubernetes/${name}`).pod), name).not.toMatch(ids);
    }
    const { pod } = render("kubernetes/overlays/kubernetes");
    const { login, workload } = containers(pod);
    expect(pod.securityContext.fsGroup).toBeGreaterThan(0);
    // The login's image has a user of its own; the workload's would be root.
    expect([login, workload].map(({ securityContext }) => securityContext?.runAsUser)).toEqual([undefined, 1000]);
  });

  test("SPIFFE takes the place of the service account token and of nothing else", () => {
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

  test("a private authority is known to the login and to the workload", () => {
    const { pod, configMaps } = render("kubernetes/overlays/private-ca");
    const { login, workload } = containers(pod);
    expect(variable(containers(base.pod).login, "QUAY_CA_FILE")).toBe("");
    expect(dirname(variable(login, "QUAY_CA_FILE") ?? "")).toBe(mountOf(login, "quay-ca")?.mountPath);
    expect(variable(workload, "SSL_CERT_DIR")).toBe(mountOf(workload, "quay-ca")?.mountPath);
    expect(configMaps["quay-login"]).toEqual({ registry: "quay.example.com", robot: "acme+keyless" });
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

test("the README names every variant and component, and its links lead somewhere", () => {
  const readme = readFileSync("kubernetes/README.md", "utf8");
  for (const name of [...overlays.map((each) => `kubernetes/${each}`), "components/fixed-user"]) {
    expect(readme).toContain(name);
  }
  for (const [, target = ""] of readme.matchAll(/\]\((?!https?:)([^)#]*)/g)) {
    expect(existsSync(join("kubernetes", target)), target).toBe(true);
  }
});
