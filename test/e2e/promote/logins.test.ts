/** `promote`: the logins of the two endpoints, and the errors if a robot lacks a permission. */
import { readFile, writeFile } from "node:fs/promises";
import type { IncomingMessage } from "node:http";
import { join } from "node:path";
import { describe, test } from "vitest";
import { SUBJECT } from "../../quay-stand-in/issuer.ts";
import { startQuay } from "../../quay-stand-in/quay/server.ts";
import { addRobot } from "../../quay-stand-in/quay/store.ts";
import { answer } from "../../quay-stand-in/scripted.ts";
import { makeImage, makeTwoPlatforms } from "../../support/images.ts";
import { differences } from "../../support/leaks.ts";
import { addPlace, bindRobot } from "../../support/promotion.ts";
import { arrived, newScenario, refused, type Scenario, succeeded, usePromotionWorld, writesTo } from "./world.ts";

const world = usePromotionWorld();
const made = makeTwoPlatforms("sides made");

/** Exchanges and bearer tokens, by robot. */
const askedBy = ({ from, to }: Scenario, robot: string) =>
  [...new Set([from.side, to.side])].flatMap(({ quay }) => quay.requests.filter(({ user }) => user === robot));
const exchangesOf = (scenario: Scenario, robot: string) =>
  askedBy(scenario, robot).filter(({ path }) => path.startsWith("/oauth2")).length;

async function withImage(options: Parameters<typeof newScenario>[1] = {}): Promise<Scenario> {
  const scenario = await newScenario(world(), options);
  await scenario.from.side.push(scenario.from.repository, made);
  return scenario;
}

/** Options with this robot as both. */
const withRobots = (args: readonly string[], source: string, destination: string): string[] =>
  args.map((arg, index) =>
    args[index - 1] === "--source-robot" ? source : args[index - 1] === "--destination-robot" ? destination : arg,
  );

describe.concurrent("two endpoints", { timeout: 60_000 }, () => {
  test("two Quays: each robot logs in to its own only", async ({ expect }) => {
    const scenario = await withImage();
    const { from, to } = scenario;
    succeeded(expect, await scenario.promote(scenario.args(made, "1.0")));
    await arrived(expect, to, made, "1.0");
    const users = (side: typeof from.side) => new Set(side.quay.requests.map(({ user }) => user));
    expect([users(from.side).has(to.robot), users(to.side).has(from.robot)]).toEqual([false, false]);
    expect([exchangesOf(scenario, from.robot), exchangesOf(scenario, to.robot)]).toEqual([1, 1]);
  });

  test("two robots of one host, each with its own permissions only", async ({ expect }) => {
    const scenario = await withImage({ to: world().staging });
    const { from, to } = scenario;
    succeeded(expect, await scenario.promote(scenario.args(made, "1.0")));
    await arrived(expect, to, made, "1.0");
    expect([exchangesOf(scenario, from.robot), exchangesOf(scenario, to.robot)]).toEqual([1, 1]);
    const users = new Set(writesTo(to).map(({ user }) => user));
    expect([...users]).toEqual([to.robot]);
  });

  test("a credential helper of the machine with another login is not asked", async ({ expect }) => {
    const scenario = await withImage();
    const { machine, to } = scenario;
    const log = join(machine.scratch, "helper.asked");
    const script = `#!/bin/sh\necho "$1" >>'${log}'\necho '{"ServerURL":"","Username":"somebody","Secret":"else"}'\n`;
    await writeFile(join(machine.scratch, "tools/docker-credential-fake"), script, { mode: 0o755 });
    const settings = join(machine.home, ".config/containers/registries.conf");
    await machine.write(settings, `credential-helpers = ["fake", "containers-auth.json"]\n`);
    for (const [path, entry] of await machine.snapshot()) scenario.before.set(path, entry);
    succeeded(expect, await scenario.promote(scenario.args(made, "1.0")));
    await arrived(expect, to, made, "1.0");
    await expect(readFile(log)).rejects.toThrow("ENOENT");
  });
  for (const name of ["source", "destination"] as const) {
    test(`the ${name} by another name: no token is sent there without its option`, async ({ expect }) => {
      const scenario = await withImage();
      const { from, to } = scenario;
      const { host } = (name === "source" ? from : to).side;
      const args = scenario.args(made, "1.0").map((arg) => arg.replace(host, host.replace("localhost", "127.0.0.1")));
      const message = refused(expect, await scenario.promote(args), "realm-refused");
      expect(message).toContain(`The login to the ${name} failed.`);
      const [option = ""] = /--\S+-token-host \S+/.exec(message) ?? [];
      expect(option).toBe(`--${name}-token-host ${host}`);
      succeeded(expect, await scenario.promote([...args, ...option.split(" ")]));
      await arrived(expect, to, made, "1.0");
    });

    test(`the ${name}'s registry redirects, or names another host: no robot token is sent`, async ({ expect }) => {
      const { peers } = world();
      const other = await startQuay(peers.authority);
      const scenario = await withImage();
      const { quay } = (name === "source" ? scenario.from : scenario.to).side;
      const isPing = ({ url, headers }: IncomingMessage) => url === "/v2/" && !headers.authorization;
      for (const given of [
        answer(307, "", { location: `${other.url}/v2/` }),
        answer(401, "", { "www-authenticate": `Bearer realm="${other.url}/v2/auth",service="x"` }),
        answer(401, "", { "www-authenticate": `Bearer realm="${other.httpUrl}/v2/auth",service="x"` }),
      ]) {
        // Requests of other tests arrive at the same time.
        const own = await startQuay(peers.authority);
        addRobot(own.store, scenario.from.robot, [{ issuer: peers.issuer.url, subject: SUBJECT }]);
        addRobot(own.store, scenario.to.robot, [{ issuer: peers.issuer.url, subject: SUBJECT }]);
        own.registryScript.always(given, isPing);
        const args = scenario.args(made, "1.0").map((arg) => arg.replace(quay.host, own.host));
        refused(expect, await scenario.promote(args), "realm-refused");
        expect(own.requests.filter(({ path, scheme }) => path.startsWith("/v2") && scheme)).toEqual([]);
        await own.close();
      }
      expect(other.requests).toEqual([]);
      await other.close();
    });
  }

  test("one robot for both endpoints of one host logs in once", async ({ expect }) => {
    const scenario = await withImage({ to: world().staging });
    const { from, to } = scenario;
    addPlace(world(), from.side, from.repository, { robots: { [to.robot]: "read" } });
    const args = withRobots(scenario.args(made, "1.0"), to.robot, to.robot);
    succeeded(expect, await scenario.promote(args));
    await arrived(expect, to, made, "1.0");
    expect(exchangesOf(scenario, to.robot)).toBe(1);
  });

  test("more tags in the source's own repository: nothing is copied", async ({ expect }) => {
    const scenario = await withImage({ within: true });
    const { to } = scenario;
    const ran = succeeded(expect, await scenario.promote(scenario.args(made, "1.0", "latest")));
    await arrived(expect, to, made, "1.0", "latest");
    expect(ran.promotions).toMatchObject([{ tags: [{ state: "new" }, { state: "new" }], changed: true, bytes: 0 }]);
    expect(ran.children.filter(({ argv }) => argv.includes("copy"))).toEqual([]);
    const paths = writesTo(to).map(({ method, path }) => `${method} ${path}`);
    expect(paths).toEqual(["1.0", "latest"].map((tag) => `PUT /v2/${to.repository}/manifests/${tag}`));
    expect(succeeded(expect, await scenario.promote(scenario.args(made, "1.0"))).promotions[0]?.changed).toBe(false);
  });

  test("a public source needs no robot", async ({ expect }) => {
    const scenario = await withImage({ isPublic: true });
    const { from, to } = scenario;
    succeeded(expect, await scenario.promote(scenario.args(made, "1.0")));
    await arrived(expect, to, made, "1.0");
    const bearers = from.side.asked.filter(({ query }) => query.get("scope")?.includes(`:${from.repository}:`));
    expect([bearers.length > 0, bearers.every(({ user }) => user === undefined)]).toEqual([true, true]);
  });

  test("a public source's bearer token is not treated as a secret, and results are unchanged", async ({ expect }) => {
    const scenario = await withImage({ isPublic: true });
    const { from } = scenario;
    from.side.quay.authScript.always(answer(200, { token: "e" }), ({ url = "" }) =>
      url.includes(encodeURIComponent(`:${from.repository}:`)),
    );
    const ran = await scenario.promote(scenario.args(made, "1.0"));
    // This registry rejects such a bearer token; the text is whole even so.
    const { promotions } = JSON.parse(ran.stdout);
    expect(promotions[0]).toMatchObject({
      destination: expect.stringMatching(/^localhost:\d+\//),
      error: { code: "access-missing" },
    });
    expect(ran.stdout + ran.stderr).not.toContain("***");
  });

  test("a public source on the destination's host: its robot's login is not used for it", async ({ expect }) => {
    const scenario = await withImage({ isPublic: true, to: world().staging });
    const { from, to } = scenario;
    succeeded(expect, await scenario.promote(scenario.args(made, "1.0")));
    await arrived(expect, to, made, "1.0");
    const reads = from.side.asked.filter(({ path }) => path.startsWith(`/v2/${from.repository}/`));
    expect(new Set(reads.map(({ user }) => user))).toEqual(new Set([undefined]));
  });

  test("the user's own logins for these hosts are neither used nor changed", async ({ expect }) => {
    const scenario = await withImage();
    const { from, to, machine } = scenario;
    const auth = Buffer.from("somebody:a-wrong-password").toString("base64");
    const auths = { [from.side.host]: { auth }, [to.side.host]: { auth } };
    const { machine: another, ...rest } = await newScenario(world(), { from: from.side, to: to.side });
    await another.write(another.usualFile, JSON.stringify({ auths }));
    await rest.from.side.push(rest.from.repository, made);
    succeeded(expect, await another.run(["promote", ...rest.args(made, "1.0")]));
    await arrived(expect, rest.to, made, "1.0");
    expect((await another.snapshot()).get(another.usualFile)?.content).toBe(JSON.stringify({ auths }));
    expect((await machine.snapshot()).has(machine.usualFile)).toBe(false);
  });

  test("repositories of the same name on two Quays are different", async ({ expect }) => {
    const scenario = await withImage();
    const { from, to } = scenario;
    const { repository } = from;
    addPlace(world(), to.side, repository, { robots: { [to.robot]: "write" } });
    const destination = `${to.side.host}/${repository}`;
    const args = scenario.args(made, "1.0").map((arg) => (arg === to.path ? destination : arg));
    succeeded(expect, await scenario.promote(args));
    await arrived(expect, { ...to, repository, path: destination }, made, "1.0");
  });

  test("as a user who is not root", async ({ expect }) => {
    const scenario = await withImage({ uid: 1234 });
    const { to, machine } = scenario;
    const ca = await machine.write(join(machine.scratch, "ca.pem"), world().peers.authority.ca, 0o644);
    const args = scenario.args(made, "1.0").map((arg) => (arg === world().peers.caFile ? ca : arg));
    // skopeo keeps a list of known blobs there.
    const ran = await machine.run(["promote", ...args], { env: { XDG_DATA_HOME: join(machine.scratch, "storage") } });
    succeeded(expect, ran);
    await arrived(expect, to, made, "1.0");
    expect(differences(scenario.before, await machine.snapshot())).toEqual([]);
  });

  test("prints messages to standard error and results to standard output", async ({ expect }) => {
    const scenario = await withImage();
    const { to } = scenario;
    const args = scenario.args(made, "1.0").map((arg) => (arg === "json" ? "text" : arg));
    const ran = succeeded(expect, await scenario.promote(args));
    for (const part of [to.path, "1.0", made.digest, "new"]) expect(ran.stdout).toContain(part);
  });
});

describe.concurrent("a missing permission", { timeout: 60_000 }, () => {
  /** Nothing was changed, and the error names endpoint, robot, repository and permission. */
  async function may(
    expect: Parameters<typeof refused>[0],
    scenario: Scenario,
    code: string,
    parts: readonly (string | RegExp)[],
    args = scenario.args(made, "1.0"),
  ) {
    const { from, to } = scenario;
    const ran = await scenario.promote(args);
    const message = refused(expect, ran, code);
    for (const part of parts) expect(message).toMatch(part);
    expect([writesTo(to), await to.side.tags(to.repository), writesTo(from)]).toEqual([[], [], []]);
    return message;
  }

  test("the source's robot may not pull", async ({ expect }) => {
    const scenario = await withImage();
    const { from } = scenario;
    from.side.quay.store.repositories.get(from.repository)?.permissions.clear();
    const { robot, repository } = from;
    await may(expect, scenario, "access-missing", [/source/, robot, repository, from.side.host, /Read/]);
  });

  test("a private source without a robot", async ({ expect }) => {
    const scenario = await withImage({ isPublic: true });
    const { from } = scenario;
    const repository = from.side.quay.store.repositories.get(from.repository);
    if (repository) repository.visibility = "private";
    await may(expect, scenario, "access-missing", [/source/, from.repository, /source-robot/]);
  });

  test("the destination's robot may only pull", async ({ expect }) => {
    const scenario = await withImage();
    const { to } = scenario;
    to.side.quay.store.repositories.get(to.repository)?.permissions.set(to.robot, "read");
    await may(expect, scenario, "access-missing", [/destination/, to.robot, to.repository, to.side.host, /Write/]);
  });

  test("the destination's robot may do nothing", async ({ expect }) => {
    const scenario = await withImage();
    const { to } = scenario;
    to.side.quay.store.repositories.get(to.repository)?.permissions.clear();
    await may(expect, scenario, "access-missing", [/destination/, to.robot, to.repository, /Write/]);
  });

  test("the destination does not exist, and the robot may not create it", async ({ expect }) => {
    const scenario = await withImage();
    const { to } = scenario;
    to.side.quay.store.repositories.delete(to.repository);
    await may(expect, scenario, "access-missing", [
      /destination/,
      to.robot,
      to.repository,
      /does not exist/,
      /[Cc]reat/,
    ]);
    expect(to.side.quay.store.repositories.has(to.repository)).toBe(false);
  });

  test("the destination does not exist, and the robot may create it", async ({ expect }) => {
    const scenario = await withImage();
    const { to } = scenario;
    to.side.quay.store.repositories.delete(to.repository);
    to.side.quay.store.organizations.get("acme")?.creators.add(to.robot);
    const plan = succeeded(expect, await scenario.promote([...scenario.args(made, "1.0"), "--dry-run"]));
    expect(plan.stderr).toContain(`${to.path} does not exist yet`);
    expect(to.side.quay.store.repositories.has(to.repository)).toBe(false);
    const ran = succeeded(expect, await scenario.promote(scenario.args(made, "1.0")));
    expect(ran.stderr).toContain(`${to.path} did not exist: Quay created it.`);
    await arrived(expect, to, made, "1.0");
    const again = succeeded(expect, await scenario.promote(scenario.args(made, "1.0")));
    expect(again.stderr).not.toContain("did not exist");
  });

  test.for([
    ["the source is missing", "source-not-found", makeImage("sides nowhere"), []],
    ["the platform is missing", "platform-missing", made, ["--platform", "linux/s390x"]],
    ["it has no signature", "signatures-missing", made, ["--with-signatures"]],
    ["verify-command fails", "verify-failed", made, ["--verify-command", "false"]],
  ] as const)(
    "the robot may create the destination, and %s: it is not created",
    async ([, code, image, more], { expect }) => {
      const scenario = await withImage();
      const { to } = scenario;
      to.side.quay.store.repositories.delete(to.repository);
      to.side.quay.store.organizations.get("acme")?.creators.add(to.robot);
      refused(expect, await scenario.promote([...scenario.args(image, "1.0"), ...more]), code);
      expect(to.side.quay.store.repositories.has(to.repository)).toBe(false);
    },
  );

  test.for(["source", "destination"] as const)("the %s's robot has no binding", async (which, { expect }) => {
    const scenario = await withImage();
    const { side, robot } = which === "source" ? scenario.from : scenario.to;
    addRobot(side.quay.store, robot);
    await may(expect, scenario, "robot-not-federated", [robot, side.host, which]);
  });

  test("both robots have no binding: one run reports both", async ({ expect }) => {
    const scenario = await withImage();
    const { from, to } = scenario;
    for (const { side, robot } of [from, to]) addRobot(side.quay.store, robot);
    await may(expect, scenario, "robot-not-federated", [from.robot, to.robot]);
  });

  test("the destination's robot does not exist", async ({ expect }) => {
    const scenario = await withImage();
    const { to } = scenario;
    to.side.quay.store.robots.delete(to.robot);
    await may(expect, scenario, "robot-not-found", [to.robot, to.side.host, "--destination-robot"]);
  });

  test("a robot of the other Quay", async ({ expect }) => {
    const scenario = await withImage();
    const { from, to } = scenario;
    const args = withRobots(scenario.args(made, "1.0"), from.robot, from.robot);
    await may(expect, scenario, "robot-not-found", [from.robot, to.side.host], args);
    bindRobot(world(), to.side, from.robot); // it exists, but without any permission
    await may(expect, scenario, "access-missing", [/destination/, to.repository, /Write/], args);
  });

  test("a source whose repository lacks the image", async ({ expect }) => {
    const scenario = await withImage();
    const absent = makeImage("sides absent");
    await may(expect, scenario, "source-not-found", [absent.digest], scenario.args(absent, "1.0"));
  });
});
