/** What a client sees of the credential helper: its answers, its failures, its exit codes. */
import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "vitest";
import { oneFile } from "../../support/built.ts";
import { differences } from "../../support/leaks.ts";
import { exchangesOf, helperMachine, notFound, useWorld } from "./world.ts";

const peers = useWorld({ registry: false });

describe.concurrent("get", () => {
  test("answers with a robot token that Quay accepts", async ({ expect }) => {
    const machine = await helperMachine(peers());
    const ran = await machine.ask("get", peers().registryHost);
    expect([ran.code, ran.stderr]).toEqual([0, ""]);
    expect(ran.stdout.endsWith("}\n")).toBe(true);
    const { Secret: secret, ...rest } = JSON.parse(ran.stdout);
    expect(rest).toEqual({ ServerURL: peers().registryHost, Username: machine.robot.name });
    expect(JSON.parse(Buffer.from(secret.split(".")[1], "base64url").toString()).sub).toBe(machine.robot.name);
  });

  test.for([
    ["with a scheme", (host: string) => `https://${host}`],
    ["with a slash", (host: string) => `${host}/`],
    ["as docker's old addresses", (host: string) => `https://${host}/v1/`],
    ["in capitals", (host: string) => `HTTPS://${host.toUpperCase()}\r\n`],
    ["with a repository, as go-containerregistry asks first", (host: string) => `${host}/acme/app`],
    ["with blanks and lines around it", (host: string) => ` \n${host}\n\n`],
  ] as const)("knows its host %s, and repeats what it was asked", async ([, form], { expect }) => {
    const machine = await helperMachine(peers());
    const asked = form(peers().registryHost);
    const ran = await machine.ask("get", asked);
    expect(ran.code).toBe(0);
    expect(JSON.parse(ran.stdout)).toMatchObject({ ServerURL: asked.trim(), Username: machine.robot.name });
  });

  test.for([
    ["another host", "docker.io"],
    ["docker's own", "https://index.docker.io/v1/"],
    ["plain http", (host: string) => `http://${host}`],
    ["a longer name", (host: string) => `${host}1`],
    ["a host as a path", (host: string) => `docker.io/${host}`],
    ["a host as a user", (host: string) => `${host}@docker.io`],
    ["words", "no such thing"],
    ["JSON", (host: string) => `{"ServerURL":"${host}"}`],
    ["binary", Buffer.from([0, 255, 254, 10, 13, 128])],
    ["a megabyte", "x".repeat(1_048_576)],
    ["its host, and a megabyte", (host: string) => `${host}${"x".repeat(1_048_576)}`],
  ] as const)("has no login for %s, without network", async ([, given], { expect }) => {
    const machine = await helperMachine(peers());
    const input = typeof given === "function" ? given(peers().registryHost) : given;
    const before = await machine.snapshot();
    const ran = await machine.ask("get", input as string | Buffer);
    expect([ran.code, ran.stdout, ran.stderr]).toEqual([1, notFound, ""]);
    expect(exchangesOf(peers(), machine.robot.name)).toBe(0);
    expect(differences(before, await machine.snapshot())).toEqual([]);
  });

  test.for(["", "\n", "  "])("asks for an address if it gets %j", async (input, { expect }) => {
    const machine = await helperMachine(peers());
    const ran = await machine.ask("get", input);
    expect([ran.code, ran.stdout]).toEqual([1, "no credentials server URL\n"]);
  });

  test("without a configuration there is no login for any host, and standard error says why", async ({ expect }) => {
    const machine = await helperMachine(peers());
    const env = {
      QUAY_KEYLESS_REGISTRY: "",
      QUAY_KEYLESS_ROBOT: "",
      QUAY_KEYLESS_CA_FILE: "",
      QUAY_KEYLESS_TOKEN_FILE: "",
    };
    const ran = await machine.ask("get", "quay.io", { env });
    expect([ran.code, ran.stdout]).toEqual([1, notFound]);
    expect(ran.stderr).toContain(join(machine.home, ".config/quay-keyless/config.json"));
    expect(ran.stderr).toContain("QUAY_KEYLESS_ROBOT");
  });
});

describe.concurrent("a failure is one line on standard output, and its explanation on standard error:", () => {
  test("a refusal, with the binding to add", async ({ expect }) => {
    const machine = await helperMachine(peers());
    await machine.write(machine.tokenFile, await peers().issuer.sign({ sub: "system:serviceaccount:ci:other" }));
    const ran = await machine.ask("get", peers().registryHost);
    expect(ran.code).toBe(1);
    expect(ran.stdout).toMatch(/^Quay refused the identity of this job: .*\n$/);
    expect(ran.stderr).toMatch(/^Error: Quay refused the identity/);
    expect(ran.stderr).toContain("subject   system:serviceaccount:ci:other");
    expect(ran.stderr).toContain("More: quay-keyless-login explain subject-not-bound");
  });

  test("no identity", async ({ expect }) => {
    const machine = await helperMachine(peers());
    await rm(machine.tokenFile);
    const ran = await machine.ask("get", peers().registryHost);
    expect([ran.code, ran.stdout]).toEqual([1, `The token file ${machine.tokenFile} does not exist.\n`]);
    expect(ran.stderr).toContain("QUAY_KEYLESS_TOKEN_FILE=/path");
  });

  test("a Quay that can't be reached", async ({ expect }) => {
    const machine = await helperMachine(peers());
    const env = { QUAY_KEYLESS_REGISTRY: "localhost:1", QUAY_KEYLESS_TIMEOUT: "2" };
    const ran = await machine.ask("get", "localhost:1", { env });
    expect([ran.code, ran.stdout.split("\n")]).toEqual([1, [expect.stringContaining("localhost:1"), ""]]);
    expect(ran.stderr).toContain("explain quay-unreachable");
  });

  test.for([
    [{ QUAY_KEYLESS_ROBOT: "acme+ci,acme+cd" }, "QUAY_KEYLESS_ROBOT"],
    [{ QUAY_KEYLESS_ROBOT: "" }, "QUAY_KEYLESS_ROBOT=acme+ci"],
    [{ QUAY_KEYLESS_ROBOT: "acme+ci\nacme+cd" }, "a credential helper is asked for a host"],
    [{ QUAY_KEYLESS_TIMEOUT: "soon" }, "QUAY_KEYLESS_TIMEOUT=120"],
    [{ QUAY_KEYLESS_TIMEOT: "60" }, "Did you mean: QUAY_KEYLESS_TIMEOUT=60"],
    [{ QUAY_KEYLESS_WHATEVER_ELSE: "60" }, "QUAY_KEYLESS_WHATEVER_ELSE"],
    [{ QUAY_KEYLESS_CA_FILE: "/nowhere.pem" }, "QUAY_KEYLESS_CA_FILE"],
    [{ QUAY_KEYLESS_TOKEN_FILE: "token" }, "QUAY_KEYLESS_TOKEN_FILE=/absolute/path/token-file"],
    [{ QUAY_KEYLESS_TOKEN_ENV: "MY_TOKEN" }, "QUAY_KEYLESS_TOKEN_FILE is set too"],
  ] as const)(
    "%j names the variable, before anything is sent; another host has no login",
    async ([env, words], { expect }) => {
      const machine = await helperMachine(peers());
      const ran = await machine.ask("get", peers().registryHost, { env });
      expect([ran.code, ran.stdout.split("\n").length]).toEqual([1, 2]);
      expect(ran.stderr).toContain(words);
      expect(ran.stderr).toContain("explain invalid-input");
      expect(exchangesOf(peers(), machine.robot.name)).toBe(0);
      const other = await machine.ask("get", "docker.io", { env });
      expect([other.code, other.stdout, other.stderr]).toEqual([1, notFound, ""]);
    },
  );
});

test("refuses to hand out a token if the registry sends logins to another host", async ({ expect }) => {
  const machine = await helperMachine(peers());
  const headers = { "www-authenticate": 'Bearer realm="https://evil.example/token",service="quay"' };
  peers().quay.registryScript.next({ kind: "answer", status: 401, headers, body: "{}" });
  const ran = await machine.ask("get", peers().registryHost);
  expect(ran.code).toBe(1);
  expect(ran.stderr).toContain("explain realm-refused");
  expect(ran.stderr).toContain("QUAY_KEYLESS_TOKEN_HOST");
});

describe.concurrent("other actions:", () => {
  test.skipIf(!existsSync("/dev/full"))("an answer that can't be written is a failure", async ({ expect }) => {
    const machine = await helperMachine(peers());
    const program = join(machine.scratch, "tools/docker-credential-quay-keyless");
    const script = `echo "$QUAY_KEYLESS_REGISTRY" | "${program}" get >/dev/full`;
    const ran = await machine.other("sh", ["-c", script], {
      env: { ...machine.variables, PATH: `${join(machine.scratch, "tools")}:/usr/bin:/bin` },
    });
    expect(ran.code).toBe(1);
  });

  test("store succeeds for a configured host, and stores nothing", async ({ expect }) => {
    const machine = await helperMachine(peers());
    const before = await machine.snapshot();
    const secret = "the-password-of-somebody-else";
    const input = JSON.stringify({ ServerURL: `https://${peers().registryHost}`, Username: "me", Secret: secret });
    const ran = await machine.ask("store", input);
    expect([ran.code, ran.stdout]).toEqual([0, ""]);
    expect(ran.stderr).toBe(
      `Nothing was stored: the credential helper gets tokens of ${machine.robot.name} for ${peers().registryHost} when a tool needs one. The login of me is not used.\n`,
    );
    expect(ran.stderr).not.toContain(secret);
    expect(differences(before, await machine.snapshot())).toEqual([]);
    const own = { ServerURL: peers().registryHost, Username: machine.robot.name, Secret: secret };
    expect((await machine.ask("store", JSON.stringify(own))).stderr).toMatch(/when a tool needs one\.\n$/);
  });

  const old = "Object.defineProperty(process,'version',{value:'v24.4.1'})";
  const env = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(old)}` };

  test(`an old Node is ${oneFile ? "not used by the one file, and NODE_OPTIONS change nothing" : "named, and no bug"}`, async ({
    expect,
  }) => {
    const machine = await helperMachine(peers());
    if (oneFile) {
      expect((await machine.ask("get", peers().registryHost, { env })).code).toBe(0);
      return;
    }
    const line = /needs Node 24\.5 or newer; \/.*\/node is v24\.4\.1\./;
    const ran = await machine.ask("get", peers().registryHost, { env });
    expect([ran.code, ran.stdout, ran.stderr]).toEqual([1, expect.stringMatching(line), expect.stringMatching(line)]);
    for (const command of ["login", "migrate"]) {
      const other = await machine.run([command], { env });
      expect([other.code, other.stdout, other.stderr]).toEqual([1, "", expect.stringMatching(line)]);
    }
  });

  test.for([
    [{ ServerURL: "docker.io", Username: "me", Secret: "s" }, "docker.io is not configured here; nothing was stored\n"],
    [{ Username: "me", Secret: "s" }, "no credentials server URL\n"],
    [{ ServerURL: "quay.io", Secret: "s" }, "no credentials username\n"],
    ["not JSON", "no credentials server URL\n"],
  ] as const)("store %j: %j", async ([input, words], { expect }) => {
    const machine = await helperMachine(peers());
    const ran = await machine.ask("store", typeof input === "string" ? input : JSON.stringify(input));
    expect([ran.code, ran.stdout]).toEqual([1, words]);
  });

  test("erase drops the cached token, and knows no other host", async ({ expect }) => {
    const machine = await helperMachine(peers());
    const other = await machine.ask("erase", "docker.io");
    expect([other.code, other.stdout, other.stderr]).toEqual([1, notFound, ""]);
    for (const exchanges of [1, 2]) {
      await machine.ask("get", peers().registryHost);
      expect(exchangesOf(peers(), machine.robot.name)).toBe(exchanges);
      const ran = await machine.ask("erase", `https://${peers().registryHost}/`);
      expect([ran.code, ran.stdout, ran.stderr]).toEqual([0, "", ""]);
    }
    expect((await machine.ask("erase", peers().registryHost)).code).toBe(0);
    expect((await machine.ask("erase", "")).stdout).toBe("no credentials server URL\n");
  });

  test("list names the host and its robot", async ({ expect }) => {
    const machine = await helperMachine(peers());
    const ran = await machine.ask("list", "unused");
    expect([ran.code, JSON.parse(ran.stdout)]).toEqual([
      0,
      { [`https://${peers().registryHost}`]: machine.robot.name },
    ]);
  });

  const usage = "Usage: docker-credential-quay-keyless <store|get|erase|list|version>\n";
  test.for([
    ["version", 0, /^docker-credential-quay-keyless \(quay-keyless-login\) \d+\.\d+\.\d+\n$/],
    ["--version", 0, /^docker-credential-quay-keyless \(/],
    ["-v", 0, /^docker-credential-quay-keyless \(/],
    ["--help", 0, usage],
    ["-h", 0, usage],
    ["", 1, usage],
    ["get quay.io", 1, usage],
    ["--configuration", 1, /unknown action/],
    ["--configuration /x.json", 1, usage],
    ["login", 1, "docker-credential-quay-keyless: unknown action: login\n"],
    ["GET", 1, "docker-credential-quay-keyless: unknown action: GET\n"],
  ] as const)("%j", async ([action, code, output], { expect }) => {
    const machine = await helperMachine(peers());
    const ran = await machine.ask(action, "");
    expect([ran.code, ran.stderr]).toEqual([code, ""]);
    if (typeof output === "string") expect(ran.stdout).toBe(output);
    else expect(ran.stdout).toMatch(output);
  });
});
