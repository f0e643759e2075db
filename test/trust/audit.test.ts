/** What is read for an audit, over real TLS; what the log's entries say; what the report and `fail-on` make of it. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { OptionValues } from "../../src/options/table.ts";
import { findingNames } from "../../src/options/table.ts";
import { keepsWholeLog } from "../../src/quay/log-retention.ts";
import type { LogEntry } from "../../src/quay/management.ts";
import { type Audit, audit } from "../../src/trust/audit.ts";
import { failureOf, markdownOf, objectOf, reportOf } from "../../src/trust/audit-report.ts";
import { parseAuditRequest, parseRetireRequest } from "../../src/trust/audit-request.ts";
import { rowsOf } from "../../src/trust/findings.ts";
import type { Gap } from "../../src/trust/judge.ts";
import { retire } from "../../src/trust/retire.ts";
import type { RobotUsage } from "../../src/trust/usage.ts";
import { eventOf } from "../../src/trust/usage-events.ts";
import { failureText, fakeClock, testPlatform } from "../fixtures.ts";
import { SUBJECT } from "../quay-stand-in/issuer.ts";
import { type Peers, startPeers } from "../quay-stand-in/peers.ts";
import { addLogEntry, used } from "../quay-stand-in/quay/log.ts";
import {
  addApiToken,
  addOrganization,
  addRepository,
  addRobot,
  addTeam,
  removeRobot,
} from "../quay-stand-in/quay/store.ts";
import { answer } from "../quay-stand-in/scripted.ts";

let peers: Peers;
beforeAll(async () => {
  peers = await startPeers({ registry: false });
});
afterAll(() => peers.close());

const platformHere = (env = { QUAY_API_TOKEN: peers.oauthToken }) => testPlatform({ env, roots: peers.authority.ca });
const requestFor = (organization: string, more = {}) =>
  parseAuditRequest({ organization, registry: peers.registryHost, ...more });
const auditOf = (organization: string, platform = platformHere()) =>
  audit(requestFor(organization), platform, () => {});

const time = Date.parse("2026-11-20T10:00:00Z");

describe("an entry of the log", () => {
  const entry = (kind: string, metadata: object, performer?: string): LogEntry => ({
    ...{ kind, metadata: metadata as LogEntry["metadata"], at: time },
    ...(performer && { performer }),
  });
  const oauth = { oauth_token_id: 2, oauth_token_application_id: "CLIENTID", oauth_token_application: "t" };
  const manifest = { repo: "app", namespace: "acme", tag: "v1", mediaType: "x", resolved_ip: { provider: "internet" } };
  const robot = "acme+ci";

  test.for<[string, LogEntry, object | undefined]>([
    [
      "an exchange, with the robot's short name",
      entry("federated_robot_token_exchange", { subject: "s", issuer: "https://i", robot: "ci" }),
      { kind: "exchange", at: time, robot, issuer: "https://i", subject: "s" },
    ],
    [
      "a login, with its full name",
      entry("login_success", { kind: "robot", robot, type: "v2auth", useragent: "x" }, robot),
      { kind: "use", use: "login", at: time, robot },
    ],
    [
      "a push",
      entry("push_repo", { ...manifest, username: robot, is_robot: true }, robot),
      { kind: "use", use: "push", at: time, robot, repository: "acme/app" },
    ],
    [
      "a pull of a robot that was deleted since",
      entry("pull_repo", { ...manifest, username: robot, is_robot: true }),
      { kind: "use", use: "pull", at: time, robot, repository: "acme/app" },
    ],
    [
      "a robot of another organization",
      entry("pull_repo", { ...manifest, username: "dev+x", is_robot: true }, "dev+x"),
      { kind: "use", use: "pull", at: time, robot: "dev+x", repository: "acme/app" },
    ],
    [
      "what else a robot does",
      entry("create_repo", { repo: "new", namespace: "acme" }, robot),
      { kind: "use", use: "other", at: time, robot, repository: "acme/new" },
    ],
    [
      "new bindings",
      entry(
        "create_robot_federation",
        { config: [{ issuer: "https://i", subject: "s" }], robot: "ci", ...oauth },
        "admin",
      ),
      { kind: "bindings", at: time, robot, bindings: [{ issuer: "https://i", subject: "s" }] },
    ],
    [
      "no bindings",
      entry("delete_robot_federation", { robot: "ci", ...oauth }, "admin"),
      { kind: "bindings", at: time, robot, bindings: [] },
    ],
    [
      "a new robot",
      entry("create_robot", { robot: "ci", description: null }, "admin"),
      { kind: "bindings", at: time, robot, bindings: [] },
    ],
    [
      "a new static token",
      entry("regenerate_robot_token", { robot: "ci" }, "admin"),
      { kind: "regenerated", at: time, robot },
    ],
    [
      "new bindings of another form",
      entry("create_robot_federation", { config: "none", robot: "ci" }, "admin"),
      { kind: "bindings", at: time, robot, bindings: [] },
    ],
    [
      "a push whose repository has no organization: the log's own",
      entry("push_repo", { repo: "app", username: robot, is_robot: true }, robot),
      { kind: "use", use: "push", at: time, robot, repository: "acme/app" },
    ],
    ["a deleted robot", entry("delete_robot", { robot: "ci" }, "admin"), { kind: "deleted", at: time, robot }],
    ["an anonymous pull", entry("pull_repo", manifest), undefined],
    ["a user's push", entry("push_repo", { ...manifest, username: "admin", is_robot: false }, "admin"), undefined],
    [
      "a permission of a robot",
      entry("change_repo_permission", { username: robot, repo: "app", namespace: "acme", role: "read" }, "admin"),
      undefined,
    ],
    [
      "a permission of a robot, by a user that was deleted since",
      entry("change_repo_permission", { username: robot, repo: "app", namespace: "acme", role: "read" }),
      undefined,
    ],
    [
      "a robot in a team, by a user that was deleted since",
      entry("org_add_team_member", { member: robot, username: robot, robot, team: "makers" }),
      undefined,
    ],
    [
      "a permission of a robot, by another robot",
      entry("change_repo_permission", { username: robot, repo: "app", namespace: "acme", role: "read" }, "acme+boss"),
      { kind: "use", use: "other", at: time, robot: "acme+boss", repository: "acme/app" },
    ],
    [
      "a failed login",
      entry("login_failure", { type: "v2auth", kind: "robot", robot, username: "acme" }, robot),
      undefined,
    ],
    ["a failed pull", entry("pull_repo_failed", { namespace: "acme", repo: "app", tag: "x" }, robot), undefined],
    ["of another form", entry("push_repo", { username: 7, repo: null, is_robot: "yes" }), undefined],
  ])("%s", ([_, given, expected]) => {
    expect(eventOf(given, "acme")).toEqual(expected);
  });
});

describe("reads", () => {
  test("robots with bindings, permissions and teams, but no static token", async () => {
    const { store } = peers.quay;
    addOrganization(store, "read", ["admin"]);
    const robot = addRobot(store, "read+ci", [{ issuer: peers.issuer.url, subject: SUBJECT }]);
    addRobot(store, "read+boss");
    addRepository(store, "read/app", { "read+ci": "admin" });
    addTeam(store, "read", "makers", { members: ["read+ci"], permissions: { "read/b/c": "write" } });
    addTeam(store, "read", "bosses", { role: "admin", members: ["read+boss"] });
    addLogEntry(store, { ...used.pull("read+ci", "read/app") });
    const platform = platformHere();
    const found = await auditOf("read", platform);
    expect(found.knowsPermissions).toBe(true);
    expect(found.robots.map(({ name, adminTeams }) => [name, adminTeams])).toEqual([
      ["read+boss", ["bosses"]],
      ["read+ci", []],
    ]);
    expect(found.robots[1]).toMatchObject({
      static: { count: 1 },
      adminOf: [{ repository: "read/app", role: "admin" }],
      wide: [
        { repository: "read/app", role: "admin", enough: "read" },
        { repository: "read/b/c", role: "write", team: "makers", enough: "none" },
      ],
    });
    expect(platform.reporter.secrets).not.toContain(robot.token);
    expect(platform.reporter.text()).not.toContain(robot.token);
  });

  test.for([-2 * 86_400_000, -60_000, 0, 40 * 86_400_000])(
    "up to Quay's time, if the clock here differs by %i ms",
    async (difference) => {
      const { store } = peers.quay;
      const name = `clock${difference + 2 * 86_400_000}`;
      addOrganization(store, name, ["admin"]);
      addRobot(store, `${name}+ci`, [{ issuer: peers.issuer.url, subject: SUBJECT }]);
      // A part of Quay whose clock is ahead.
      addLogEntry(store, { ...used.push(`${name}+ci`, `${name}/app`), time: new Date(Date.now() + 60_000) });
      const platform = { ...platformHere(), clock: fakeClock(Date.now() + difference) };
      const found = await auditOf(name, { ...platform, deadline: platform.clock.now() + 60_000 });
      expect(found).toMatchObject({ log: { entries: 1, gaps: [] }, robots: [{ static: { count: 1 }, isUsed: true }] });
      expect(Math.abs(found.window.to - Date.now())).toBeLessThan(30_000);
    },
  );

  test("a robot that is deleted in the meantime is left out", async () => {
    const { store } = peers.quay;
    addOrganization(store, "gone", ["admin"]);
    addRobot(store, "gone+ci");
    addRobot(store, "gone+other");
    const undo = peers.quay.managementScript.always({ kind: "pass" }, ({ url }) => {
      if (url?.includes("/robots/ci/federation")) removeRobot(store, "gone+ci");
      return false;
    });
    expect((await auditOf("gone")).robots.map(({ name }) => name)).toEqual(["gone+other"]);
    undo();
  });

  test("uses of robots that were deleted since, in lines of their own", async () => {
    const { store } = peers.quay;
    addOrganization(store, "del", ["admin"]);
    const log = (entry: Parameters<typeof addLogEntry>[1], hours: number) =>
      addLogEntry(store, { ...entry, time: new Date(Date.now() - hours * 3_600_000) });
    const deleted = (short: string) => ({
      ...{ kind: "delete_robot", namespace: "del", performer: "admin", metadata: { robot: short } },
    });
    // Quay names no performer of what a deleted robot did.
    const push = ({ performer: _, ...entry } = used.push("del+old", "del/app")) => entry;
    log(push(), 50);
    log(used.exchange("del+old", "https://i", "s"), 20);
    log(push(), 19);
    log(deleted("old"), 10);
    // A new robot of the name of an earlier one.
    addRobot(store, "del+again");
    log(used.pull("del+again", "del/app"), 30);
    log(deleted("again"), 20);
    log(used.pull("del+again", "del/app"), 5);
    // Deleted, but not used in the window.
    log(used.login("del+idle"), 40 * 24);
    log(deleted("idle"), 3);
    const found = await auditOf("del");
    expect(objectOf(found)).toMatchObject({
      "deleted-robots": [
        { robot: "del+again", "static-token": { uses: 1, kinds: { pull: 1 } }, unknown: null },
        { robot: "del+old", "static-token": { uses: 1 }, unknown: { uses: 1, why: ["after-exchange"] } },
      ],
      robots: [{ robot: "del+again", "static-token": { uses: 1 } }],
    });
    const { pairs } = reportOf(found);
    expect(Object.fromEntries(pairs)["deleted-robots"]).toEqual([
      expect.stringMatching(/^del\+again, static-token: 1 pull \(del\/app\), /),
      expect.stringMatching(/^del\+old, static-token: 1 push \(del\/app\), /),
      expect.stringMatching(/^del\+old, unknown: 1 push \(del\/app\), .*shortly after an exchange/),
    ]);
    expect(markdownOf(found).join("\n")).toContain("- deleted-robots: del+old, static-token&#58; 1 push");
    expect(failureOf({ ...found, robots: [] }, ["static-token"])).toBeUndefined();
  });

  test("without the scope repo:admin: the permissions are unknown", async () => {
    const { store } = peers.quay;
    addOrganization(store, "scope", ["admin"]);
    addRobot(store, "scope+ci");
    addRepository(store, "scope/app", { "scope+ci": "admin" });
    const token = addApiToken(store, { user: "admin", scopes: ["org:admin"] });
    const found = await auditOf("scope", platformHere({ QUAY_API_TOKEN: token }));
    expect(found).toMatchObject({ knowsPermissions: false, robots: [{ name: "scope+ci", adminOf: [], wide: [] }] });
  });

  test("a robot of another organization, and when a robot logged in last", async () => {
    const { store } = peers.quay;
    addOrganization(store, "host", ["admin"]);
    addRobot(store, "host+ci").lastAccessed = new Date(time);
    addLogEntry(store, used.pull("acme+ci", "host/app"));
    const found = await auditOf("host");
    expect(found).toMatchObject({ guests: ["acme+ci"], robots: [{ name: "host+ci", lastAccessed: time }] });
  });

  test("an empty log, of which Quay may have removed all", async () => {
    addOrganization(peers.quay.store, "empty", ["admin"]);
    const platform = platformHere();
    const open: typeof platform.http.open = (url, ...rest) =>
      platform.http.open(url.pathname === "/config" ? new URL("https://localhost:1/") : url, ...rest);
    const { log, window } = await auditOf("empty", { ...platform, http: { ...platform.http, open } });
    expect(log).toMatchObject({ entries: 0, keptSince: window.to });
  });

  test("/config without the API token, and takes any other answer for a log that is not kept", async () => {
    const before = peers.quay.requests.length;
    expect(await keepsWholeLog(peers.registryHost, platformHere())).toBe(true);
    const asked = peers.quay.requests.slice(before).filter(({ path }) => path === "/config");
    expect(asked).toEqual([expect.objectContaining({ scheme: undefined })]);
    expect(await keepsWholeLog("localhost:1", platformHere())).toBe(false);
  });

  test.for(["/robots/ci/federation", "/permissions/user/"])("nothing if Quay fails at %s", async (path) => {
    const { store } = peers.quay;
    const name = `bad${path.length}`;
    addOrganization(store, name, ["admin"]);
    addRobot(store, `${name}+ci`);
    addRepository(store, `${name}/app`, { [`${name}+ci`]: "read" });
    const undo = peers.quay.managementScript.always(answer(400, { detail: "broken" }), ({ url = "" }) =>
      url.includes(path),
    );
    expect(await failureText("quay-refused", auditOf(name))).toContain("broken");
    undo();
  });
});

describe("a static token", () => {
  test.for(["https://localhost:1/", "https://nowhere.invalid/"])(
    "is not replaced by a request to %s",
    async (other) => {
      const { store } = peers.quay;
      addOrganization(store, "unsent", ["admin"]);
      const { name } = addRobot(store, "unsent+ci", [{ issuer: peers.issuer.url, subject: SUBJECT }]);
      const platform = platformHere();
      const open: typeof platform.http.open = (url, ...rest) =>
        platform.http.open(url.pathname.endsWith("/regenerate") ? new URL(other) : url, ...rest);
      const request = parseRetireRequest({ registry: peers.registryHost, robot: name, yes: name, force: "true" });
      const asking = { onProgress: () => {}, confirm: async () => {} };
      const work = retire(request, { ...platform, http: { ...platform.http, open } }, asking);
      expect(await failureText("quay-unreachable", work)).not.toContain("may have been replaced");
    },
  );
});

describe("options", () => {
  const quiet = { organization: "acme" };
  test.for([
    [{}, []],
    [{ "fail-on": "admin" }, ["admin"]],
    [{ "fail-on": "admin, static-token,,admin" }, ["admin", "static-token"]],
    [{ "fail-on": "admin\nno-binding" }, ["admin", "no-binding"]],
  ] as const)("%j", ([values, expected]) => {
    expect(parseAuditRequest({ ...quiet, ...values }).failOn).toEqual(expected);
  });

  test.for(["1d", "30d", "365d"])("since %s", (since) => {
    expect(parseAuditRequest({ ...quiet, since }).days).toBe(Number.parseInt(since, 10));
  });

  test.for(["0d", "366d", "30", "30 d", "30D", "-1d", "1.5d", "30d ago", "1w", "00000030d", "", " "])(
    "not since %j",
    async (since) => {
      const text = await failureText("invalid-input", () => parseAuditRequest({ ...quiet, since }));
      expect(text).toContain("since: 30d");
    },
  );

  test("not since a blank, for a robot to retire either", async () => {
    const text = await failureText("invalid-input", () => parseRetireRequest({ robot: "acme+ci", since: "" }));
    expect(text).toContain("since: 30d");
  });

  test.for(["", " ", ",", " , ", "\n", "admin\n", "\nadmin", "admin\n,"])("fails on no finding %j", async (failOn) => {
    const text = await failureText("invalid-input", () => parseAuditRequest({ ...quiet, "fail-on": failOn }));
    expect(text).toContain("it names no finding");
    expect(text).toContain("fail-on: static-token,no-binding");
  });

  test.for([
    ["Acme", "organization: acme", "not the name of an organization"],
    ["acme+ci", "organization: acme", "it is a robot's name"],
    ["UMBRELLA+ci", "organization: umbrella", "it is a robot's name"],
    ["!", "organization: acme", "not the name of an organization"],
  ] as const)("not the organization %s", async ([organization, ...says]) => {
    const text = await failureText("invalid-input", () => parseAuditRequest({ organization }));
    for (const words of says) expect(text).toContain(words);
  });

  test.for([
    ["admn", "fail-on: admin"],
    ["everything", "fail-on: static-token"],
  ] as const)("no finding %s", async ([name, example]) => {
    const text = await failureText("invalid-input", () => parseAuditRequest({ ...quiet, "fail-on": name }));
    expect(text).toContain(`the findings are ${findingNames.join(", ")}`);
    expect(text).toContain(example);
  });

  test.for<[OptionValues, string]>([
    [{ robot: "acme+ci\nacme+cd" }, "one robot is retired at a time"],
    [{ robot: "acme+ci", yes: "acme+cd" }, "it must be the robot once more, acme+ci"],
  ])("no robot to retire: %j", async ([values, says]) => {
    expect(await failureText("invalid-input", () => parseRetireRequest(values))).toContain(says);
  });

  test.for<[OptionValues, object]>([
    [{ robot: "acme+ci" }, { organization: "acme", isConfirmed: false, force: false, days: 30 }],
    [
      { robot: "acme+ci", yes: "acme+ci", force: "true" },
      { isConfirmed: true, force: true },
    ],
  ])("%j", ([values, expected]) => {
    expect(parseRetireRequest(values)).toMatchObject(expected);
  });
});

describe("the report", () => {
  const issuer = "https://issuer.example.com";
  const uses = { count: 2, first: time, last: time + 60_000, kinds: { push: 1, pull: 1 }, repositories: ["acme/app"] };
  const usage: RobotUsage = {
    ...{ name: "acme+ci", exchanges: [], static: undefined, unknown: undefined, regenerated: undefined },
    ...{ bindings: [], isUsed: true, lastAccessed: undefined, adminTeams: [], adminOf: [], wide: [] },
  };
  const bound = { ...usage, bindings: [{ issuer, subject: "s", lastUsed: time, since: undefined }] };
  const auditWith = (robots: readonly RobotUsage[], more: Partial<Audit> = {}): Audit => ({
    ...{ registry: "quay.io", organization: "acme", days: 30, knowsPermissions: true, guests: [], deleted: [], robots },
    window: { from: time - 30 * 86_400_000, to: time },
    log: { ...{ events: [], gaps: [], entries: 7, oldest: time, readFrom: time }, keptSince: Number.NEGATIVE_INFINITY },
    ...more,
  });
  const gaps = [{ day: Date.parse("2026-11-19"), kind: "push_repo", read: 3, counted: 5 }];
  const withGaps = { log: { ...auditWith([]).log, gaps } };
  const says = (about: RobotUsage) => rowsOf(about, 30).map(({ label, says: what }) => `${label}: ${what}`);

  test.for<[Partial<RobotUsage>, ...string[]]>([
    [
      { exchanges: [{ issuer, subject: "s", count: 1, last: time, isBound: false }] },
      `keyless: 1 exchange by s of ${issuer}, last 2026-11-20T10:00:00Z (no longer bound)`,
    ],
    [
      { static: uses, regenerated: time - 1000 },
      "static-token: 1 push, 1 pull (acme/app), from 2026-11-20T10:00:00Z to 2026-11-20T10:01:00Z; the token before was replaced 2026-11-20T09:59:59Z",
    ],
    [
      { static: { ...uses, repositories: ["a", "b", "c", "d", "e", "f", "g"] } },
      "static-token: 1 push, 1 pull (a, b, c, d, e, 2 more), from 2026-11-20T10:00:00Z to 2026-11-20T10:01:00Z",
    ],
    [
      { regenerated: time },
      "token-replaced: the static token was replaced 2026-11-20T10:00:00Z; no use of the new one is certain",
    ],
    [
      { unknown: { ...uses, last: time, doubts: ["log-incomplete", "token-replaced"] } },
      "unknown: 1 push, 1 pull (acme/app), 2026-11-20T10:00:00Z: exchanges may be missing from the log; shortly after the static token was replaced, so with the earlier or the present one",
    ],
    [
      { bindings: [{ issuer, subject: "s", lastUsed: "never", since: time }] },
      `unused-binding: s of ${issuer}: no exchange in 30 days; entered 2026-11-20T10:00:00Z`,
    ],
    [
      { bindings: [{ issuer, subject: "s", lastUsed: "unknown", since: undefined }] },
      `unknown: binding s of ${issuer}: no exchange is in the log in 30 days, but the log has gaps`,
    ],
    [
      { isUsed: false, lastAccessed: time },
      "unused-robot: no exchange, login, push or pull in 30 days; last login 2026-11-20T10:00:00Z; pulls of another organization's repositories are not in this log",
    ],
    [{ isUsed: "unknown" }, "unknown: nothing of it is in the log in 30 days, but the log has gaps"],
    [{ adminTeams: ["owners"] }, "admin: administers the organization, by the team owners"],
    [{ adminOf: [{ repository: "acme/a", role: "admin", team: "t" }] }, "admin: administers acme/a, by the team t"],
    [
      { wide: [{ repository: "acme/a", role: "write", enough: "read" }] },
      "wide-permission: write on acme/a: read is enough for what was done in 30 days",
    ],
    [
      { wide: [{ repository: "acme/a", role: "read", enough: "none" }] },
      "wide-permission: read on acme/a: nothing was done there in 30 days",
    ],
    [
      { wide: [{ repository: "acme/a", role: "write", enough: "unknown" }] },
      "unknown: write on acme/a: the log has gaps, so whether it is needed is not known",
    ],
  ])("of %j", ([part, ...expected]) => {
    expect(says({ ...bound, ...part })).toEqual(expected);
  });

  test("names what the log lacks, and what the token may not read", () => {
    const found = auditWith([usage], { ...withGaps, knowsPermissions: false, guests: ["dev+x"] });
    const { pairs, conclusion } = reportOf(found);
    expect(Object.fromEntries(pairs)).toMatchObject({
      "usage-log": [
        "incomplete: entries of 1 day are missing or can't be counted, so some of this is unknown",
        "2026-11-19, push_repo: 3 entries read, Quay counts 5",
      ],
      admin: "unknown: needs repo:admin",
      "wide-permission": "unknown: needs repo:admin",
      "other-robots": expect.stringMatching(/^dev\+x: /),
    });
    expect(conclusion).toBe("Findings: no-binding: 1 robot.");
    expect(objectOf(found)).toMatchObject({
      log: { complete: false, gaps: [{ day: "2026-11-19", kind: "push_repo", read: 3, counted: 5 }] },
      robots: [{ "admin-of": null, "wide-permissions": null }],
      findings: [{ finding: "no-binding", robot: "acme+ci" }],
    });
  });

  test("shortens long lists of guests, deleted robots, gaps and found robots", async () => {
    const names = Array.from({ length: 12 }, (_, index) => `r${String(index).padStart(2, "0")}`);
    const found = auditWith(
      names.map((name) => ({ ...usage, name: `acme+${name}` })),
      {
        guests: names.map((name) => `dev+${name}`),
        deleted: names.map((name) => ({
          ...{ name: `acme+${name}`, static: undefined },
          unknown: { ...uses, doubts: ["log-incomplete"] },
        })),
        log: {
          ...auditWith([]).log,
          gaps: names.map((_, index) => ({
            ...{ day: Date.parse("2026-11-01") + index * 86_400_000, kind: undefined, read: 1, counted: undefined },
          })),
          keptSince: time - 86_400_000,
        },
      },
    );
    const pairs = Object.fromEntries(reportOf(found).pairs);
    expect(pairs["other-robots"]).toMatch(/dev\+r09 and 2 more: /);
    expect([pairs["deleted-robots"]?.length, pairs["deleted-robots"]?.at(-1)]).toEqual([11, "and 2 more"]);
    expect(pairs["usage-log"]?.slice(1, 2)).toEqual(["2026-11-01, all kinds: 1 entry read, Quay does not count them"]);
    expect(pairs["usage-log"]?.slice(-2)).toEqual([
      "and 2 more gaps",
      "begins 2026-11-19T10:00:00Z: Quay may have removed what was before",
    ]);
    expect(objectOf(found)).toMatchObject({
      log: { "kept-since": "2026-11-19T10:00:00Z", gaps: names.map(() => ({ kind: null, counted: null })) },
    });
    const text = await failureText("audit-finding", Promise.reject(failureOf(found, ["no-binding"])));
    expect(text).toContain("acme+r04 and 7 more.");
  });

  test("for programs has times and teams, and null where there are none", () => {
    const full: RobotUsage = {
      ...{ ...usage, regenerated: time, lastAccessed: time },
      exchanges: [{ issuer, subject: "s", count: 2, last: time, isBound: true }],
      adminOf: [{ repository: "acme/b", role: "admin" }],
      bindings: [
        { issuer, subject: "s", lastUsed: time, since: time },
        { issuer, subject: "t", lastUsed: "never", since: undefined },
      ],
      wide: [
        { repository: "acme/a", role: "write", enough: "read" },
        { repository: "acme/a", role: "admin", team: "makers", enough: "none" },
      ],
    };
    const at = "2026-11-20T10:00:00Z";
    expect(objectOf(auditWith([full]))).toMatchObject({
      robots: [
        {
          "token-replaced": at,
          "last-login": at,
          "admin-of": ["acme/b"],
          keyless: [{ issuer, subject: "s", exchanges: 2, "last-used": at, bound: true }],
          bindings: [
            { "last-used": at, since: at },
            { "last-used": "never", since: null },
          ],
          "wide-permissions": [{ team: null }, { team: "makers" }],
        },
      ],
    });
  });

  test("in Markdown keeps text from outside in its cell", () => {
    const exchanges = [
      { issuer: "https://i|<img>", subject: "[x](https://evil) `|`\n# y", count: 1, last: time, isBound: true },
    ];
    const lines = markdownOf(auditWith([{ ...bound, exchanges }]));
    expect(lines.at(-1)).toMatch(/^\| acme\+ci \| keyless \| [^|<`[\]()]+ \|$/);
    expect(lines.join("\n")).not.toContain("evil)");
  });

  test.for<[(typeof findingNames)[number], Partial<RobotUsage>, string]>([
    ["static-token", { static: uses }, "retire-static-token acme+ci"],
    ["no-binding", { bindings: [] }, "federate --robot acme+ci"],
    [
      "unused-binding",
      { bindings: [{ issuer, subject: "s", lastUsed: "never", since: undefined }] },
      "Set robot federation",
    ],
    ["unused-robot", { isUsed: false }, "Robot accounts"],
    ["admin", { adminTeams: ["owners"] }, "User and Robot Permissions"],
    [
      "wide-permission",
      { wide: [{ repository: "acme/a", role: "write", enough: "read" }] },
      "User and Robot Permissions",
    ],
  ])("fails on %s alone", async ([name, part, remedy]) => {
    const found = auditWith([
      { ...bound, ...part },
      { ...bound, name: "acme+fine" },
    ]);
    const others = findingNames.filter((other) => other !== name);
    expect(failureOf(found, others)).toBeUndefined();
    expect(failureOf(found, [])).toBeUndefined();
    const text = await failureText("audit-finding", Promise.reject(failureOf(found, findingNames)));
    expect(text).toContain(`The audit of acme found ${name}: acme+ci.`);
    expect(text).toContain(remedy);
  });

  test.for<[string, readonly Gap[], string, string | undefined]>([
    ["of the same time", gaps, "pages lose entries of the same time", undefined],
    ["of earlier days", [{ ...gaps[0], day: Date.parse("2026-11-10") } as Gap], "pages lose", "since: 8d"],
    [
      "that are not counted",
      [{ day: Date.parse("2026-11-10"), kind: undefined, read: 3, counted: undefined }],
      "AGGREGATED_LOG_COUNT_RETRIEVAL",
      undefined,
    ],
  ])("says what helps against gaps %s", async ([_, found, says, since]) => {
    const error = failureOf(auditWith([bound], { log: { ...auditWith([]).log, gaps: found } }), ["static-token"]);
    const text = await failureText("usage-log-incomplete", Promise.reject(error));
    expect(text).toContain(says);
    expect(/since: \d+d/.exec(text)?.[0]).toBe(since);
  });

  test.for<[(typeof findingNames)[number], Partial<Audit>, string | undefined]>([
    ["static-token", withGaps, "usage-log-incomplete"],
    ["unused-binding", withGaps, "usage-log-incomplete"],
    ["unused-robot", withGaps, "usage-log-incomplete"],
    ["wide-permission", withGaps, "usage-log-incomplete"],
    ["admin", withGaps, undefined],
    ["no-binding", withGaps, undefined],
    ["admin", { knowsPermissions: false }, "api-rights-missing"],
    ["wide-permission", { knowsPermissions: false }, "api-rights-missing"],
    ["static-token", { knowsPermissions: false }, undefined],
  ])("%s can't be ruled out with %j: %s", ([name, more, code]) => {
    expect(failureOf(auditWith([bound], more), [name])?.code).toBe(code);
    // What was found is what counts.
    const found = { ...bound, static: uses, bindings: [], isUsed: false as const, adminTeams: ["owners"] };
    expect(failureOf(auditWith([found], more), ["admin", "static-token"])?.code).toBe("audit-finding");
  });
});
