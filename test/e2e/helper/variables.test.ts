/** The helper's variables decide where an identity token goes. No other program reads them, so that no step can redirect a login by GITHUB_ENV. */
import { readFile } from "node:fs/promises";
import { describe, test } from "vitest";
import { createJob } from "../../support/action.ts";
import type { Inputs } from "../../support/runner.ts";
import { machineWithToken, quayOf, resultsOf } from "../cli/world.ts";
import { newRobot } from "../world.ts";
import { exchangesOf, notFound, useWorld } from "./world.ts";

const peers = useWorld({ registry: false });

const others = {
  QUAY_KEYLESS_REGISTRY: "evil.example",
  QUAY_KEYLESS_ROBOT: "evil+robot",
  QUAY_KEYLESS_IDENTITY: "file",
  QUAY_KEYLESS_AUDIENCE: "evil",
  QUAY_KEYLESS_TOKEN_FILE: "/nonexistent",
  QUAY_KEYLESS_TOKEN_HOST: "evil.example",
  QUAY_KEYLESS_CA_FILE: "/nonexistent",
  QUAY_KEYLESS_TIMEOUT: "1",
  QUAY_KEYLESS_MISSPELT: "1",
  QUAY_KEYLESS_CACHE: "junk",
};

describe.concurrent("with variables of the helper that name another Quay", () => {
  const variants: Inputs[] = [{}, { "credential-helper": "true" }];
  test.for(variants)("the Action logs in as its inputs say: %j", async (inputs, { expect }) => {
    const { name, audience } = newRobot(peers());
    const job = await createJob({ peers: peers(), env: others });
    const main = await job.run({ robot: name, audience, ...inputs });
    expect([main.code, main.annotations]).toEqual([0, []]);
    expect(main.outputs).toMatchObject({ registry: peers().registryHost, robot: name, audience });
    expect(exchangesOf(peers(), name)).toBe(1);
    expect(JSON.stringify(main.children)).not.toContain("QUAY_KEYLESS_");
    expect(await main.post()).toMatchObject({ code: 0, annotations: [] });
  });

  test("a later step's tool gets the job's robot from the Action's helper", async ({ expect }) => {
    const { name, audience } = newRobot(peers());
    const job = await createJob({ peers: peers() });
    const main = await job.run({ robot: name, audience, "credential-helper": "true" });
    const { credHelpers } = JSON.parse(await readFile(main.outputs["auth-file"] ?? "", "utf8"));
    const program = `docker-credential-${credHelpers[peers().registryHost]}`;
    const ask = async (host: string) =>
      job.later("sh", ["-c", `echo ${host} | ${program} get | tr , '\\n' | grep -v Secret`], {
        ...peers().githubEnv,
        ...others,
      });
    expect((await ask(peers().registryHost)).stdout).toContain(`"Username":"${name}"`);
    expect((await ask("evil.example")).stdout).toBe(notFound);
    await main.post();
  });

  test("the command line logs in as its options say", async ({ expect }) => {
    const { name } = newRobot(peers());
    const machine = await machineWithToken(peers(), { env: others });
    const options = ["--robot", name, "--token-file", machine.tokenFile, ...quayOf(peers())];
    const ran = await machine.run(["login", ...options]);
    expect(ran.code, ran.stderr).toBe(0);
    expect(resultsOf(ran.stdout)).toMatchObject({ registry: peers().registryHost, robot: name, audience: "quay" });
    expect(JSON.stringify(ran.children)).not.toContain("QUAY_KEYLESS_");
    const identity = await machine.run(["identity", "--token-file", machine.tokenFile, "--ca-file", peers().caFile]);
    expect(resultsOf(identity.stdout)).toMatchObject({ audience: "quay" });
  });
});
