/**
 * What docs/platforms.md shows works: each example, as a platform's job runs it. The platforms' programs are fakes that accept what their
 * documentation has (test/platform-programs), first on PATH; their servers are below.
 */
import { execFile, spawn } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { createServer, type RequestListener } from "node:http";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { text } from "node:stream/consumers";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { parse } from "yaml";
import { startGithub } from "../quay-stand-in/github.ts";
import { SUBJECT } from "../quay-stand-in/issuer.ts";
import { listen } from "../quay-stand-in/listen.ts";
import { type Peers, startPeers } from "../quay-stand-in/peers.ts";
import { act, commitRepository, runAct } from "../support/act.ts";
import { type Image, writeImage } from "../support/image.ts";
import { kindsIn, type Secret, watch } from "../support/leaks.ts";
import { uses } from "../support/project.ts";
import { blocksOf, blocksUnder, documentBlock, substitute } from "../support/readme.ts";
import { finish, systemPath } from "../support/runner.ts";
import { startWorkloadApi } from "../support/workload-api.ts";

const page = "docs/platforms.md";
const project = resolve(import.meta.dirname, "../..");
const node = join(project, "node_modules/node/bin");
const document = await readFile(join(project, page), "utf8");

let peers: Peers;
let folder: string;
beforeAll(async () => {
  [peers, folder] = await Promise.all([
    startPeers({ quay: { release: "newer" } }),
    mkdtemp(join(tmpdir(), "quay-platforms-")),
  ]);
  watch(peers);
  await mkdir(join(folder, "bin"));
  for (const name of ["buildkite-agent", "circleci", "aws", "gcloud", "az", "vault"]) {
    await symlink(join(project, "test/platform-programs", name), join(folder, "bin", name));
  }
  // The page's commands mean quay.io: here, each of them goes to the stand-in.
  const program = `exec ${node}/node ${project}/dist/cli/index.js "$command" --registry ${peers.registryHost} "$@"`;
  await writeFile(join(folder, "bin/quay-keyless-login"), `#!/bin/bash\ncommand="$1"; shift\n${program}\n`, {
    mode: 0o755,
  });
  await writeFile(join(folder, "roots.pem"), peers.authority.ca + peers.githubAuthority.ca);
});
afterAll(() => Promise.all([peers?.close(), rm(folder, { recursive: true, force: true })]));

/** Identity tokens of the platforms that a test has signed: none may be printed. */
const issued: string[] = [];
const secrets = (): Secret[] =>
  [...issued, ...peers.github.issued, peers.oauthToken, ...watch(peers).robot].map((value) => ({
    kind: "robot",
    value,
  }));

type Env = Readonly<Record<string, string>>;

/** A job of its own: home, working folder with an image, tokens for the fakes. */
interface Place {
  readonly root: string;
  readonly image: Image;
  /** The subject that the page lets the robot trust, and its audience. */
  readonly subject: string;
  readonly audience: string;
}

/** Runs commands as a platform does, in the working folder. */
async function run(commands: string, { root }: Pick<Place, "root">, env: Env = {}): Promise<string> {
  const own = {
    PATH: `${join(folder, "bin")}:${node}:${systemPath}`,
    HOME: join(root, "home"),
    XDG_RUNTIME_DIR: join(root, "run"),
    LANG: "C.UTF-8",
    NODE_EXTRA_CA_CERTS: join(folder, "roots.pem"),
    SSL_CERT_FILE: peers.caFile,
    FAKE_TOKENS: join(root, "tokens"),
  };
  const script = commands.replaceAll("docker://quay.io/", `docker://${peers.registryHost}/`);
  const child = spawn("bash", ["--norc", "-euo", "pipefail", "-c", script], {
    cwd: join(root, "work"),
    env: { ...own, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const { code, stdout, stderr } = await finish(child);
  expect(code, stdout + stderr).toBe(0);
  expect([...kindsIn(stdout + stderr, secrets())]).toEqual([]);
  return stdout + stderr;
}

/**
 * Lets the robot trust the job by the section's own commands, which name the stand-in's issuer here.
 * @param warning that `federate` gives; none by default
 */
async function trusted(heading: string, warning?: string): Promise<Place> {
  const root = await mkdtemp(join(folder, "job-"));
  for (const each of ["work", "home", "run", "tokens"]) await mkdir(join(root, each), { mode: 0o700 });
  const ci = peers.quay.store.robots.get("acme+ci") ?? expect.fail("no robot");
  ci.bindings = [];
  const { federate } = examples(heading);
  const commands = federate.replace(/--issuer \S+/, `--issuer ${peers.issuer.url}`);
  const said = await run(commands, { root }, { QUAY_API_TOKEN: peers.oauthToken });
  expect(/^Warning: .*/m.exec(said)?.[0] ?? "").toEqual(warning ? expect.stringContaining(warning) : "");
  const [, subject = ""] = /--subject ('[^']+'|\S+)/.exec(federate) ?? [];
  const [, audience = "quay"] = /--audience (\S+)/.exec(federate) ?? [];
  const image = await writeImage(join(root, "work/image"));
  return { root, image, subject: subject.replaceAll("'", ""), audience };
}

/** A token of the platform for the job. */
async function sign({ subject, audience }: Place, claims: Record<string, unknown> = {}): Promise<string> {
  const token = await peers.issuer.sign({ sub: subject, aud: audience, ...claims });
  issued.push(token);
  return token;
}

/** Gives a fake the token that it prints for the audience. */
const offer = async (place: Place, name: string, token: string): Promise<void> =>
  writeFile(join(place.root, "tokens", name.replaceAll("/", "_")), `${token}\n`);

async function expectPushed({ image }: Place): Promise<void> {
  const credentials = `acme+ci:${peers.quay.store.robots.get("acme+ci")?.token}`;
  const options = ["--cert-dir", peers.certDir, "--creds", credentials, "--format", "{{.Digest}}"];
  const reference = `docker://${peers.registryHost}/acme/app:1.2.3`;
  expect((await promisify(execFile)("skopeo", ["inspect", ...options, reference])).stdout.trim()).toBe(image.digest);
}

/** A section's two blocks: what the robot is to trust, and the job. */
function examples(heading: string): { federate: string; job: string } {
  const other = ["yaml", "groovy"].find((language) =>
    blocksOf(page).some((block) => block.heading === heading && block.language === language),
  );
  const [federate = "", job = ""] =
    other === undefined
      ? blocksUnder(page, heading, "sh", 2)
      : [documentBlock(page, heading, "sh"), documentBlock(page, heading, other)];
  return { federate, job };
}
const job = (heading: string): string => examples(heading).job;
const pipeline = (heading: string) => parse(job(heading));

/** An HTTP server of a platform for one test. @returns its address */
async function serve(answer: RequestListener): Promise<string> {
  const { port, close } = await listen(createServer(answer));
  onTestFinished(() => close());
  return `http://localhost:${port}`;
}

const answerJson = (response: Parameters<RequestListener>[1], status: number, body: unknown) =>
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));

/** How each section's job runs. `test/real` runs those with the platform's own programs too. */
const sections: Readonly<Record<string, () => Promise<void>>> = {
  async "## GitHub Actions"() {
    const { federate } = examples("## GitHub Actions");
    const root = await mkdtemp(join(folder, "job-"));
    await mkdir(join(root, "work"));
    const ci = peers.quay.store.robots.get("acme+ci") ?? expect.fail("no robot");
    ci.bindings = [];
    await run(`${federate.trim()} --offline`, { root }, { QUAY_API_TOKEN: peers.oauthToken });
    expect(ci.bindings).toMatchObject([{ subject: SUBJECT }]);
    ci.bindings = [{ issuer: peers.issuer.url, subject: SUBJECT }];
    const image = await writeImage(join(root, "work/image"));
    const workflow = substitute(job("## GitHub Actions"), [
      [uses(), "./"],
      [
        "robot: acme+ci\n",
        `robot: acme+ci\n          registry: ${peers.registryHost}\n          ca-file: ${peers.caFile}\n`,
      ],
      ["docker://quay.io/", `docker://${peers.registryHost}/`],
    ]);
    const { code, log } = await runAct(await commitRepository(root, workflow), { env: peers.githubEnv });
    expect(code, log).toBe(0);
    await expectPushed({ root, image, subject: SUBJECT, audience: "quay" });
  },

  async "## Forgejo and Codeberg"() {
    const place = await trusted("## Forgejo and Codeberg");
    const workflow = pipeline("## Forgejo and Codeberg");
    expect(workflow["enable-openid-connect"]).toBe(true);
    const { subject: sub } = place;
    const forgejo = await startGithub(peers.githubAuthority, peers.issuer, { isForgejo: true, claims: { sub } });
    onTestFinished(() => forgejo.close());
    const variables = { GITHUB_ACTIONS: "true", GITEA_ACTIONS: "true", FORGEJO_ACTIONS: "true", ...forgejo.env };
    const said = await run(workflow.jobs.push.steps[1].run, place, variables);
    expect(said).toContain("Identity: Forgejo's token endpoint");
    issued.push(...forgejo.issued);
    await expectPushed(place);
  },

  async "## GitLab"() {
    const place = await trusted("## GitLab");
    const { push } = pipeline("## GitLab");
    const wanted: [name: string, token: { aud: string }][] = Object.entries(push.id_tokens);
    const tokens = wanted.map(async ([name, { aud }]) => [name, await sign(place, { aud })] as const);
    const variables = Object.fromEntries(await Promise.all(tokens));
    await run(push.script.join("\n"), place, { GITLAB_CI: "true", CI: "true", ...variables });
    await expectPushed(place);
  },

  async "## Kubernetes and OpenShift"() {
    const place = await trusted("## Kubernetes and OpenShift");
    const { metadata, spec } = pipeline("## Kubernetes and OpenShift");
    expect(place.subject).toBe(`system:serviceaccount:${metadata.namespace}:${spec.serviceAccountName}`);
    const [{ command, args, volumeMounts }] = spec.containers;
    const [{ serviceAccountToken }] = spec.volumes[0].projected.sources;
    // The kubelet writes the file where `auto` looks for it; a file at this path would be seen by every other test.
    expect(`${volumeMounts[0].mountPath}/${serviceAccountToken.path}`).toBe("/var/run/secrets/tokens/quay-token");
    const file = join(place.root, "quay-token");
    await writeFile(file, await sign(place, { aud: [serviceAccountToken.audience] }));
    expect(command).toEqual(["sh", "-ec"]);
    await run(substitute(args[0], [["login --robot", `login --token-file ${file} --robot`]]), place);
    await expectPushed(place);
  },

  async "## SPIFFE"() {
    const place = await trusted("## SPIFFE");
    const svids = [{ id: place.subject, token: await sign(place) }];
    const api = await startWorkloadApi(join(place.root, "agent.sock"), { svids });
    onTestFinished(() => api.close());
    await run(substitute(job("## SPIFFE"), [["unix:///spiffe-workload-api/spire-agent.sock", api.address]]), place);
    await expectPushed(place);
  },

  async "## Keycloak"() {
    const place = await trusted("## Keycloak");
    const token = await sign(place);
    const server = await serve(async (request, response) => {
      const form = Object.fromEntries(new URLSearchParams(await text(request)));
      const wanted = { grant_type: "client_credentials", client_id: "quay-push", client_secret: "se&cret" };
      const isAsked = request.method === "POST" && request.url === "/realms/acme/protocol/openid-connect/token";
      if (!isAsked || JSON.stringify(form) !== JSON.stringify(wanted))
        return void answerJson(response, 400, { error: "invalid" });
      answerJson(response, 200, { access_token: token, expires_in: 300, token_type: "Bearer" });
    });
    await writeFile(join(place.root, "secret"), "se&cret");
    const commands = substitute(job("## Keycloak"), [
      ["https://keycloak.example.com", server],
      ["/run/secrets/keycloak", join(place.root, "secret")],
    ]);
    await run(commands, place);
    await expectPushed(place);
  },

  async "## Buildkite"() {
    const place = await trusted("## Buildkite");
    await offer(place, "pipeline_id.quay", await sign(place));
    const variables = { BUILDKITE: "true", BUILDKITE_AGENT_ACCESS_TOKEN: "agent-token", BUILDKITE_JOB_ID: "0198" };
    await run(pipeline("## Buildkite").steps[0].commands.join("\n"), place, variables);
    await expectPushed(place);
  },

  async "## CircleCI"() {
    const heading = "## CircleCI";
    const place = await trusted(heading, "names the user who starts the pipeline");
    await offer(place, "quay", await sign(place));
    await run(pipeline(heading).jobs.push.steps[1].run, place, { CIRCLECI: "true" });
    await expectPushed(place);
  },

  async "## AWS"() {
    const place = await trusted("## AWS");
    await offer(place, "quay", await sign(place));
    const variables = {
      AWS_REGION: "eu-central-1",
      AWS_ACCESS_KEY_ID: "id",
      AWS_SECRET_ACCESS_KEY: "a-secret-key-of-aws",
    };
    await run(job("## AWS"), place, variables);
    await expectPushed(place);
  },

  async "## Google Cloud"() {
    const place = await trusted("## Google Cloud");
    await offer(place, "quay", await sign(place));
    await run(job("## Google Cloud"), place);
    await expectPushed(place);
  },

  async "## Azure, managed identity"() {
    const place = await trusted("## Azure, managed identity");
    await offer(place, place.audience, await sign(place));
    await run(job("## Azure, managed identity"), place);
    await expectPushed(place);
  },

  async "## Azure DevOps"() {
    const place = await trusted("## Azure DevOps");
    const token = await sign(place);
    const server = await serve((request, response) => {
      const { authorization, "content-type": type } = request.headers;
      const isAsked = request.method === "POST" && request.url === "/acme/_apis/oidctoken?api-version=7.1";
      if (!isAsked || type !== "application/json") return void answerJson(response, 400, {});
      if (authorization !== "Bearer access-token-of-the-job") return void answerJson(response, 401, {});
      answerJson(response, 200, { oidcToken: token });
    });
    const [{ script, env }] = pipeline("## Azure DevOps").steps;
    expect(env).toEqual({ SYSTEM_ACCESSTOKEN: "$(System.AccessToken)" });
    const variables = {
      SYSTEM_ACCESSTOKEN: "access-token-of-the-job",
      SYSTEM_OIDCREQUESTURI: `${server}/acme/_apis/oidctoken`,
    };
    await run(script, place, variables);
    await expectPushed(place);
  },

  async "## Vault"() {
    const place = await trusted("## Vault");
    await offer(place, "quay", await sign(place));
    await run(job("## Vault"), place, { VAULT_ADDR: "https://vault.example.com", VAULT_TOKEN: "token-of-vault" });
    await expectPushed(place);
  },

  async "## Jenkins"() {
    const place = await trusted("## Jenkins");
    const file = job("## Jenkins");
    const [, name = ""] = /string\(credentialsId: '[\w-]+', variable: '(\w+)'\)/.exec(file) ?? [];
    const [, script = ""] = /sh '''\n(.*?)'''/s.exec(file) ?? [];
    await run(script, place, { JENKINS_URL: "https://jenkins.example.com/", [name]: await sign(place) });
    await expectPushed(place);
  },

  async "## Semaphore"() {
    const place = await trusted("## Semaphore");
    const [checkout, ...commands] = pipeline("## Semaphore").blocks[0].task.jobs[0].commands;
    expect(checkout).toBe("checkout");
    await run(commands.join("\n"), place, { SEMAPHORE: "true", SEMAPHORE_OIDC_TOKEN: await sign(place) });
    await expectPushed(place);
  },

  async "## HCP Terraform"() {
    const place = await trusted("## HCP Terraform");
    await run(job("## HCP Terraform"), place, { TFC_RUN_ID: "run-1", TFC_WORKLOAD_IDENTITY_TOKEN: await sign(place) });
    await expectPushed(place);
  },

  async "## Spacelift"() {
    const place = await trusted("## Spacelift");
    const file = join(place.root, "spacelift.oidc");
    await writeFile(file, await sign(place));
    const commands = pipeline("## Spacelift").stack_defaults.after_apply.join("\n");
    await run(substitute(commands, [["/mnt/workspace/spacelift.oidc", file]]), place);
    await expectPushed(place);
  },

  async "## Bitbucket"() {
    const place = await trusted("## Bitbucket");
    await offer(place, "quay", await sign(place));
    const [{ step }] = pipeline("## Bitbucket").pipelines.branches.main;
    expect(step.oidc).toBe(true);
    const own = await sign(place, {
      sub: "{11111111-2222-3333-4444-555555555555}:{66666666-7777-8888-9999-000000000000}",
    });
    await run(step.script.join("\n"), place, { BITBUCKET_BUILD_NUMBER: "7", BITBUCKET_STEP_OIDC_TOKEN: own });
    await expectPushed(place);
  },

  async "## Fly"() {
    const place = await trusted("## Fly");
    const token = await sign(place);
    const socket = join(place.root, "api.sock");
    const server = createServer(async (request, response) => {
      const isAsked = request.method === "POST" && request.url === "/v1/tokens/oidc";
      const body = await text(request);
      if (!isAsked || request.headers["content-type"] !== "application/json" || body !== '{"aud":"quay"}')
        return void answerJson(response, 400, {});
      response.end(token);
    });
    await new Promise<void>((done) => server.listen(socket, done));
    onTestFinished(() => new Promise<void>((done) => server.close(() => done())));
    await run(substitute(job("## Fly"), [["/.fly/api", socket]]), place, { FLY_MACHINE_ID: "148e" });
    await expectPushed(place);
  },
};

describe("the example of", () => {
  for (const [name, example] of Object.entries(sections)) {
    test.skipIf(name === "## GitHub Actions" && act === undefined)(name, { timeout: 120_000 }, example);
  }
});

test("each section has an example that a test runs, and a row of the table", () => {
  const headings = [...document.matchAll(/^## .*$/gm)].map(([heading]) => heading);
  expect(headings).toEqual(Object.keys(sections));
  const anchors = headings.map(
    (heading) => `(#${heading.slice("## ".length).toLowerCase().replaceAll(",", "").replaceAll(" ", "-")})`,
  );
  const rows = [...document.matchAll(/^\| \[[^\]]+\](\(#[^)]+\)) \|.*\| (.+) \|$/gm)];
  expect(rows.map(([, anchor]) => anchor)).toEqual(anchors);
  for (const [, , mark] of rows) {
    expect(["real", "fake of the documented interface", "from documentation"]).toContain(mark);
  }
});

test("each section has exactly two examples: what the robot is to trust, and the job", () => {
  for (const heading of Object.keys(sections)) {
    expect(examples(heading).federate).toMatch(/^quay-keyless-login federate --robot acme\+ci /);
  }
  expect(blocksOf(page)).toHaveLength(2 * Object.keys(sections).length);
});
