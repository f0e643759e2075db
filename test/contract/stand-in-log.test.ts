/** Rows of the usage log that can't be caused on a foreign Quay: other log stores, old entries. For the stand-in only. */
import { createHash } from "node:crypto";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { SUBJECT } from "../quay-stand-in/issuer.ts";
import { type Peers, startPeers } from "../quay-stand-in/peers.ts";
import { addLogEntry, used } from "../quay-stand-in/quay/log.ts";
import { DEFAULTS, type Settings } from "../quay-stand-in/quay/settings.ts";
import { addOrganization, addRepository, addRobot, addTeam } from "../quay-stand-in/quay/store.ts";
import { type Answer, ask, basic } from "./ask.ts";
import { foreign } from "./target.ts";

describe.skipIf(foreign)("the stand-in only: the log", () => {
  let peers: Peers;
  let organization: string;
  let count = 0;
  beforeAll(async () => {
    peers = await startPeers();
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

  const DAY = "?starttime=11/01/2026&endtime=11/01/2026";
  const noon = new Date("2026-11-01T12:00:00.250Z");
  const seed = (entries: number, time: (index: number) => Date = () => noon) => {
    const robot = `${organization}+ci`;
    for (let index = 0; index < entries; index++) {
      addLogEntry(peers.quay.store, { ...used.login(robot, `client ${index}`), time: time(index) });
    }
  };
  async function pages(query = DAY): Promise<{ metadata: { useragent: string } }[][]> {
    const found: { metadata: { useragent: string } }[][] = [];
    for (let next = ""; ; ) {
      const { logs, next_page } = await json(manage("GET", `organization/{O}/logs${query}${next}`));
      found.push(logs);
      if (next_page === undefined) return found;
      next = `&next_page=${next_page}`;
    }
  }

  test("microseconds: no page loses an entry, also of one time; newest first", async () => {
    seed(226);
    const all = await pages();
    expect(all.map(({ length }) => length)).toEqual([...Array.from({ length: 11 }, () => 20), 6]);
    const order = all.flat().map(({ metadata }) => Number(metadata.useragent.split(" ")[1]));
    expect(order).toEqual(Array.from({ length: 226 }, (_, index) => 225 - index));
  });
  test("whole seconds: pages lose entries, the aggregate doesn't; without ties none is lost", async () => {
    set({ logTimes: "seconds" });
    seed(226, (index) => new Date(noon.getTime() + index * 10));
    const found = (await pages()).flat();
    expect(found.length).toBeLessThan(226);
    expect(new Set(found.map(({ metadata }) => metadata.useragent)).size).toBe(found.length);
    const { aggregated } = await json(manage("GET", `organization/{O}/aggregatelogs${DAY}`));
    expect(aggregated).toEqual([{ kind: "login_success", count: 226, datetime: "Sun, 01 Nov 2026 00:00:00 -0000" }]);
    peers.quay.store.logs.delete(organization);
    seed(226, (index) => new Date(noon.getTime() + index * 1000));
    expect((await pages()).flat().length).toBe(226);
  });
  test("an empty page at the end", async () => {
    set({ emptyLastLogPage: true });
    seed(8);
    expect((await pages()).map(({ length }) => length)).toEqual([8, 0]);
  });
  test("rotation: older entries are gone; /config tells that it is on", async () => {
    const ago = (days: number) => new Date(Date.now() - days * 86_400_000);
    seed(1, () => ago(31));
    seed(2, () => ago(20));
    const query = "?starttime=01/01/2026";
    expect((await pages(query)).flat().length).toBe(3);
    set({ logRotationDays: 30 });
    expect((await pages(query)).flat().length).toBe(2);
    const config = await ask(peers.quay.url, peers.authority.ca, { path: "/config" });
    expect(JSON.parse(config.body).features.ACTION_LOG_ROTATION).toBe(true);
  });
  test("a store that can't search", async () => {
    seed(1);
    set({ searchUnavailable: true });
    const unavailable = { search_unavailable: true, message: expect.any(String) };
    const answer = await json(manage("GET", `organization/{O}/logs${DAY}`));
    expect(answer).toEqual({
      ...unavailable,
      start_time: expect.any(String),
      end_time: expect.any(String),
      logs: [],
    });
    const aggregate = await json(manage("GET", `organization/{O}/aggregatelogs${DAY}`));
    expect(aggregate).toEqual({ aggregated: [], ...unavailable });
  });

  test("push and pull: each GET and HEAD of a manifest, in the repository's namespace; lists are not logged", async () => {
    await pushAndPull(`${organization}/app`, `${organization}+ci`);
    addRepository(peers.quay.store, `${organization}/app`).visibility = "public";
    await manifest("GET", `${organization}/app`, "one", "acme+ci");
    const { logs } = await json(manage("GET", "organization/{O}/logs"));
    const about = { repo: "app", namespace: organization, "user-agent": "skopeo/1.9.3", mediaType: MANIFEST };
    const by = (robot: string) => ({ username: robot, is_robot: true, resolved_ip: expect.any(Object) });
    const own = by(`${organization}+ci`);
    const entries = logs.map(({ kind, metadata }: { kind: string; metadata: object }) => [kind, metadata]);
    expect(entries).toEqual([
      ["pull_repo", { ...about, tag: "one", ...by("acme+ci") }],
      ["pull_repo", { ...about, manifest_digest: digestOf(IMAGE), ...own }],
      ["pull_repo", { ...about, tag: "one", ...own }],
      ["push_repo", { ...about, tag: "one", ...own }],
    ]);
    expect(logs[3].performer).toMatchObject({ name: `${organization}+ci`, is_robot: true });
    const ofRepository = await json(manage("GET", "repository/{O}/app/logs"));
    expect(ofRepository.logs).toEqual(logs);
  });
  test("the first push of a creator: its repository, no create_repo", async () => {
    addTeam(peers.quay.store, organization, "makers", { role: "creator", members: [`${organization}+ci`] });
    await pushAndPull(`${organization}/brandnew`, `${organization}+ci`);
    const { description, state } = await json(manage("GET", "repository/{O}/brandnew?includeTags=false"));
    expect([description, state]).toEqual([null, "NORMAL"]);
    const { permissions } = await json(manage("GET", "repository/{O}/brandnew/permissions/user/"));
    expect(permissions[`${organization}+ci`].role).toBe("admin");
    const { logs } = await json(manage("GET", "organization/{O}/logs"));
    expect(logs.map(({ kind }: { kind: string }) => kind)).not.toContain("create_repo");
  });

  const MANIFEST = "application/vnd.oci.image.manifest.v1+json";
  const CONFIG = "{}";
  const digestOf = (text: string) => `sha256:${createHash("sha256").update(text).digest("hex")}`;
  const IMAGE = JSON.stringify({
    ...{ schemaVersion: 2, mediaType: MANIFEST, layers: [] },
    config: { mediaType: "application/vnd.oci.image.config.v1+json", size: CONFIG.length, digest: digestOf(CONFIG) },
  });

  async function bearer(repository: string, robot: string): Promise<Record<string, string>> {
    const { quay, authority } = peers;
    const authorization = basic(robot, quay.store.robots.get(robot)?.token ?? "");
    const path = `/v2/auth?service=${quay.host}&scope=repository:${repository}:pull,push`;
    const { body } = await ask(quay.url, authority.ca, { path, headers: { authorization } });
    return { authorization: `Bearer ${JSON.parse(body).token}`, "user-agent": "skopeo/1.9.3", accept: MANIFEST };
  }
  async function manifest(method: string, repository: string, reference: string, robot: string, body?: string) {
    const headers = await bearer(repository, robot);
    const { status } = await ask(peers.quay.url, peers.authority.ca, {
      ...{ method, path: `/v2/${repository}/manifests/${reference}` },
      ...(body === undefined ? { headers } : { headers: { ...headers, "content-type": MANIFEST }, body }),
    });
    expect(status).toBeLessThan(300);
  }
  async function pushAndPull(repository: string, robot: string): Promise<void> {
    const { url } = peers.quay;
    const { ca } = peers.authority;
    const headers = await bearer(repository, robot);
    const started = await ask(url, ca, { method: "POST", path: `/v2/${repository}/blobs/uploads/`, headers });
    const upload = new URL(String(started.headers.location), url);
    upload.searchParams.set("digest", digestOf(CONFIG));
    await ask(url, ca, { method: "PUT", path: `${upload.pathname}${upload.search}`, headers, body: CONFIG });
    await manifest("PUT", repository, "one", robot, IMAGE);
    await manifest("HEAD", repository, "one", robot);
    await manifest("GET", repository, digestOf(IMAGE), robot);
    await ask(url, ca, { path: `/v2/${repository}/tags/list`, headers });
  }
});
