/** Several robots in one login, each for its scope; and what they are allowed to do. */
import { join } from "node:path";
import { describe, test } from "vitest";
import { addRepository, addRobot } from "../quay-stand-in/quay/store.ts";
import { createJob, runAction } from "../support/action.ts";
import { writeImage } from "../support/image.ts";
import { authsIn, failure, newRobot, usePeers, userOf } from "./world.ts";

const peers = usePeers();

describe.concurrent("several robots", () => {
  test("each pushes to its own repository, with the login of the longest scope", async ({ expect }) => {
    const [one, two] = [newRobot(peers()), newRobot(peers())];
    const host = peers().registryHost;
    const job = await createJob({ peers: peers() });
    const robots = [`${host}/${one.repository}=${one.name}`, "", `  ${host}/acme=${two.name}`].join("\n");
    const main = await job.run({ robot: robots, audience: one.audience });
    expect(main).toMatchObject({ code: 0, annotations: [], outputs: { robot: `${one.name}\n${two.name}` } });

    // One identity serves both; each is exchanged once.
    expect(peers().github.requests.filter(({ audience }) => audience === one.audience)).toHaveLength(1);
    const auths = await authsIn(main.outputs["auth-file"] ?? "");
    expect(Object.entries(auths).map(([scope, entry]) => [scope, userOf(entry)])).toEqual([
      [`${host}/${one.repository}`, one.name],
      [`${host}/acme`, two.name],
    ]);
    // docker would send either login to every repository.
    await expect(authsIn(join(job.home, ".docker/config.json"))).rejects.toThrow("ENOENT");

    const image = await writeImage(join(job.scratch, "image"));
    const push = (repository: string) =>
      job.later("skopeo", ["copy", image.reference, `docker://${host}/${repository}`]);
    expect(await push(one.repository)).toMatchObject({ code: 0 });
    expect(await push(two.repository)).toMatchObject({ code: 0 });
    // Only the first robot may write here, and its login has another scope.
    addRepository(peers().quay.store, "acme/third", { [one.name]: "write" });
    expect((await push("acme/third")).stderr).toMatch(/unauthorized|authentication required/);

    const table = main.summary.split("\n").filter((line) => line.startsWith("| acme+"));
    expect(table).toHaveLength(2);
    expect(await main.post()).toMatchObject({ code: 0 });
  });

  test("each logs in for its organization without scopes", async ({ expect }) => {
    const robot = newRobot(peers());
    addRobot(peers().quay.store, "other+ci", [
      { issuer: peers().issuer.url, subject: "repo:acme/app:ref:refs/heads/main" },
    ]);
    const main = await runAction({ peers: peers(), inputs: { robot: `${robot.name}\nother+ci` } });
    const auths = await authsIn(main.outputs["auth-file"] ?? "");
    expect(Object.keys(auths)).toEqual([`${peers().registryHost}/acme`, `${peers().registryHost}/other`]);
    // The log says which tools can't use it, and what they can use.
    expect(main.shown).toMatch(
      /^Only skopeo, buildah and podman .*crane and cosign .*docker push, oras, helm .*one robot without a scope/m,
    );
    const single = await runAction({ peers: peers(), inputs: { robot: robot.name } });
    expect(single.shown).not.toContain("crane");
    await single.post();
    expect(await main.post()).toMatchObject({ code: 0 });
  });

  test("twenty at once", async ({ expect }) => {
    const robots = Array.from({ length: 20 }, () => newRobot(peers()));
    const host = peers().registryHost;
    const robot = robots.map(({ name, repository }) => `${host}/${repository}=${name}`).join("\n");
    const { job, ...main } = await runAction({ peers: peers(), inputs: { robot } });
    expect(main).toMatchObject({ code: 0, annotations: [] });
    const auths = await authsIn(main.outputs["auth-file"] ?? "");
    expect(Object.fromEntries(Object.entries(auths).map(([scope, entry]) => [scope, userOf(entry)]))).toEqual(
      Object.fromEntries(robots.map(({ name, repository }) => [`${host}/${repository}`, name])),
    );
    expect(main.children).toHaveLength(20);
    expect(await main.post()).toMatchObject({ code: 0 });
  });

  test("reports every failure in one run, and leaves no robot logged in", async ({ expect }) => {
    const good = newRobot(peers());
    const strange = newRobot(peers(), [
      { issuer: peers().issuer.url, subject: "repo:acme/app:environment:production" },
    ]);
    const host = peers().registryHost;
    const job = await createJob({ peers: peers() });
    const before = await job.snapshot();
    const robot = [`${host}/acme/a=${good.name}`, `${host}/acme/b=acme+nobody`, `${host}/acme/c=${strange.name}`];
    const main = await job.run({ robot: robot.join("\n") });
    const message = failure(expect, main, "robot-not-found");
    for (const text of [message, main.summary]) {
      expect(text).toContain("acme+nobody");
      expect(text).toContain("#robot-not-found");
      expect(text).toContain(
        `${strange.name} on ${host} has a binding for this issuer, but for another subject`.replace(">", "&gt;"),
      );
      expect(text).toContain("#subject-not-bound");
    }
    expect([...(await job.snapshot()).keys()]).toEqual([...before.keys()]);
  });
});

describe.concurrent("access", () => {
  test("is checked right after the login, with the robot that would be used", async ({ expect }) => {
    const [one, two] = [newRobot(peers()), newRobot(peers())];
    const host = peers().registryHost;
    const main = await runAction({
      peers: peers(),
      inputs: {
        robot: `${host}/${one.repository}=${one.name}\n${host}=${two.name}`,
        access: `${one.repository}:pull,push\n${host}/${two.repository}:push, pull`,
      },
    });
    expect(main).toMatchObject({ code: 0, annotations: [] });
    await main.post();
  });

  test("fails the step if it is missing, and names repository, robot and permission", async ({ expect }) => {
    const robot = newRobot(peers());
    addRepository(peers().quay.store, "acme/readable", { [robot.name]: "read" });
    const job = await createJob({ peers: peers() });
    const before = await job.snapshot();
    const access = `${robot.repository}:pull,push\nacme/readable:pull,push\nacme/nowhere:push\nacme/private:pull`;
    const main = await job.run({ robot: robot.name, access });
    const message = failure(expect, main, "access-missing");
    const host = peers().registryHost;
    expect(message).toContain(`${robot.name} may not push to acme/readable on ${host}; it may pull.`);
    expect(message).toContain(
      `Repositories > acme/readable > Settings > User and robot permissions: ${robot.name}, Write`,
    );
    expect(message).toContain(`${robot.name} may not push to acme/nowhere on ${host}, or acme/nowhere does not exist.`);
    expect(message).toContain("If the first push creates acme/nowhere: leave it out of access");
    expect(message).toContain(`${robot.name} may not pull from acme/private on ${host}`);
    expect(message).toContain(`permissions: ${robot.name}, Read`);
    expect(message).not.toContain(robot.repository);
    // No robot is logged in if the login fails.
    expect(main.shown).not.toContain("Logged in to");
    expect(main.summary).toContain("acme/readable");
    // A failed login leaves nothing.
    expect([...(await job.snapshot()).keys()]).toEqual([...before.keys()]);
    expect(await main.post()).toMatchObject({ code: 0, annotations: [] });
  });
});
