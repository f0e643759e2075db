/**
 * Rows of the management API that can't be caused on a foreign Quay: tokens of every scope, releases, objects of other
 * users. For the stand-in only.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { SUBJECT } from "../quay-stand-in/issuer.ts";
import { type Peers, startPeers } from "../quay-stand-in/peers.ts";
import { TOO_MANY_REQUESTS } from "../quay-stand-in/quay/pages.ts";
import { DEFAULTS, type Settings } from "../quay-stand-in/quay/settings.ts";
import {
  addApiToken,
  addOrganization,
  addRepository,
  addRobot,
  addTeam,
  addUser,
  revokeApiToken,
} from "../quay-stand-in/quay/store.ts";
import { lost, page, pass } from "../quay-stand-in/scripted.ts";
import { type Answer, ask } from "./ask.ts";
import { foreign } from "./target.ts";
import * as say from "./wording.ts";

describe.skipIf(foreign)("the stand-in only: management", () => {
  let peers: Peers;
  let organization: string;
  let count = 0;
  beforeAll(async () => {
    peers = await startPeers();
    addUser(peers.quay.store, "stranger");
    addUser(peers.quay.store, "visitor");
  });
  afterAll(() => peers.close());
  // Each test has an organization of its own.
  beforeEach(() => {
    const { settings, store } = peers.quay;
    Object.assign(settings, DEFAULTS, { host: settings.host, ca: settings.ca });
    organization = `org${++count}`;
    addOrganization(store, organization, ["admin"]);
    addRobot(store, `${organization}+ci`, [{ issuer: peers.issuer.url, subject: SUBJECT }]);
    addRepository(store, `${organization}/app`, { [`${organization}+ci`]: "write" });
  });

  const set = (settings: Partial<Settings>) => Object.assign(peers.quay.settings, settings);
  const manage = (method: string, path: string, body?: unknown, token = peers.oauthToken): Promise<Answer> =>
    ask(peers.quay.url, peers.authority.ca, {
      ...{ method, path: `/api/v1/${path.replaceAll("{O}", organization)}` },
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  const json = async (answer: Promise<Answer>) => JSON.parse((await answer).body);
  const tokenOf = (user: string, ...scopes: string[]) => addApiToken(peers.quay.store, { user, scopes });
  const forbidden = () => say.apiError(peers.quay.host, 403, "insufficient_scope", "Unauthorized");

  describe("what each scope reaches", () => {
    const ADMIN = ["org:admin"];
    const REPOSITORY = ["repo:admin", "repo:write", "repo:read"];
    const ROLE = { role: "read" };
    const NEW = { repository: "made", visibility: "private", description: "" };
    test.each<[string, string[], unknown?]>([
      ["GET organization/{O}/robots", [...ADMIN, "repo:create"]],
      ["GET organization/{O}/robots/ci", ADMIN],
      ["PUT organization/{O}/robots/made", ADMIN, {}],
      ["DELETE organization/{O}/robots/made", ADMIN],
      ["POST organization/{O}/robots/ci/regenerate", ADMIN],
      ["GET organization/{O}/robots/ci/federation", ADMIN],
      ["POST organization/{O}/robots/ci/federation", ADMIN, []],
      ["DELETE organization/{O}/robots/ci/federation", ADMIN],
      ["GET organization/{O}/logs", ADMIN],
      ["GET organization/{O}/aggregatelogs", ADMIN],
      ["PUT organization/{O}/team/made", ADMIN, { role: "member" }],
      ["GET organization/{O}/team/owners/members", ADMIN],
      ["GET organization/{O}/prototypes", ADMIN],
      ["POST repository", [...ADMIN, "repo:create"], { ...NEW, namespace: "{O}" }],
      ["POST repository", [...ADMIN, "repo:create"], NEW],
      ["GET repository/{O}/app", REPOSITORY],
      ["GET repository/{O}/app/permissions/user/", ["repo:admin"]],
      ["PUT repository/{O}/app/permissions/user/{O}+ci", ["repo:admin"], ROLE],
      ["GET repository/{O}/app/permissions/user/{O}+ci/transitive", ["repo:admin"]],
      ["DELETE repository/{O}/app/permissions/user/{O}+ci", ["repo:admin"]],
      ["GET repository/{O}/app/logs", ["repo:admin"]],
      ["GET user/robots", ["user:admin"]],
      ["GET user/logs", ["user:admin"]],
      ["GET organization/admin/robots", ADMIN],
    ])("%s: %j", async (request, allowed, body) => {
      const { store } = peers.quay;
      const [method = "", path = ""] = request.split(" ");
      for (const scope of [...ADMIN, ...REPOSITORY, "repo:create", "user:admin", "user:read", "super:user"]) {
        if (method === "DELETE" && path.endsWith("made")) addRobot(store, `${organization}+made`);
        else store.robots.delete(`${organization}+made`);
        addRepository(store, `${organization}/app`, { [`${organization}+ci`]: "write" });
        for (const namespace of [organization, "admin"]) store.repositories.delete(`${namespace}/made`);
        const filled = body && JSON.parse(JSON.stringify(body).replaceAll("{O}", organization));
        const answer = await manage(method, path, filled, tokenOf("admin", scope));
        if (allowed.includes(scope)) expect(answer.status, `${scope}: ${answer.body}`).toBeLessThan(300);
        else say.expectAnswer(answer, forbidden());
        if (path.includes("/admin/") || path.startsWith("user/") || !("namespace" in ((body as object) ?? {})))
          continue;
        say.expectAnswer(await manage(method, path, filled, tokenOf("stranger", scope)), forbidden());
      }
    });

    test("a stranger with every scope reaches nothing of the organization", async () => {
      const token = addApiToken(peers.quay.store, { user: "stranger" });
      for (const path of ["robots", "robots/ci", "robots/ci/federation", "logs", "prototypes", "team/owners/members"]) {
        say.expectAnswer(await manage("GET", `organization/{O}/${path}`, undefined, token), forbidden());
      }
      for (const path of ["", "/permissions/user/", "/logs"]) {
        say.expectAnswer(await manage("GET", `repository/{O}/app${path}`, undefined, token), forbidden());
      }
      expect(await json(manage("GET", "repository?namespace={O}", undefined, token))).toEqual({ repositories: [] });
      expect(await json(manage("GET", "organization/{O}", undefined, token))).toMatchObject({ is_admin: false });
    });

    test("any scope lists the user's private repositories; none tells a user without user:read", async () => {
      const token = tokenOf("admin", "super:user");
      const { repositories } = await json(manage("GET", "repository?namespace={O}", undefined, token));
      expect(repositories).toMatchObject([{ name: "app", is_public: false, state: "NORMAL" }]);
      const user = await manage("GET", "user/", undefined, token);
      expect([user.status, JSON.parse(user.body).session_required]).toEqual([401, false]);
      const read = await json(manage("GET", "user/", undefined, tokenOf("admin", "user:read")));
      expect(Object.keys(read)).toEqual(["anonymous", "username", "avatar", "organizations"]);
    });

    test("a robot's permissions need user:admin and org:admin, and tell them apart", async () => {
      const path = "organization/{O}/robots/ci/permissions";
      say.expectAnswer(await manage("GET", path, undefined, tokenOf("admin", "org:admin")), forbidden());
      const { status, body } = await manage("GET", path, undefined, tokenOf("admin", "user:admin"));
      expect([status, JSON.parse(body).message]).toEqual([
        403,
        expect.stringMatching(/^You don't have the permission/),
      ]);
      const both = tokenOf("admin", "user:admin", "org:admin");
      expect(await json(manage("GET", path, undefined, both))).toMatchObject({ permissions: [{ role: "write" }] });
    });

    test("expired and revoked: as unknown", async () => {
      const { store, host } = peers.quay;
      const expired = addApiToken(store, { user: "admin", expires: new Date(Date.now() - 1) });
      const revoked = addApiToken(store, { user: "admin" });
      revokeApiToken(store, revoked);
      for (const token of [expired, revoked]) {
        const unknown = say.apiError(host, 401, "invalid_token", "Requires authentication");
        say.expectAnswer(await manage("GET", "organization/{O}/robots?token=false&limit=1", undefined, token), unknown);
        say.expectAnswer(await manage("PUT", "organization/{O}/robots/made", {}, token), say.csrf);
      }
    });
  });

  describe("robots", () => {
    test("a member sees neither tokens nor memberships, whatever is asked", async () => {
      addTeam(peers.quay.store, organization, "makers", { members: ["visitor"] });
      for (const token of [tokenOf("visitor", "org:admin"), tokenOf("admin", "repo:create")]) {
        const { robots } = await json(manage("GET", "organization/{O}/robots?permissions=true", undefined, token));
        expect(Object.keys(robots[0])).toEqual(["name", "created", "last_accessed", "description"]);
      }
    });

    test("never used first, then the newest use; limit counts the rows of a join", async () => {
      const { store } = peers.quay;
      addRobot(store, `${organization}+old`).lastAccessed = new Date("2026-01-01");
      addRobot(store, `${organization}+new`).lastAccessed = new Date("2026-02-01");
      addRepository(store, `${organization}/two`, { [`${organization}+ci`]: "read" });
      const names = async (query: string) => {
        const { robots } = await json(manage("GET", `organization/{O}/robots?token=false${query}`));
        return robots.map((each: { name: string; repositories?: string[] }) => [each.name, each.repositories]);
      };
      const [ci, fresh, old] = ["ci", "new", "old"].map((short) => `${organization}+${short}`);
      expect(await names("")).toEqual([[ci], [fresh], [old]].map(([name]) => [name, undefined]));
      expect(await names("&permissions=true&limit=1")).toEqual([[ci, ["app"]]]);
      expect(await names("&permissions=true&limit=3")).toEqual([
        [ci, ["app", "two"]],
        [fresh, []],
      ]);
    });

    test("a user's name instead of an organization's: list and federation only", async () => {
      addRobot(peers.quay.store, "admin+own");
      const missing = say.message("Organization does not exist: admin");
      say.expectAnswer(await manage("GET", "organization/admin/robots/own"), missing);
      say.expectAnswer(await manage("PUT", "organization/admin/robots/other", {}), missing);
      say.expectAnswer(await manage("POST", "organization/admin/robots/own/regenerate"), missing);
      expect((await manage("GET", "organization/admin/robots")).status).toBe(200);
      say.expectAnswer(await manage("GET", "organization/admin/robots/own/federation"), say.spaced(200, "[]"));
      say.expectAnswer(await manage("GET", "organization/stranger/robots"), forbidden());
    });

    test("deleting one takes its permissions and memberships along", async () => {
      const robot = `${organization}+ci`;
      addTeam(peers.quay.store, organization, "makers", {
        members: [robot],
        permissions: { [`${organization}/app`]: "read" },
      });
      await manage("DELETE", "organization/{O}/robots/ci");
      await manage("PUT", "organization/{O}/robots/ci", {});
      const { robots } = await json(manage("GET", "organization/{O}/robots?permissions=true&token=false"));
      expect(robots).toMatchObject([{ name: robot, teams: [], repositories: [] }]);
    });

    test("one of another organization: no permission, but a team", async () => {
      addTeam(peers.quay.store, organization, "makers", { role: "creator" });
      const refused = say.apiError(
        peers.quay.host,
        400,
        "invalid_request",
        `Cannot add robot acme+ci under namespace ${organization}`,
      );
      say.expectAnswer(await manage("PUT", "repository/{O}/app/permissions/user/acme+ci", { role: "read" }), refused);
      expect((await manage("PUT", "organization/{O}/team/makers/members/acme+ci")).status).toBe(200);
    });
  });

  describe("releases", () => {
    const path = "organization/{O}/robots/ci/federation";
    const entry = { issuer: "https://a.example", subject: "s" };
    const properties = async () => {
      const { definitions } = await json(manage("GET", "discovery"));
      return Object.keys(definitions.CreateRobotFederation.items.properties);
    };

    test("main drops unknown keys, and discovery doesn't know audiences", async () => {
      await manage("POST", path, [{ ...entry, audiences: ["x"], api_scopes: ["y"], enabled: true }]);
      expect(await json(manage("GET", path))).toEqual([entry]);
      expect(await properties()).toEqual(["issuer", "subject"]);
    });
    test("newer keeps them, and discovery knows audiences", async () => {
      set({ release: "newer" });
      await manage("POST", path, [{ ...entry, audiences: ["x"], api_scopes: ["y"], enabled: true }]);
      const kept = await json(manage("GET", path));
      expect(kept).toEqual([
        { ...entry, audiences: ["x"], api_scopes: ["y"], enabled: true, id: expect.any(String), version: 1 },
      ]);
      expect(await json(manage("POST", path, [...kept, { ...entry, subject: "t" }]))).toEqual([
        kept[0],
        { ...entry, subject: "t", audiences: ["quay"], id: expect.any(String), version: 1 },
      ]);
      expect(await properties()).toEqual(["issuer", "subject", "audiences"]);
    });
    test("without federation: the path doesn't exist, nor is it in discovery", async () => {
      set({ release: "without-federation" });
      const url = `${peers.quay.url}/api/v1/${path.replace("{O}", organization)}`;
      for (const method of ["GET", "OPTIONS"]) say.expectAnswer(await manage(method, path), say.slashAdded(url));
      say.expectAnswer(await manage("GET", `${path}/`), say.uiNotFound);
      for (const method of ["POST", "DELETE"]) say.expectAnswer(await manage(method, path, []), say.notAllowed);
      expect(JSON.stringify(await json(manage("GET", "discovery")))).not.toContain("federation");
      expect((await manage("GET", "organization/{O}/robots/ci")).status).toBe(200);
    });
  });

  test("scripted: a change that is done and not answered, one that another client makes meanwhile, a page of nginx", async () => {
    const { store, managementScript } = peers.quay;
    const path = "organization/{O}/robots/ci/federation";
    const robot = store.robots.get(`${organization}+ci`);
    managementScript.next(lost());
    await expect(manage("POST", path, [{ issuer: "https://a.example", subject: "lost" }])).rejects.toThrow();
    expect(robot?.bindings).toEqual([{ issuer: "https://a.example", subject: "lost" }]);
    const undo = managementScript.always(pass(), ({ method }) => {
      if (method === "GET" && robot !== undefined) robot.bindings = [];
      return false;
    });
    await manage("POST", path, [{ issuer: "https://a.example", subject: "mine" }]);
    say.expectAnswer(await manage("GET", path), say.spaced(200, "[]"));
    undo();
    managementScript.next(page(TOO_MANY_REQUESTS));
    say.expectAnswer(await manage("GET", path), say.tooManyRequests);
  });

  test("101 repositories are two pages", async () => {
    for (let number = 2; number <= 101; number++) addRepository(peers.quay.store, `${organization}/r${number}`);
    const first = await json(manage("GET", "repository?namespace={O}"));
    expect([first.repositories.length, typeof first.next_page]).toEqual([100, "string"]);
    const second = await json(manage("GET", `repository?namespace={O}&next_page=${first.next_page}`));
    expect([second.repositories.length, second.next_page]).toEqual([1, undefined]);
  });
});
