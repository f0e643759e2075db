/** `credential-helper: true`: later steps' tools ask a program of the job, no file holds a login, and post takes all of it back. */
import { chmod, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "vitest";
import { hang } from "../quay-stand-in/scripted.ts";
import { createJob } from "../support/action.ts";
import { writeImage } from "../support/image.ts";
import type { Job, Main } from "../support/job.ts";
import { differences } from "../support/leaks.ts";
import { authsIn, digestIn, entryOf, failure, newRobot, of, until, usePeers } from "./world.ts";

const peers = usePeers();
const helperIn = async (path: string) => JSON.parse(await readFile(path, "utf8")).credHelpers ?? {};
const docker = (job: Job) => join(job.home, ".docker/config.json");
/** What every step has, and `later` leaves out. */
const withToken = () => peers().githubEnv;
const wanted = { "credential-helper": "true" };
const exchanges = (name: string) =>
  peers().quay.requests.filter(({ user, path }) => user === name && path === "/oauth2/federation/robot/token").length;

describe.concurrent("with a credential helper", () => {
  test("later steps push and pull, and the first exchange is the only one", async ({ expect }) => {
    const robot = newRobot(peers());
    const job = await createJob({ peers: peers() });
    await job.write(docker(job), `{ "auths": {"ghcr.io": {"auth": "eDp5"}}, "credsStore": "desktop" }\n`, 0o640);
    const before = await job.snapshot();
    const main = await job.run({
      robot: robot.name,
      audience: robot.audience,
      access: `${robot.repository}:push`,
      ...wanted,
    });
    expect(main).toMatchObject({ code: 0, annotations: [] });
    const session = main.state.session ?? "";
    const host = peers().registryHost;
    const name = (await helperIn(docker(job)))[host];
    expect(name).toMatch(/^quay-keyless-[0-9a-f]{12}$/);
    expect(await helperIn(join(session, "auth.json"))).toEqual({ [host]: name });
    expect(Object.keys(await authsIn(join(session, "auth.json")))).toEqual(["ghcr.io"]);
    expect(main.path).toEqual([session]);
    expect(main.children).toEqual([]);
    expect(main.outputs).toMatchObject({
      "logged-in": "true",
      robot: robot.name,
      "auth-file": join(session, "auth.json"),
    });
    expect(main.summary).toContain("### Credential helper for ");
    expect(main.shown).toContain("from a credential helper");
    for (const file of ["config.json", "cache.json", "ca.pem"]) {
      expect((await stat(join(session, file))).mode & 0o777).toBe(0o600);
    }

    const image = await writeImage(join(job.scratch, "image"));
    const there = `docker://${host}/${robot.repository}:v1`;
    const back = `oci:${job.scratch}/back:v1`;
    const env = withToken();
    expect(await job.later("skopeo", ["copy", image.reference, there], env)).toMatchObject({ code: 0, stderr: "" });
    const fromDocker = ["copy", "--src-authfile", docker(job), there, back];
    expect(await job.later("skopeo", fromDocker, env)).toMatchObject({ code: 0, stderr: "" });
    expect(await digestIn(join(job.scratch, "back"))).toBe(image.digest);
    expect(exchanges(robot.name)).toBe(1);

    const post = await main.post();
    expect(post).toMatchObject({ code: 0, annotations: [] });
    expect(post.shown).toContain(`Removed the credential helper for ${host}.`);
    expect(differences(before, await job.snapshot())).toEqual([]);
    const refused = await job.later("skopeo", ["copy", "--src-cert-dir", peers().certDir, there, back], env);
    expect(refused.stderr).toContain("unauthorized");
  });

  test("an older token is exchanged anew, by the runner's own Node where PATH has none", async ({ expect }) => {
    const robot = newRobot(peers());
    const job = await createJob({ peers: peers() });
    const main = await job.run({ robot: robot.name, audience: robot.audience, ...wanted });
    await rm(join(main.state.session ?? "", "cache.json"));
    const name = (await helperIn(docker(job)))[peers().registryHost];
    const script = `echo ${peers().registryHost} | /bin/sh "$(command -v docker-credential-${name})" get`;
    const env = { ...withToken(), PATH: `${main.path[0]}:/bin` };
    const asked = await job.later("/bin/sh", ["-c", script], env);
    expect([asked.code, asked.stderr]).toEqual([0, ""]);
    expect(JSON.parse(asked.stdout)).toMatchObject({ Username: robot.name });
    expect(exchanges(robot.name)).toBe(2);
    await main.post();
  });

  test("variables of a step do not redirect it", async ({ expect }) => {
    const robot = newRobot(peers());
    const job = await createJob({ peers: peers() });
    const main = await job.run({ robot: robot.name, audience: robot.audience, ...wanted });
    await rm(join(main.state.session ?? "", "cache.json"));
    const name = (await helperIn(docker(job)))[peers().registryHost];
    const evil = { QUAY_KEYLESS_REGISTRY: "evil.example", QUAY_KEYLESS_ROBOT: "evil+robot", XDG_CONFIG_HOME: "/evil" };
    const script = `echo ${peers().registryHost} | docker-credential-${name} get`;
    const asked = await job.later("/bin/sh", ["-c", script], { ...withToken(), ...evil });
    expect(JSON.parse(asked.stdout)).toMatchObject({ Username: robot.name });
    await main.post();
  });

  test("keeps the source that the step found, whatever a later step sets", async ({ expect }) => {
    const robot = newRobot(peers());
    const env = { QUAY_ID_TOKEN: await peers().issuer.sign({ aud: robot.audience }) };
    const job = await createJob({ peers: peers(), idToken: false, env, tolerateLeaks: true });
    const main = await job.run({ robot: robot.name, audience: robot.audience, ...wanted });
    expect(main).toMatchObject({ code: 0 });
    const { registries } = JSON.parse(await readFile(join(main.state.session ?? "", "config.json"), "utf8"));
    expect(registries[peers().registryHost]).toMatchObject({ identity: "environment", "token-env": "QUAY_ID_TOKEN" });
    const name = (await helperIn(docker(job)))[peers().registryHost];
    const script = `echo ${peers().registryHost} | docker-credential-${name} get`;
    const asked = await job.later("/bin/sh", ["-c", script], { SPIFFE_ENDPOINT_SOCKET: "tcp://127.0.0.1:9" });
    expect([asked.code, asked.stderr, exchanges(robot.name)]).toEqual([0, "", 1]);
    await main.post();
  });

  test("works in folders whose names a shell would split", async ({ expect }) => {
    const robot = newRobot(peers());
    const job = await createJob({ peers: peers(), env: {} });
    const temp = join(job.temp, 'it\'s a "$HOME" `id`');
    await job.write(join(temp, "x"), "");
    const odd = await createJob({ peers: peers(), env: { RUNNER_TEMP: temp } });
    const main = await odd.run({ robot: robot.name, audience: robot.audience, ...wanted });
    expect(main).toMatchObject({ code: 0 });
    const name = (await helperIn(docker(odd)))[peers().registryHost];
    const script = `echo ${peers().registryHost} | docker-credential-${name} get`;
    const asked = await odd.later("/bin/sh", ["-c", script], withToken());
    expect(JSON.parse(asked.stdout)).toMatchObject({ Username: robot.name });
    expect(await main.post()).toMatchObject({ code: 0 });
  });

  test("steps for two registries, and a login for a third, each find their own", async ({ expect }) => {
    const [robot, other] = [newRobot(peers()), newRobot(peers())];
    const job = await createJob({ peers: peers() });
    const before = await job.snapshot();
    const mains: Main[] = [];
    mains.push(await job.run({ robot: robot.name, audience: robot.audience, ...wanted }));
    const alias = peers().registryHost.replace("localhost", "127.0.0.1");
    const login = await job.run({
      robot: other.name,
      audience: other.audience,
      registry: alias,
      tool: "skopeo",
      "token-host": peers().registryHost,
    });
    expect(login).toMatchObject({ code: 0 });
    mains.push(login);
    const [file] = [mains[0]?.outputs["auth-file"] ?? ""];
    expect(login.outputs["auth-file"]).toBe(file);
    expect(Object.keys(await authsIn(file))).toEqual([alias]);
    expect(Object.keys(await helperIn(file))).toEqual([peers().registryHost]);
    const image = await writeImage(join(job.scratch, "image"));
    const push = (host: string, repository: string) =>
      job.later("skopeo", ["copy", image.reference, `docker://${host}/${repository}:v1`], withToken());
    expect(await push(peers().registryHost, robot.repository)).toMatchObject({ code: 0 });
    expect(await push(alias, other.repository)).toMatchObject({ code: 0 });
    for (const main of mains.toReversed()) expect(await main.post()).toMatchObject({ code: 0, annotations: [] });
    expect(differences(before, await job.snapshot())).toEqual([]);
  });

  test("a second step for the same registry is refused, and a login too", async ({ expect }) => {
    const robot = newRobot(peers());
    const job = await createJob({ peers: peers() });
    const main = await job.run({ robot: robot.name, audience: robot.audience, ...wanted });
    const file = await readFile(main.outputs["auth-file"] ?? "", "utf8");
    for (const inputs of [wanted, {}]) {
      const second = await job.run({ robot: robot.name, audience: robot.audience, ...inputs });
      expect(second.code).toBe(1);
      const text = second.annotations.map(({ message }) => message).join("\n");
      expect(text).toContain("#credential-helper");
      expect(text).toContain("leave one of the two steps out");
      expect(second.annotations.map(({ level }) => level)).toEqual(["error"]);
    }
    expect(await readFile(main.outputs["auth-file"] ?? "", "utf8")).toBe(file);
    await main.post();
  });

  test("a login of the registry takes a file of its own", async ({ expect }) => {
    const robot = newRobot(peers());
    const job = await createJob({ peers: peers() });
    const before = await job.snapshot();
    const helper = await job.run({ robot: robot.name, audience: robot.audience, ...wanted });
    const path = join(job.temp, "mine.json");
    const inputs = { robot: robot.name, audience: robot.audience, "auth-file": path, "docker-config": "false" };
    const login = await job.run(inputs);
    expect(login).toMatchObject({ code: 0, annotations: [] });
    expect(Object.keys(await authsIn(path))).toEqual([peers().registryHost]);
    await login.post();
    await helper.post();
    expect(differences(before, await job.snapshot())).toEqual([]);
  });
});

describe.concurrent("fails before anything is changed:", () => {
  test("a temporary folder that can't be on PATH", async ({ expect }) => {
    const job = await createJob({ peers: peers() });
    const temp = join(job.temp, "a:b");
    await job.write(join(temp, "x"), "");
    const odd = await createJob({ peers: peers(), env: { RUNNER_TEMP: temp } });
    const text = failure(expect, await odd.run({ robot: "acme+ci", ...wanted }), "credential-helper");
    expect(text).toContain("no tool would find the credential helper");
    expect(await readdir(temp)).toEqual(["x"]);
  });

  test.for([
    ["refresh", "true", "there is nothing to renew"],
    ["logout", "false", "does not outlast the job"],
    ["auth-file-mode", "0640", "another user can't run"],
    ["tool", "skopeo", "no tool logs in"],
    ["tool", "docker", "docker-config: true"],
    ["robot", "acme+one\nacme+two", "which has one robot"],
    ["robot", "acme=acme+one", "scope"],
  ] as const)("%s: %s", async ([name, value, message], { expect }) => {
    const job = await createJob({ peers: peers() });
    const before = await job.snapshot();
    const main = await job.run({ robot: "acme+ci", ...wanted, [name]: value });
    const text = failure(expect, main, "invalid-input");
    expect(text).toContain(message);
    expect(differences(before, await job.snapshot())).toEqual([]);
    expect(await main.post()).toMatchObject({ code: 0 });
  });

  test("a login of an organization, which the tools would not read any more", async ({ expect }) => {
    const job = await createJob({ peers: peers() });
    const file = join(job.home, ".config/containers/auth.json");
    await job.write(file, JSON.stringify({ auths: { [`${peers().registryHost}/acme`]: entryOf("me", "a-password") } }));
    const before = await job.snapshot();
    const text = failure(expect, await job.run({ robot: newRobot(peers()).name, ...wanted }), "credential-helper");
    expect(text).toContain(`skopeo logout --authfile ${file} ${peers().registryHost}/acme`);
    expect(differences(before, await job.snapshot())).toEqual([]);
  });

  test("a robot that does not trust the job: the explanation is in this step", async ({ expect }) => {
    const robot = newRobot(peers(), []);
    const job = await createJob({ peers: peers() });
    const before = await job.snapshot();
    const main = await job.run({ robot: robot.name, audience: robot.audience, ...wanted });
    expect(main.code).toBe(1);
    expect(main.path).toEqual([]);
    expect(differences(before, await job.snapshot())).toEqual([]);
  });

  test("a runner whose file for PATH can't be written: nothing stays", async ({ expect }) => {
    const robot = newRobot(peers());
    const job = await createJob({ peers: peers(), unwritable: ["PATH"] });
    const before = await job.snapshot();
    const main = await job.run({ robot: robot.name, audience: robot.audience, ...wanted });
    expect(main.code).toBe(1);
    expect(main.annotations[0]?.message).toContain("GITHUB_PATH");
    expect(differences(before, await job.snapshot())).toEqual([]);
  });
});

test("a fork's pull request continues without one, as with a login", async ({ expect }) => {
  const event = {
    pull_request: { head: { repo: { fork: true, full_name: "x/app" } }, base: { repo: { full_name: "acme/app" } } },
  };
  const env = { GITHUB_EVENT_NAME: "pull_request" };
  const job = await createJob({ peers: peers(), idToken: false, event, env });
  const before = await job.snapshot();
  const main = await job.run({ robot: "acme+ci", "without-identity": "skip", ...wanted });
  expect([main.code, main.outputs["logged-in"], main.path, main.exported]).toEqual([0, "false", [], {}]);
  expect(differences(before, await job.snapshot())).toEqual([]);
});

describe.concurrent("jobs with one home", () => {
  const two = async () => {
    const home = await createJob({ peers: peers(), tolerateLeaks: true });
    const job = () => createJob({ peers: peers(), tolerateLeaks: true, env: { HOME: home.home } });
    return { home, killed: await job(), next: await job() };
  };

  test.for([
    ["a helper", { ...wanted, "docker-config": "true" }],
    ["a login", { "docker-config": "true" }],
  ] as const)("%s takes the place of one whose job was killed", async ([, inputs], { expect }) => {
    const { home, killed, next } = await two();
    await home.write(docker(home), `{"auths": {"ghcr.io": {"auth": "eDp5"}}}`);
    const given = await home.snapshot();
    const robot = newRobot(peers());
    const lost = await killed.run({ robot: robot.name, audience: robot.audience, ...wanted });
    await rm(lost.state.session ?? "", { recursive: true }); // as a runner does before its next job
    const main = await next.run({ robot: robot.name, audience: robot.audience, ...inputs });
    expect(main).toMatchObject({ code: 0, annotations: [] });
    expect(main.shown).toContain("of a job that is over");
    const image = `docker://${peers().registryHost}/${robot.repository}:v1`;
    const { reference } = await writeImage(join(next.scratch, "image"));
    const copy = ["copy", "--authfile", docker(home), reference, image];
    expect(await next.later("skopeo", copy, withToken())).toMatchObject({ code: 0, stderr: "" });
    await main.post();
    // The roots of a job that was killed stay, as with a login.
    const changed = differences(given, await home.snapshot()).filter((line) => !line.includes("/.config"));
    expect(changed.filter((line) => !line.includes("config.json"))).toEqual([]);
    expect(JSON.parse(await readFile(docker(home), "utf8"))).toEqual({ auths: { "ghcr.io": { auth: "eDp5" } } });
  });

  test("one that still runs stays; the other is refused with what is true", async ({ expect }) => {
    const { home, killed: first, next } = await two();
    const robot = newRobot(peers());
    const main = await first.run({ robot: robot.name, audience: robot.audience, ...wanted });
    const second = await next.run({ robot: robot.name, audience: robot.audience, ...wanted, "docker-config": "true" });
    expect(second.code).toBe(1);
    const text = second.annotations.map(({ message }) => message).join("\n");
    expect(text).toContain("of this job or of another one");
    expect(text).toContain(`rm -r ${main.state.session}`);
    expect(text).not.toContain("quay-keyless-login configure");
    const post = await main.post();
    expect(post.shown).toContain("Removed the credential helper");
    expect(await readdir(home.home)).not.toContain(".docker");
  });
});

describe.concurrent("post", () => {
  test("deletes the robot token where a later step has opened the folder", async ({ expect }) => {
    const robot = newRobot(peers());
    const job = await createJob({ peers: peers(), tolerateLeaks: true });
    const before = await job.snapshot();
    const main = await job.run({ robot: robot.name, audience: robot.audience, ...wanted });
    const session = main.state.session ?? "";
    for (const name of await readdir(session)) await chmod(join(session, name), 0o777);
    await chmod(session, 0o777);
    const post = await main.post();
    expect(post.code).toBe(1);
    expect(post.annotations.map(({ message }) => message).join("\n")).toContain("is not trusted");
    expect(post.shown).not.toContain("Nothing was changed");
    expect(post.shown).not.toContain("emptied?");
    expect(differences(before, await job.snapshot())).toEqual([]);
  });

  test("says which file did not name the helper any more", async ({ expect }) => {
    const robot = newRobot(peers());
    const job = await createJob({ peers: peers() });
    const main = await job.run({ robot: robot.name, audience: robot.audience, ...wanted });
    await job.write(docker(job), `{"credHelpers": {"${peers().registryHost}": "pass"}}`);
    const post = await main.post();
    expect(post).toMatchObject({ code: 0, annotations: [] });
    expect(post.shown).toContain(`${docker(job)} did not name it any more.`);
    expect(await helperIn(docker(job))).toEqual({ [peers().registryHost]: "pass" });
  });

  test("removes the helper if the session's folder is gone", async ({ expect }) => {
    const robot = newRobot(peers());
    const job = await createJob({ peers: peers() });
    await job.write(docker(job), `{"credHelpers": {"ecr.example": "ecr-login"}}`);
    const main = await job.run({ robot: robot.name, audience: robot.audience, ...wanted });
    await rm(main.state.session ?? "", { recursive: true });
    const post = await main.post();
    expect(await helperIn(docker(job))).toEqual({ "ecr.example": "ecr-login" });
    expect(post.shown).toContain("The record of the login is gone");
    expect(post.shown).toContain("Removed the credential helper");
  });

  test("deletes the robot token even where an entry can't be removed", async ({ expect }) => {
    const robot = newRobot(peers());
    const job = await createJob({ peers: peers(), tolerateLeaks: true });
    const main = await job.run({ robot: robot.name, audience: robot.audience, ...wanted });
    await writeFile(docker(job), "{");
    const post = await main.post();
    expect(post.code).toBe(1);
    expect(await readdir(main.state.session ?? "")).not.toContain("cache.json");
    await chmod(docker(job), 0o600);
  });

  test.for(["SIGTERM", "SIGKILL"] as const)(
    "undoes a step that ends by %s during the check",
    async (signal, { expect }) => {
      const robot = newRobot(peers());
      const job = await createJob({ peers: peers() });
      const before = await job.snapshot();
      peers().quay.authScript.always(hang(), of(robot));
      const running = await job.start({ robot: robot.name, audience: robot.audience, ...wanted });
      await until(
        () => peers().quay.requests.some(({ user, path }) => user === robot.name && path === "/v2/auth"),
        "check",
      );
      running.kill(signal);
      await (await running.done).post();
      expect(differences(before, await job.snapshot())).toEqual([]);
    },
  );
});
