/** The user's own check of an image, in real shells. Whole promotions with it: test/e2e/promote/verify.test.ts. */
import { expect, test } from "vitest";
import type { Endpoint, Endpoints } from "../../src/promotion/logins.ts";
import { verify } from "../../src/promotion/verify.ts";
import { failureText, testPlatform } from "../fixtures.ts";
import { systemPath } from "../support/runner.ts";

const reference = "quay.example.com/acme/staging@sha256:abc";

function check(command: string, { authFile, seconds = 20 }: { authFile?: string; seconds?: number } = {}) {
  const endpoint = (name: Endpoint["name"]): Endpoint => ({ name, login: undefined, authFile, others: new Map() });
  const endpoints: Endpoints = {
    ...{
      source: endpoint("source"),
      destination: endpoint("destination"),
      certificates: undefined,
      helpers: undefined,
    },
    close: async () => {},
  };
  const platform = testPlatform({ env: { PATH: systemPath } });
  return {
    ended: verify({ command, maxSeconds: seconds }, reference, endpoints, platform),
    reporter: platform.reporter,
  };
}

test.each<[string, string, string]>([
  ["passes the reference as the last argument", "echo given", `given ${reference}`],
  ["passes it to the last of several lines", "a=1\necho $a", `1 ${reference}`],
  [
    "leaves it to a script of several lines that names $1",
    'echo first "$1"\necho second',
    `first ${reference}\nsecond`,
  ],
  ["$@", 'set -- "$@" more\necho "$2"', "more"],
  ["in braces", `a=1\necho "\${1}" last`, `${reference} last`],
])("%s", async (_, command, said) => {
  const { ended, reporter } = check(command);
  await ended;
  expect(reporter.debugs.join("\n")).toBe(said);
  expect(reporter.infos).toEqual([`The option verify-command accepts ${reference}.`]);
});

test("puts the source's login into its environment, if there is one", async () => {
  const show = `show() { echo "\${REGISTRY_AUTH_FILE-none} \${DOCKER_CONFIG-none}"; }; show`;
  const [without, withLogin] = [check(show), check(show, { authFile: "/private/config.json" })];
  await Promise.all([without.ended, withLogin.ended]);
  expect(without.reporter.debugs).toEqual(["none none"]);
  expect(withLogin.reporter.debugs).toEqual(["/private/config.json /private"]);
});

test.each<[string, string, string]>([
  ["it exits with an error", "exit 3;", "The option verify-command exited with 3 for "],
  ["a signal kills it", "kill -9 $$;", "The option verify-command was killed for "],
  ["one of its lines fails", 'false\necho "$1"', "exited with 1"],
])("rejects the image if %s", async (_, command, how) => {
  const text = await failureText("verify-failed", check(command).ended);
  expect(text).toContain(how);
  expect(text).not.toContain("Its last lines");
});

test("the error has its last lines, shortened, and how to try it by hand", async () => {
  const say = `say() { seq 1 9; printf '%0600d\\n' 0; false; }; say`;
  const text = await failureText("verify-failed", check(say).ended);
  expect(text).toMatch(/Its last lines:\s+6\s+7\s+8\s+9\s+0{500}\n/);
  expect(text).toContain(`Try it by hand: ${say} ${reference}`);
  expect(await failureText("verify-failed", check("true\nfalse").ended)).toContain(
    `Try it by hand, with ${reference} as $1.`,
  );
});

test("kills one that takes too long, with the processes it started", async () => {
  const began = performance.now();
  const text = await failureText("verify-failed", check("wait() { sleep 60; }; wait", { seconds: 0.3 }).ended);
  expect(performance.now() - began).toBeLessThan(10_000);
  expect(text).toContain("took longer than 0.3 s, twice the option timeout, and was killed, for");
  expect(text).toContain("If it needs more time: timeout: 600");
});
