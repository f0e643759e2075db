/** The management API over real TLS with the stand-in: what is asked, what is retried, and each refusal's explanation. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { Http } from "../../src/platform/http.ts";
import { type Management, type Owner, openManagement } from "../../src/quay/management.ts";
import { failure, failureText, fakeClock, type TestPlatform, testPlatform } from "../fixtures.ts";
import { type Peers, startPeers } from "../quay-stand-in/peers.ts";
import { addLogEntry, used } from "../quay-stand-in/quay/log.ts";
import { INTERNAL_ERROR, LOADING, READ_ONLY, TOO_MANY_REQUESTS } from "../quay-stand-in/quay/pages.ts";
import { startQuay } from "../quay-stand-in/quay/server.ts";
import {
  addApiToken,
  addOrganization,
  addRepository,
  addRobot,
  addTeam,
  addUser,
  revokeApiToken,
} from "../quay-stand-in/quay/store.ts";
import { answer, cut, huge, notJson, page, redirect, reset, type Scripted } from "../quay-stand-in/scripted.ts";

let peers: Peers;
beforeAll(async () => {
  peers = await startPeers({ registry: false });
  addUser(peers.quay.store, "dev");
  addUser(peers.quay.store, "visitor");
});
afterAll(() => peers.close());
afterEach(() => {
  peers.quay.managementScript.clear();
  peers.quay.requests.length = 0;
  Object.assign(peers.quay.settings, {
    release: "main",
    readOnly: false,
    robotsDisallowed: false,
    searchUnavailable: false,
  });
});

const acme: Owner = { kind: "organization", name: "acme" };

function local(): TestPlatform & { waits: number[] } {
  const clock = fakeClock();
  return { ...testPlatform({ roots: peers.authority.ca, clock }), waits: clock.waits };
}

function open({ token = peers.oauthToken, platform = local() as TestPlatform, registry = peers.registryHost } = {}) {
  return openManagement({ registry, token }, platform);
}

const tokenOf = (user: string, ...scopes: string[]) => addApiToken(peers.quay.store, { user, scopes });
const asked = () => peers.quay.requests.map(({ method, path }) => `${method} ${path.replace("/api/v1", "")}`);

describe("Quay's time", () => {
  test("is that of its last answer, and what passed since", async () => {
    const clock = fakeClock(0);
    const management = open({ platform: { ...local(), clock } });
    const date = "Sat, 28 Nov 2026 12:00:00 GMT";
    peers.quay.managementScript.always(answer(200, { is_admin: true }, { date }), () => true);
    await management.owner("acme");
    clock.advance(5000);
    expect(management.quaysTime()).toBe(Date.parse(date) + 5000);
  });

  test("is an error if no answer has one", async () => {
    const management = open();
    peers.quay.managementScript.always(answer(200, { is_admin: true }, { date: "soon" }), () => true);
    await management.owner("acme");
    await failureText("quay-answer-unusable", () => management.quaysTime());
  });
});

describe("finds the owner", () => {
  test("an organization", async () => {
    expect(await open().owner("acme")).toEqual(acme);
    expect(asked()).toEqual(["GET /organization/acme"]);
  });

  test("the token's own user", async () => {
    expect(await open({ token: tokenOf("dev", "user:admin") }).owner("dev")).toEqual({ kind: "user", name: "dev" });
  });

  test.each<[string, () => string, name: string, code: Parameters<typeof failureText>[0], ...says: string[]]>([
    ["unknown", () => "X".repeat(40), "acme", "api-token-refused", "expired, was revoked, or is of another Quay"],
    [
      "expired",
      () => addApiToken(peers.quay.store, { user: "admin", expires: new Date(0) }),
      "acme",
      "api-token-refused",
      "Generate token",
    ],
    [
      "revoked",
      () => {
        const token = tokenOf("admin", "org:admin");
        revokeApiToken(peers.quay.store, token);
        return token;
      },
      "acme",
      "api-token-refused",
    ],
    ["unknown, of an unknown owner", () => "X".repeat(40), "ghost", "api-token-refused"],
    [
      "without the scope",
      () => tokenOf("admin", "repo:admin"),
      "acme",
      "api-rights-missing",
      "lacks the scope org:admin",
    ],
    ["of a small scope", () => tokenOf("admin", "repo:create"), "acme", "api-rights-missing", "org:admin repo:admin"],
    [
      "of another user",
      () => tokenOf("visitor", "org:admin"),
      "acme",
      "api-rights-missing",
      "no administrator of acme",
    ],
    ["good, organization missing", () => tokenOf("admin", "org:admin"), "ghost", "organization-not-found", "ghost"],
    ["of another user than asked for", () => tokenOf("visitor", "user:admin"), "dev", "organization-not-found"],
    ["of the user, reading only", () => tokenOf("dev", "user:read"), "dev", "api-rights-missing", "user:admin"],
    [
      "of the user, for organizations",
      () => tokenOf("dev", "org:admin"),
      "dev",
      "organization-not-found",
      "user:admin",
    ],
  ])("a token that is %s", async (_, token, name, code, ...says) => {
    const output = await failureText(code, open({ token: token() }).owner(name));
    for (const words of says) expect(output).toContain(words);
    expect(peers.quay.requests.every(({ method }) => method === "GET")).toBe(true);
  });
});

type Work = (management: Management) => Promise<unknown>;
const reads: Work = ({ federation }) => federation(acme, "acme+ci");
const writes: Work = ({ setFederation }) => setFederation(acme, "acme+ci", []);

describe("explains", () => {
  test.each<[string, Scripted, Work, code: Parameters<typeof failureText>[0], ...says: string[]]>([
    [
      "a body that is not JSON",
      notJson(),
      reads,
      "quay-answer-unusable",
      "the bindings of acme+ci",
      "not JSON (status 200)",
    ],
    ["10 MB", huge(), reads, "quay-answer-unusable", "larger than 8388608 bytes"],
    ["another form of JSON", answer(200, { a: 1 }), reads, "quay-answer-unusable", "no list"],
    ["an entry without a subject", answer(200, [{ issuer: "x" }] as object), reads, "quay-answer-unusable"],
    [
      "a redirect to a login",
      redirect("https://sso.example.com/"),
      ({ robots }) => robots(acme),
      "quay-answer-unusable",
      "redirect to sso.example.com",
      "the API token would go there",
    ],
    [
      "a redirect of bindings to another host",
      redirect("https://sso.example.com/api/v1/organization/acme/robots/ci/federation/", 307),
      reads,
      "quay-answer-unusable",
      "redirect to sso.example.com",
    ],
    [
      "one of new bindings",
      redirect("https://sso.example.com/", 307),
      writes,
      "quay-answer-unusable",
      "sso.example.com",
    ],
    [
      "a redirect to the same with a slash: a route that is not there",
      redirect("http://localhost/api/v1/organization/acme/robots/ci/federation/", 308),
      reads,
      "quay-without-federation",
    ],
    [
      "a page with 404",
      answer(404, "<html>"),
      ({ robots }) => robots(acme),
      "quay-answer-unusable",
      "a page with the status 404",
    ],
    [
      "a list in place of an object",
      answer(200, []),
      ({ robots }) => robots(acme),
      "quay-answer-unusable",
      "its JSON is no object",
    ],
    [
      "an organization without teams",
      answer(200, { is_admin: true }),
      ({ teamRoles }) => teamRoles(acme),
      "quay-answer-unusable",
      "the teams of acme",
    ],
    [
      "a repository without permissions",
      answer(200, {}),
      ({ permissions }) => permissions("acme/app"),
      "quay-answer-unusable",
      "the permissions on acme/app",
    ],
    [
      "a role that Quay does not have",
      answer(200, { role: "owner" }),
      ({ permission }) => permission("acme/app", "acme+ci"),
      "quay-answer-unusable",
      "a role other than read, write, admin",
    ],
    [
      "a page of the log without a time",
      answer(200, { start_time: "soon", end_time: "later", logs: [] }),
      ({ logPage }) => logPage(acme, { from: "2026-11-01", to: "2026-11-01" }),
      "quay-answer-unusable",
      "the usage log of acme from 2026-11-01 to 2026-11-01",
    ],
    [
      "a redirect to nowhere",
      redirect("https://"),
      reads,
      "quay-answer-unusable",
      "a redirect to another path",
      "the API token would go there",
    ],
    [
      "a read-only Quay that allows no method",
      answer(405, { detail: "Registry is read-only" }),
      writes,
      "quay-read-only",
    ],
    ["a read-only Quay", page(READ_ONLY), writes, "quay-read-only", "end the maintenance"],
    [
      "Quay's own reason, of which the first line says it",
      answer(400, { detail: "1 is not of type 'string'\n\nFailed validating 'type'" }),
      writes,
      "quay-refused",
      "1 is not of type 'string'\"",
    ],
    ["a body that nginx finds too large", answer(413, "<html>"), writes, "quay-answer-unusable", "status 413"],
  ])("%s", async (_, scripted, work, code, ...says) => {
    peers.quay.managementScript.always(scripted);
    const platform = local();
    const output = await failureText(code, work(open({ platform })));
    for (const words of says) expect(output).toContain(words);
    expect(platform.waits).toEqual([]);
  });

  test("a robot that is missing", async () => {
    expect(await failureText("robot-not-found", open().federation(acme, "acme+ghost"))).toContain(
      "Could not find robot",
    );
  });

  test("a Quay without robots", async () => {
    peers.quay.settings.robotsDisallowed = true;
    expect(await failureText("robots-disabled", open().createRobot(acme, "acme+x1", ""))).toContain("ROBOTS_DISALLOW");
  });

  test("a write with a token that became unknown: 403 about CSRF", async () => {
    await failureText("api-token-refused", writes(open({ token: "X".repeat(40) })));
  });

  test.each<[string, Work]>([
    ["reading", reads],
    ["writing", writes],
  ])("a Quay without federation, %s", async (_, work) => {
    peers.quay.settings.release = "without-federation";
    expect(await failureText("quay-without-federation", work(open()))).toContain("3.13");
  });

  test("a token without repo:admin, at the permissions", async () => {
    const { permissions } = open({ token: tokenOf("admin", "org:admin") });
    expect(await failureText("api-rights-missing", permissions("acme/app"))).toContain("lacks the scope repo:admin");
  });

  test("a list without rights: the token's scope is too small", async () => {
    peers.quay.managementScript.always(answer(200, { robots: [{ name: "acme+ci", description: "" }] }));
    await failureText("api-rights-missing", open().robotsWithRights(acme));
  });
});

describe("retries", () => {
  test.each<[string, Scripted[], times: number]>([
    ["429, not before Retry-After", [answer(429, "", { "retry-after": "7" })], 1],
    ["502", [page(LOADING), page(LOADING), page(LOADING)], 3],
    ["500 twice", [page(INTERNAL_ERROR), page(INTERNAL_ERROR)], 2],
    ["a connection that breaks", [reset(), reset()], 2],
    ["a broken-off answer", [cut()], 1],
  ])("a read after %s", async (_, scripted, times) => {
    peers.quay.managementScript.next(...scripted);
    const platform = local();
    expect(await reads(open({ platform }))).toHaveLength(1);
    expect(platform.waits).toHaveLength(times);
    if (scripted[0]?.kind === "answer" && scripted[0].headers["retry-after"]) expect(platform.waits[0]).toBe(7000);
  });

  test.each<[string, Scripted, Work, times: number]>([
    ["a federation after a connection that breaks", reset(), writes, 1],
    ["a federation after 502", page(LOADING), writes, 1],
    ["a federation after 429, until the timeout", page(TOO_MANY_REQUESTS), writes, 5],
    ["a permission after 500, twice", page(INTERNAL_ERROR), (m) => m.setPermission("acme/app", "acme+ci", "write"), 3],
  ])("never writes twice what another may have changed: %s", async (_, scripted, work, atLeast) => {
    peers.quay.managementScript.always(scripted);
    await failure(work(open()));
    if (atLeast === 5) expect(asked().length).toBeGreaterThan(5);
    else expect(asked()).toHaveLength(atLeast);
  });
});

describe("the API token", () => {
  test("goes to https://REGISTRY/api/v1 alone, masked first", async () => {
    const other = await startQuay(peers.authority);
    peers.quay.managementScript.always(redirect(`https://${other.host}/api/v1/`, 307));
    const platform = local();
    const management = open({ platform });
    expect(platform.reporter.secrets).toEqual([peers.oauthToken]);
    for (const work of [reads, writes]) await failure(work(management));
    expect(other.requests).toEqual([]);
    await other.close();
    expect(peers.quay.requests.every(({ path }) => path.startsWith("/api/v1/"))).toBe(true);
  });
});

describe("static tokens", () => {
  test("are never asked for where a query leaves them out, and are masked where not", async () => {
    addRobot(peers.quay.store, "acme+secretive");
    const platform = local();
    const management = open({ platform });
    expect(await management.createRobot(acme, "acme+fresh", "by a test")).toBe(true);
    expect(await management.createRobot(acme, "acme+fresh", "again")).toBe(false);
    const made = peers.quay.store.robots.get("acme+fresh");
    await management.regenerate(acme, "acme+fresh");
    const { token = "" } = peers.quay.store.robots.get("acme+fresh") ?? {};
    expect(made?.description).toBe("by a test");
    expect(platform.reporter.secrets).toHaveLength(3);
    expect(platform.reporter.secrets.at(-1)).toBe(token);
    const before = platform.reporter.secrets.length;
    const lists = [await management.robots(acme), await management.robotsWithRights(acme)];
    expect(platform.reporter.secrets).toHaveLength(before);
    for (const { token: secret } of peers.quay.store.robots.values()) {
      expect(JSON.stringify(lists)).not.toContain(secret);
    }
  });
});

describe("robots", () => {
  test("are those of exactly this owner, by name", async () => {
    peers.quay.managementScript.next(
      answer(200, {
        robots: [
          { name: "acme+b", description: null, last_accessed: "Sat, 28 Nov 2026 08:16:21 -0000" },
          { name: "acmeplus+a", description: "" },
          { name: "acme+a", description: "x", last_accessed: null },
        ],
      }),
    );
    expect(await open().robots(acme)).toEqual([
      { name: "acme+a", description: "x", lastAccessed: null },
      { name: "acme+b", description: "", lastAccessed: "Sat, 28 Nov 2026 08:16:21 -0000" },
    ]);
  });

  test("of a user", async () => {
    const dev: Owner = { kind: "user", name: "dev" };
    const management = open({ token: tokenOf("dev", "user:admin", "repo:admin", "repo:create") });
    await management.createRobot(dev, "dev+bot", "");
    await management.setFederation(dev, "dev+bot", [{ issuer: "https://a.example", subject: "s" }]);
    expect(await management.federation(dev, "dev+bot")).toEqual([{ issuer: "https://a.example", subject: "s" }]);
    expect((await management.robotsWithRights(dev)).map(({ name }) => name)).toEqual(["dev+bot"]);
    expect(asked().every((line) => line.includes("/user/robots"))).toBe(true);
  });
});

test("keeps unknown keys byte for byte, numbers too", async () => {
  const stored =
    '[{"issuer":"https://a.example","subject":"s","id":9007199254740993,"rate":1.0,"deep":{"b":1e400},"é":"\\u0000"}]';
  const sent: (string | undefined)[] = [];
  const http: Http = {
    close: () => {},
    open: () => ({
      abandon: () => {},
      async send(_headers, text) {
        sent.push(text);
        return { status: 200, headers: {}, body: stored };
      },
    }),
  };
  const { federation, setFederation } = open({ platform: { ...local(), http } });
  await setFederation(acme, "acme+ci", await federation(acme, "acme+ci"));
  expect(sent).toEqual([undefined, stored]);
});

test("sends at most 8 requests at the same time", async () => {
  const platform = local();
  let [now, most] = [0, 0];
  const http: Http = {
    ...platform.http,
    open: (...args) => {
      const request = platform.http.open(...args);
      return {
        ...request,
        async send(...content) {
          most = Math.max(most, ++now);
          return request.send(...content).finally(() => now--);
        },
      };
    },
  };
  const { federation } = open({ platform: { ...platform, http } });
  await Promise.all(Array.from({ length: 50 }, () => federation(acme, "acme+ci")));
  expect(most).toBe(8);
});

test("sends nothing once it has ended, and ends with the reason", async () => {
  const reason = new Error("the end");
  const platform = testPlatform({ roots: peers.authority.ca, signal: AbortSignal.abort(reason) });
  await expect(reads(open({ platform }))).rejects.toBe(reason);
  expect(peers.quay.requests).toEqual([]);
});

describe("teams", () => {
  test("have roles, and permissions on repositories", async () => {
    addOrganization(peers.quay.store, "teams", ["admin"]);
    addRepository(peers.quay.store, "teams/app");
    addTeam(peers.quay.store, "teams", "makers", { role: "creator", permissions: { "teams/app": "read" } });
    const owner: Owner = { kind: "organization", name: "teams" };
    const { teamRoles, teamPermissions } = open();
    expect(await teamRoles(owner)).toEqual(
      new Map([
        ["owners", "admin"],
        ["makers", "creator"],
      ]),
    );
    expect(await teamPermissions(owner, "makers")).toEqual([{ repository: "teams/app", role: "read" }]);
  });

  test("are none of a user's, which needs no request", async () => {
    expect(await open().teamRoles({ kind: "user", name: "dev" })).toEqual(new Map());
    expect(asked()).toEqual([]);
  });

  test("may be missing from the list of robots", async () => {
    peers.quay.managementScript.next(answer(200, { robots: [{ name: "acme+ci", repositories: ["b", "a"] }] }));
    expect(await open().robotsWithRights(acme)).toMatchObject([{ repositories: ["a", "b"], teams: [] }]);
  });
});

describe("repositories and permissions", () => {
  test("are made, given, read and removed, each twice", async () => {
    const management = open();
    expect(await management.hasRepository("acme/fresh")).toBe(false);
    expect([await management.createRepository("acme/fresh"), await management.createRepository("acme/fresh")]).toEqual([
      true,
      false,
    ]);
    expect(peers.quay.store.repositories.get("acme/fresh")?.visibility).toBe("private");
    expect(await management.hasRepository("acme/fresh")).toBe(true);
    expect(await management.permission("acme/fresh", "acme+ci")).toBeUndefined();
    for (const role of ["read", "write", "write"] as const) {
      await management.setPermission("acme/fresh", "acme+ci", role);
      expect(await management.permission("acme/fresh", "acme+ci")).toBe(role);
    }
    expect((await management.permissions("acme/fresh")).get("acme+ci")).toBe("write");
    await management.removePermission("acme/fresh", "acme+ci");
    await management.removePermission("acme/fresh", "acme+ci");
    expect((await management.permissions("acme/fresh")).has("acme+ci")).toBe(false);
  });
});

test.each<[Peers["quay"]["settings"]["release"], boolean]>([
  ["main", false],
  ["newer", true],
])("knows whether a Quay keeps audiences: %s", async (release, keeps) => {
  peers.quay.settings.release = release;
  expect(await open().keepsAudiences(acme)).toBe(keeps);
});

test("a Quay without federation says so before anything is written", async () => {
  peers.quay.settings.release = "without-federation";
  await failureText("quay-without-federation", open().keepsAudiences(acme));
});

const routes = { "/api/v1/organization/{orgname}/robots/{robot_shortname}/federation": {} };

test.each([answer(404, "<html>"), answer(308, ""), answer(200, { paths: routes, definitions: {} })])(
  "a Quay that does not describe its API is asked on",
  async (scripted) => {
    peers.quay.managementScript.next(scripted);
    expect(await open().keepsAudiences(acme)).toBeUndefined();
  },
);

describe("the usage log", () => {
  test("one page after the other, with what Quay understood of the window", async () => {
    addOrganization(peers.quay.store, "logged", ["admin"]);
    const time = new Date("2026-11-01T10:00:00Z");
    for (let number = 0; number < 25; number++) {
      addLogEntry(peers.quay.store, { ...used.login("logged+ci"), time: new Date(time.getTime() + number * 1000) });
    }
    const owner: Owner = { kind: "organization", name: "logged" };
    const window = { from: "2026-11-01", to: "2026-11-01" };
    const { logPage, logCounts } = open();
    const first = await logPage(owner, window);
    expect([first.from, first.to]).toEqual([Date.UTC(2026, 10, 1), Date.UTC(2026, 10, 2)]);
    const second = await logPage(owner, window, first.nextPage);
    expect([first.entries.length, second.entries.length, second.nextPage]).toEqual([20, 5, undefined]);
    expect(first.entries[0]).toMatchObject({ kind: "login_success", at: time.getTime() + 24_000 });
    expect(await logCounts(owner, window)).toEqual([{ kind: "login_success", count: 25, day: Date.UTC(2026, 10, 1) }]);
  });

  const window = { from: "2026-11-02", to: "2026-11-02" };
  const time = new Date("2026-11-02T10:00:00Z");

  test("of a user", async () => {
    addLogEntry(peers.quay.store, { ...used.login("dev+logged"), time });
    const dev: Owner = { kind: "user", name: "dev" };
    const { logPage, logCounts } = open({ token: tokenOf("dev", "user:admin") });
    expect((await logPage(dev, window)).entries).toMatchObject([{ kind: "login_success", at: time.getTime() }]);
    expect(await logCounts(dev, window)).toMatchObject([{ count: 1 }]);
    expect(asked().map((line) => line.split("?")[0])).toEqual(["GET /user/logs", "GET /user/aggregatelogs"]);
  });

  test("that can't be searched", async () => {
    peers.quay.settings.searchUnavailable = true;
    const { logPage, logCounts } = open();
    expect(await logPage(acme, window)).toMatchObject({ unavailable: true, entries: [] });
    expect(await logCounts(acme, window)).toBeUndefined();
  });

  test("with an entry that has no details", async () => {
    const [start_time, end_time] = ["Mon, 02 Nov 2026 00:00:00 -0000", "Tue, 03 Nov 2026 00:00:00 -0000"];
    const entry = { kind: "new_kind", datetime: "Mon, 02 Nov 2026 10:00:00 -0000", metadata: null };
    const byAdmin = { ...entry, performer: { kind: "user", name: "admin" } };
    peers.quay.managementScript.next(answer(200, { start_time, end_time, logs: [entry, byAdmin] }));
    const { entries } = await open().logPage(acme, window);
    const read = { kind: "new_kind", at: time.getTime(), metadata: {} };
    expect(entries).toEqual([read, { ...read, performer: "admin" }]);
  });
});
