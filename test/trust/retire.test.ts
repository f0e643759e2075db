/** `retire-static-token` against the stand-in over real TLS: what refuses it, what it asks, what it leaves. test/e2e/cli/retire.test.ts has the command. */
import type { IncomingMessage } from "node:http";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { OptionValues } from "../../src/options/table.ts";
import { ExplainedError } from "../../src/platform/errors.ts";
import { parseRetireRequest } from "../../src/trust/audit-request.ts";
import { retire } from "../../src/trust/retire.ts";
import { failureText, testPlatform } from "../fixtures.ts";
import { SUBJECT } from "../quay-stand-in/issuer.ts";
import { type Peers, startPeers } from "../quay-stand-in/peers.ts";
import { addLogEntry, used } from "../quay-stand-in/quay/log.ts";
import { INTERNAL_ERROR } from "../quay-stand-in/quay/pages.ts";
import { addOrganization, addRobot } from "../quay-stand-in/quay/store.ts";
import { answer, cut, lost, page, reset, type Scripted } from "../quay-stand-in/scripted.ts";

let peers: Peers;
beforeAll(async () => {
  peers = await startPeers({ registry: false });
});
afterAll(() => peers.close());
afterEach(() => peers.quay.managementScript.clear());

let count = 0;
const ago = (days: number) => new Date(Date.now() - days * 86_400_000);

function newRobot({ isBound = true } = {}) {
  const { store } = peers.quay;
  const organization = `r${++count}`;
  addOrganization(store, organization, ["admin"]);
  const bindings = isBound ? [{ issuer: peers.issuer.url, subject: SUBJECT }] : [];
  const { name, token } = addRobot(store, `${organization}+ci`, bindings);
  const log = (entry: Parameters<typeof addLogEntry>[1], time: Date) => addLogEntry(store, { ...entry, time });
  const isReplaced = () => store.robots.get(name)?.token !== token;
  return { organization, name, log, isReplaced, repository: `${organization}/app` };
}

const platformHere = () => testPlatform({ env: { QUAY_API_TOKEN: peers.oauthToken }, roots: peers.authority.ca });

async function run(robot: string, values: OptionValues = { yes: robot }, platform = platformHere()) {
  let asked = 0;
  const asking = { onProgress: () => {}, confirm: async () => void asked++ };
  const request = parseRetireRequest({ registry: peers.registryHost, robot, ...values });
  return { ...(await retire(request, platform, asking)), asked };
}

describe("replaces the static token", () => {
  test("of a robot that is only used keyless, and masks the new one", async () => {
    const { name, log, isReplaced } = newRobot();
    log(used.exchange(name, peers.issuer.url, SUBJECT), ago(2));
    const platform = platformHere();
    const retired = await run(name, undefined, platform);
    expect(retired).toMatchObject({ robot: name, asked: 0, usage: { static: undefined, unknown: undefined } });
    expect(isReplaced()).toBe(true);
    expect(platform.reporter.secrets).toContain(peers.quay.store.robots.get(name)?.token);
  });

  test("only once the user has agreed", async () => {
    const { name, isReplaced } = newRobot();
    expect(await run(name, {})).toMatchObject({ asked: 1 });
    expect(isReplaced()).toBe(true);
    const other = newRobot();
    const no = new ExplainedError("invalid-input", "no", { remedy: [] });
    const request = parseRetireRequest({ registry: peers.registryHost, robot: other.name });
    const asking = { onProgress: () => {}, confirm: () => Promise.reject(no) };
    await expect(retire(request, platformHere(), asking)).rejects.toBe(no);
    expect(other.isReplaced()).toBe(false);
  });

  test("with force, without a look at the log, of a robot without a binding too", async () => {
    const { name, log, isReplaced, repository } = newRobot({ isBound: false });
    log(used.push(name, repository), ago(1));
    const platform = platformHere();
    expect(await run(name, { yes: name, force: "true" }, platform)).toMatchObject({ usage: undefined });
    expect(isReplaced()).toBe(true);
    expect(platform.reporter.warnings).toEqual([
      `${name} has no binding: nothing can log in as this robot afterwards.`,
    ]);
    expect(platform.reporter.text()).toContain("the usage log is not read");
    expect(peers.quay.requests.filter(({ path }) => path.includes(`/${name.split("+")[0]}/logs`))).toEqual([]);
  });
});

describe("refuses", () => {
  test("a robot that was used with its static token, and names the time since then", async () => {
    const { name, log, isReplaced, repository } = newRobot();
    log(used.push(name, repository), ago(5.5));
    const output = await failureText("static-token-in-use", run(name));
    expect(output).toContain(`${name} was used with its static token in the last 30 days: 1 push (${repository})`);
    expect(output).toContain("since: 5d");
    expect(output).toMatch(/uses the static token any more: force$/m);
    expect(isReplaced()).toBe(false);
    await run(name, { yes: name, since: "5d" });
    expect(isReplaced()).toBe(true);
  });

  test("a robot that was used today: no time since then helps", async () => {
    const { name, log, repository } = newRobot();
    log(used.push(name, repository), ago(0.1));
    expect(await failureText("static-token-in-use", run(name))).not.toContain("since:");
  });

  test("a use shortly after an exchange, which may have been either", async () => {
    const { name, log, repository } = newRobot();
    log(used.exchange(name, peers.issuer.url, SUBJECT), ago(2.01));
    log(used.push(name, repository), ago(2));
    const output = await failureText("static-token-in-use", run(name));
    expect(output).toContain(`Quay's log does not tell whether ${name} was used with its static token`);
    expect(output).toContain("Unknown: 1 push");
    expect(output).toContain("Robots that are only used keyless look like that too.");
  });

  test("a log that is incomplete, beside a use", async () => {
    const { organization, name, log, isReplaced, repository } = newRobot();
    log(used.push(name, repository), ago(20.5));
    const day = ago(10).toUTCString();
    const more = { aggregated: [{ kind: "push_repo", count: 9, datetime: day }] };
    const isCount = ({ url = "" }: IncomingMessage) => url.includes(`/${organization}/aggregatelogs`);
    peers.quay.managementScript.always(answer(200, more), isCount);
    const output = await failureText("static-token-in-use", run(name));
    expect(output).toContain(`The usage log of ${organization} did not come as a whole`);
    expect(isReplaced()).toBe(false);
  });

  test("a log that Quay may have removed", async () => {
    const { organization, name, log, repository } = newRobot();
    log(used.pull(undefined, repository), ago(3.5));
    const platform = platformHere();
    const open: typeof platform.http.open = (url, ...rest) =>
      platform.http.open(url.pathname === "/config" ? new URL("https://localhost:1/") : url, ...rest);
    const work = run(name, undefined, { ...platform, http: { ...platform.http, open } });
    const output = await failureText("usage-log-incomplete", work);
    expect(output).toContain(`The usage log of ${organization} begins`);
    expect(output).toContain("since: 3d");
  });

  test("a robot without a binding", async () => {
    const { name, isReplaced } = newRobot({ isBound: false });
    const output = await failureText("robot-not-federated", run(name));
    expect(output).toContain(`federate --robot ${name}`);
    expect(isReplaced()).toBe(false);
  });

  test("a robot that does not exist, with the closest one and how to see all", async () => {
    const { organization } = newRobot();
    const output = await failureText("robot-not-found", run(`${organization}+cii`));
    expect(output).toContain(`Did you mean: quay-keyless-login retire-static-token ${organization}+ci`);
    expect(output).toContain(`audit --organization ${organization}`);
    expect(await failureText("robot-not-found", run(`${organization}+something`))).not.toContain("Did you mean");
  });
});

describe("says that the static token may have been replaced", () => {
  const isRegeneration =
    (name: string) =>
    ({ url = "", method }: IncomingMessage) =>
      method === "POST" && url.includes(`/${name.split("+")[0]}/`) && url.includes("/regenerate");

  test.each<[string, Scripted]>([
    ["lost", lost()],
    ["cut", cut()],
    ["reset", reset()],
    ["a page of an error", page(INTERNAL_ERROR)],
  ])("if the answer is %s, and that it is safe to run it again", async (_, scripted) => {
    const { name } = newRobot();
    peers.quay.managementScript.always(scripted, isRegeneration(name));
    const request = parseRetireRequest({ registry: peers.registryHost, robot: name, yes: name });
    const error = await retire(request, platformHere(), { onProgress: () => {}, confirm: async () => {} }).catch(
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(ExplainedError);
    const output = await failureText((error as ExplainedError).code, Promise.reject(error));
    expect(output).toContain(`The static token of ${name} may have been replaced.`);
    expect(output).toContain("It is safe to replace the static token twice.");
  });

  test("but not if Quay refuses it", async () => {
    const { name, isReplaced } = newRobot();
    const forbidden = answer(403, { error_message: "Unauthorized", detail: "Unauthorized" });
    peers.quay.managementScript.always(forbidden, isRegeneration(name));
    expect(await failureText("api-rights-missing", run(name))).not.toContain("may have been");
    expect(isReplaced()).toBe(false);
  });
});
