/** docs/get-started/github.md, walked as its reader walks it. act is GitHub. */
import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { startGithub } from "../quay-stand-in/github.ts";
import { act, runAct } from "../support/act.ts";
import { type Desk, openDesk } from "../support/desk.ts";
import { kindsIn } from "../support/leaks.ts";
import { expectShown, pageFile, shownUnder, walk } from "../support/page.ts";
import { uses } from "../support/project.ts";
import { substitute } from "../support/readme.ts";
import { adapt, storageIn } from "../support/recipes.ts";

const page = "docs/get-started/github.md";
const workflow = ".github/workflows/image.yml";
const [noPermission = "", otherBranch = "", noAccess = ""] = shownUnder(page, "## What goes wrong most often");

describe.skipIf(act === undefined)(page, { timeout: 120_000 }, () => {
  let desk: Desk;
  let action: string;
  const git = (...args: string[]) => promisify(execFile)("git", args, { cwd: desk.work, env: desk.env });

  beforeAll(async () => {
    const author = { GIT_AUTHOR_NAME: "a", GIT_AUTHOR_EMAIL: "a@example.org" };
    const committer = { GIT_COMMITTER_NAME: "a", GIT_COMMITTER_EMAIL: "a@example.org" };
    desk = await openDesk({
      issuer: "https://token.actions.githubusercontent.com",
      variables: { ...author, ...committer },
    });
    action = await adapt(desk.root, desk.peers.registryHost);
    await writeFile(join(desk.work, "README.md"), "An application.\n");
    const bare = join(desk.root, "app.git");
    await git("init", "-q", "--bare", "-b", "main", bare);
    await git("init", "-q", "-b", "main");
    await git("remote", "add", "origin", "https://github.com/acme/app.git");
    await git("config", `url.${bare}.insteadOf`, "https://github.com/acme/app.git");
    await git("config", "push.autoSetupRemote", "true");
  });
  afterAll(() => desk?.close());

  /** What GitHub does with a push. @returns the log without act's own words */
  async function onPush(env: Record<string, string> = desk.peers.githubEnv) {
    const root = await mkdtemp(join(desk.root, "job-"));
    const [work, home] = [join(root, "work"), join(root, "home")];
    await cp(desk.work, work, { recursive: true });
    await mkdir(home);
    const { NODE_EXTRA_CA_CERTS = "", SSL_CERT_FILE = "" } = desk.env;
    const { code, log } = await runAct(
      { root, work, home, tag: undefined },
      {
        actions: { [uses()]: action },
        env: { ...env, NODE_EXTRA_CA_CERTS, SSL_CERT_FILE, ...(await storageIn(root)) },
      },
    );
    const errors = /^\[.*?\] +❗ +::error [^:]*::(.*)$/gm;
    const said = log
      .replaceAll(errors, (_, message: string) => `Error: ${message.replaceAll("%0A", "\n")}`)
      .replaceAll(/^\[[^\]]+\] +\| ?/gm, "")
      .replaceAll(/^\[[^\]]+\] .*\n/gm, "");
    expect([...kindsIn(said, desk.secrets())], said).toEqual([]);
    return { code, log: said };
  }

  async function expectRefused(env: Record<string, string> | undefined, shown: string): Promise<void> {
    const { code, log } = await onPush(env);
    expect(code, log).toBe(1);
    expectShown(log, shown, desk.names, { part: true });
  }

  test("goes from an empty Quay to a push, and prints what the page shows", async () => {
    await walk(page, desk);
    expect(desk.trustHere("acme+ci")).toEqual(["repo:acme/app:ref:refs/heads/main"]);
    expect((await git("ls-remote", "origin", "main")).stdout).toContain("refs/heads/main");
    const { code, log } = await onPush();
    expect(code, log).toBe(0);
    const shown = shownUnder(page, "## What you see");
    expect(shown).toHaveLength(2);
    for (const each of shown) expectShown(log, each, desk.names, { part: true });
    expect(
      desk.peers.quay.requests.filter(({ method, path }) => `${method} ${path}` === "PUT /v2/acme/app/manifests/1.2.3"),
    ).not.toEqual([]);
  });

  test("without id-token: write, fails as the page shows", () => expectRefused({}, noPermission));

  test("with a robot that may not push, fails as the page shows", async () => {
    const { permissions } = desk.peers.quay.store.repositories.get("acme/app") ?? expect.fail("no repository");
    permissions.set("acme+ci", "read");
    await expectRefused(undefined, noAccess);
    permissions.set("acme+ci", "write");
  });

  test("on: push runs for another branch, and fails as the page shows", async () => {
    const { peers } = desk;
    const every = substitute(pageFile(page, workflow), [
      ["\n    branches: [main] # the branch that the robot trusts", ""],
    ]);
    await git("checkout", "-q", "-b", "feature");
    await desk.save(workflow, every);
    await git("commit", "-qam", "on every branch");
    const sub = "repo:acme/app:ref:refs/heads/feature";
    const github = await startGithub(peers.githubAuthority, peers.issuer, { claims: { sub } });
    onTestFinished(() => github.close());
    await expectRefused(github.env, otherBranch);
  });
});
