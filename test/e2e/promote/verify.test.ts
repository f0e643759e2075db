/** `promote --verify-command`: the user's own check of the source, before it is promoted. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { describe, test } from "vitest";
import { processesOf } from "../../faults/world.ts";
import { makeTwoPlatforms } from "../../support/images.ts";
import { kindsIn, type Secret } from "../../support/leaks.ts";
import {
  arrived,
  eventually,
  fileOf,
  newScenario,
  refused,
  type Scenario,
  succeeded,
  usePromotionWorld,
  writesTo,
} from "./world.ts";

const world = usePromotionWorld();
const hasPipefail = spawnSync("/bin/sh", ["-c", "set -o pipefail"]).status === 0;
const made = makeTwoPlatforms("verify made");

async function withImage(options: Parameters<typeof newScenario>[1] = {}): Promise<Scenario> {
  const scenario = await newScenario(world(), options);
  await scenario.from.side.push(scenario.from.repository, made, ["nightly"]);
  return scenario;
}

describe.concurrent("promote --verify-command", { timeout: 60_000 }, () => {
  test("gets the source by digest as its last argument, even for a tag", async ({ expect }) => {
    const scenario = await withImage();
    const { from, to, machine } = scenario;
    const given = fileOf(machine, "given");
    const command = `printf '%s\\n' > '${given}' first 'se cond'`;
    const args = [...scenario.args("nightly", "1.0", "1.1"), "--verify-command", command];
    succeeded(expect, await scenario.promote(args));
    expect(await readFile(given, "utf8")).toBe(`first\nse cond\n${from.path}@${made.digest}\n`);
    await arrived(expect, to, made, "1.0", "1.1");
  });

  test("can pull with the login, by skopeo without any flag", async ({ expect }) => {
    const scenario = await withImage();
    const { from, to, machine } = scenario;
    const inspected = fileOf(machine, "inspected");
    const command = `verify() { skopeo inspect --raw "docker://$1" > '${inspected}'; }; verify`;
    succeeded(expect, await scenario.promote([...scenario.args(made, "1.0"), "--verify-command", command]));
    expect(await readFile(inspected, "utf8")).toBe(made.bytes.toString());
    await arrived(expect, to, made, "1.0");
    const pulls = from.side.asked.filter(({ path }) => path === `/v2/${from.repository}/manifests/${made.digest}`);
    expect(new Set(pulls.map(({ user }) => user))).toEqual(new Set([from.robot]));
  });

  test("gets no variable that names the destination's login", async ({ expect }) => {
    const scenario = await withImage();
    const { from, machine } = scenario;
    const given = fileOf(machine, "variables");
    const command = `see() { env > '${given}'; grep -rhoE '"[^"]+": *[{]' "$DOCKER_CONFIG" "$REGISTRY_AUTH_FILE" >> '${given}'; }; see`;
    succeeded(expect, await scenario.promote([...scenario.args(made, "1.0"), "--verify-command", command]));
    const lines = (await readFile(given, "utf8")).split("\n");
    const folders = lines.flatMap((line) => line.match(/quay-keyless-promote-[0-9a-f]+/g) ?? []);
    expect(new Set(folders).size).toBe(1);
    expect(lines.filter((line) => line.startsWith('"'))).toEqual(
      Array.from({ length: 2 }, () => ['"auths": {', `"${from.side.host}": {`]).flat(),
    );
  });

  test("fails: the error has its exit code and last lines, and nothing is copied", async ({ expect }) => {
    const scenario = await withImage();
    const { from, to } = scenario;
    const command = "sh -c 'echo looking at it; echo no matching signatures >&2; exit 7'";
    const ran = await scenario.promote([...scenario.args(made, "1.0"), "--verify-command", command]);
    const message = refused(expect, ran, "verify-failed");
    for (const part of ["7", "no matching signatures", `${from.path}@${made.digest}`]) expect(message).toContain(part);
    expect([writesTo(to), await to.side.tags(to.repository)]).toEqual([[], []]);
  });

  test("prints its login: neither log nor result shows it", async ({ expect }) => {
    const scenario = await withImage();
    const { from, machine } = scenario;
    const results = fileOf(machine, "results");
    const command = `show() { cat "$REGISTRY_AUTH_FILE" '${machine.tokenFile}'; false; }; show`;
    const args = [...scenario.args(made, "1.0"), "--verify-command", command, "--result", `results=${results}`];
    const message = refused(expect, await scenario.promote(args), "verify-failed");
    const text = await readFile(results, "utf8");
    for (const each of [message, text]) {
      expect(each).toContain("***");
      expect(each).not.toContain(Buffer.from(`${from.robot}:`).toString("base64").slice(0, 12));
      expect(each).not.toMatch(/eyJ[\w-]+[.][\w-]+[.]/);
    }
  });

  test.for<[string, string]>([
    ["a line that fails before others", "false\ntrue"],
    ["a command that fails before another", "false; true"],
    ["a line of a script that continues", 'test "$1" = nothing\necho "$1"\nexit 0'],
    ["a missing command, in the middle", "true\nno-such-verifier\ntrue"],
    // If the shell has pipefail, as the documentation says.
    ...(hasPipefail ? [["the beginning of a pipe", "false | cat\ntrue"] as [string, string]] : []),
  ])("%s decides", async ([, command], { expect }) => {
    const scenario = await withImage();
    const { to } = scenario;
    const ran = await scenario.promote([...scenario.args(made, "1.0"), "--verify-command", command]);
    refused(expect, ran, "verify-failed");
    expect([writesTo(to), await to.side.tags(to.repository)]).toEqual([[], []]);
  });

  test.for<[string, string]>([
    ["as $1 wherever a script names it", 'if test -n "$1"; then\n  echo "$1" > OUT\nfi\ntrue'],
    ["by another name in a script", 'for each in "$@"; do\n  echo "$each" > OUT\ndone'],
    ["as the last argument of a script without $1", "umask 077\nprintf '%s\\n' > OUT"],
    ["as the last argument of a line that is split in two", "printf \\\n  '%s\\n' > OUT"],
    ["as $1 and the last argument of one line", 'keep() { echo "$1" > OUT; }; keep'],
  ])("gets the source %s", async ([, command], { expect }) => {
    const scenario = await withImage();
    const { from, to, machine } = scenario;
    const given = fileOf(machine, "given");
    const args = [...scenario.args(made, "1.0"), "--verify-command", command.replace("OUT", `'${given}'`)];
    succeeded(expect, await scenario.promote(args));
    expect(await readFile(given, "utf8")).toBe(`${from.path}@${made.digest}\n`);
    await arrived(expect, to, made, "1.0");
  });

  test("takes too long: it is killed with all its processes, and the error names the limit", async ({ expect }) => {
    const scenario = await withImage();
    const { to, machine } = scenario;
    const command = "echo looking; sleep 25; true";
    const args = [...scenario.args(made, "1.0"), "--timeout", "3", "--verify-command", command];
    const message = refused(expect, await scenario.promote(args), "verify-failed");
    for (const part of ["took longer than 6 s", "looking", "--timeout 600"]) expect(message).toContain(part);
    expect(writesTo(to)).toEqual([]);
    await eventually(async () => (await processesOf(machine.scratch)).length === 0, "the end of all processes");
  });

  test("leaves a process running: promote does not wait for it, and kills it", async ({ expect }) => {
    const scenario = await withImage();
    const { to, machine } = scenario;
    const from = performance.now();
    const ran = await scenario.promote([...scenario.args(made, "1.0"), "--verify-command", "sleep 50 & true"]);
    succeeded(expect, ran);
    expect(performance.now() - from).toBeLessThan(40_000);
    await arrived(expect, to, made, "1.0");
    await eventually(async () => (await processesOf(machine.scratch)).length === 0, "the end of all processes");
  });

  test("is missing: that is a failure too", async ({ expect }) => {
    const scenario = await withImage();
    const { to } = scenario;
    const ran = await scenario.promote([...scenario.args(made, "1.0"), "--verify-command", "no-such-verifier"]);
    expect(refused(expect, ran, "verify-failed")).toContain("no-such-verifier");
    expect(writesTo(to)).toEqual([]);
  });

  test("sees no identity token and no password in its environment or arguments", async ({ expect }) => {
    const scenario = await withImage();
    const { to, machine } = scenario;
    const token = await world().peers.issuer.sign();
    const seen = fileOf(machine, "seen");
    const command = `look() { tr '\\0' '\\n' < /proc/$$/environ > '${seen}'; tr '\\0' ' ' < /proc/$$/cmdline >> '${seen}'; }; look`;
    const args = scenario.args(made, "1.0").flatMap((arg) => (arg === "--token-file" ? ["--token-env"] : [arg]));
    const named = args.map((arg) => (arg === machine.tokenFile ? "IDENTITY" : arg));
    const how = {
      env: { IDENTITY: token, KEPT: "for the command", QUAY_ID_TOKEN: "of another job", QUAY_KEYLESS_ROBOT: "a+b" },
    };
    succeeded(expect, await scenario.promote([...named, "--verify-command", command], how));
    const text = await readFile(seen, "utf8");
    expect(text).toContain("KEPT=for the command");
    expect(text).not.toMatch(/QUAY_ID_TOKEN|QUAY_KEYLESS/);
    const secrets: Secret[] = [{ kind: "identity", value: token }, ...world().secrets];
    expect(kindsIn(text, secrets)).toEqual(new Set());
    await arrived(expect, to, made, "1.0");
  });

  test("with an identity token from a command, which both logins run", async ({ expect }) => {
    const scenario = await withImage();
    const { to, machine } = scenario;
    const args = scenario.args(made, "1.0").flatMap((arg) => (arg === "--token-file" ? ["--token-command"] : [arg]));
    const printing = args.map((arg) => (arg === machine.tokenFile ? `cat '${machine.tokenFile}'` : arg));
    succeeded(expect, await scenario.promote([...printing, "--verify-command", "true"]));
    await arrived(expect, to, made, "1.0");
  });

  test("interrupted: it is killed at once, with all its processes", async ({ expect }) => {
    const scenario = await withImage();
    const { to, machine } = scenario;
    const begun = fileOf(machine, "begun");
    const command = `sh -c 'touch ${begun}; sleep 25; true'; true`;
    const started = await scenario.start([...scenario.args(made, "1.0"), "--verify-command", command]);
    await eventually(() => existsSync(begun), "the command");
    const from = performance.now();
    started.kill("SIGINT");
    refused(expect, await started.ended(), "cancelled", 75);
    expect(performance.now() - from).toBeLessThan(5_000);
    expect(writesTo(to)).toEqual([]);
    await eventually(async () => (await processesOf(machine.scratch)).length === 0, "the end of all processes");
  });

  test("runs for each promotion; a rejection stops no other", async ({ expect }) => {
    const scenario = await withImage();
    const { from, to, machine } = scenario;
    const other = makeTwoPlatforms("verify other");
    await from.side.push(from.repository, other);
    const file = await machine.write(
      fileOf(machine, "release.yaml"),
      [made, other]
        .map(
          ({ digest }, index) => `- { source: ${from.path}@${digest}, destination: ${to.path}, tags: [v${index}] }\n`,
        )
        .join(""),
    );
    const command = `check() { case $1 in *${other.digest}) exit 1;; esac; }; check`;
    const ran = await scenario.promote([
      ...[...scenario.base, "--output", "json", "--file", file],
      ...["--verify-command", command],
    ]);
    expect([ran.code, ran.promotions.map(({ error }) => error?.code)]).toEqual([1, [undefined, "verify-failed"]]);
    expect(await to.side.tags(to.repository)).toEqual(["v0"]);
  });

  test("--dry-run does not run it", async ({ expect }) => {
    const scenario = await withImage();
    const ran = await scenario.promote([...scenario.args(made, "1.0"), "--verify-command", "exit 9;", "--dry-run"]);
    succeeded(expect, ran);
  });
});
