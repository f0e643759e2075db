/** The built Action in real workflows, run by act: main, later steps, post, on an independent runner. */
import { execFile } from "node:child_process";
import { chmod, cp, mkdir, mkdtemp, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, test } from "vitest";
import { SUBJECT } from "../quay-stand-in/issuer.ts";
import { type Peers, startPeers } from "../quay-stand-in/peers.ts";
import { act, commitRepository, type Repository, runAct } from "../support/act.ts";
import { writeImage } from "../support/image.ts";
import { differences, kindsIn, readTree, type Secret, watch } from "../support/leaks.ts";
import { removeStorage } from "../support/runner.ts";
import { entryOf } from "./world.ts";

let peers: Peers;
let folder: string;
beforeAll(async () => {
  [peers, folder] = await Promise.all([startPeers(), mkdtemp(join(tmpdir(), "quay-keyless-act-"))]);
  watch(peers);
});
afterAll(async () => {
  await Promise.all([peers.close(), removeStorage(folder)]);
});

const workflow = (auth: string, image: string) => `
name: release
on: push
permissions: { id-token: write, contents: read }
jobs:
  publish:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v5
      - id: quay
        uses: ./
        with:
          registry: ${peers.registryHost}
          robot: acme+ci
          audience: act
          ca-file: ${peers.caFile}
          auth-file: ${auth}
          docker-config: true
          access: acme/app:pull,push
          export-token: true
      - name: push
        run: |
          skopeo copy ${image} docker://${peers.registryHost}/acme/app:copied
          printf 'FROM scratch\\nCOPY action.yml /\\n' > Containerfile
          buildah bud --isolation chroot --tag ${peers.registryHost}/acme/app:built .
          buildah push ${peers.registryHost}/acme/app:built
      - name: look
        env: { TOKEN: "\${{ steps.quay.outputs.token }}" }
        run: |
          echo "the token is [$TOKEN], of \${#TOKEN} letters"
          echo "\${{ steps.quay.outputs.logged-in }} \${{ steps.quay.outputs.robot }} \${{ steps.quay.outputs.subject }}"
          echo "until \${{ steps.quay.outputs.expires-at }}, in $REGISTRY_AUTH_FILE"
          unset TOKEN ACTIONS_ID_TOKEN_REQUEST_TOKEN
          env > ${auth}.env
          grep -rlE 'eyJ[A-Za-z0-9_-]{20}|ZXlK' . --exclude-dir=.git --exclude-dir=.github --exclude-dir=dist > ${auth}.found || true
          stat -c 'private: %a' "$RUNNER_TEMP"/quay-keyless-login-* "$REGISTRY_AUTH_FILE"
`;

const failing = (auth: string) => `
name: fails
on: push
jobs:
  fails:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v5
      - uses: ./
        with:
          registry: ${peers.registryHost}
          robot: acme+ci
          ca-file: ${peers.caFile}
          auth-file: ${auth}
      - run: |
          echo "logged in: $(grep -c '${peers.registryHost}' ${auth})"
          exit 3
`;

/** Two more steps log in to other registries with podman, and log out in their post steps: one before ours, one after it. */
const amongOthers = () => `
name: among-others
on: push
permissions: { id-token: write, contents: read }
jobs:
  publish:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v5
      - uses: ./other
        with: { host: before.example.com }
      - uses: ./
        with: { registry: "${peers.registryHost}", robot: acme+ci, ca-file: "${peers.caFile}" }
      - uses: ./other
        with: { host: after.example.com }
`;

const odd = `{ "auths": { "registry.example.com": ${JSON.stringify(entryOf("kept", "a-kept-password"))} }, "x": 1 }\n\n`;

/** A separate home, an auth file with another login, an image. */
async function prepare(name: string, text: (auth: string, image: string) => string) {
  const root = await mkdtemp(join(folder, `${name}-`));
  const auth = join(root, "auth/auth.json");
  await mkdir(dirname(auth));
  await cp(join(import.meta.dirname, "../support/act/other"), join(root, "work/other"), { recursive: true });
  const image = await writeImage(join(root, "image"));
  const repository = await commitRepository(root, text(auth, image.reference));
  await writeFile(auth, odd);
  await chmod(auth, 0o600);
  const storage = { driver: "vfs", graphroot: join(root, "storage/graph"), runroot: join(root, "storage/run") };
  const lines = Object.entries(storage).map(([key, value]) => `${key} = ${JSON.stringify(value)}`);
  await writeFile(join(root, "storage.conf"), `[storage]\n${lines.join("\n")}\n`);
  return { ...repository, auth };
}

const run = (repository: Repository, { identity = true } = {}) =>
  runAct(repository, {
    env: { CONTAINERS_STORAGE_CONF: join(repository.root, "storage.conf"), ...(identity && peers.githubEnv) },
  });

const secrets = (): Secret[] => [
  ...peers.github.issued.map((value): Secret => ({ kind: "identity", value })),
  ...watch(peers).robot.map((value): Secret => ({ kind: "robot", value })),
  { kind: "request", value: peers.github.env.ACTIONS_ID_TOKEN_REQUEST_TOKEN },
];

describe.skipIf(act === undefined).concurrent("act", () => {
  test("logs in, pushes with skopeo and buildah, logs out", async ({ expect }) => {
    const place = await prepare("publish", workflow);
    const before = await readTree(place.home);
    const { code, log } = await run(place);
    expect(log).toContain("Success - Main push");
    expect(code, log).toBe(0);

    // The job's steps get what they need, and the log shows what GitHub's would: stars.
    const robotToken = watch(peers).robot.find((token) => log.includes(`of ${token.length} letters`));
    expect(log).toContain(`the token is [***], of ${robotToken?.length} letters`);
    expect(log).toContain(`true acme+ci ${SUBJECT}`);
    expect(log).toMatch(/until 20\d\d-\S+Z, in \S+\/auth\/auth\.json/);
    expect([...kindsIn(log.replaceAll(/::add-mask::\S+/g, ""), secrets())]).toEqual([]);
    expect([...kindsIn(await readFile(`${place.auth}.env`, "utf8"), secrets())]).toEqual([]);
    expect(await readFile(`${place.auth}.found`, "utf8")).toBe("");
    expect(log.match(/private: \d+/g)).toEqual(["private: 700", "private: 600"]);

    // The login was there before.
    const inspect = [
      "inspect",
      "--cert-dir",
      peers.certDir,
      "--creds",
      `acme+ci:${peers.quay.store.robots.get("acme+ci")?.token}`,
    ];
    for (const tag of ["copied", "built"]) {
      const { stdout } = await promisify(execFile)("skopeo", [
        ...inspect,
        `docker://${peers.registryHost}/acme/app:${tag}`,
      ]);
      expect(JSON.parse(stdout).Digest).toMatch(/^sha256:/);
    }

    expect(log).toMatch(/Success - Post \.\//);
    expect(log).toContain(`Logged out of ${peers.registryHost}.`);
    expect(await readFile(place.auth, "utf8")).toBe(odd);
    expect(differences(before, await readTree(place.home))).toEqual([]);
  });

  test("logs out after a job that failed", async ({ expect }) => {
    const place = await prepare("fails", failing);
    const before = await readTree(place.home);
    const { code, log } = await run(place);
    expect(code).toBe(1);
    expect(log).toContain("logged in: 1");
    expect(log).toContain("exit status 3");
    expect(log).toContain(`Logged out of ${peers.registryHost}.`);
    expect(await readFile(place.auth, "utf8")).toBe(odd);
    expect(differences(before, await readTree(place.home))).toEqual([]);
    // act keeps the job's folder with RUNNER_TEMP: nothing of ours is left in it.
    const cache = await readTree(join(place.root, "cache"));
    const left = [...cache.values()].filter(({ content }) => kindsIn(content, secrets()).size > 0);
    expect(left.map(({ path }) => path)).toEqual([]);
    expect([...cache.keys()].filter((path) => path.includes("quay-keyless-login-"))).toEqual([]);
  });

  test("keeps a file for the post steps of others, before and after it", async ({ expect }) => {
    const place = await prepare("others", amongOthers);
    const { code, log } = await run(place);
    expect(code, log).toBe(0);
    for (const host of ["before", "after"]) {
      expect(log).toContain(`podman logout: 0 Removed login credentials for ${host}.example.com`);
    }
    expect(log).toContain(`Logged out of ${peers.registryHost}.`);
  });

  test("names the missing permission, though act has no job.workflow_ref", async ({ expect }) => {
    const place = await prepare("without", failing);
    const { code, log } = await run(place, { identity: false });
    expect(code).toBe(1);
    expect(log).toContain("has no permission to request an identity token from GitHub");
    expect(log).toContain("#github-permission-missing");
    expect(log).toContain("There is no login to remove.");
    expect(await readFile(place.auth, "utf8")).toBe(odd);
  });
});
