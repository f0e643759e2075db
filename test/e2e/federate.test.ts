/** `federate` as a user runs it: the built command line against the stand-in. Every run passes through the leak harness. */
import type { IncomingMessage } from "node:http";
import { join } from "node:path";
import { describe, test } from "vitest";
import { SUBJECT } from "../quay-stand-in/issuer.ts";
import {
  addApiToken,
  addOrganization,
  addRepository,
  addRobot,
  addUser,
  type Binding,
} from "../quay-stand-in/quay/store.ts";
import { answer, cut, hang, huge, notJson, type Scripted } from "../quay-stand-in/scripted.ts";
import type { Machine, Ran } from "../support/command.ts";
import { failed, machineWithToken, quayOf, useWorld } from "./cli/world.ts";
import { until } from "./world.ts";

const peers = useWorld({ registry: false });
let count = 0;

interface World {
  /** An organization of its own, with robot ORG+ci. */
  org: string;
  machine: Machine & { tokenFile: string };
  apiToken: string;
  bindings: (robot?: string) => Binding[] | undefined;
  federate: (...args: string[]) => Promise<Ran>;
  /** For the stand-in's script. */
  of: (method: string, path: string) => (request: IncomingMessage) => boolean;
}

async function newWorld(
  options: { api?: string; env?: Record<string, string>; before?: Binding[] } = {},
): Promise<World> {
  const org = `fed${++count}`;
  const { store } = peers().quay;
  addOrganization(store, org, ["admin"]);
  addRobot(store, `${org}+ci`, options.before);
  const apiToken = options.api ?? addApiToken(store, { user: "admin", scopes: ["org:admin", "repo:admin"] });
  const machine = await machineWithToken(peers(), { env: { QUAY_API_TOKEN: apiToken, ...options.env } });
  return {
    ...{ org, machine, apiToken },
    bindings: (robot = "ci") => store.robots.get(`${org}+${robot}`)?.bindings,
    federate: (...args) => machine.run(["federate", ...quayOf(peers()), ...args]),
    of: (method, path) => (request) => request.method === method && (request.url ?? "").endsWith(`/${org}/${path}`),
  };
}

const release = ["--github", "acme/app", "--environment", "release", "--offline"];
const github = "https://token.actions.githubusercontent.com";
const asked = (org: string) => peers().quay.requests.filter(({ path }) => new RegExp(`/${org}\\b`).test(path));
const writes = (org: string) => asked(org).filter(({ method }) => method !== "GET");

describe.concurrent("federate", () => {
  test("binds this place's identity: then a login as the robot works", async ({ expect }) => {
    const { org, machine, federate, bindings } = await newWorld();
    const args = ["--robot", `${org}+ci`, "--token-file", machine.tokenFile];
    const plan = await federate(...args, "--dry-run");
    expect(plan).toMatchObject({ code: 0, children: [] });
    expect(plan.stdout).toContain(`+   binding ${SUBJECT} of ${peers().issuer.url}\n`);
    expect(plan.stdout).toContain("1 to add, 0 to change, 0 to remove. Nothing was changed.");
    expect(plan.stderr).toContain("The API token needs the scopes org:admin (");
    expect(writes(org)).toEqual([]);
    expect(await federate(...args)).toMatchObject({ code: 0 });
    expect(bindings()).toEqual([{ issuer: peers().issuer.url, subject: SUBJECT }]);
    const login = ["login", ...quayOf(peers()), "--robot", `${org}+ci`, "--token-file", machine.tokenFile];
    expect(await machine.run(login)).toMatchObject({ code: 0 });
    const again = await federate(...args);
    expect([again.code, again.stdout]).toEqual([0, expect.stringContaining("Nothing to change: Quay has all of it.")]);
    expect(writes(org)).toHaveLength(1);
  });

  test("refuses the identity of a tag, which never comes again; the command that it prints works", async ({
    expect,
  }) => {
    const { org, machine, federate, bindings } = await newWorld();
    const tag = await peers().issuer.sign({ sub: "repo:acme/app:ref:refs/tags/v1" });
    const tokenFile = await machine.write(join(machine.home, "token"), tag);
    const refused = await federate("--robot", `${org}+ci`, "--token-file", tokenFile);
    expect(failed(expect, refused, 1, "trust-risky")).toContain("changes with every tag");
    expect(asked(org)).toEqual([]);
    const [, typed = ""] = /name what the robot shall trust: (.*)/.exec(refused.stderr) ?? [];
    expect(await federate("--robot", `${org}+ci`, "--offline", ...words(typed))).toMatchObject({ code: 0 });
    expect(bindings()?.[0]?.subject).toBe("repo:acme/app:environment:release");
  });

  test("makes robot, permission and repository, and reports it as JSON", async ({ expect }) => {
    const { org, federate, bindings } = await newWorld();
    const ran = await federate(
      ...["--robot", `${org}+new`, "--create-robot", "--description", "Builds", ...release],
      ...["--permission", `${org}/app=write`, "--create-repository", "--output", "json"],
    );
    expect(ran.code).toBe(0);
    expect(JSON.parse(ran.stdout)).toMatchObject({
      organization: org,
      mode: "apply",
      changed: true,
      summary: { added: 4, changed: 0, removed: 0 },
      repositories: [{ change: "added", repository: `${org}/app` }],
      robots: [
        {
          ...{ name: `${org}+new`, change: "added", description: "Builds", done: true },
          bindings: [{ change: "added", issuer: github, subject: "repo:acme/app:environment:release" }],
          permissions: [{ change: "added", repository: `${org}/app`, role: "write" }],
        },
      ],
      notes: [expect.stringContaining("gh api repos/acme/app")],
    });
    expect(bindings("new")).toEqual([{ issuer: github, subject: "repo:acme/app:environment:release" }]);
    expect(peers().quay.store.repositories.get(`${org}/app`)?.visibility).toBe("private");
  });

  test("follows a file: check finds drift (3), apply ends it, prune removes what is beyond", async ({ expect }) => {
    const { org, machine, federate, bindings } = await newWorld({
      before: [{ issuer: "https://old.example.com", subject: "old" }],
    });
    addRepository(peers().quay.store, `${org}/app`, { [`${org}+ci`]: "admin", admin: "admin" });
    const file = await machine.write(
      join(machine.work, "quay-trust.yaml"),
      `organization: ${org}\nrobots:\n  ci:\n    permissions: { app: write }\n    bindings:\n      - { github: acme/app, environment: release }\n`,
    );
    const args = ["--file", file, "--offline"];
    const drift = await federate(...args, "--check");
    failed(expect, drift, 3, "trust-drift");
    expect(drift.stdout).toContain(`~   permission ${org}/app write (was admin)`);
    expect(drift.stdout).toContain("    binding old of https://old.example.com (kept)");
    expect(writes(org)).toEqual([]);
    expect(await federate(...args)).toMatchObject({ code: 0 });
    expect(await federate(...args, "--check")).toMatchObject({ code: 0 });
    const pruned = await federate(...args, "--prune");
    expect(pruned.stdout).toContain("-   binding old of https://old.example.com\n");
    expect(bindings()).toEqual([{ issuer: github, subject: "repo:acme/app:environment:release" }]);
    expect(await federate(...args, "--prune", "--check")).toMatchObject({ code: 0 });
  });

  test("exports a file that has no difference to what it was made from", async ({ expect }) => {
    const { org, machine, federate } = await newWorld({
      before: [
        { issuer: github, subject: "repo:acme/app:environment:a b" },
        { issuer: peers().issuer.url, subject: "x" },
      ],
    });
    addRepository(peers().quay.store, `${org}/app`, { [`${org}+ci`]: "read" });
    addRobot(peers().quay.store, `${org}+bare`, [], "one: with a colon");
    const { code, stdout } = await federate("--export", "--organization", org);
    expect([code, stdout]).toEqual([0, expect.stringContaining(`organization: ${org}`)]);
    const file = await machine.write(join(machine.work, "trust.yaml"), stdout);
    expect(await federate("--file", file, "--offline", "--check", "--prune")).toMatchObject({ code: 0 });
    expect(writes(org)).toEqual([]);
  });

  test("exports what is risky, too, and the check of that file agrees; what would be added is refused", async ({
    expect,
  }) => {
    const before: Binding[] = [
      { issuer: "http://old.example.com", subject: "x" },
      { issuer: "https://ci.example.com/?tenant=a", subject: "y" },
      { issuer: "https://ci.example.com", subject: " blank " },
    ];
    const { org, machine, federate, bindings } = await newWorld({ before });
    const { stdout } = await federate("--export", "--organization", org);
    const file = await machine.write(join(machine.work, "trust.yaml"), stdout);
    const args = ["--file", file, "--offline"];
    const check = await federate(...args, "--check");
    expect([check.code, check.stderr]).toEqual([0, expect.stringContaining("Warning: ")]);
    expect(check.stderr).toContain("http://old.example.com");
    expect(await federate(...args)).toMatchObject({ code: 0 });
    failed(expect, await federate(...args, "--check", "--strict"), 1, "trust-risky");
    await machine.write(file, `${stdout}      - { issuer: "http://new.example.com", subject: z }\n`);
    const refused = failed(expect, await federate(...args), 1, "trust-risky");
    expect(refused).toContain("http://new.example.com");
    expect(refused).not.toContain("old.example.com");
    const without = await machine.run(["federate", ...quayOf(peers()), ...args], { env: { QUAY_API_TOKEN: "" } });
    expect(failed(expect, without, 1, "trust-risky")).toContain("http://new.example.com");
    expect([bindings(), writes(org)]).toEqual([before, []]);
  });

  test("ended by the timeout after a write: the output says what was changed, and what not", async ({ expect }) => {
    const { org, federate, bindings, of } = await newWorld();
    const isRead = of("GET", "robots/ci/federation");
    peers().quay.managementScript.always(hang(), (request) => bindings()?.length === 1 && isRead(request));
    const args = ["--robot", `${org}+ci`, ...release, "--timeout", "4", "--output", "json"];
    const ran = await federate(...args);
    expect(ran.code).toBe(75);
    expect(JSON.parse(ran.stdout)).toMatchObject({
      ...{ changed: true, error: { code: "timeout" } },
      robots: [{ name: `${org}+ci`, done: false, sent: true }],
    });
  });

  test("says whether it changed Quay, even if standard output can't be written", async ({ expect }) => {
    const { org, machine } = await newWorld();
    const typed = ["federate", ...quayOf(peers()), "--robot", `${org}+ci`, ...release, "--quiet"].join(" ");
    const ran = await machine.other("bash", ["-c", `quay-keyless-login ${typed} >/dev/full`], {
      env: { PATH: machine.path },
    });
    expect([ran.code, ran.stderr]).toEqual([1, expect.stringContaining(`Quay was changed: ${org}+ci.`)]);
  });

  test("refuses an audience with a blank", async ({ expect }) => {
    const { org, federate } = await newWorld();
    const ran = await federate("--robot", `${org}+ci`, "--audience", "a b", ...release);
    expect(failed(expect, ran, 2, "invalid-input")).toContain("--audience");
    expect(asked(org)).toEqual([]);
  });

  test("sets the robots of a user up", async ({ expect }) => {
    const user = `user${++count}`;
    addUser(peers().quay.store, user);
    const api = addApiToken(peers().quay.store, { user, scopes: ["user:admin", "repo:admin", "repo:create"] });
    const { federate } = await newWorld({ api });
    const ran = await federate(
      ...[
        "--robot",
        `${user}+ci`,
        "--create-robot",
        "--permission",
        `${user}/app=write`,
        "--create-repository",
        ...release,
      ],
    );
    expect(ran).toMatchObject({ code: 0 });
    expect(peers().quay.store.robots.get(`${user}+ci`)?.bindings).toHaveLength(1);
    expect(peers().quay.store.repositories.get(`${user}/app`)?.permissions.get(`${user}+ci`)).toBe("write");
  });

  test("reads the API token from standard input, and from a file", async ({ expect }) => {
    const { org, machine, apiToken } = await newWorld({ env: { QUAY_API_TOKEN: "" } });
    const args = ["federate", ...quayOf(peers()), "--robot", `${org}+ci`, "--dry-run", ...release];
    expect(await machine.run([...args, "--api-token-file", "-"], { input: `${apiToken}\n` })).toMatchObject({
      code: 0,
    });
    const file = await machine.write(join(machine.home, "api-token"), apiToken);
    expect(await machine.run([...args, "--api-token-file", file])).toMatchObject({ code: 0 });
    failed(expect, await machine.run(args), 1, "api-token-unusable");
    const large = await machine.run([...args, "--api-token-file", "-"], { input: "A".repeat(2 * 1024 * 1024) });
    expect(failed(expect, large, 1, "api-token-unusable")).toContain("standard input is larger than 1 MiB");
    const terminal = await machine.run([...args, "--api-token-file", "-"], { terminal: true });
    expect(terminal.stdout).toContain("standard input is a terminal");
  });

  test("tells this place's commands apart: the hint of a refused login works", async ({ expect }) => {
    const { org, machine } = await newWorld();
    const robot = `${org}+ci`;
    const login = ["login", ...quayOf(peers()), "--robot", robot, "--token-file", machine.tokenFile];
    const hints = [failed(expect, await machine.run(login), 1, "robot-not-federated")];
    const known = peers().quay.store.robots.get(robot);
    for (const [binding, code] of [
      [{ issuer: "https://other.example.com", subject: SUBJECT }, "issuer-not-bound"],
      [{ issuer: peers().issuer.url, subject: "other" }, "subject-not-bound"],
    ] as const) {
      if (known) known.bindings = [binding];
      hints.push(failed(expect, await machine.run(login), 1, code));
    }
    for (const hint of hints) {
      if (known) known.bindings = [];
      const [, command = ""] = /quay-keyless-login (federate .*)/.exec(hint) ?? [];
      const ran = await machine.run([...words(command), "--ca-file", peers().caFile]);
      expect(ran).toMatchObject({ code: 0 });
      expect(await machine.run(login)).toMatchObject({ code: 0 });
    }
  });

  test("the hint of identity works, with the robot's name in it", async ({ expect }) => {
    const { org, machine, bindings } = await newWorld();
    const sub = "a subject's blank";
    await machine.write(machine.tokenFile, await peers().issuer.sign({ sub }));
    const { stdout } = await machine.run(["identity", "--token-file", machine.tokenFile, "--ca-file", peers().caFile]);
    const [, command = ""] = /quay-keyless-login (federate .*)/.exec(stdout) ?? [];
    const typed = words(command).map((word) => word.replace("ORGANIZATION+ROBOT", `${org}+ci`));
    expect(await machine.run([...typed, ...quayOf(peers())])).toMatchObject({ code: 0 });
    expect(bindings()?.[0]?.subject).toBe(sub);
  });
});

/** The words of a command, as a shell reads them. */
const words = (command: string): string[] =>
  [...command.matchAll(/'((?:[^']|'\\'')*)'|(\S+)/g)].map(
    ([, quoted, bare = ""]) => quoted?.replaceAll(`'\\''`, "'") ?? bare,
  );

describe.concurrent("killed between the write and its read-back", () => {
  test("running it again finds all of it", async ({ expect }) => {
    const { org, machine, federate, bindings, of } = await newWorld();
    const isRead = of("GET", "robots/ci/federation");
    const undo = peers().quay.managementScript.always(hang(), (request) => bindings()?.length === 1 && isRead(request));
    const started = await machine.start(["federate", ...quayOf(peers()), "--robot", `${org}+ci`, ...release]);
    await until(() => bindings()?.length === 1, "the binding");
    started.kill("SIGKILL");
    await started.done;
    undo();
    const again = await federate("--robot", `${org}+ci`, ...release);
    expect([again.code, again.stdout]).toEqual([0, expect.stringContaining("Nothing to change")]);
    expect(writes(org)).toHaveLength(1);
  });

  test("interrupted, it says that what was done is kept", async ({ expect }) => {
    const { org, machine, bindings, of } = await newWorld();
    const isRead = of("GET", "robots/ci/federation");
    peers().quay.managementScript.always(hang(), (request) => bindings()?.length === 1 && isRead(request));
    const started = await machine.start(["federate", ...quayOf(peers()), "--robot", `${org}+ci`, ...release]);
    await until(() => bindings()?.length === 1, "the binding");
    started.kill("SIGTERM");
    expect(failed(expect, await started.done, 75, "cancelled")).toContain("Run the same again: what was done is kept.");
  });
});

describe.concurrent("refuses before anything is sent", () => {
  const file = "robots: { ci: { bindings: [{ github: acme/app, environment: release }] } }";
  test.for<[string, args: string[], code: string, says: string, content?: string]>([
    ["a robot of another organization", ["--robot", "a1+ci", "--robot", "b1+ci"], "invalid-input", "b1+ci"],
    ["a role that is none", ["--robot", "a1+ci", "--permission", "a1/app=owner"], "invalid-input", "owner"],
    ["both github and issuer", ["--robot", "a1+ci", "--issuer", "https://x.example"], "invalid-input", "--issuer"],
    ["environment and branch", ["--robot", "a1+ci", "--branch", "main"], "invalid-input", "--branch"],
    ["an http issuer", ["--robot", "a1+ci", "-i"], "trust-risky", "http://x.example"],
    ["a file with an unknown key", ["-f"], "invalid-input", "robot", `organization: a1\n${file}\nrobot: x\n`],
    ["a file with a robot twice", ["-f"], "invalid-input", "", `organization: a1\nrobots:\n  ci: {}\n  ci: {}\n`],
    ["two documents", ["-f"], "invalid-input", "", `organization: a1\n${file}\n---\norganization: a2\n${file}\n`],
    ["an empty list", ["-f"], "invalid-input", "empty", "organization: a1\nrobots: { ci: { bindings: [] } }\n"],
    ["prune without a file", ["--robot", "a1+ci", "--prune"], "invalid-input", "--file"],
  ])("%s", async ([, args, code, says, content], { expect }) => {
    const { machine, federate } = await newWorld();
    const path = join(machine.work, "t.yaml");
    if (content) await machine.write(path, content);
    const before = peers().quay.requests.length;
    const typed = args.flatMap((arg) =>
      arg === "-f"
        ? ["--file", path, "--offline"]
        : arg === "-i"
          ? ["--issuer", "http://x.example", "--subject", "y"]
          : [arg],
    );
    const isWhole = args.includes("-f") || args.includes("-i");
    const ran = await federate(...typed, ...(isWhole ? [] : release));
    expect(failed(expect, ran, code === "invalid-input" ? 2 : 1, code)).toContain(says);
    expect(ran.stdout).toBe("");
    expect(
      peers()
        .quay.requests.slice(before)
        .filter(({ path: each }) => each.includes("/a1")),
    ).toEqual([]);
  });
});

describe.concurrent("explains, and writes nothing", () => {
  const rights = (...scopes: string[]) => addApiToken(peers().quay.store, { user: "admin", scopes });
  test.for<[string, api: () => string, code: string, exit: number, says: string]>([
    ["an unknown token", () => "Z9".repeat(20), "api-token-refused", 1, "is of another Quay"],
    [
      "an expired one",
      () => addApiToken(peers().quay.store, { user: "admin", expires: new Date(0) }),
      "api-token-refused",
      1,
      "expired",
    ],
    ["a small scope", () => rights("repo:admin"), "api-rights-missing", 1, "org:admin"],
    ["no scope for permissions", () => rights("org:admin"), "api-rights-missing", 1, "repo:admin"],
  ])("%s", async ([, api, code, exit, says], { expect }) => {
    const { org, federate } = await newWorld({ api: api() });
    addRepository(peers().quay.store, `${org}/app`);
    const ran = await federate("--robot", `${org}+ci`, "--permission", `${org}/app=write`, ...release);
    expect(failed(expect, ran, exit, code)).toContain(says);
    expect(writes(org)).toEqual([]);
  });

  test.for<[string, Scripted, code: string, exit: number, says: string]>([
    ["an answer that is cut", cut(), "quay-answer-unusable", 1, "broke off"],
    ["one that is not JSON", notJson(), "quay-answer-unusable", 1, "not JSON"],
    ["one of 10 MB", huge(), "quay-answer-unusable", 1, "larger than"],
    ["429 for longer than the timeout", answer(429, "", { "retry-after": "600" }), "rate-limited", 75, "429"],
  ])("%s", async ([, scripted, code, exit, says], { expect }) => {
    const { org, federate, of } = await newWorld();
    peers().quay.managementScript.always(scripted, of("GET", "robots/ci/federation"));
    const ran = await federate("--robot", `${org}+ci`, ...release, "--timeout", "20");
    expect(failed(expect, ran, exit, code)).toContain(says);
    expect(writes(org)).toEqual([]);
  });

  test("a robot and a repository that are missing", async ({ expect }) => {
    const { org, federate } = await newWorld();
    const ran = await federate("--robot", `${org}+ghost`, "--permission", `${org}/none=read`, ...release);
    expect(failed(expect, ran, 1, "robot-not-found")).toContain("--create-robot");
    expect(ran.stderr).toContain("--create-repository");
    expect(writes(org)).toEqual([]);
  });

  test("an organization that is missing", async ({ expect }) => {
    const { federate } = await newWorld();
    failed(expect, await federate("--robot", "ghost+ci", ...release), 1, "organization-not-found");
  });

  test("with strict, a warning", async ({ expect }) => {
    const { org, federate } = await newWorld();
    addRepository(peers().quay.store, `${org}/app`);
    const args = ["--robot", `${org}+ci`, "--permission", `${org}/app=admin`, "--dry-run", ...release];
    expect(await federate(...args)).toMatchObject({ code: 0, stderr: expect.stringContaining("Warning:") });
    expect(failed(expect, await federate(...args, "--strict"), 1, "trust-risky")).toContain("gets admin");
  });
});

test("two at the same time: both entries are there in the end", async ({ expect }) => {
  const { org, federate, bindings } = await newWorld({ before: [{ issuer: github, subject: "before" }] });
  const both = ["one", "two"].map((subject) =>
    federate("--robot", `${org}+ci`, "--issuer", github, "--subject", subject, "--offline"),
  );
  expect((await Promise.all(both)).map(({ code }) => code)).toEqual([0, 0]);
  expect(
    bindings()
      ?.map(({ subject }) => subject)
      .sort(),
  ).toEqual(["before", "one", "two"]);
});
