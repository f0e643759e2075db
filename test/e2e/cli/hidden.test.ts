/** With DOCKER_CONFIG set, skopeo uses an older login elsewhere: `login` and `status` say so. */
import { dirname, join } from "node:path";
import { describe, test } from "vitest";
import { entryOf } from "../world.ts";
import { failed, machineWithToken, newRobot, quayOf, useWorld } from "./world.ts";

const peers = useWorld({ registry: false });

const olderPlaces = ["runtime", "configuration"] as const;
const olderKeys: [string, (host: string) => string][] = [
  ["the host", (host) => host],
  ["the organization", (host) => `${host}/acme`],
];

async function prepare(place: (typeof olderPlaces)[number], key: (host: string) => string) {
  const robot = newRobot(peers());
  const machine = await machineWithToken(peers());
  const host = peers().registryHost;
  const path = place === "runtime" ? machine.usualFile : join(machine.home, ".config/containers/auth.json");
  const user = `older-${robot.name.replace(/\W/g, "-")}`;
  await machine.write(path, JSON.stringify({ auths: { [key(host)]: entryOf(user, "an-older-password") } }));
  const docker = join(machine.home, "docker/config.json");
  const env = { DOCKER_CONFIG: dirname(docker) };
  const login = ["login", ...quayOf(peers()), "--robot", robot.name, "--token-file", machine.tokenFile];
  const status = ["status", "--registry", host];
  /** The user that skopeo logs in as. */
  const skopeoUser = async (more: Record<string, string> = {}) => {
    const args = ["inspect", "--cert-dir", peers().certDir, `docker://${host}/${robot.repository}`];
    const from = peers().quay.requests.length;
    await machine.other("skopeo", args, { env: { ...env, ...more } });
    const asked = peers()
      .quay.requests.slice(from)
      .map((request) => request.user ?? "");
    return asked.find((each) => [user, robot.name].includes(each));
  };
  return { robot, machine, path, user, docker, env, login, status, skopeoUser };
}

describe.concurrent.for(olderPlaces)("an older login in the user's %s folder", (place) => {
  test.for(olderKeys)("for %s", async ([, key], { expect }) => {
    const { robot, machine, path, user, docker, env, login, status, skopeoUser } = await prepare(place, key);
    // No request is made.
    const before = peers().quay.requests.filter((request) => request.user === robot.name).length;
    const refused = await machine.run([...login, "--tool", "skopeo"], { env });
    const host = peers().registryHost;
    const stderr = failed(expect, refused, 1, "login-hidden");
    expect(stderr).toContain(`skopeo logout --authfile ${path} ${key(host)}`);
    expect(stderr).toContain(`export REGISTRY_AUTH_FILE=${docker}`);
    expect(peers().quay.requests.filter((request) => request.user === robot.name)).toHaveLength(before);

    // buildah reads what DOCKER_CONFIG names; skopeo behaves as the error says.
    expect(await machine.run([...login, "--tool", "buildah"], { env })).toMatchObject({ code: 0 });
    expect(await skopeoUser()).toBe(user);
    failed(expect, await machine.run(status, { env }), 1, "login-hidden");

    // Each of the two remedies works.
    const named = { ...env, REGISTRY_AUTH_FILE: docker };
    expect(await machine.run(status, { env: named })).toMatchObject({ code: 0 });
    expect(await skopeoUser(named)).toBe(robot.name);
    expect(await machine.other("skopeo", ["logout", "--authfile", path, key(host)], {})).toMatchObject({ code: 0 });
    expect(await machine.run([...login, "--tool", "skopeo"], { env })).toMatchObject({ code: 0 });
    expect(await machine.run(status, { env })).toMatchObject({ code: 0 });
    expect(await skopeoUser()).toBe(robot.name);
  });
});

test.for<[string, object]>([
  ["another registry", { auths: { "registry.example.com": entryOf("other", "another-password") } }],
  ["nothing", {}],
])("an older login for %s hides nothing", async ([, content], { expect }) => {
  const { robot, machine, env, login, status, skopeoUser, path } = await prepare("runtime", (host) => host);
  await machine.write(path, JSON.stringify(content));
  expect(await machine.run(login, { env })).toMatchObject({ code: 0 });
  expect(await machine.run(status, { env })).toMatchObject({ code: 0 });
  expect(await skopeoUser()).toBe(robot.name);
});
