/** Proves the peers with real tools: skopeo prints the same with the stand-in as with Quay. */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { get } from "node:https";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { decodeJwt } from "jose";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ask, basic } from "../contract/ask.ts";
import { startDelay } from "../quay-stand-in/delay.ts";
import { type Peers, startPeers } from "../quay-stand-in/peers.ts";
import { TOO_MANY_REQUESTS } from "../quay-stand-in/quay/pages.ts";
import { startQuay, tokenText, tokenWith } from "../quay-stand-in/quay/server.ts";
import { answer, cut, hang, huge, notJson, page, pass, redirect, reset, slow } from "../quay-stand-in/scripted.ts";
import { type Image, writeImage } from "./image.ts";
import { startProxy } from "./proxy.ts";
import { areToolsOfToday, finish, todaysSkopeo } from "./runner.ts";

let peers: Peers;
let folder: string;
let image: Image;
beforeAll(async () => {
  [peers, folder] = await Promise.all([startPeers(), mkdtemp(join(tmpdir(), "quay-keyless-test-"))]);
  image = await writeImage(join(folder, "image"));
});
afterAll(async () => {
  await Promise.all([peers.close(), rm(folder, { recursive: true })]);
});

const toQuay = (path: string, headers: Record<string, string> = {}) =>
  ask(peers.quay.url, peers.authority.ca, { path, headers });
async function exchange(robot = "acme+ci", claims: Record<string, unknown> = {}) {
  const authorization = basic(robot, await peers.issuer.sign(claims));
  return toQuay("/oauth2/federation/robot/token", { authorization });
}
const robotToken = async (robot?: string): Promise<string> => JSON.parse((await exchange(robot)).body).token;

test("today's skopeo has today's libraries", async () => {
  const { stdout } = await finish(spawn(todaysSkopeo(), ["--version"], { stdio: ["ignore", "pipe", "inherit"] }));
  expect(stdout).toBe("skopeo version stand-in, image v5.42.1\n");
});

/** What the generations of containers/image word differently. */
const wordsOf2022 = {
  end: "\nStoring signatures",
  denied: "unauthorized: authentication required",
  unknown: "manifest unknown: manifest unknown",
  reading: "",
  broken: "invalid status code from registry 500 (Internal Server Error)",
  untrusted: "x509: certificate signed by unknown authority",
};
const wordsOfToday = {
  end: "",
  denied: "authentication required",
  unknown: "manifest unknown",
  reading: "fetching manifest v1 in localhost:8443/acme/app: ",
  broken: "received unexpected HTTP status: 500 Internal Server Error",
  untrusted: "tls: failed to verify certificate: x509: certificate signed by unknown authority",
};

describe("skopeo", () => {
  const words = areToolsOfToday ? wordsOfToday : wordsOf2022;

  async function run(args: string[], input = "") {
    const env = { ...process.env, REGISTRY_AUTH_FILE: join(folder, "auth.json") };
    const child = spawn("skopeo", args, { env, stdio: ["pipe", "pipe", "pipe"] });
    child.stdin.end(input);
    let output = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output += chunk));
    const status = await new Promise<number | null>((resolve) => child.on("close", resolve));
    // As recorded: without the time, and with `localhost:8443`.
    const text = output
      .replace(/time="[^"]*" /, "")
      .replaceAll(peers.registryHost, "localhost:8443")
      .trimEnd();
    return { status, text };
  }
  const certs = () => peers.certDir;
  const login = (robot: string, password: string, place = peers.registryHost) =>
    run(["login", "--cert-dir", certs(), "--username", robot, "--password-stdin", place], password);
  const push = (repository: string, ...more: string[]) =>
    run(["copy", "--dest-cert-dir", certs(), ...more, image.reference, `docker://${peers.registryHost}/${repository}`]);
  const pull = (repository: string, ...more: string[]) => {
    const to = `dir:${join(folder, "pulled")}`;
    return run(["copy", "--src-cert-dir", certs(), ...more, `docker://${peers.registryHost}/${repository}`, to]);
  };
  const fatal = (msg: string) => `level=fatal msg="${msg}"`;
  const copying = () => `Getting image source signatures\nCopying blob ${image.layer}`;
  const copied = () =>
    `${copying()}\nCopying config ${image.config}\nWriting manifest to image destination${words.end}`;
  const pushFailed = (repository: string) =>
    `${copying()}\n${fatal(`trying to reuse blob ${image.layer} at destination: checking whether a blob ${image.layer} exists in localhost:8443/${repository}: ${words.denied}`)}`;
  const pullFailed = (repository: string, tag: string, why: string) =>
    fatal(
      `initializing source docker://localhost:8443/${repository}:${tag}: reading manifest ${tag} in localhost:8443/${repository}: ${why}`,
    );
  const DENIED = "unauthorized: access to the requested resource is not authorized";
  const broken = () => `Requesting bearer token: ${words.broken}`;
  const loginFailed = (how: "refused" | "broken") =>
    how === "refused"
      ? fatal('logging into \\"localhost:8443\\": invalid username/password')
      : fatal(`authenticating creds for \\"localhost:8443\\": ${broken()}`);

  test("logs in, pushes, inspects, pulls, logs out", async () => {
    expect(await login("acme+ci", await robotToken())).toEqual({ status: 0, text: "Login Succeeded!" });
    expect(await push("acme/app:v1")).toEqual({ status: 0, text: copied() });
    expect(await pull("acme/app:v1")).toEqual({ status: 0, text: copied() });
    const format = ["inspect", "--cert-dir", certs(), "--format", "{{.Name}} {{.Digest}}"];
    const inspected = await run([...format, `docker://${peers.registryHost}/acme/app:v1`]);
    expect(inspected.text).toBe(`localhost:8443/acme/app ${image.digest}`);
    expect(await push("acme/private:v1")).toEqual({ status: 1, text: pushFailed("acme/private") });
    expect(await push("acme/brandnew:v1")).toEqual({ status: 1, text: pushFailed("acme/brandnew") });
    expect(await push("ghost/app:v1")).toEqual({ status: 1, text: pushFailed("ghost/app") });
    expect(await pull("acme/private:v1")).toEqual({ status: 1, text: pullFailed("acme/private", "v1", DENIED) });
    const nothing = pullFailed("acme/app", "nothing", words.unknown);
    expect(await pull("acme/app:nothing")).toEqual({ status: 1, text: nothing });
    const removed = "Removed login credentials for localhost:8443";
    expect(await run(["logout", peers.registryHost])).toEqual({ status: 0, text: removed });
    expect(await push("acme/app:v1")).toEqual({ status: 1, text: pushFailed("acme/app") });
    expect(await pull("acme/app:v1")).toEqual({ status: 1, text: pullFailed("acme/app", "v1", DENIED) });
  });

  test("logs in a robot without permission", async () => {
    expect((await login("acme+noperm", await robotToken("acme+noperm"))).status).toBe(0);
    expect(await push("acme/app:v1")).toEqual({ status: 1, text: pushFailed("acme/app") });
    expect(await pull("acme/app:v1")).toEqual({ status: 1, text: pullFailed("acme/app", "v1", DENIED) });
  });

  test("refused logins", async () => {
    const { tokens } = peers.quay;
    const token = await robotToken();
    const hourAgo = Math.floor(Date.now() / 1000) - 3600;
    const expired = await tokens.robotToken("acme+ci", { iat: hourAgo - 3600, exp: hourAgo });
    expect(await login("acme+ci", "WRONGTOKEN")).toEqual({ status: 1, text: loginFailed("refused") });
    expect(await login("acme+release", token)).toEqual({ status: 1, text: loginFailed("refused") });
    expect(await login("acme+ghost", token)).toEqual({ status: 1, text: loginFailed("refused") });
    expect(await login("acme+ci", expired)).toEqual({ status: 1, text: loginFailed("broken") });
    expect(await login("acme+ci", await peers.issuer.sign())).toEqual({ status: 1, text: loginFailed("broken") });
    const reuse = `${copying()}\nlevel=fatal msg="trying to reuse blob ${image.layer} at destination: `;
    expect((await push("acme/app:v1", "--dest-creds", `acme+ci:${expired}`)).text).toBe(`${reuse}${broken()}"`);
    const wrong = await push("acme/app:v1", "--dest-creds", "acme+ci:WRONGTOKEN");
    expect(wrong.text).toBe(
      `${reuse}unable to retrieve auth token: invalid username/password: unauthorized: Could not find robot with username: acme+ci and supplied password."`,
    );
    const pulled = await pull("acme/app:v1", "--src-creds", `acme+ci:${expired}`);
    expect(pulled.text).toBe(
      fatal(`initializing source docker://localhost:8443/acme/app:v1: ${words.reading}${broken()}`),
    );
  });

  test("namespaced logins", async () => {
    const place = `${peers.registryHost}/acme`;
    expect((await login("acme+ci", await robotToken(), place)).status).toBe(0);
    expect(await push("acme/app:v2")).toEqual({ status: 0, text: copied() });
    expect((await login("acme+noperm", await robotToken("acme+noperm"), `${place}/private`)).status).toBe(0);
    expect(await push("acme/app:v3")).toEqual({ status: 0, text: copied() });
    expect(await push("acme/private:v1")).toEqual({ status: 1, text: pushFailed("acme/private") });
  });

  test("without the private CA", async () => {
    const args = ["login", "--username", "acme+ci", "--password-stdin", peers.registryHost];
    expect((await run(args, "x")).text).toBe(
      fatal(
        `authenticating creds for \\"localhost:8443\\": pinging container registry localhost:8443: Get \\"https://localhost:8443/v2/\\": ${words.untrusted}`,
      ),
    );
  });
});

test("GitHub's token endpoint", async () => {
  const { github, githubEnv, githubAuthority } = peers;
  const url = new URL(githubEnv.ACTIONS_ID_TOKEN_REQUEST_URL ?? "");
  const token = githubEnv.ACTIONS_ID_TOKEN_REQUEST_TOKEN;
  const request = (authorization: string, query = "&audience=quay") =>
    ask(url.origin, githubAuthority.ca, { path: `${url.pathname}${url.search}${query}`, headers: { authorization } });
  expect((await request("bearer wrong")).status).toBe(401);
  const { aud } = decodeJwt(JSON.parse((await request(`bearer ${token}`, "")).body).value);
  expect(aud).toBe("https://github.com/acme");
  github.script.next(answer(503, "busy"), pass());
  expect((await request(`bearer ${token}`)).status).toBe(503);
  for (const scheme of ["bearer", "Bearer"]) {
    const { value, count } = JSON.parse((await request(`${scheme} ${token}`)).body);
    expect(count).toBe(value.length);
    expect((await toQuay("/oauth2/federation/robot/token", { authorization: basic("acme+ci", value) })).status).toBe(
      200,
    );
  }
  expect(github.requests.at(-1)).toEqual({ audience: "quay", authorized: true });
});

test("scripted answers", async () => {
  const { exchangeScript: script } = peers.quay;
  script.next(page(TOO_MANY_REQUESTS), redirect("https://localhost:1/"), notJson(), tokenText("x"), huge(100_000));
  expect((await exchange()).status).toBe(429);
  expect((await exchange()).headers.location).toBe("https://localhost:1/");
  expect((await exchange()).body).toContain("<html>");
  expect((await exchange()).body).toBe('{"token":"x"}\n');
  expect((await exchange()).body.length).toBeGreaterThan(100_000);
  script.next(cut(), reset(), tokenWith({ sub: "acme+x", exp: undefined }), slow(100));
  await expect(exchange()).rejects.toThrow("aborted");
  await expect(exchange()).rejects.toThrow("socket hang up");
  const [, claims = ""] = JSON.parse((await exchange()).body).token.split(".");
  expect(JSON.parse(Buffer.from(claims, "base64url").toString())).not.toHaveProperty("exp");
  const before = performance.now();
  expect((await exchange()).status).toBe(200);
  expect(performance.now() - before).toBeGreaterThan(95);
  script.always(hang());
  expect(await Promise.race([exchange(), new Promise((resolve) => setTimeout(resolve, 100, "silence"))])).toBe(
    "silence",
  );
  script.clear();
});

test("records which requests carried a secret, not the secret", async () => {
  const token = await peers.issuer.sign();
  const authorization = basic("acme+ci", token);
  await toQuay("/v2/auth", { authorization });
  const seen = [{ method: "GET", path: "/v2/auth", scheme: "basic", user: "acme+ci" }];
  expect(peers.quay.seen(token)).toEqual(seen);
  expect(JSON.stringify(peers.quay.requests)).not.toContain(token);
});

test.each(["expired", "other-name", "other-root"] as const)("rejects a certificate of %s", async (flaw) => {
  const { authority } = peers;
  const quay = await startQuay(authority, { certificate: await authority.issueFlawed(flaw) });
  await expect(ask(quay.url, authority.ca, { path: "/" })).rejects.toThrow(/expired|altnames|unable to verify|signed/);
  await quay.close();
});

test("the proxy records where clients went, and asks for credentials", async () => {
  const { host } = peers.quay;
  const dial = async (proxyUrl: string) => {
    const { hostname, port, username, password } = new URL(proxyUrl);
    const socket = connect(Number(port), hostname);
    const credentials = username && `Proxy-Authorization: Basic ${btoa(`${username}:${password}`)}\r\n`;
    socket.write(`CONNECT ${host} HTTP/1.1\r\nHost: ${host}\r\n${credentials}\r\n`);
    const line = await new Promise<string>((resolve) => socket.once("data", (chunk) => resolve(String(chunk))));
    if (!line.includes(" 200 ")) socket.destroy();
    return { line, socket };
  };
  const [open, closed] = [await startProxy(), await startProxy({ credentials: { user: "u", password: "p" } })];
  const { socket } = await dial(open.url);
  const status = await new Promise((resolve, reject) => {
    const options = { ca: peers.authority.ca, createConnection: undefined, socket, agent: false } as object;
    get(`${peers.quay.url}/v2/`, options, (response) => resolve(response.resume().statusCode)).on("error", reject);
  });
  expect(status).toBe(401);
  expect(open.targets).toEqual([host]);
  expect((await dial(closed.url.replace("u:p@", ""))).line).toContain(" 407 ");
  const again = await dial(closed.url);
  expect(again.line).toContain(" 200 ");
  again.socket.destroy();
  await Promise.all([open.close(), closed.close()]);
});

test("a delay costs a round trip for TCP, one for TLS 1.3, one for the answer", async () => {
  const delay = await startDelay(() => peers.quay.port, 60);
  const before = performance.now();
  await ask(`https://localhost:${delay.port}`, peers.authority.ca, { path: "/v2/" });
  const took = performance.now() - before;
  expect(took).toBeGreaterThan(175);
  expect(took).toBeLessThan(260);
  await delay.close();
});

test("serve.ts runs as long as its standard input is open, and leaves nothing", async () => {
  const script = join(import.meta.dirname, "../quay-stand-in/serve.ts");
  const child = spawn(process.execPath, [script, "--robots", "2", "--delay", "1"], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const line = await new Promise<string>((resolve) => child.stdout.once("data", (chunk) => resolve(String(chunk))));
  const addresses = JSON.parse(line);
  expect(addresses.robots).toEqual(["acme+ci", "acme+ci1", "acme+ci2"]);
  expect(existsSync(addresses.caFile)).toBe(true);
  child.stdin.end();
  expect(await new Promise((resolve) => child.on("exit", resolve))).toBe(0);
  expect(existsSync(addresses.caFile)).toBe(false);
});
