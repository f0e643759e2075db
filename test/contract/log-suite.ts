/** The contract of the usage log: what is logged, with which metadata. It is part of quay.test.ts. */
import { beforeAll, expect, test } from "vitest";
import { SUBJECT } from "../quay-stand-in/issuer.ts";
import { basic } from "./ask.ts";
import { avatar } from "./management-steps.ts";
import type { World } from "./target.ts";
import * as say from "./wording.ts";

interface Entry {
  kind: string;
  metadata: Record<string, unknown>;
  datetime: string;
  performer?: { name: string };
}
interface Page {
  start_time: string;
  end_time: string;
  logs: Entry[];
  next_page?: string;
}

const DAY = 86_400_000;
const dayText = (time: number) => {
  const [year, month, day] = new Date(time).toISOString().slice(0, 10).split("-");
  return `${month}/${day}/${year}`;
};
export function logSuite(furnished: () => World): void {
  let world: World;
  let today: string;
  beforeAll(() => {
    world = furnished();
    today = dayText(Date.now());
  });

  const page = async (path: string): Promise<Page> => {
    const answer = await world.manage("GET", path);
    expect(answer.status, answer.body).toBe(200);
    return JSON.parse(answer.body);
  };

  /** Every page of yesterday and today, newest first. */
  async function all(of: string, more = ""): Promise<Entry[]> {
    const path = `${of}/logs?starttime=${dayText(Date.now() - DAY)}&endtime=${dayText(Date.now())}${more}`;
    const entries: Entry[] = [];
    let next = "";
    do {
      const { logs, next_page } = await page(`${path}${next}`);
      entries.push(...logs);
      next = next_page === undefined ? "" : `&next_page=${encodeURIComponent(next_page)}`;
    } while (next !== "");
    return entries;
  }
  const organization = () => `organization/${world.org}`;
  const login = (password: string, scope = "") =>
    world.ask({
      path: `/v2/auth?service=${world.host}${scope}`,
      headers: { authorization: basic(world.robot, password), "user-agent": "skopeo/1.9.3" },
    });
  const OAUTH = {
    oauth_token_id: expect.any(Number),
    oauth_token_application_id: expect.stringMatching(/^[A-Z0-9]{20}$/),
    oauth_token_application: expect.any(String),
  };

  test("exchange and login: the one without performer and with the short name, the other with both", async () => {
    await login(await world.robotToken());
    await login(world.staticToken);
    const entries = (await all(organization())).slice(0, 3);
    const performer = { kind: "user", name: world.robot, is_robot: true, avatar: avatar(world.robot, "robot") };
    const at = { ip: expect.any(String), datetime: expect.stringMatching(/^\w{3}, \d\d \w{3} \d{4} [\d:]{8} -0000$/) };
    const metadata = { kind: "robot", robot: world.robot, type: "v2auth", useragent: "skopeo/1.9.3" };
    expect(entries).toEqual([
      { kind: "login_success", metadata, performer, ...at },
      { kind: "login_success", metadata, performer, ...at },
      {
        kind: "federated_robot_token_exchange",
        metadata: { subject: SUBJECT, issuer: world.issuer.url, robot: world.robot.slice(world.org.length + 1) },
        ...at,
      },
    ]);
  });

  test("a login with a scope, a refused one and a refused exchange are not logged", async () => {
    const before = (await all(organization())).length;
    await login(world.staticToken, `&scope=repository:${world.app}:pull`);
    await login("WRONG");
    await world.exchange(basic(world.robot, await world.issuer.sign({ sub: "another" })));
    expect((await all(organization())).length).toBe(before);
  });

  test("each change, with its metadata, newest first", async () => {
    const { org, prefix, app } = world;
    const robots = `organization/${org}/robots/${prefix}log`;
    const repo = app.slice(org.length + 1);
    const entry = { issuer: "https://a.example", subject: "s" };
    await world.manage("PUT", robots, { description: "f" });
    await world.manage("POST", `${robots}/federation`, [{ ...entry, audiences: ["quay"] }]);
    await world.manage("POST", `${robots}/federation`, []);
    await world.manage("DELETE", `${robots}/federation`);
    await world.manage("POST", `${robots}/regenerate`);
    await world.manage("PUT", `repository/${app}/permissions/user/${org}+${prefix}log`, { role: "read" });
    await world.manage("DELETE", `repository/${app}/permissions/user/${org}+${prefix}log`);
    await world.manage("PUT", `organization/${org}/team/${prefix}log`, { role: "member" });
    await world.manage("PUT", `organization/${org}/team/${prefix}log/members/${org}+${prefix}log`);
    await world.manage("PUT", `repository/${app}/permissions/team/${prefix}log`, { role: "write" });
    await world.manage("DELETE", `repository/${app}/permissions/team/${prefix}log`);
    await world.manage("DELETE", `organization/${org}/team/${prefix}log/members/${org}+${prefix}log`);
    const created = { namespace: org, repository: `${prefix}logged`, visibility: "private", description: "" };
    await world.manage("POST", "repository", created);
    await world.manage("DELETE", robots);
    const short = `${prefix}log`;
    const name = `${org}+${short}`;
    const expected: [string, Record<string, unknown>][] = [
      ["create_robot", { robot: short, description: "f", unstructured_metadata: null }],
      ["create_robot_federation", { config: [entry], robot: short }],
      ["create_robot_federation", { config: [], robot: short }],
      ["delete_robot_federation", { robot: short }],
      ["regenerate_robot_token", { robot: short }],
      ["change_repo_permission", { username: name, repo, namespace: org, role: "read" }],
      ["delete_repo_permission", { username: name, repo, namespace: org }],
      ["org_create_team", { team: short }],
      ["org_add_team_member", { member: name, team: short }],
      ["change_repo_permission", { team: short, repo, role: "write" }],
      ["delete_repo_permission", { team: short, repo }],
      ["org_remove_team_member", { member: name, team: short }],
      ["create_repo", { repo: `${prefix}logged`, namespace: org }],
      ["delete_robot", { robot: short }],
    ];
    const entries = (await all(organization())).filter(({ metadata }) =>
      JSON.stringify(metadata).includes(`${prefix}log`),
    );
    expect(entries.map(({ kind, metadata }) => [kind, metadata])).toEqual(
      expected.map(([kind, metadata]) => [kind, { ...metadata, ...OAUTH }]).reverse(),
    );
    expect(entries.every(({ performer }) => performer !== undefined)).toBe(true);

    const ofRepository = await all(`repository/${app}`);
    expect(ofRepository.map(({ kind }) => kind)).toEqual(
      expect.arrayContaining(["change_repo_permission", "delete_repo_permission"]),
    );
    await world.manage("DELETE", `repository/${org}/${prefix}logged`);
    await world.manage("DELETE", `organization/${org}/team/${short}`);
  });

  test("what a deleted robot did stays, without a performer", async () => {
    const { org, prefix, host } = world;
    const robots = `organization/${org}/robots/${prefix}gone`;
    const { token } = JSON.parse((await world.manage("PUT", robots, {})).body);
    const robot = `${org}+${prefix}gone`;
    await world.ask({ path: `/v2/auth?service=${host}`, headers: { authorization: basic(robot, token) } });
    await world.manage("DELETE", robots);
    const entry = (await all(organization())).find(({ metadata }) => metadata.robot === robot);
    expect(entry?.kind).toBe("login_success");
    expect(entry).not.toHaveProperty("performer");
  });

  test("performer: exact, with the plus sign encoded; otherwise an internal error", async () => {
    await login(world.staticToken);
    const own = await all(organization(), `&performer=${encodeURIComponent(world.robot)}`);
    expect(own.length).toBeGreaterThan(0);
    expect(new Set(own.map(({ performer }) => performer?.name))).toEqual(new Set([world.robot]));
    for (const wrong of [world.robot, encodeURIComponent(`${world.robot}x`)]) {
      say.expectAnswer(await world.manage("GET", `${organization()}/logs?performer=${wrong}`), say.internalError);
    }
    const ignored = await world.manage("GET", `${organization()}/aggregatelogs?performer=${world.robot}x`);
    expect(JSON.parse(ignored.body).aggregated.length).toBeGreaterThan(0);
  });

  test("the days: month first; the end counts its whole day; another format is ignored", async () => {
    const path = `${organization()}/logs`;
    const midnight = (days: number) => `${new Date(days * DAY).toUTCString().slice(0, 16)} 00:00:00 -0000`;
    const one = Date.UTC(2026, 10, 1) / DAY;
    for (const text of ["11/01/2026", "11/1/2026", "11%2F01%2F2026"]) {
      expect(await page(`${path}?starttime=${text}&endtime=${text}`)).toMatchObject({
        ...{ start_time: midnight(one), end_time: midnight(one + 1) },
      });
    }
    const preset = await page(path);
    const span = Date.parse(preset.end_time) - Date.parse(preset.start_time);
    expect(span).toBe(2 * DAY);
    for (const text of ["2026-11-01", "1793500000", "28/11/2026", "02/30/2026"]) {
      const { start_time } = await page(`${path}?starttime=${text}`);
      expect(Math.abs(Date.parse(start_time) - Date.parse(preset.start_time))).toBeLessThan(60_000);
    }
    say.expectAnswer(
      await world.manage("GET", `${path}?starttime=11/05/2026&endtime=11/01/2026`),
      say.spaced(400, '{"message": "The browser (or proxy) sent a request that this server could not understand."}'),
    );
  });

  test("20 a page; a wrong token is page 1 again; limit and kind don't exist", async () => {
    const path = `${organization()}/logs?starttime=${today}&endtime=${dayText(Date.now())}`;
    await Promise.all(Array.from({ length: 25 }, () => login(world.staticToken)));
    const first = await page(path);
    expect(first.logs.length).toBe(20);
    expect(first.next_page).toMatch(/^gAAAAAB[\w=-]{90,}$/);
    const second = await page(`${path}&next_page=${first.next_page}`);
    expect(second.logs.length).toBeGreaterThan(0);
    expect((await page(`${path}&next_page=nonsense`)).logs).toEqual(first.logs);
    expect((await page(`${path}&limit=5&kind=create_robot`)).logs).toEqual(first.logs);
  });

  test("the aggregate counts each kind of each day as the pages do; 31 days at most", async () => {
    const counts = async (): Promise<Record<string, number>> => {
      const counted: Record<string, number> = {};
      for (const { kind, datetime } of await all(organization())) {
        const key = `${kind} ${datetime.slice(0, 16)}`;
        counted[key] = (counted[key] ?? 0) + 1;
      }
      return counted;
    };
    const path = `${organization()}/aggregatelogs`;
    const { body } = await world.manage(
      "GET",
      `${path}?starttime=${dayText(Date.now() - DAY)}&endtime=${dayText(Date.now())}`,
    );
    const { aggregated } = JSON.parse(body) as { aggregated: { kind: string; count: number; datetime: string }[] };
    expect(aggregated.every(({ datetime }) => datetime.endsWith("00:00:00 -0000"))).toBe(true);
    expect(
      Object.fromEntries(aggregated.map((each) => [`${each.kind} ${each.datetime.slice(0, 16)}`, each.count])),
    ).toEqual(await counts());
    expect((await world.manage("GET", `${path}?starttime=10/28/2026&endtime=11/27/2026`)).status).toBe(200);
    const tooLong = await world.manage("GET", `${path}?starttime=10/28/2026&endtime=11/28/2026`);
    say.expectAnswer(tooLong, say.message("Invalid date range for logs"));
  });

  test("no such organization, no such repository, no token", async () => {
    const forbidden = say.apiError(world.host, 403, "insufficient_scope", "Unauthorized");
    say.expectAnswer(await world.manage("GET", `organization/${world.prefix}/logs`), forbidden);
    const missing = say.apiError(world.host, 404, "not_found", "Not Found");
    say.expectAnswer(await world.manage("GET", `repository/${world.org}/${world.prefix}none/logs`), missing);
    const anonymous = say.apiError(world.host, 401, "invalid_token", "Requires authentication");
    say.expectAnswer(await world.ask({ path: `/api/v1/${organization()}/logs` }), anonymous);
    expect((await world.manage("GET", "user/logs")).status).toBe(200);
  });
}
