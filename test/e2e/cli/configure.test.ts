/** `configure`: real tools ask the credential helper, and everything can be taken back, also after a kill at any moment. */
import { chmod, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, test } from "vitest";
import { oneFile } from "../../support/built.ts";
import { createMachine, type Machine } from "../../support/command.ts";
import { writeImage } from "../../support/image.ts";
import { differences } from "../../support/leaks.ts";
import { areToolsOfToday } from "../../support/runner.ts";
import { entryOf, newRobot } from "../world.ts";
import { failed, machineWithToken, quayOf, resultsOf, useWorld } from "./world.ts";

const peers = useWorld();
const own = { helper: true };
const docker = (machine: Machine) => join(machine.home, ".docker/config.json");
const containers = (machine: Machine) => join(machine.home, ".config/containers/auth.json");
const helpersIn = async (path: string) => JSON.parse(await readFile(path, "utf8")).credHelpers ?? {};
const withPath = (machine: Machine) => ({ env: { PATH: machine.path } });
const auths = { "registry.example.com": entryOf("somebody", "a-foreign-password") };
const foreign = `${JSON.stringify({ auths, credsStore: "none" }, undefined, 2)}\n`;
const odd = '{ "credsStore" : "none",\n"auths":{"registry.example.com" : {}}}';

describe.concurrent("configure", () => {
  test("lets skopeo push and pull with no login in any file; --remove takes all of it back", async ({ expect }) => {
    const robot = newRobot(peers());
    const machine = await machineWithToken(peers(), own);
    await machine.write(docker(machine), foreign, 0o640);
    const before = await machine.snapshot();
    const ran = await machine.run(["configure", ...quayOf(peers()), robot.name, "--token-file", "../home/token"]);
    expect(ran.code).toBe(0);
    const host = peers().registryHost;
    expect(resultsOf(ran.stdout)).toEqual({
      registry: host,
      robot: robot.name,
      "credential-helper": "quay-keyless",
      configuration: join(machine.home, ".config/quay-keyless/config.json"),
      files: `${containers(machine)}\n${docker(machine)}`,
    });
    expect(ran.children).toEqual([]);
    const image = await writeImage(join(machine.scratch, "image"));
    const there = `docker://${host}/${robot.repository}:v1`;
    const certificates = ["--dest-cert-dir", peers().certDir];
    const pushed = await machine.other("skopeo", ["copy", ...certificates, image.reference, there], withPath(machine));
    expect([pushed.stderr, pushed.code]).toEqual(["", 0]);
    const inspect = ["inspect", "--cert-dir", peers().certDir, "--authfile", docker(machine), there];
    expect(await machine.other("skopeo", inspect, withPath(machine))).toMatchObject({ code: 0, stderr: "" });

    // What is printed can be pasted, and shows no secret.
    const line = (text: string) => ran.stderr.split("\n").find((each) => each.startsWith(text)) ?? "";
    const trial = line("To try it: ").replace("To try it: ", "");
    const tried = await machine.other("/bin/sh", ["-c", trial], withPath(machine));
    expect([tried.stdout, tried.code]).toEqual(["it works\n", 0]);
    const removal = line("To remove it: ").replace("To remove it: quay-keyless-login ", "").split(" ");
    const removed = await machine.run(removal);
    expect(removed).toMatchObject({ code: 0, stdout: "" });
    expect(removed.stderr).toContain(`Removed the credential helper for ${host} from `);
    expect(differences(before, await machine.snapshot())).toEqual([]);
    expect((await machine.run([...removal, "--output=json"])).stdout).toContain('"removed": false');
  });

  test("says what it does: twice the same, another robot, as JSON, verbosely", async ({ expect }) => {
    const machine = await machineWithToken(peers(), own);
    const target = ["configure", "--robot", "acme+ci"];
    expect((await machine.run([...target, "--verbose"])).stderr).toContain(
      `entering credHelpers.quay.io in ${docker(machine)}`,
    );
    const before = await machine.snapshot();
    expect((await machine.run(target)).stderr).toContain("nothing was changed");
    expect(differences(before, await machine.snapshot())).toEqual([]);
    const json = await machine.run(["configure", "--robot", "acme+other", "--output=json", "--quiet"]);
    expect([json.code, json.stderr, JSON.parse(json.stdout)]).toEqual([
      0,
      "",
      {
        configured: true,
        changed: true,
        registry: "quay.io",
        robot: "acme+other",
        "credential-helper": "quay-keyless",
        configuration: join(machine.home, ".config/quay-keyless/config.json"),
        files: [containers(machine), docker(machine)],
      },
    ]);
  });

  test("says what it replaces: another job of the same home may need it", async ({ expect }) => {
    const machine = await machineWithToken(peers(), own);
    await machine.run(["configure", "acme+one", "--token-env", "ONE"]);
    const ran = await machine.run(["configure", "acme+two", "--token-env", "TWO"]);
    expect(ran.stderr).toContain("The robot was acme+one, and is acme+two now. Other values: token-env.");
    await machine.run(["configure", "--remove"]);
  });

  test("a login beside it, without the helper on PATH: the error names the file", async ({ expect }) => {
    const robot = newRobot(peers());
    const machine = await machineWithToken(peers(), { helper: true });
    await machine.run(["configure", ...quayOf(peers()), robot.name, "--token-file", "../home/token"]);
    const file = join(machine.home, "other.json");
    const target = [...quayOf(peers()), robot.name, "--token-file", "../home/token", "--tool", "skopeo"];
    const own = machine.path.split(":").filter((folder) => folder.startsWith(machine.scratch));
    await Promise.all(own.map((folder) => rm(join(folder, "docker-credential-quay-keyless"), { force: true })));
    const ran = await machine.run(["login", ...target, "--auth-file", file, "--docker-config=false"]);
    // Today's skopeo asks only the helpers of the file that it is given.
    expect(ran.code).toBe(areToolsOfToday ? 0 : 1);
    const reason = `${containers(machine)} names it for ${peers().registryHost}.`;
    expect(ran.stderr.includes(reason)).toBe(!areToolsOfToday);
    expect(ran.stderr).not.toContain("registries.conf");
  });

  test("with --session, logout takes it back", async ({ expect }) => {
    const machine = await machineWithToken(peers(), own);
    await machine.write(docker(machine), foreign, 0o640);
    const before = await machine.snapshot();
    const ran = await machine.run(["configure", "acme+ci", "--session", "../session"]);
    expect(ran.stderr).toContain(
      `To remove it: quay-keyless-login logout --session ${join(machine.scratch, "session")}`,
    );
    const token = { token: "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhY21lK2NpIn0.AAAA", lifeSeconds: 3600 };
    const entry = { registry: "quay.io", robot: "acme+ci", audience: "quay", source: "x", ...token };
    const cache = { version: 1, entries: [{ ...entry, expiresAt: Math.floor(Date.now() / 1000) + 600 }] };
    await machine.write(join(machine.runtime, "quay-keyless/cache.json"), JSON.stringify(cache));
    await chmod(machine.runtime, 0o700);
    expect((await machine.run(["logout", "--session", "../session"])).stderr).toContain(
      "Removed the credential helper",
    );
    expect(await readdir(join(machine.runtime, "quay-keyless"))).toEqual([]);
    await rm(join(machine.runtime, "quay-keyless"), { recursive: true });
    await chmod(machine.runtime, 0o755);
    expect(differences(before, await machine.snapshot())).toEqual([]);
  });

  test("with --session, and removed without it: logout says that it was gone", async ({ expect }) => {
    const machine = await machineWithToken(peers(), own);
    await machine.run(["configure", "acme+ci", "--session", "../session"]);
    expect((await machine.run(["configure", "--remove"])).stderr).toContain("Removed the credential helper");
    const { code, stderr } = await machine.run(["logout", "--session", "../session"]);
    expect([code, stderr.includes("Removed")]).toEqual([0, false]);
    expect(stderr).toContain(`${docker(machine)} did not name it any more.`);
  });

  test("does not read the variable that token-env names", async ({ expect }) => {
    const machine = await machineWithToken(peers(), own);
    const ran = await machine.run(["configure", "acme+ci", "--token-env", "MY_TOKEN"], {
      env: { MY_TOKEN: "garbage" },
    });
    expect(ran.code).toBe(0);
    const { registries } = JSON.parse(await readFile(join(machine.home, ".config/quay-keyless/config.json"), "utf8"));
    expect(registries["quay.io"]).toEqual({ robot: "acme+ci", "token-env": "MY_TOKEN" });
  });
});

describe.concurrent("refuses with a remedy", () => {
  test.for([
    [["--robot", "acme+one", "--robot", "acme+two"], "invalid-input", "quay-keyless-login login"],
    [["--robot", "quay.io/acme=acme+one"], "invalid-input", "quay-keyless-login login"],
    [["--registry", "https://quay.io", "--robot", "acme+one"], "invalid-input", "--registry quay.io"],
    [["--remove", "--robot", "acme+one"], "invalid-input", "Set only one"],
    [["--remove", "--session", "x", "--registry", "quay.io"], "invalid-input", "Set only one"],
    [["--robot", "acme+one", "--token-file", "a", "--token-env", "B"], "invalid-input", "Set only one"],
    [[], "invalid-input", "--robot acme+ci"],
  ] as const)("%j", async ([args, code, remedy], { expect }) => {
    const machine = await createMachine(own);
    const before = await machine.snapshot();
    const said = failed(expect, await machine.run(["configure", ...args]), 2, code);
    expect(said).toContain(remedy);
    expect(differences(before, await machine.snapshot())).toEqual([]);
  });

  test("where the helper is not on PATH", async ({ expect }) => {
    const machine = await createMachine();
    const before = await machine.snapshot();
    const said = failed(expect, await machine.run(["configure", "acme+ci"]), 1, "helper-not-found");
    const helper = oneFile ?? expect.stringMatching(/^\/\S+\/helper\/index\.js$/);
    const [, named] = /sudo ln -s (\S+) \/usr\/local\/bin\/docker-credential-quay-keyless/.exec(said) ?? [];
    expect(named).toEqual(helper);
    expect(differences(before, await machine.snapshot())).toEqual([]);
  });

  test("a login of the same host, which names how to remove the helper", async ({ expect }) => {
    const robot = newRobot(peers());
    const machine = await machineWithToken(peers(), own);
    const target = [...quayOf(peers()), "--robot", robot.name, "--token-file", machine.tokenFile];
    expect(await machine.run(["configure", ...target])).toMatchObject({ code: 0 });
    const into = [...target, "--auth-file", docker(machine)];
    const said = failed(expect, await machine.run(["login", ...into]), 1, "credential-helper");
    const remedy = `quay-keyless-login configure --remove --registry ${peers().registryHost}`;
    expect(said).toContain(remedy);
    expect(await machine.run(remedy.split(" ").slice(1))).toMatchObject({ code: 0 });
    expect(await machine.run(["login", ...into])).toMatchObject({ code: 0 });
    const hidden = failed(expect, await machine.run(["configure", ...target]), 1, "credential-helper");
    const logout = /skopeo logout --authfile \S+ \S+/.exec(hidden)?.[0] ?? "";
    expect(await machine.other("/bin/sh", ["-c", logout])).toMatchObject({ code: 0 });
    expect(await machine.run(["configure", ...target])).toMatchObject({ code: 0 });
  });
});

test("status and logout name the helper, and status the missing program", async ({ expect }) => {
  const machine = await machineWithToken(peers(), own);
  await machine.run(["configure", "acme+ci"]);
  const status = await machine.run(["status"]);
  expect([status.code, status.stderr, resultsOf(status.stdout)]).toEqual([
    0,
    "",
    { "auth-file": containers(machine), "credential-helper": "quay-keyless" },
  ]);
  await rm(join(machine.scratch, "tools/docker-credential-quay-keyless"));
  const said = failed(expect, await machine.run(["status", "--output=json"]), 1, "helper-not-found");
  expect(said).toContain("quay-keyless-login configure --remove");
  const logout = await machine.run(["logout", "--auth-file", docker(machine)]);
  expect([logout.code, logout.stderr]).toEqual([
    0,
    [
      `${docker(machine)} holds no login for quay.io: no login was removed.`,
      "It names the credential helper quay-keyless for quay.io, which the tools ask for a login. To remove it: quay-keyless-login configure --remove\n",
    ].join("\n"),
  ]);
});

test("a login for another host neither asks the helper nor removes it", async ({ expect }) => {
  const robot = newRobot(peers());
  const machine = await machineWithToken(peers(), own);
  await machine.write(
    join(machine.home, ".config/containers/registries.conf"),
    'credential-helpers = ["containers-auth.json", "quay-keyless"]\n',
  );
  await machine.run(["configure", "acme+ci"]);
  const target = [...quayOf(peers()), "--robot", robot.name, "--token-file", machine.tokenFile];
  for (const tool of ["skopeo", "none"]) {
    const login = await machine.run(["login", ...target, "--tool", tool, "--auth-file", containers(machine)]);
    expect([login.code, login.stderr]).toEqual([0, expect.stringContaining("Logged in")]);
    expect(await helpersIn(containers(machine))).toEqual({ "quay.io": "quay-keyless" });
    expect(
      await machine.run(["logout", ...quayOf(peers()).slice(0, 2), "--auth-file", containers(machine)]),
    ).toMatchObject({ code: 0 });
  }
});

describe("killed at any moment", () => {
  test.for([
    ["configure", ["configure", "acme+ci"]],
    ["the removal", ["configure", "--remove"]],
  ] as const)(
    "%s: afterwards a removal leaves what was there before",
    { timeout: 240_000 },
    async ([what, args], { expect }) => {
      const machine = await machineWithToken(peers(), own);
      await machine.write(docker(machine), odd, 0o640);
      await machine.write(containers(machine), foreign);
      const before = await machine.snapshot();
      let whole = 0;
      for (let index = 0; index < 14; index++) {
        if (what === "the removal") await machine.run(["configure", "acme+ci"]);
        const running = await machine.start(args);
        // The first run tells how long one takes; the others are killed on the way.
        if (index > 0) {
          await sleep(whole * (0.3 + 0.7 * (index / 14)));
          running.kill("SIGKILL");
        }
        const { milliseconds } = await running.done;
        whole ||= milliseconds;
        expect(await machine.run(["configure", "--remove"])).toMatchObject({ code: 0 });
        expect([index, differences(before, await machine.snapshot())]).toEqual([index, []]);
      }
    },
  );
});
