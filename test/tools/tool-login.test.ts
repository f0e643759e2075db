/** Logins by fake tools, which do what real ones don't, and by the real ones. */
import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { commandEnvironment, toolEnvironment } from "../../src/platform/child-environment.ts";
import type { Environment } from "../../src/platform/environment.ts";
import { ExplainedError, errorCodes } from "../../src/platform/errors.ts";
import { which } from "../../src/platform/exec.ts";
import type { RobotToken } from "../../src/quay/exchange.ts";
import type { Realm } from "../../src/registry/realm.ts";
import { startToolLogin } from "../../src/tools/tool-login.ts";
import { type ProgramName, programNames, tools } from "../../src/tools/tools.ts";
import { expectNoSecret, failure, fakeClock, fakeTool, makeFolder, type Refused, testPlatform } from "../fixtures.ts";
import { type Peers, startPeers } from "../quay-stand-in/peers.ts";
import { answer, pass } from "../quay-stand-in/scripted.ts";
import { endPodman } from "../support/runner.ts";

let peers: Peers;
beforeAll(async () => {
  peers = await startPeers({ registry: false });
});
afterAll(() => peers.close());
afterEach(() => {
  peers.quay.registryScript.clear();
  peers.quay.authScript.clear();
  peers.quay.requests.length = 0;
});

interface Setup {
  name?: ProgramName;
  file: string;
  env?: Environment;
  signal?: AbortSignal;
  robot?: string;
  scope?: string;
  certificates?: string | undefined;
  realm?: () => Promise<Realm>;
}

async function setUp({ name = "skopeo", file, env = {}, signal = new AbortController().signal, ...rest }: Setup) {
  const { robot = "acme+ci", scope = peers.registryHost } = rest;
  const certificates = "certificates" in rest ? rest.certificates : peers.certDir;
  const base = await makeFolder();
  const clock = fakeClock();
  const platform = testPlatform({ env: { PATH: "/usr/bin:/bin", ...env }, roots: peers.authority.ca, clock, signal });
  const token: RobotToken = {
    robot,
    token: await peers.quay.tokens.robotToken(robot),
    expiresAt: 0,
    lifeSeconds: 3600,
  };
  const folder = join(base, "tool");
  const {
    realm = async () => ({ url: new URL(`https://${peers.registryHost}/v2/auth`), service: peers.registryHost }),
  } = rest;
  const login = await startToolLogin(
    {
      ...{ tool: { name, file }, registry: peers.registryHost, login: { robot, scope }, folder },
      ...{ certificates, helpers: undefined, realm },
    },
    platform,
  );
  return { login, platform, waits: clock.waits, token, folder, base };
}

/** Runs a login that fails. Neither error nor log may hold the robot token or its base64. */
async function refused(setup: Setup): Promise<Refused & { waits: number[] }> {
  const { login, token, waits, folder, platform } = await setUp(setup);
  const error = await failure(login.finish(token));
  await login.abandon();
  const basic = Buffer.from(`${token.robot}:${token.token}`).toString("base64");
  expect(platform.reporter.secrets).toContain(basic);
  const shown = [error.message, error.stack, ...error.remedy, platform.reporter.text()].join("\n");
  expectNoSecret(shown, [token.token, basic, ...token.token.split(".")]);
  expect(existsSync(folder)).toBe(false);
  return Object.assign(error, { waits });
}

const fake = async (script: string, name: ProgramName = "skopeo") => ({
  name,
  file: join(await fakeTool(await makeFolder(), name, script), name),
});

/** Writes what skopeo would write: $3 is the auth file, $5 the user, $8 the scope. */
const writeEntry = `password=$(cat); auth=$(printf %s "$5:$password" | base64 -w0); printf '{"auths":{"%s":{"auth":"%s"}}}' "$8" "$auth" > "$3"`;

describe("a tool", () => {
  test("gets the password on standard input only, and returns its entry", async () => {
    const base = await makeFolder();
    const spy = `tr '\\0' '\\n' < /proc/$$/cmdline > ${base}/args; env > ${base}/env`;
    const tool = await fake(`${spy}; ${writeEntry}; echo Login Succeeded!`);
    const env = { HOME: base, ACTIONS_ID_TOKEN_REQUEST_TOKEN: "request-secret", QUAY_ID_TOKEN: "identity-secret" };
    const { login, token, platform, folder } = await setUp({ ...tool, env });
    const entry = await login.finish(token);
    const auth = Buffer.from(`acme+ci:${token.token}`).toString("base64");
    expect(entry).toEqual({ auth });
    expect(platform.reporter.secrets).toEqual([auth]);
    expect(existsSync(folder)).toBe(false);
    const seen = `${await readFile(`${base}/args`, "utf8")}\n${await readFile(`${base}/env`, "utf8")}`;
    expect(seen).toContain("--password-stdin");
    expectNoSecret(seen, [token.token, auth, "request-secret", "identity-secret"]);
  });

  test("gets no password before it is known where it would send it", async () => {
    const base = await makeFolder();
    const realm = () => Promise.reject(new ExplainedError("realm-refused", "another host", { remedy: [] }));
    const error = await refused({ ...(await fake(`cat > ${base}/got; ${writeEntry}`)), realm });
    expect(error.code).toBe("realm-refused");
    expect(await readFile(`${base}/got`, "utf8").catch(() => "")).toBe("");
  });

  test("starts before the token arrives", async () => {
    const base = await makeFolder();
    const { login } = await setUp(await fake(`echo $$ > ${base}/pid; ${writeEntry}`));
    await expect.poll(() => existsSync(`${base}/pid`)).toBe(true);
    await login.abandon();
  });

  test("is killed if abandoned, and leaves nothing", async () => {
    const base = await makeFolder();
    const { login, folder } = await setUp(await fake(`echo $$ > ${base}/pid; echo x > "$3"; exec cat`));
    await expect.poll(() => readFile(`${base}/pid`, "utf8").catch(() => "")).toMatch(/\n/);
    const pid = Number(await readFile(`${base}/pid`, "utf8"));
    await login.abandon();
    expect(existsSync(folder)).toBe(false);
    expect(await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "Z")).toMatch(/Z/);
    await login.abandon();
  });
});

describe("a broken tool", () => {
  test.each([
    ["says that it worked and writes nothing", "cat > /dev/null; echo Login Succeeded!"],
    ["writes garbage", 'cat > /dev/null; echo garbage > "$3"'],
    ["writes an empty file", 'cat > /dev/null; : > "$3"'],
    ["writes another host's entry", `set -- 1 2 "$3" 4 "$5" 6 7 other.example.com; ${writeEntry}`],
    ["writes another password", writeEntry.replace("$5:$password", "$5:other")],
  ])("%s", async (_, script) => {
    const tool = await fake(script);
    const error = await refused(tool);
    expect(error.code).toBe("tool-failed");
    expect(error.message).toBe(`skopeo reported success, but wrote no login for ${peers.registryHost}.`);
    expect(error.remedy.join()).toContain(tool.file);
    expect(error.waits).toEqual([]);
  });

  test.each([
    ["prints the password", "cat; exit 1"],
    ["prints it in a long line", "printf 'password: %0450d ' 0; cat; exit 1"],
    ["prints the entry", `${writeEntry}; cat "$3"; exit 1`],
    ["prints it as a Go program would", `printf 'time="x" level=fatal msg="no \\"%s\\""\\n' "$(cat)"; exit 1`],
  ])("%s: stays hidden", async (_, script) => {
    const error = await refused(await fake(script));
    expect(error.code).toBe("tool-failed");
    expect(error.message).toMatch(/\*\*\*|password: 0+$/);
  });

  test("prints nothing", async () => {
    const error = await refused(await fake("exit 3"));
    expect(error.message).toContain(`skopeo login ${peers.registryHost}: it printed nothing`);
    expect(error.remedy).toEqual([
      `Try the same by hand: skopeo login ${peers.registryHost}`,
      "Or choose another tool with the option tool.",
    ]);
    expect(error.waits).toEqual([]);
  });

  test("is killed", async () => {
    const error = await refused(await fake("kill -9 $$"));
    expect(error.code).toBe("tool-failed");
    expect(error.message).toContain(`skopeo login ${peers.registryHost}: it was killed`);
  });

  test.each([
    ["no extra root is needed", undefined],
    ["one is", "certificates"],
  ])("fails for its own reasons, although %s", async (_, name) => {
    const certificates = name && (await makeFolder());
    const error = await refused({ ...(await fake("echo 'no such command'; exit 1")), certificates });
    expect(error.message).toBe(
      `The exchange worked, but the tool's login failed. skopeo login ${peers.registryHost}: no such command`,
    );
  });

  test("fails because the temporary folder was emptied: the error says so, and does not quote the tool", async () => {
    const certificates = await makeFolder();
    const empty = `cat > /dev/null; rm -rf ${certificates} "$(dirname "$3")"`;
    const tool = await fake(`${empty}; echo '502 x509: certificate signed by unknown authority'; exit 1`);
    const error = await refused({ ...tool, certificates });
    expect(error.code).toBe("auth-file-unusable");
    expect(error.message).toBe(`The temporary folder was emptied during the login: ${certificates} is gone.`);
    expect(error.remedy).toEqual(["Don't delete files there while a login runs, and run the job again."]);
    expect(error.waits).toEqual([]);
  });

  test("can't be started", async () => {
    const error = await refused({ file: join(await makeFolder(), "skopeo") });
    expect(error.code).toBe("tool-failed");
    expect(error.message).toContain("ENOENT");
  });

  test("never ends: the timeout kills it", async () => {
    const controller = new AbortController();
    const tool = await fake("cat > /dev/null; sleep 30");
    const { login, token, folder } = await setUp({ ...tool, signal: controller.signal });
    const before = performance.now();
    const finished = login.finish(token);
    setTimeout(() => controller.abort(new Error("over")), 50);
    await expect(finished).rejects.toThrow("over");
    await login.abandon();
    expect(performance.now() - before).toBeLessThan(5_000);
    expect(existsSync(folder)).toBe(false);
  });
});

describe("the tool's words decide what happens next", () => {
  const says = (words: string, marker: string, times: number) =>
    fake(
      `echo x >> ${marker}; if [ $(wc -l < ${marker}) -le ${times} ]; then cat > /dev/null; echo '${words}' >&2; exit 1; fi; ${writeEntry}`,
    );

  test("retries a gateway's 502, with a new process", async () => {
    const marker = join(await makeFolder(), "count");
    const words = 'time="x" level=fatal msg="invalid status code from registry 502 (Bad Gateway)"';
    const { login, token, waits, platform } = await setUp(await says(words, marker, 2));
    expect(await login.finish(token)).toHaveProperty("auth");
    expect(waits).toHaveLength(2);
    expect(await readFile(marker, "utf8")).toBe("x\nx\nx\n");
    expect(platform.reporter.infos[0]).toContain(
      `skopeo login ${peers.registryHost}: invalid status code from registry 502 (Bad Gateway) Retrying`,
    );
  });

  test.each([
    "dial tcp: lookup quay.example.com on 127.0.0.53:53: no such host",
    "http2: server sent GOAWAY and closed the connection; LastStreamID=1, ErrCode=NO_ERROR",
    "received unexpected HTTP status: 520 unknown",
    "Error response from daemon: toomanyrequests: <html>\n<head><title>429 Too Many Requests</title></head>\n</html>",
  ])("retries what passes: %s", async (words) => {
    const { login, token, waits } = await setUp(await says(words, join(await makeFolder(), "count"), 3));
    expect(await login.finish(token)).toHaveProperty("auth");
    expect(waits).toHaveLength(3);
  });

  test("reports what does not pass as temporary", async () => {
    const { login, token } = await setUp(await fake("echo 'connect: no route to host'; exit 1"));
    const error = await failure(login.finish(token));
    expect(error.code).toBe("registry-unavailable");
    expect(errorCodes[error.code]).toBe("temporary");
  });

  test("retries a crash (500) twice, since it is also Quay's answer to a bad robot token", async () => {
    const error = await refused(await fake("echo 'invalid status code from registry 500 (Internal)'; exit 1"));
    expect(error.code).toBe("registry-unavailable");
    expect(error.waits).toHaveLength(2);
  });

  test("reports a registry part that is not up, and retries", async () => {
    const words = "pinging container registry x: can t talk to a V1 container registry";
    const { login, token, platform } = await setUp(await says(words, join(await makeFolder(), "count"), 1));
    expect(await login.finish(token)).toHaveProperty("auth");
    expect(platform.reporter.infos[0]).toContain(`The registry part of Quay at ${peers.registryHost} is not up`);
  });

  test("does not retry an unknown certificate", async () => {
    const error = await refused(await fake("echo 'x509: certificate signed by unknown authority'; exit 1"));
    expect(error.code).toBe("tls-untrusted");
    expect(error.remedy.join()).toContain("ca-file");
    expect(error.waits).toEqual([]);
  });

  test("does not retry a refusal, and asks Quay for its reason", async () => {
    const invalid = await fake("echo 'invalid username/password'; exit 1");
    const unexplained = await refused(invalid);
    expect(unexplained.code).toBe("login-refused");
    expect(unexplained.message).toContain("invalid username/password");
    expect(unexplained.waits).toEqual([]);
    peers.quay.settings.robotsDisallowed = true;
    const explained = await refused(invalid);
    peers.quay.settings.robotsDisallowed = false;
    expect(explained.code).toBe("robots-disabled");
  });

  test.each([
    ['level=fatal msg="no \\"such\\" thing"', 'no "such" thing'],
    ['level=fatal msg="no such thing" code=5', 'level=fatal msg="no such thing" code=5'],
    ['level=fatal msg="no" error="such thing"', 'level=fatal msg="no" error="such thing"'],
    ["first\n\nno such thing\n\n", "no such thing"],
  ])("%j: shows only the message", async (output, said) => {
    const base = await makeFolder();
    await writeFile(join(base, "output"), output);
    const error = await refused(await fake(`cat ${base}/output; exit 1`));
    expect(error.message).toBe(
      `The exchange worked, but the tool's login failed. skopeo login ${peers.registryHost}: ${said}`,
    );
  });

  test("shows only the end of a long output", async () => {
    const error = await refused(await fake(`echo first; printf '%01000d' 7; exit 1`));
    expect(error.message).toMatch(/: 0{500}$/);
  });
});

const secret = "eyJhbGciOi.an.identity";
const isSecret = (text: string) => text.includes(secret);
/** Variables with a name that tools need, and a value that they must not get. */
const disguised: Environment = Object.fromEntries(
  [
    ...["BUILDAH_ID_TOKEN", "STORAGE_TOKEN", "XDG_TOKEN", "CONTAINERS_ID_TOKEN", "_CONTAINERS_X", "LC_TOKEN"],
    ...["HOME", "LANG", "HTTPS_PROXY", "DOCKER_HOST", "QUAY_ID_TOKEN"],
  ].map((name, index) => [name, [secret, ` ${secret}\n`, `https://user:${secret}@proxy/`][index % 3]]),
);

test("the environment that a tool gets holds what tools need, and no secrets", () => {
  const kept = {
    PATH: "/bin",
    HOME: "/home/ci",
    LANG: "C",
    LC_ALL: "C",
    TMPDIR: "/t",
    XDG_RUNTIME_DIR: "/run/user/1",
    HTTPS_PROXY: "http://proxy",
    no_proxy: "localhost",
    CONTAINERS_CONF: "/c",
    _CONTAINERS_USERNS_CONFIGURED: "1",
    DOCKER_HOST: "unix:///d",
    USER: "ci",
    BUILDAH_ISOLATION: "chroot",
    STORAGE_DRIVER: "vfs",
    http_proxy: "http://proxy",
    SSL_CERT_FILE: "/etc/ssl/own.pem",
    REGISTRIES_CONFIG_PATH: "/r",
  };
  const dropped = {
    ACTIONS_ID_TOKEN_REQUEST_TOKEN: "s",
    ACTIONS_ID_TOKEN_REQUEST_URL: "u",
    INPUT_ROBOT: "acme+ci",
    QUAY_ID_TOKEN: "s",
    GITHUB_TOKEN: "s",
    REGISTRY_AUTH_FILE: "/a",
    DOCKER_CONFIG: "/d",
    DOCKER_AUTH_CONFIG: "s",
    QUAY_API_TOKEN: "s",
    MYPATH: "x",
    // Names that only begin like one of those.
    HOME_TOKEN: "s",
    USER_PASSWORD: "s",
    HTTPS_PROXY_PASSWORD: "s",
    SSL_CERT_DIR_KEY: "s",
  };
  const no = () => false;
  expect(toolEnvironment({ ...kept, ...dropped }, no, undefined)).toEqual(kept);
  expect(toolEnvironment(kept, no, "/certs")).toEqual({ ...kept, SSL_CERT_DIR: "/certs" });
  expect(toolEnvironment({ SSL_CERT_DIR: "/own" }, no, "/certs")).toEqual({ SSL_CERT_DIR: "/certs:/own" });
});

describe.each<[string, Environment]>([
  ["a tool's", toolEnvironment({ ...disguised, PATH: "/bin" }, isSecret, undefined)],
  ["a command's", commandEnvironment({ ...disguised, PATH: "/bin" }, isSecret, undefined)],
])("%s environment", (_, env) => {
  test("has no known secret, whatever its name", () => {
    expect(env).toEqual({ PATH: "/bin" });
  });
});

test("a command's environment is the user's without what leads to a login", () => {
  const kept = { PATH: "/bin", COSIGN_PASSWORD: "theirs", GITHUB_TOKEN: "theirs", SSL_CERT_DIR: "/own" };
  const dropped = {
    ACTIONS_ID_TOKEN_REQUEST_URL: "https://token.example.com",
    ACTIONS_ID_TOKEN_REQUEST_TOKEN: "s",
    ACTIONS_RUNTIME_TOKEN: "s",
    QUAY_ID_TOKEN: "s",
    QUAY_API_TOKEN: "s",
    QUAY_KEYLESS_ROBOT: "acme+ci",
    "INPUT_VERIFY-COMMAND": "x",
    SPIFFE_ENDPOINT_SOCKET: "unix:///s",
    DOCKER_AUTH_CONFIG: "{}",
  };
  const env = commandEnvironment({ ...kept, ...dropped }, () => false, "/certs");
  expect(env).toEqual({ ...kept, SSL_CERT_DIR: "/certs:/own" });
});

describe.each(programNames)("the real %s", async (name) => {
  const file = (await which(name, process.env)) ?? "";
  const real = async (): Promise<Setup> => {
    const home = await makeFolder();
    onTestFinished(() => endPodman(home));
    return { name, file, env: { HOME: home, PATH: process.env.PATH, XDG_RUNTIME_DIR: home } };
  };
  const there = test.runIf(file !== "");

  there("logs in, and the registry has seen the robot token", async () => {
    const { login, token, folder } = await setUp(await real());
    const entry = await login.finish(token);
    expect(entry).toEqual({ auth: Buffer.from(`acme+ci:${token.token}`).toString("base64") });
    expect(peers.quay.seen(token.token).map(({ path }) => path)).toContain("/v2/auth");
    expect(existsSync(folder)).toBe(false);
  });

  // A loopback address is an "insecure registry" to docker: it trusts any certificate there, tries http after a failure
  // over https, and newer ones report only that attempt. On this machine only its successes are like real ones.
  if (name === "docker") {
    there("is refused when robot accounts are turned off", async () => {
      peers.quay.settings.robotsDisallowed = true;
      const error = await refused(await real());
      peers.quay.settings.robotsDisallowed = false;
      expect(["tool-failed", "robots-disabled"]).toContain(error.code);
      expect(peers.quay.requests.some(({ user }) => user === "acme+ci")).toBe(true);
    });
    return;
  }

  there("is refused when robot accounts are turned off, with Quay's reason", async () => {
    peers.quay.settings.robotsDisallowed = true;
    const error = await refused(await real());
    peers.quay.settings.robotsDisallowed = false;
    expect(error.code).toBe("robots-disabled");
    expect(error.message).toContain("Robot account have been disabled");
    expect(error.waits).toEqual([]);
  });

  there("gets through after a gateway's 502", async () => {
    // The containers tools ping /v2/ first; what is in front of Quay may answer that, or the token's address.
    peers.quay.authScript.next(answer(502, "<h1>502</h1>"), answer(503, ""), pass());
    const { login, token, waits } = await setUp(await real());
    expect(await login.finish(token)).toHaveProperty("auth");
    expect(waits.length).toBeGreaterThanOrEqual(1);
  });

  there("does not trust a certificate of an unknown authority", async () => {
    const error = await refused({ ...(await real()), certificates: await makeFolder() });
    expect(error.code).toBe("tls-untrusted");
    expect(error.message).toContain("x509");
    expect(peers.quay.requests.filter(({ user }) => user === "acme+ci")).toEqual([]);
  });

  test.runIf(file !== "" && tools[name].knowsScopes)(
    "logs in for an organization, whatever docker's configuration says",
    async () => {
      const setup = await real();
      const config = { credsStore: "nothing-there", credHelpers: { [peers.registryHost]: "nothing-there" } };
      await mkdir(join(setup.env?.HOME ?? "", ".docker"));
      await writeFile(join(setup.env?.HOME ?? "", ".docker/config.json"), JSON.stringify(config));
      const { login, token } = await setUp({ ...setup, scope: `${peers.registryHost}/acme` });
      expect(await login.finish(token)).toHaveProperty("auth");
    },
  );
});
