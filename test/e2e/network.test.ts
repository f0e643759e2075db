/** Roots, certificates and proxies: for the Action itself and for the tools, in the login and in later steps. */
import { createServer } from "node:http";
import { connect } from "node:net";
import { join } from "node:path";
import { afterAll, describe, test } from "vitest";
import { SUBJECT } from "../quay-stand-in/issuer.ts";
import { type Listening, listen } from "../quay-stand-in/listen.ts";
import { startQuay } from "../quay-stand-in/quay/server.ts";
import { addRobot } from "../quay-stand-in/quay/store.ts";
import { createJob, runAction } from "../support/action.ts";
import { writeImage } from "../support/image.ts";
import { startProxy } from "../support/proxy.ts";
import { failure, newRobot, usePeers } from "./world.ts";

const peers = usePeers();
const closers: { close(): Promise<void> }[] = [];
afterAll(async () => {
  await Promise.all(closers.map((each) => each.close()));
});

/** The tools never use a proxy for localhost: here Quay has a name that only the proxy knows. */
async function startRemoteQuay() {
  const { authority, issuer } = peers();
  const quay = await startQuay(authority, { certificate: await authority.issue(["quay.test"]) });
  const robot = addRobot(quay.store, "acme+remote", [{ issuer: issuer.url, subject: SUBJECT }]);
  const own = quay.host;
  quay.settings.host = `quay.test:${quay.port}`;
  const { bearerToken } = quay.tokens;
  quay.tokens.bearerToken = (account, access) => bearerToken(account, access, own);
  const targets: string[] = [];
  const server = createServer((_, response) => void response.writeHead(405).end());
  server.on("connect", (request, client) => {
    targets.push(request.url ?? "");
    const upstream = connect(Number(request.url?.split(":")[1]), "127.0.0.1", () => {
      client.write("HTTP/1.1 200 Connection established\r\n\r\n");
      upstream.pipe(client).pipe(upstream);
    });
    for (const socket of [upstream, client]) socket.on("error", () => [upstream, client].map((each) => each.destroy()));
  });
  const listening: Listening = await listen(server);
  closers.push(quay, listening);
  return { quay, host: quay.settings.host, robot: robot.name, targets, proxy: `http://127.0.0.1:${listening.port}` };
}

describe.concurrent("ca-file", () => {
  test("works for later steps without a flag until logout, beside other certificates", async ({ expect }) => {
    const robot = newRobot(peers());
    const job = await createJob({ peers: peers() });
    const folder = join(job.home, ".config/containers/certs.d", peers().registryHost);
    const other = await job.write(join(folder, "company.crt"), peers().authority.ca, 0o644);
    const main = await job.run({ robot: robot.name });
    const added = [...(await job.snapshot()).keys()].filter((path) => path.startsWith(`${folder}/`) && path !== other);
    expect(added).toEqual([expect.stringMatching(/quay-keyless-login-.+\.crt$/)]);
    await main.post();
    expect([...(await job.snapshot()).keys()].filter((path) => path.startsWith(`${folder}/`))).toEqual([other]);
  });

  test("only adds to the system's roots, also as a bundle of several", async ({ expect }) => {
    const robot = newRobot(peers());
    const job = await createJob({ peers: peers() });
    const { cert } = await peers().authority.issueFlawed("other-root");
    const bundle = await job.write(join(job.scratch, "bundle.pem"), `# company\n${cert}\n${peers().authority.ca}`);
    const main = await job.run({ robot: robot.name, "ca-file": bundle });
    expect(main).toMatchObject({ code: 0, annotations: [] });
    const image = await writeImage(join(job.scratch, "image"));
    const there = `docker://${peers().registryHost}/${robot.repository}:v1`;
    expect(await job.later("skopeo", ["copy", image.reference, there])).toMatchObject({ code: 0 });
    await main.post();
  });

  test("if missing, the identity token is not sent to a server that can't be trusted", async ({ expect }) => {
    const token = await peers().issuer.sign();
    const main = await runAction({
      env: { T: token },
      inputs: { registry: peers().registryHost, robot: "acme+ci", "token-env": "T" },
    });
    expect(failure(expect, main, "tls-untrusted")).toMatch(/ca-file: path\/to\/root\.pem/);
    expect(peers().quay.seen(token)).toEqual([]);
    expect(main.milliseconds).toBeLessThan(5_000);
  });

  test("does not count for GitHub's endpoint, which needs the machine's roots", async ({ expect }) => {
    const { githubAuthority } = peers();
    const main = await runAction({
      peers: peers(),
      env: { NODE_EXTRA_CA_CERTS: undefined, NODE_TLS_REJECT_UNAUTHORIZED: "0" },
      inputs: { robot: "acme+ci", "ca-file": githubAuthority.caFile, audience: "untrusted" },
    });
    const message = failure(expect, main, "tls-untrusted");
    expect(message).toMatch(/GitHub's token endpoint cannot be verified: .* authority that this machine does not know/);
    expect(message).toContain("NODE_EXTRA_CA_CERTS=/path/to/root.pem");
    expect(peers().github.requests.filter(({ audience }) => audience === "untrusted")).toEqual([]);
  });

  test.for([
    ["expired", /certificate has expired/],
    ["other-name", /certificate is for another name/],
    ["other-root", /authority that this machine does not know/],
  ] as const)("does not help a certificate that is wrong: %s", async ([flaw, message], { expect }) => {
    const { authority, issuer, caFile } = peers();
    const quay = await startQuay(authority, { certificate: await authority.issueFlawed(flaw) });
    closers.push(quay);
    const token = await issuer.sign();
    const inputs = { registry: quay.host, "ca-file": caFile, robot: "acme+ci", "token-env": "T" };
    const main = await runAction({ env: { T: token }, inputs });
    expect(failure(expect, main, "tls-untrusted")).toMatch(message);
    expect(quay.requests).toEqual([]);
  });
});

describe.concurrent("a proxy", () => {
  test("is used for Quay by the Action and by the tools, with ca-file", async ({ expect }) => {
    const { host, proxy, robot, targets } = await startRemoteQuay();
    for (const tool of ["skopeo", "buildah", "podman"]) {
      targets.length = 0;
      const env = { https_proxy: proxy, NO_PROXY: "localhost" };
      const main = await runAction({ peers: peers(), env, inputs: { registry: host, robot, tool } });
      expect(main).toMatchObject({ code: 0, annotations: [] });
      // The exchange and the tool's login; GitHub's endpoint is at localhost.
      expect(targets.length).toBeGreaterThanOrEqual(2);
      expect([...new Set(targets)]).toEqual([host]);
      expect(await main.post()).toMatchObject({ code: 0 });
    }
  });

  test("is used for GitHub's endpoint too, with its password, which stays hidden", async ({ expect }) => {
    const robot = newRobot(peers());
    const proxy = await startProxy({ credentials: { user: "builder", password: "a proxy's/password" } });
    closers.push(proxy);
    const env = { HTTPS_PROXY: proxy.url };
    const main = await runAction({ peers: peers(), env, inputs: { robot: robot.name } });
    expect(main).toMatchObject({ code: 0, annotations: [] });
    const endpoint = new URL(peers().githubEnv.ACTIONS_ID_TOKEN_REQUEST_URL ?? "").host;
    expect(new Set(proxy.targets)).toEqual(new Set([endpoint, peers().registryHost]));
    await main.post();
  });

  test.for(["localhost", "example.com, localhost", "*"])("is not used if NO_PROXY is %s", async (value, { expect }) => {
    const robot = newRobot(peers());
    const proxy = await startProxy();
    closers.push(proxy);
    const env = { HTTPS_PROXY: proxy.url, NO_PROXY: value };
    const main = await runAction({ peers: peers(), env, inputs: { robot: robot.name } });
    expect(main).toMatchObject({ code: 0, annotations: [] });
    expect(proxy.targets).toEqual([]);
    await main.post();
  });

  test("that refuses the password: the error does not show it", async ({ expect }) => {
    const token = await peers().issuer.sign();
    const proxy = await startProxy({ credentials: { user: "builder", password: "the-right-one" } });
    closers.push(proxy);
    const env = { T: token, HTTPS_PROXY: proxy.url.replace("the-right-one", "a-wrong-password") };
    const inputs = { robot: "acme+ci", "token-env": "T", timeout: "1" };
    const main = await runAction({ peers: peers(), env, inputs });
    expect(failure(expect, main, "quay-unreachable")).toMatch(/the proxy made no tunnel.*[\s\S]*HTTPS_PROXY/);
  });

  test("that is not an address: the error does not show it", async ({ expect }) => {
    const env = { HTTPS_PROXY: "http://user:a-bad-password@:x:1" };
    const secrets = [{ kind: "proxy", value: "a-bad-password" }] as const;
    const main = await runAction({ peers: peers(), env, secrets, inputs: { robot: "acme+ci" } });
    expect(failure(expect, main, "invalid-input")).toContain('"HTTPS_PROXY"');
  });
});
