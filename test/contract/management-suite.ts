/** The contract of the management API, `/api/v1`. It is part of quay.test.ts: all of it shares one organization. */
import { beforeAll, describe, expect, test } from "vitest";
import { SUBJECT } from "../quay-stand-in/issuer.ts";
import { basic } from "./ask.ts";
import { federationSteps, formSteps } from "./federation-cases.ts";
import { avatar, type Step } from "./management-steps.ts";
import { configuration, probeSteps, prototypeSteps, teamSteps } from "./organization-cases.ts";
import { permissionSteps, repositorySteps } from "./repository-cases.ts";
import { newRobotSteps, robotSteps, userRobotSteps } from "./robot-cases.ts";
import type { World } from "./target.ts";
import * as say from "./wording.ts";

export function managementSuite(furnished: () => World): void {
  let world: World;
  beforeAll(() => {
    world = furnished();
  });

  const run = async ({ method, path, body, change = (question) => question, expected }: Step) => {
    const json = body === undefined ? {} : { body: JSON.stringify(body) };
    const headers = { authorization: `Bearer ${world.oauthToken}`, "content-type": "application/json" };
    const question = change({ method, path: `/api/v1/${path(world)}`, headers, ...json }, world);
    say.expectAnswer(await world.ask(question), expected(world));
  };

  for (const [title, steps] of [
    ["robots", robotSteps],
    ["new robots", newRobotSteps],
    ["a user's robots", userRobotSteps],
    ["federation", federationSteps],
    ["what federation stores", formSteps],
    ["repositories", repositorySteps],
    ["permissions", permissionSteps],
    ["teams", teamSteps],
    ["default permissions", prototypeSteps],
    ["probes", probeSteps],
  ] as const) {
    describe(title, () => {
      test.each(steps)("$name", run);
    });
  }

  test("/config", async () => {
    say.expectAnswer(await world.ask({ path: "/config" }), configuration);
  });

  test("a default permission is made twice, changed, deleted; it holds for new repositories", async () => {
    const path = `organization/${world.org}/prototypes`;
    const wanted = { role: "write", delegate: { kind: "user", name: world.other } };
    const made = [await world.manage("POST", path, wanted), await world.manage("POST", path, wanted)];
    const ids = made.map(({ body }) => JSON.parse(body).id as string);
    expect(new Set(ids).size).toBe(2);
    const delegate = {
      ...{ name: world.other, is_robot: true, kind: "user", is_org_member: true, avatar: avatar(world.other, "robot") },
    };
    expect(made.map(({ status, body }) => [status, JSON.parse(body)])).toEqual(
      ids.map((id) => [200, { activating_user: null, delegate, role: "write", id }]),
    );
    const { prototypes } = JSON.parse((await world.manage("GET", path)).body);
    expect(prototypes.map(({ id }: { id: string }) => id)).toEqual(expect.arrayContaining(ids));
    expect((await world.manage("DELETE", `${path}/${ids[1]}`)).status).toBe(204);
    expect(JSON.parse((await world.manage("PUT", `${path}/${ids[0]}`, { role: "admin" })).body).role).toBe("admin");

    const repository = `${world.prefix}default`;
    const fresh = { namespace: world.org, repository, visibility: "private", description: "" };
    await world.manage("POST", "repository", fresh);
    const { body } = await world.manage("GET", `repository/${world.org}/${repository}/permissions/user/${world.other}`);
    expect(JSON.parse(body).role).toBe("admin");
    await world.manage("DELETE", `repository/${world.org}/${repository}`);
    await world.manage("DELETE", `${path}/${ids[0]}`);
  });

  test("a new static token: the old one is refused, bindings and exchanged tokens stay good", async () => {
    const { org, prefix, host } = world;
    const path = `organization/${org}/robots/${prefix}renew`;
    const robot = `${org}+${prefix}renew`;
    const status = async (password: string) => {
      const question = { path: `/v2/auth?service=${host}`, headers: { authorization: basic(robot, password) } };
      return (await world.ask(question)).status;
    };
    const before = JSON.parse((await world.manage("PUT", path, {})).body).token;
    await world.manage("POST", `${path}/federation`, [{ issuer: world.issuer.url, subject: SUBJECT }]);
    const exchanged = await world.robotToken(robot);
    const after = JSON.parse((await world.manage("POST", `${path}/regenerate`)).body).token;
    expect([await status(before), await status(after), await status(exchanged)]).toEqual([401, 200, 200]);
    expect(await status(await world.robotToken(robot))).toBe(200);
    const { last_accessed } = JSON.parse((await world.manage("GET", path)).body);
    expect(last_accessed).toMatch(/^\w{3}, \d\d \w{3} \d{4} [\d:]{8} -0000$/);
    await world.manage("DELETE", path);
  });

  test("six writes at once: one robot is made; each federation is answered with itself, and one stays", async () => {
    const path = `organization/${world.org}/robots/${world.prefix}race`;
    const made = await Promise.all(Array.from({ length: 6 }, () => world.manage("PUT", path, {})));
    expect(made.map(({ status }) => status).sort()).toEqual([201, 400, 400, 400, 400, 400]);
    const sent = Array.from({ length: 6 }, (_, index) => [{ issuer: "https://a.example", subject: `s${index}` }]);
    const answers = await Promise.all(sent.map((each) => world.manage("POST", `${path}/federation`, each)));
    expect(answers.map(({ body }) => JSON.parse(body))).toEqual(sent);
    expect(sent).toContainEqual(JSON.parse((await world.manage("GET", `${path}/federation`)).body));
    await world.manage("DELETE", path);
  });
}
