/** What the built commands print with `--output json` and write to files, against the stand-in: the keys that programs read. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { machineWithToken, newRobot, quayOf } from "../e2e/cli/world.ts";
import { newScenario } from "../e2e/promote/world.ts";
import { SUBJECT } from "../quay-stand-in/issuer.ts";
import type { Peers } from "../quay-stand-in/peers.ts";
import { addLogEntry, used } from "../quay-stand-in/quay/log.ts";
import { addApiToken, addOrganization, addRepository, addRobot } from "../quay-stand-in/quay/store.ts";
import { createMachine, type Machine, type Ran } from "../support/command.ts";
import { makeImage } from "../support/images.ts";
import type { PromotionWorld } from "../support/promotion.ts";
import { jsonLines } from "./promised.ts";

/** A section's title, and its lines. */
type Section = readonly [title: string, lines: readonly string[]];

const json = (machine: Pick<Machine, "run">, ...args: string[]): Promise<Ran> =>
  machine.run([...args, "--output", "json"]);

const section = (command: string, ...runs: readonly Ran[]): Section => [
  `${command} --output json`,
  [...new Set(runs.flatMap(({ stdout }) => jsonLines(JSON.parse(stdout))))],
];

/** A login and what follows it, with the files that it leaves. */
export async function loginSections(peers: Peers): Promise<readonly Section[]> {
  const robot = newRobot(peers);
  const machine = await machineWithToken(peers);
  const files = ["--auth-file", join(machine.work, "auth.json")];
  const session = ["--session", join(machine.work, "session")];
  const login = ["login", ...quayOf(peers), "--tool", "none", "--token-file", machine.tokenFile, ...files, ...session];
  const { name: other } = newRobot(peers, [{ issuer: peers.issuer.url, subject: "another" }]);
  const failed = await json(machine, ...login, "--robot", other);
  const done = await json(machine, ...login, "--robot", robot.name);
  const status = await json(machine, "status", ...files, "--registry", peers.registryHost);
  const identity = await json(machine, "identity", "--token-file", machine.tokenFile, "--ca-file", peers.caFile);
  const logout = await json(machine, "logout", ...session);
  return [
    section("login", done),
    section("login that fails, with", failed),
    section("status", status),
    section("identity", identity),
    section("logout", logout),
  ];
}

/** The credential helper, entered and removed, and its file. */
export async function helperSections(peers: Peers): Promise<readonly Section[]> {
  const robot = newRobot(peers);
  const machine = await machineWithToken(peers, { helper: true });
  const own = ["--token-file", machine.tokenFile, "--audience", "quay", "--timeout", "60"];
  const configured = await json(machine, "configure", ...quayOf(peers), ...own, robot.name);
  const file: { registries: Record<string, unknown> } = JSON.parse(
    await readFile(join(machine.home, ".config/quay-keyless/config.json"), "utf8"),
  );
  const registries = { HOST: file.registries[peers.registryHost] };
  const removed = await json(machine, "configure", "--remove", "--registry", peers.registryHost);
  return [
    section("configure", configured),
    section("configure --remove", removed),
    ["~/.config/quay-keyless/config.json", jsonLines({ ...file, registries })],
  ];
}

/** The commands that need a token of Quay's API, for an organization with one robot of each kind. */
export async function trustSections(peers: Peers): Promise<readonly Section[]> {
  const { quay, issuer } = peers;
  const organization = "stable";
  addOrganization(quay.store, organization, ["admin"]);
  const { name } = addRobot(quay.store, `${organization}+ci`, [{ issuer: issuer.url, subject: SUBJECT }]);
  addRobot(quay.store, `${organization}+unbound`, []);
  addRepository(quay.store, `${organization}/app`, { [name]: "admin" });
  const time = new Date(Date.now() - 3 * 86_400_000);
  addLogEntry(quay.store, { ...used.login(name), time });
  addLogEntry(quay.store, { ...used.exchange(name, issuer.url, SUBJECT), time });
  const secrets = [...quay.store.robots.values()].map(({ token }) => ({ kind: "static", value: token }) as const);
  const env = { QUAY_API_TOKEN: addApiToken(quay.store, { user: "admin" }) };
  const machine = await createMachine({ peers, env, secrets });
  const trust = ["federate", ...quayOf(peers), "--robot", `${organization}+release`, "--create-robot"];
  const binding = ["--github", "acme/app", "--branch", "main", "--permission", `${organization}/app=write`];
  const planned = await json(machine, ...trust, ...binding, "--dry-run");
  const applied = await json(machine, ...trust, ...binding);
  const exported = await json(machine, "federate", ...quayOf(peers), "--organization", organization, "--export");
  const audit = await json(machine, "audit", ...quayOf(peers), "--organization", organization);
  const retire = ["retire-static-token", ...quayOf(peers), name, "--yes", name, "--force"];
  return [
    section("federate", planned, applied),
    section("federate --export", exported),
    section("audit", audit),
    section("retire-static-token", await json(machine, ...retire)),
  ];
}

export async function migrationSections(): Promise<readonly Section[]> {
  const machine = await createMachine();
  const steps = [
    "- uses: docker/login-action@v3",
    "  with:",
    "    registry: quay.io",
    "    username: acme+ci",
    `    password: \${{ secrets.QUAY_TOKEN }}`,
  ].map((line) => `      ${line}\n`);
  const workflow = `on: push\njobs:\n  image:\n    runs-on: ubuntu-latest\n    steps:\n${steps.join("")}`;
  await machine.write(join(machine.work, ".github/workflows/ci.yml"), workflow, 0o644);
  return [section("migrate", await json(machine, "migrate"))];
}

/** A promotion to a tag that is free, once more, and to one that is taken. */
export async function promotionSections(world: PromotionWorld): Promise<readonly Section[]> {
  const scenario = await newScenario(world);
  const [first, second] = [makeImage("stable 1"), makeImage("stable 2")];
  for (const image of [first, second]) await scenario.from.side.push(scenario.from.repository, image);
  const done = await scenario.promote(scenario.args(first, "1.0"));
  const again = await scenario.promote(scenario.args(first, "1.0"));
  const taken = await scenario.promote(scenario.args(second, "1.0"));
  return [section("promote", done, again, taken)];
}
