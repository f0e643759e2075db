/** `audit`: what a robot did with which token, from the built command line against the stand-in, whose log holds what really happened. */
import { get } from "node:https";
import { join } from "node:path";
import { describe, type ExpectStatic, test } from "vitest";
import { SUBJECT } from "../../quay-stand-in/issuer.ts";
import { addLogEntry, used } from "../../quay-stand-in/quay/log.ts";
import {
  addApiToken,
  addOrganization,
  addRepository,
  addRobot,
  addTeam,
  addUser,
  type Binding,
  revokeApiToken,
} from "../../quay-stand-in/quay/store.ts";
import { answer, cut, hang, huge, notJson, type Scripted } from "../../quay-stand-in/scripted.ts";
import { createMachine, type Machine, type MachineOptions, type Ran } from "../../support/command.ts";
import { writeImage } from "../../support/image.ts";
import { until } from "../world.ts";
import { failed, machineWithToken, quayOf, useWorld } from "./world.ts";

const peers = useWorld();
let count = 0;
const day = 86_400_000;
const ago = (days: number, seconds = 0) => new Date(Date.now() - days * day + seconds * 1000);

/** An organization for one test, with its administrator's API token. */
function newOrganization(scopes?: readonly string[]) {
  const { store } = peers().quay;
  const name = `audit${++count}`;
  addOrganization(store, name, ["admin"]);
  const token = addApiToken(store, { user: "admin", ...(scopes && { scopes }) });
  const bound: Binding = { issuer: peers().issuer.url, subject: SUBJECT };
  return {
    ...{ name, token, bound, store },
    robot: (short: string, bindings: Binding[] = [bound]) => addRobot(store, `${name}+${short}`, bindings),
    log: (entry: Parameters<typeof addLogEntry>[1], time: Date) => addLogEntry(store, { ...entry, time }),
  };
}
type Organization = ReturnType<typeof newOrganization>;

const machineFor = ({ token }: { token: string }, options: MachineOptions = {}): Promise<Machine> =>
  createMachine({ peers: peers(), env: { QUAY_API_TOKEN: token }, ...options });

async function audit(organization: Organization, args: readonly string[] = [], machine?: Machine): Promise<Ran> {
  const runner = machine ?? (await machineFor(organization));
  return runner.run(["audit", "--organization", organization.name, ...quayOf(peers()), ...args]);
}

interface Finding {
  finding: string;
  robot: string;
  details: string;
}
interface Report {
  log: { complete: boolean; entries: number; gaps: { day: string; kind: string; read: number; counted: number }[] };
  findings: Finding[];
  unknown: string[];
  "other-robots": string[];
  robots: ({ robot: string } & Record<string, unknown>)[];
}

async function report(
  organization: Organization,
  args: readonly string[] = [],
): Promise<Report & { of(short: string): object }> {
  const ran = await audit(organization, ["--output", "json", ...args]);
  const found: Report = JSON.parse(ran.stdout);
  const of = (short: string) => found.robots.find(({ robot }) => robot === `${organization.name}+${short}`) ?? {};
  return { ...found, of };
}
const findingsOf = ({ findings }: Report, organization: Organization) =>
  findings.map(({ finding, robot }) => `${finding} ${robot.replace(`${organization.name}+`, "")}`);

/** A login with a password, as docker does it first. */
async function logIn(robot: { name: string; token: string }): Promise<number> {
  const { quay, authority } = peers();
  return new Promise((resolve, reject) => {
    const url = `${quay.url}/v2/auth?service=${quay.host}&account=x`;
    get(url, { auth: `${robot.name}:${robot.token}`, ca: authority.ca, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    }).on("error", reject);
  });
}

describe.concurrent("what really happened", () => {
  test("is shown: a keyless push, a static push and login, and a robot that nobody uses", async ({ expect }) => {
    const organization = newOrganization();
    const { name, store, bound } = organization;
    organization.robot("keyless");
    const old = organization.robot("old");
    const bare = organization.robot("bare", []);
    organization.robot("idle", [{ ...bound, subject: "repo:acme/app:environment:release" }]);
    addRepository(store, `${name}/app`, { [`${name}+keyless`]: "admin", [old.name]: "write", [bare.name]: "read" });
    const machine = await machineWithToken(peers(), { env: { QUAY_API_TOKEN: organization.token } });
    const image = await writeImage(join(machine.scratch, "image"));
    const login = ["login", ...quayOf(peers()), "--robot", `${name}+keyless`, "--token-file", machine.tokenFile];
    expect(await machine.run(login)).toMatchObject({ code: 0 });
    const there = `docker://${peers().registryHost}/${name}/app`;
    const certificates = ["--dest-cert-dir", peers().certDir];
    expect(await machine.other("skopeo", ["copy", ...certificates, image.reference, `${there}:v1`])).toMatchObject({
      code: 0,
    });
    const password = ["--dest-creds", `${old.name}:${old.token}`];
    expect(
      await machine.other("skopeo", ["copy", ...certificates, ...password, image.reference, `${there}:v2`]),
    ).toMatchObject({ code: 0 });
    expect(await logIn(bare)).toBe(200);
    const found = await audit(organization, ["--output", "json"], machine);
    expect([found.code, found.stderr]).toEqual([0, ""]);
    const shown: Report = JSON.parse(found.stdout);
    expect(shown.log).toMatchObject({ complete: true, gaps: [] });
    expect(findingsOf(shown, organization)).toEqual([
      "static-token bare",
      "no-binding bare",
      "wide-permission bare",
      "unused-binding idle",
      "unused-robot idle",
      "admin keyless",
      "wide-permission keyless",
      "static-token old",
      "unused-binding old",
    ]);
    const of = (short: string) => shown.robots.find(({ robot }) => robot === `${name}+${short}`);
    expect(of("keyless")).toMatchObject({
      keyless: [{ issuer: bound.issuer, subject: SUBJECT, exchanges: 1, bound: true }],
      "static-token": null,
      unknown: { kinds: { push: 1 }, repositories: [`${name}/app`], why: ["after-exchange"] },
      "admin-of": [`${name}/app`],
      "wide-permissions": [{ repository: `${name}/app`, role: "admin", team: null, enough: "write" }],
    });
    expect(of("old")).toMatchObject({ "static-token": { kinds: { push: 1 }, repositories: [`${name}/app`] } });
    expect(of("bare")).toMatchObject({ "static-token": { uses: 1, kinds: { login: 1 } }, bindings: [] });
    expect(of("idle")).toMatchObject({ used: false, "last-login": null });
  });

  test("is a table, and Markdown for a job's summary", async ({ expect }) => {
    const organization = newOrganization();
    const { name } = organization;
    const old = organization.robot("old", []);
    await logIn(old);
    const text = await audit(organization);
    expect(text).toMatchObject({ code: 0, stderr: "" });
    expect(text.stdout).toMatch(new RegExp(`^organization +${name} on ${peers().registryHost}$`, "m"));
    expect(text.stdout).toMatch(/^usage-log +complete: 1 entry, as many as Quay counts$/m);
    expect(text.stdout).toMatch(new RegExp(`^${name.replace("+", "\\+")}\\+old +static-token +1 login, \\d{4}-`, "m"));
    expect(text.stdout).toMatch(/ +no-binding +trusts no identity/);
    expect(text.stdout).toMatch(/^Findings: static-token: 1 robot, no-binding: 1 robot\.$/m);
    const markdown = await audit(organization, ["--output", "markdown"]);
    expect(markdown).toMatchObject({ code: 0, stderr: "" });
    expect(markdown.stdout).toContain("| Robot | Finding | Details |\n| --- | --- | --- |\n");
    expect(markdown.stdout).toContain(`| ${name}+old | static-token | `);
  });

  test("a login that the log does not show is seen by the robot's last login", async ({ expect }) => {
    const organization = newOrganization();
    const robot = organization.robot("elsewhere");
    robot.lastAccessed = ago(2);
    expect((await report(organization)).of("elsewhere")).toMatchObject({
      "static-token": { uses: 1, kinds: { unlogged: 1 } },
      used: true,
    });
  });
});

describe.concurrent("the log of other days", () => {
  test("decides by the windows, over midnight and the beginning of the window too", async ({ expect }) => {
    const organization = newOrganization();
    const { name, bound, log } = organization;
    organization.robot("ci");
    addRepository(organization.store, `${name}/app`);
    const exchange = used.exchange(`${name}+ci`, bound.issuer, bound.subject);
    log(exchange, ago(30, -1000));
    log(used.push(`${name}+ci`, `${name}/app`), ago(30, 60));
    log(used.login(`${name}+ci`), ago(30, 2640));
    log(exchange, ago(20));
    log(used.login(`${name}+ci`), ago(20, 3620));
    log(used.pull(`${name}+ci`, `${name}/other`), ago(20, 7270));
    log(used.pull(undefined, `${name}/app`), ago(19));
    log(used.pull("other+guest", `${name}/app`), ago(19));
    const found = await report(organization);
    expect(found.of("ci")).toMatchObject({
      keyless: [{ exchanges: 1 }],
      "static-token": { uses: 2, kinds: { login: 1, pull: 1 }, repositories: [`${name}/other`] },
      unknown: { uses: 2, kinds: { push: 1, login: 1 }, why: ["after-exchange"] },
    });
    expect(found["other-robots"]).toEqual(["other+guest"]);
    const lately = await report(organization, ["--since", "10d"]);
    expect(lately.of("ci")).toMatchObject({ used: false, "static-token": null, unknown: null });
  });

  test("is read in full over many pages and 90 days", async ({ expect }) => {
    const organization = newOrganization();
    const { name, log } = organization;
    organization.robot("busy", []);
    for (let index = 0; index < 230; index++)
      log(used.pull(`${name}+busy`, `${name}/app`), ago((index % 3) * 40, -60 * index));
    const found = await report(organization, ["--since", "90d"]);
    expect(found.log).toMatchObject({ complete: true, entries: 230 });
    expect(found.of("busy")).toMatchObject({ "static-token": { uses: 230 } });
  });
});

describe("a log with gaps", () => {
  test("that begins later leaves its first two hours unknown", async ({ expect }) => {
    const organization = newOrganization();
    const { name, log } = organization;
    organization.robot("ci");
    log(used.push(`${name}+ci`, `${name}/app`), ago(5));
    log(used.push(`${name}+ci`, `${name}/app`), ago(4));
    const { settings } = peers().quay;
    settings.logRotationDays = 60;
    try {
      expect((await report(organization)).of("ci")).toMatchObject({
        "static-token": { uses: 1 },
        unknown: { uses: 1, why: ["log-begins-later"] },
        bindings: [{ "last-used": "unknown" }],
      });
    } finally {
      settings.logRotationDays = undefined;
    }
  });

  /** Pages that meet at entries of the same second lose some of them, as on MySQL. */
  async function withTies(work: (organization: Organization) => Promise<void>): Promise<void> {
    const organization = newOrganization();
    const { name, bound, log } = organization;
    organization.robot("ci");
    const tied = ago(1);
    tied.setUTCHours(12, 0, 0, 0);
    // The tie begins in the middle of a page.
    for (let index = 0; index < 90; index++) log(used.pull(`${name}+ci`, `${name}/app`), tied);
    for (let index = 1; index < 8; index++)
      log(used.pull(`${name}+ci`, `${name}/app`), new Date(tied.getTime() + index * 1000));
    log(used.exchange(`${name}+ci`, bound.issuer, bound.subject), new Date(tied.getTime() - 3_600_000));
    peers().quay.settings.logTimes = "seconds";
    try {
      await work(organization);
    } finally {
      peers().quay.settings.logTimes = "microseconds";
    }
  }

  test("is incomplete, says of what, and makes an unseen binding unknown", async ({ expect }) => {
    await withTies(async (organization) => {
      const found = await report(organization);
      expect(found.log.complete).toBe(false);
      for (const gap of found.log.gaps) expect(gap.read).toBeLessThan(gap.counted);
      const text = await audit(organization);
      expect(text.stdout).toMatch(/^usage-log +incomplete: entries of 1 day are missing/m);
      expect(text.stdout).toMatch(/pull_repo: \d+ entries read, Quay counts 97/);
    });
  });

  test("fails a job that asks for what it can't show, and none that does not", async ({ expect }) => {
    await withTies(async (organization) => {
      failed(expect, await audit(organization, ["--fail-on", "static-token"]), 1, "usage-log-incomplete");
      expect(await audit(organization, ["--fail-on", "no-binding"])).toMatchObject({ code: 0 });
    });
  });
});

describe("--fail-on", () => {
  async function organizationWithFindings() {
    const organization = newOrganization();
    const robot = organization.robot("old", []);
    organization.log(used.push(robot.name, `${organization.name}/app`), ago(1));
    return organization;
  }

  test.for([["static-token"], ["unused-binding, static-token"], ["unused-binding\nno-binding"], ["admin,no-binding"]])(
    "%j of a finding exits with 3",
    async ([value = ""], { expect }) => {
      const organization = await organizationWithFindings();
      const ran = await audit(organization, ["--fail-on", value]);
      expect(failed(expect, ran, 3, "audit-finding")).toContain(`${organization.name}+old`);
      expect(ran.stdout).toContain("Findings:");
    },
  );

  test("may be given several times, and is 0 without such a finding", async ({ expect }) => {
    const organization = await organizationWithFindings();
    const none = ["--fail-on", "unused-binding", "--fail-on", "admin,wide-permission,unused-robot"];
    expect(await audit(organization, none)).toMatchObject({ code: 0, stderr: "" });
    failed(expect, await audit(organization, [...none, "--fail-on", "no-binding"]), 3, "audit-finding");
  });
});

describe.concurrent("rights", () => {
  test("org:admin alone leaves what needs repo:admin unknown, and fails a job that asks for it", async ({ expect }) => {
    const organization = newOrganization(["org:admin"]);
    const robot = organization.robot("ci");
    addRepository(organization.store, `${organization.name}/app`, { [robot.name]: "admin" });
    const ran = await audit(organization);
    expect(ran.code).toBe(0);
    expect(ran.stdout).toMatch(/^admin +unknown: needs repo:admin$/m);
    expect(ran.stdout).toMatch(/^wide-permission +unknown: needs repo:admin$/m);
    const found = await report(organization);
    expect(found.of("ci")).toMatchObject({ "admin-of": null, "wide-permissions": null });
    failed(expect, await audit(organization, ["--fail-on", "admin"]), 1, "api-rights-missing");
  });

  test("of a team count: its permissions, and the organization itself", async ({ expect }) => {
    const organization = newOrganization();
    const { name, store, log } = organization;
    organization.robot("maker");
    organization.robot("boss");
    addTeam(store, name, "makers", { members: [`${name}+maker`], permissions: { [`${name}/app`]: "write" } });
    addTeam(store, name, "bosses", { role: "admin", members: [`${name}+boss`] });
    log(used.pull(`${name}+maker`, `${name}/app`), ago(1));
    const found = await report(organization);
    expect(found.of("boss")).toMatchObject({ "admin-teams": ["bosses"] });
    expect(found.of("maker")).toMatchObject({
      "wide-permissions": [{ repository: `${name}/app`, role: "write", team: "makers", enough: "read" }],
    });
  });

  test("a user's robots are audited with a token of this user", async ({ expect }) => {
    const { store } = peers().quay;
    addUser(store, "audited");
    const robot = addRobot(store, "audited+ci");
    const token = addApiToken(store, { user: "audited" });
    await logIn(robot);
    const machine = await machineFor({ token });
    const ran = await machine.run(["audit", "--organization", "audited", ...quayOf(peers())]);
    expect(ran).toMatchObject({ code: 0, stderr: "" });
    expect(ran.stdout).toMatch(/^audited\+ci +static-token +1 login/m);
  });
});

describe.concurrent("is refused", () => {
  /** Its API token of its own shows what was sent with it. */
  const wrong = async (expect: ExpectStatic, args: readonly string[], code: string) => {
    const token = addApiToken(peers().quay.store, { user: "admin" });
    const machine = await machineFor({ token });
    const ran = await machine.run(["audit", ...quayOf(peers()), ...args]);
    return {
      stderr: failed(expect, ran, code === "invalid-input" ? 2 : 1, code),
      sent: peers().quay.seen(token).length,
    };
  };

  test.for([
    ["no organization", [], "--organization acme"],
    ["a robot", ["--organization", "acme+ci"], "--organization acme"],
    ["a name that is none", ["--organization", "Acme Inc"], "not the name of an organization"],
    ["hours", ["--organization", "acme", "--since", "12h"], "--since 30d"],
    ["no days", ["--organization", "acme", "--since", "0d"], "1d to 365d"],
    ["too many days", ["--organization", "acme", "--since", "366d"], "1d to 365d"],
    ["a number", ["--organization", "acme", "--since", "30"], "--since 30d"],
    ["a blank time", ["--organization", "acme", "--since", ""], "--since 30d"],
    ["a blank finding", ["--organization", "acme", "--fail-on", ""], "--fail-on static-token,no-binding"],
    ["no finding", ["--organization", "acme", "--fail-on="], "--fail-on static-token,no-binding"],
    ["a comma", ["--organization", "acme", "--fail-on", ","], "--fail-on static-token,no-binding"],
    [
      "a blank one of several",
      ["--organization", "acme", "--fail-on", "admin", "--fail-on", ""],
      "--fail-on static-token,no-binding",
    ],
    ["an unknown finding", ["--organization", "acme", "--fail-on", "static-tokens"], "--fail-on static-token"],
    [
      "one of several",
      ["--organization", "acme", "--fail-on", "admin,static"],
      "static-token, no-binding, unused-binding",
    ],
    ["an unknown format", ["--organization", "acme", "--output", "yaml"], "text, json, markdown"],
    ["a timeout", ["--organization", "acme", "--timeout", "0"], "1 to 3600"],
    ["the token as a variable", ["--organization", "acme", "--api-token-env", "A B"], "not the token"],
  ] as const)("%s, before anything is sent", async ([_, args, says], { expect }) => {
    const { stderr, sent } = await wrong(expect, args, "invalid-input");
    expect([stderr, sent]).toEqual([expect.stringContaining(says), 0]);
  });

  test("markdown by other commands", async ({ expect }) => {
    const machine = await createMachine();
    failed(expect, await machine.run(["status", "--output", "markdown"]), 2, "invalid-input");
  });

  test("without an API token", async ({ expect }) => {
    const machine = await createMachine({ peers: peers() });
    const ran = await machine.run(["audit", "--organization", "acme", ...quayOf(peers())]);
    expect(failed(expect, ran, 1, "api-token-not-found")).toContain("QUAY_API_TOKEN");
  });

  test("with one that is revoked, of another user, or of too small a scope", async ({ expect }) => {
    const organization = newOrganization();
    addUser(organization.store, "visitor");
    const small = addApiToken(organization.store, { user: "admin", scopes: ["repo:admin"] });
    const foreign = addApiToken(organization.store, { user: "visitor" });
    failed(expect, await audit(organization, [], await machineFor({ token: small })), 1, "api-rights-missing");
    failed(expect, await audit(organization, [], await machineFor({ token: foreign })), 1, "api-rights-missing");
    const machine = await machineFor(organization);
    revokeApiToken(organization.store, organization.token);
    const secrets = [{ kind: "api", value: organization.token }] as const;
    failed(
      expect,
      await audit(organization, [], await machineFor(organization, { secrets: [...secrets] })),
      1,
      "api-token-refused",
    );
    failed(expect, await audit(organization, [], machine), 1, "api-token-refused");
  });

  test("for an organization that does not exist", async ({ expect }) => {
    await wrong(expect, ["--organization", "ghost"], "organization-not-found");
  });
});

describe("answers of Quay", () => {
  const ofLogs = (organization: Organization) => (request: { url?: string | undefined }) =>
    request.url?.startsWith(`/api/v1/organization/${organization.name}/logs`) ?? false;

  test.for([
    ["cut", cut(), "quay-answer-unusable"],
    ["not JSON", notJson(), "quay-answer-unusable"],
    ["10 MB", huge(), "quay-answer-unusable"],
    ["without a log", answer(200, {}), "quay-answer-unusable"],
    [
      "of another day",
      answer(200, {
        start_time: "Fri, 27 Nov 2020 00:00:00 -0000",
        end_time: "Sat, 28 Nov 2020 00:00:00 -0000",
        logs: [],
      }),
      "quay-answer-unusable",
    ],
    ["a redirect", answer(302, "", { location: "https://example.com/" }), "quay-answer-unusable"],
  ] as const)("that are %s end it with one error", async ([_, scripted, code], { expect }) => {
    const organization = newOrganization();
    const undo = peers().quay.managementScript.always(scripted as Scripted, ofLogs(organization));
    const ran = await audit(organization, ["--output", "json"]);
    undo();
    const stderr = failed(expect, ran, 1, code);
    expect(stderr.match(/^Error:/gm)).toHaveLength(1);
    expect(stderr.match(/More:/g)).toHaveLength(1);
  });

  test("429 is asked again after Retry-After", async ({ expect }) => {
    const organization = newOrganization();
    let left = 2;
    const isNext = ofLogs(organization);
    const undo = peers().quay.managementScript.always(
      answer(429, { error: "slow down" }, { "retry-after": "1" }),
      (request) => isNext(request) && left-- > 0,
    );
    const ran = await audit(organization);
    undo();
    expect([ran.code, ran.stderr]).toEqual([0, expect.stringContaining("Retrying in")]);
  });

  test("that do not come end it at the timeout, which says what to type", async ({ expect }) => {
    const organization = newOrganization();
    const undo = peers().quay.managementScript.always(hang(), ofLogs(organization));
    const ran = await audit(organization, ["--timeout", "2"]);
    undo();
    const stderr = failed(expect, ran, 75, "timeout");
    expect(stderr).toContain("The timeout passed when 0 of 0 entries");
    expect(stderr).toContain("--timeout 600");
    expect(stderr).toContain("--since 7d");
  });

  test("that do not come can be interrupted", async ({ expect }) => {
    const organization = newOrganization();
    const undo = peers().quay.managementScript.always(hang(), ofLogs(organization));
    const machine = await machineFor(organization);
    const where = ["--organization", organization.name, ...quayOf(peers())];
    const running = await machine.start(["audit", ...where]);
    await until(
      () =>
        peers()
          .quay.seen(organization.token)
          .some(({ path }) => path.endsWith("/logs")),
      "a page asked for",
    );
    running.kill("SIGINT");
    const ran = await running.done;
    undo();
    expect(failed(expect, ran, 75, "cancelled")).toContain("an audit changes nothing");
  });

  test("that can't be searched are an error", async ({ expect }) => {
    const organization = newOrganization();
    peers().quay.settings.searchUnavailable = true;
    const ran = await audit(organization);
    peers().quay.settings.searchUnavailable = false;
    failed(expect, ran, 1, "usage-log-unavailable");
  });

  test("without federation are an error", async ({ expect }) => {
    const organization = newOrganization();
    organization.robot("ci");
    const { settings } = peers().quay;
    const { release } = settings;
    settings.release = "without-federation";
    const ran = await audit(organization);
    settings.release = release;
    failed(expect, ran, 1, "quay-without-federation");
  });
});
