/** What the tests of whole logins share: peers, and a job with its own folders. */
import { mkdir, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect } from "vitest";
import { type LoginResult, login } from "../../src/login/login.ts";
import { logout } from "../../src/login/logout.ts";
import { parseRequest } from "../../src/login/request.ts";
import type { Session } from "../../src/login/session.ts";
import type { Workplace } from "../../src/login/workplace.ts";
import type { OptionValues } from "../../src/options/table.ts";
import type { Clock } from "../../src/platform/clock.ts";
import { makeFolder, type TestPlatform, testPlatform } from "../fixtures.ts";
import { type Peers, startPeers } from "../quay-stand-in/peers.ts";

export let peers: Peers;

beforeAll(async () => {
  peers = await startPeers({ registry: false, robots: 6 });
});

afterAll(() => peers.close());

afterEach(() => {
  peers.quay.exchangeScript.clear();
  peers.quay.registryScript.clear();
  peers.github.script.clear();
  peers.github.claim({});
  peers.github.requests.length = 0;
  peers.quay.requests.length = 0;
});

export interface Job {
  home: string;
  temporary: string;
  workspace: string;
  platform: TestPlatform;
  /** Folders of sessions, as the entry point heard of them. */
  sessions: string[];
  run(
    options?: OptionValues,
    workplace?: Partial<Workplace>,
    renews?: Session,
    signal?: AbortSignal,
  ): Promise<LoginResult>;
  logout(): Promise<void>;
}

interface JobOptions {
  env?: Record<string, string | undefined>;
  clock?: Clock;
  signal?: AbortSignal;
  trusted?: boolean;
}

export async function startJob({ env = {}, clock, signal, trusted = true }: JobOptions = {}): Promise<Job> {
  const base = await makeFolder();
  const [home, temporary, workspace] = ["home", "temp", "work"].map((name) => join(base, name)) as [
    string,
    string,
    string,
  ];
  for (const folder of [home, temporary, workspace]) {
    await mkdir(folder);
  }
  const runtime = join(base, "run");
  const platform = testPlatform({
    env: { PATH: process.env.PATH, HOME: home, XDG_RUNTIME_DIR: runtime, ...peers.githubEnv, ...env },
    roots: trusted ? peers.authority.ca : undefined,
    ...(clock && { clock }),
    ...(signal && { signal }),
  });
  const sessions: string[] = [];
  return {
    home,
    temporary,
    workspace,
    platform,
    sessions,
    run: (options = {}, workplace = {}, renews = undefined, signal = platform.signal) =>
      login(
        parseRequest({ registry: peers.registryHost, robot: "acme+ci", ...options }),
        {
          temporaryFolder: temporary,
          sessionFolder: undefined,
          willLogOut: true,
          keepsLogins: "privately",
          workspace,
          isDisposable: false,
          roots: peers.authority.ca,
          onSession: ({ folder }) => void (sessions.includes(folder) || sessions.push(folder)),
          ...workplace,
        },
        { ...platform, signal },
        renews,
      ),
    logout: async () => {
      for (const folder of sessions.splice(0)) {
        await logout(folder, platform);
      }
      expect(await readdir(temporary)).toEqual([]);
    },
  };
}

export const host = () => peers.registryHost;

export const read = async (path: string) => JSON.parse(await readFile(path, "utf8"));

export const authOf = (robot: string, token: string | undefined) => Buffer.from(`${robot}:${token}`).toString("base64");

export const theirs = { auth: "dGhlaXJzOnRoZWlycw==" };

export const certificates = (job: Job) => join(job.home, ".config/containers/certs.d", host());
