/** `retire-static-token`: when it is refused, how it asks, and that only keyless logins work afterwards. */
import type { IncomingMessage } from "node:http";
import { get } from "node:https";
import { join } from "node:path";
import { describe, test } from "vitest";
import { SUBJECT } from "../../quay-stand-in/issuer.ts";
import { addLogEntry, used } from "../../quay-stand-in/quay/log.ts";
import { addApiToken, addOrganization, addRobot, addUser, type Robot } from "../../quay-stand-in/quay/store.ts";
import { answer, cut, hang, lost } from "../../quay-stand-in/scripted.ts";
import type { How, Machine, Ran } from "../../support/command.ts";
import { failed, machineWithToken, quayOf, useWorld } from "./world.ts";

const peers = useWorld({ registry: false });
let count = 0;
const ago = (days: number, seconds = 0) => new Date(Date.now() - days * 86_400_000 + seconds * 1000);

interface TestRobot {
  robot: Robot;
  name: string;
  token: string;
  apiToken: string;
  machine: Machine;
  run(args?: readonly string[], how?: How): Promise<Ran>;
  log(entry: Parameters<typeof addLogEntry>[1], time: Date): void;
  changed(): number;
  repository: string;
}

/** A robot in an organization of its own, and a machine with the API token of its administrator. */
async function newRobot({ isBound = true } = {}): Promise<TestRobot & { machine: { tokenFile: string } }> {
  const { store } = peers().quay;
  const organization = `retire${++count}`;
  addOrganization(store, organization, ["admin"]);
  const bindings = isBound ? [{ issuer: peers().issuer.url, subject: SUBJECT }] : [];
  const robot = addRobot(store, `${organization}+ci`, bindings);
  const { name, token } = robot;
  const apiToken = addApiToken(store, { user: "admin" });
  // After its end, the store knows the old static token no longer.
  const secrets = [{ kind: "static", value: token } as const];
  const machine = await machineWithToken(peers(), { env: { QUAY_API_TOKEN: apiToken }, secrets });
  const run = (args: readonly string[] = [], how: How = {}): Promise<Ran> =>
    machine.run(["retire-static-token", name, ...quayOf(peers()), ...args], how);
  const log = (entry: Parameters<typeof addLogEntry>[1], time: Date) => addLogEntry(store, { ...entry, time });
  const changed = () =>
    peers()
      .quay.seen(apiToken)
      .filter(({ method }) => method === "POST").length;
  return { robot, name, token, apiToken, machine, run, log, changed, repository: `${organization}/app` };
}

async function statusOf(name: string, password: string): Promise<number> {
  const { quay, authority } = peers();
  return new Promise((resolve, reject) => {
    const url = `${quay.url}/v2/auth?service=${quay.host}`;
    get(url, { auth: `${name}:${password}`, ca: authority.ca, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    }).on("error", reject);
  });
}
const tokenOf = ({ name }: { name: string }): string => (peers().quay.store.robots.get(name) as Robot).token;

describe.concurrent("retire-static-token", () => {
  test("replaces the token, and keyless logins go on", async ({ expect }) => {
    const { name, token, machine, run } = await newRobot();
    const ran = await run(["--yes", name]);
    expect(ran).toMatchObject({ code: 0, stderr: "" });
    expect(ran.stdout).toContain(`The static token of ${name} was replaced`);
    expect(ran.stdout).toContain("stay good until they expire");
    expect(tokenOf({ name })).not.toBe(token);
    expect(await statusOf(name, token)).toBe(401);
    const login = ["login", ...quayOf(peers()), "--robot", name, "--token-file", machine.tokenFile];
    expect(await machine.run(login)).toMatchObject({ code: 0 });
  });

  test("is JSON too, without the new token", async ({ expect }) => {
    const { name, run } = await newRobot();
    const ran = await run(["--yes", name, "--output", "json"]);
    expect([ran.code, JSON.parse(ran.stdout)]).toEqual([0, { robot: name, replaced: true, "log-read": true }]);
    const again = await run(["--yes", name, "--output=json"]);
    expect(again.code).toBe(0);
  });

  test("masks the new token, whatever the verbosity", async ({ expect }) => {
    const { name, run } = await newRobot();
    const ran = await run(["--yes", name, "--verbose"]);
    expect(ran.code).toBe(0);
    expect(ran.stderr).toContain("/regenerate: 200");
  });

  test.for([
    [
      "a push",
      (robot: TestRobot): void => robot.log(used.push(robot.name, robot.repository), ago(9, 60)),
      "1 push",
      "--since 8d",
    ],
    [
      "a login of today",
      (robot: TestRobot): void => robot.log(used.login(robot.name), ago(0, -60)),
      "1 login",
      "--force",
    ],
    [
      "a push of a minute from now, by a Quay whose clock is ahead",
      (robot: TestRobot): void => robot.log(used.push(robot.name, robot.repository), ago(0, 60)),
      "1 push",
      "--force",
    ],
    [
      "a last login that the log does not show",
      ({ robot }: TestRobot): void => void Object.assign(robot, { lastAccessed: ago(2) }),
      "1 login for what this log does not show",
      "--force",
    ],
  ] as const)("is refused after %s with the static token", async ([_, use, says, remedy], { expect }) => {
    const robot = await newRobot();
    use(robot);
    const stderr = failed(expect, await robot.run(["--yes", robot.name]), 1, "static-token-in-use");
    for (const each of [says, remedy, "was used with its static token"]) expect(stderr).toContain(each);
    expect([robot.changed(), tokenOf(robot)]).toEqual([0, robot.token]);
    const since = /--since (\d+d)/.exec(stderr)?.[1];
    if (since) expect(await robot.run(["--yes", robot.name, "--since", since])).toMatchObject({ code: 0 });
  });

  test("is refused after a use that may be keyless, unless --force", async ({ expect }) => {
    const robot = await newRobot();
    robot.log(used.exchange(robot.name, peers().issuer.url, SUBJECT), ago(1));
    robot.log(used.push(robot.name, robot.repository), ago(1, 60));
    const stderr = failed(expect, await robot.run(["--yes", robot.name]), 1, "static-token-in-use");
    expect(stderr).toContain("does not tell whether");
    expect(stderr).toContain("only used keyless look like that too");
    expect(robot.changed()).toBe(0);
    const forced = await robot.run(["--yes", robot.name, "--force"]);
    expect([forced.code, forced.stderr]).toEqual([0, "With --force, the usage log is not read.\n"]);
    expect(tokenOf(robot)).not.toBe(robot.token);
  });

  test("is refused without a binding, unless --force", async ({ expect }) => {
    const robot = await newRobot({ isBound: false });
    const stderr = failed(expect, await robot.run(["--yes", robot.name]), 1, "robot-not-federated");
    expect(stderr).toContain(`quay-keyless-login federate --robot ${robot.name}`);
    expect(robot.changed()).toBe(0);
    const forced = await robot.run(["--yes", robot.name, "--force"]);
    expect([forced.code, forced.stderr]).toEqual([0, expect.stringContaining("nothing can log in as this robot")]);
  });

  test("counts only what was used since an earlier replacement", async ({ expect }) => {
    const robot = await newRobot();
    robot.log(used.push(robot.name, robot.repository), ago(1));
    expect((await robot.run(["--yes", robot.name, "--force"])).code).toBe(0);
    expect(await robot.run(["--yes", robot.name])).toMatchObject({ code: 0, stderr: "" });
  });

  test("of a user, with a token of this user", async ({ expect }) => {
    const { store } = peers().quay;
    addUser(store, "retiring");
    const { name, token } = addRobot(store, "retiring+ci", [{ issuer: peers().issuer.url, subject: SUBJECT }]);
    const env = { QUAY_API_TOKEN: addApiToken(store, { user: "retiring", scopes: ["user:admin"] }) };
    const machine = await machineWithToken(peers(), { env, secrets: [{ kind: "static", value: token }] });
    const ran = await machine.run(["retire-static-token", name, "--yes", name, ...quayOf(peers())]);
    expect([ran.code, await statusOf(name, token)]).toEqual([0, 401]);
  });

  test.for([
    ["lost", lost(), 75],
    ["never sent", hang(), 75],
    ["cut", cut(), 1],
    ["an error of a proxy", answer(504, "<html>"), 75],
  ] as const)(
    "may have replaced the token if the answer is %s, and can be run again",
    async ([_, how, code], { expect }) => {
      const robot = await newRobot();
      let left = 1;
      const isRegenerate = ({ url = "", method }: IncomingMessage) =>
        method === "POST" && url.includes(`/${robot.name.split("+")[0]}/`) && left-- > 0;
      const undo = peers().quay.managementScript.always(how, isRegenerate);
      const ran = await robot.run(["--yes", robot.name, "--timeout", "6"]);
      undo();
      expect(ran.code).toBe(code);
      expect(ran.stderr).toContain(`The static token of ${robot.name} may have been replaced.`);
      expect(ran.stderr).toContain(`with the same options: quay-keyless-login retire-static-token ${robot.name}\n`);
      expect(robot.changed()).toBe(1);
      expect(await statusOf(robot.name, robot.token)).toBe(how.kind === "lost" ? 401 : 200);
      // The login above was a static use.
      expect(await robot.run(["--yes", robot.name, "--force"])).toMatchObject({ code: 0 });
    },
  );

  test("does not say so of a request that Quay refuses", async ({ expect }) => {
    const robot = await newRobot();
    const isRegenerate = ({ url = "", method }: IncomingMessage) =>
      method === "POST" && url.includes(`/${robot.name.split("+")[0]}/`);
    const undo = peers().quay.managementScript.always(answer(400, { message: "No." }), isRegenerate);
    const ran = await robot.run(["--yes", robot.name]);
    undo();
    expect(failed(expect, ran, 1, "quay-refused")).not.toContain("may have been replaced");
  });

  test("drops the token of an answer that is of another form", async ({ expect }) => {
    const robot = await newRobot();
    const text = `{"token": "${"S3CRET".repeat(10)}", "name": ["x"], "again": "${"S3CRET".repeat(10)}"}`;
    const secrets = [{ kind: "static", value: "S3CRET".repeat(10) } as const];
    const machine = await machineWithToken(peers(), { env: { QUAY_API_TOKEN: robot.apiToken }, secrets });
    const isMeant = ({ url = "" }: IncomingMessage) => url.includes(`${robot.name.split("+")[0]}/robots/ci/regenerate`);
    const undo = peers().quay.managementScript.always(
      answer(200, text, { "content-type": "application/json" }),
      isMeant,
    );
    const ran = await machine.run([
      "retire-static-token",
      robot.name,
      "--yes",
      robot.name,
      ...quayOf(peers()),
      "--verbose",
    ]);
    undo();
    expect(ran.code).toBe(0);
  });
});

describe.concurrent("on a terminal", () => {
  test("asks for the robot's name", async ({ expect }) => {
    const robot = await newRobot();
    const ran = await robot.run([], { terminal: true, input: `${robot.name}\n` });
    expect([ran.code, ran.stdout]).toEqual([0, expect.stringContaining("Type the robot's name to go on:")]);
    expect(tokenOf(robot)).not.toBe(robot.token);
  });

  test.for(["yes\n", "\n", "retire+other\n", ""])("changes nothing after %j", async (input, { expect }) => {
    const robot = await newRobot();
    const ran = await robot.run(["--quiet"], { terminal: true, input });
    expect([ran.code, ran.stdout]).toEqual([2, expect.stringContaining("nothing was changed")]);
    expect(ran.stdout).toContain("Type the robot's name");
    expect([robot.changed(), tokenOf(robot)]).toEqual([0, robot.token]);
  });

  test("does not ask what is refused anyway, nor with --yes", async ({ expect }) => {
    const robot = await newRobot();
    robot.log(used.push(robot.name, robot.repository), ago(1));
    const refused = await robot.run([], { terminal: true, input: `${robot.name}\n` });
    expect([refused.code, refused.stdout]).toEqual([1, expect.stringContaining("static-token-in-use")]);
    expect(refused.stdout).not.toContain("Type the robot's name");
    const told = await robot.run(["--force", "--yes", robot.name], { terminal: true });
    expect(told.code).toBe(0);
    expect(told.stdout).not.toContain("Type the robot's name");
  });
});

describe.concurrent("before anything is sent, it refuses", () => {
  test.for([
    ["no robot", [], "--robot acme+ci"],
    ["a name without an organization", ["ci"], "organization+name"],
    ["two robots", ["acme+ci", "acme+release"], "one robot"],
    ["another name", ["acme+ci", "--yes", "acme+c1"], "--yes acme+ci"],
    ["no name without a terminal", ["acme+ci"], "--yes acme+ci"],
    ["a wrong time", ["acme+ci", "--yes", "acme+ci", "--since", "1w"], "1d to 365d"],
    ["the token on standard input, and no name", ["acme+ci", "--api-token-file", "-"], "--yes acme+ci"],
  ] as const)("%s", async ([_, args, says], { expect }) => {
    const { apiToken, machine } = await newRobot();
    const ran = await machine.run(["retire-static-token", ...args, ...quayOf(peers())]);
    expect(failed(expect, ran, 2, "invalid-input")).toContain(says);
    expect(peers().quay.seen(apiToken)).toEqual([]);
  });

  test("and then a robot that does not exist, naming one that is close", async ({ expect }) => {
    const { name, machine } = await newRobot();
    const ran = await machine.run(["retire-static-token", `${name}x`, "--yes", `${name}x`, ...quayOf(peers())]);
    expect(failed(expect, ran, 1, "robot-not-found")).toContain(`retire-static-token ${name}\n`);
  });

  test("takes the API token from a file and from standard input", async ({ expect }) => {
    const { name, apiToken, machine } = await newRobot();
    const file = await machine.write(join(machine.scratch, "api-token"), `${apiToken}\n`);
    const other = { env: { QUAY_API_TOKEN: "" } };
    const base = ["retire-static-token", name, "--yes", name, ...quayOf(peers()), "--api-token-file"];
    expect(await machine.run([...base, file], other)).toMatchObject({ code: 0 });
    expect(await machine.run([...base, "-"], { ...other, input: `${apiToken}\n` })).toMatchObject({ code: 0 });
  });
});

describe("a log that can't decide", () => {
  test("as Quay does not count it, says so, and offers no time that would not help", async ({ expect }) => {
    const robot = await newRobot();
    robot.log(used.push(robot.name, robot.repository), ago(9, 60));
    const undo = peers().quay.managementScript.always(answer(404, ""), ({ url = "" }) =>
      url.includes(`/${robot.name.split("+")[0]}/aggregatelogs`),
    );
    const stderr = failed(expect, await robot.run(["--yes", robot.name]), 1, "static-token-in-use");
    const { code, stderr: unused } = await robot.run(["--yes", robot.name, "--since", "3d"]);
    undo();
    expect([code, unused]).toEqual([1, expect.stringContaining("usage-log-incomplete")]);
    for (const each of [stderr, unused]) {
      expect(each).toContain("Quay does not count the entries");
      expect(each).toContain("AGGREGATED_LOG_COUNT_RETRIEVAL");
      expect(each).toContain("--force");
      expect(each).not.toContain("of the same time");
      expect(each).not.toContain("--since");
    }
  });

  test("refuses while it has gaps, begins later, or can't be searched", async ({ expect }) => {
    const robot = await newRobot();
    const { settings } = peers().quay;
    const tied = ago(1);
    tied.setUTCHours(12, 0, 0, 0);
    const pull = used.pull(undefined, robot.repository);
    for (let index = 0; index < 90; index++) robot.log(pull, tied);
    for (let index = 1; index < 8; index++) robot.log(pull, new Date(tied.getTime() + index * 1000));
    settings.logTimes = "seconds";
    failed(expect, await robot.run(["--yes", robot.name]), 1, "usage-log-incomplete");
    settings.logTimes = "microseconds";
    settings.logRotationDays = 60;
    robot.log(pull, ago(20, -60));
    const later = failed(expect, await robot.run(["--yes", robot.name]), 1, "usage-log-incomplete");
    expect(later).toContain("--since 20d");
    settings.logRotationDays = undefined;
    // The days since the use have the gap.
    settings.logTimes = "seconds";
    robot.log(used.push(robot.name, robot.repository), ago(20));
    const both = failed(expect, await robot.run(["--yes", robot.name]), 1, "static-token-in-use");
    expect([both.match(/--since/g), both]).toEqual([null, expect.stringContaining("usage-log-incomplete")]);
    settings.logTimes = "microseconds";
    settings.searchUnavailable = true;
    failed(expect, await robot.run(["--yes", robot.name]), 1, "usage-log-unavailable");
    expect(robot.changed()).toBe(0);
    expect(await robot.run(["--yes", robot.name, "--force"])).toMatchObject({ code: 0 });
    settings.searchUnavailable = false;
  });
});
