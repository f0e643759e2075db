/** The image, built without a registry and run like a pod: any user, group 0, read-only root, no capabilities. */
import { execFile } from "node:child_process";
import { chmod, mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Peers, startPeers } from "../quay-stand-in/peers.ts";
import { writeImage } from "../support/image.ts";
import { kindsIn, type Secret } from "../support/leaks.ts";
import { address, version } from "../support/project.ts";
import { needsRoot } from "../support/root.ts";
import {
  builds,
  buildTime,
  type Image,
  makeFolder,
  makeTmp,
  openProjectImage,
  type RunOptions,
  runInImage,
} from "./unpacked.ts";

const project = resolve(import.meta.dirname, "../..");
const call = promisify(execFile);

let image: Image;
let peers: Peers;
let folder: string;

beforeAll(async () => {
  if (!builds) return;
  folder = await makeFolder();
  const archive = join(folder, "image.tar");
  [image, peers] = await Promise.all([openProjectImage(archive), startPeers()]);
}, buildTime);

afterAll(async () => {
  if (!builds) return;
  await image?.close();
  await Promise.all([peers?.close(), rm(folder, { recursive: true, force: true })]);
});

const newTmp = () => makeTmp(folder);
const run = async (args: readonly string[], { tmp, ...options }: RunOptions = {}) =>
  runInImage(image, args, { tmp: tmp ?? (await newTmp()), ...options });

describe.skipIf(!builds)(`the image ${needsRoot}`, () => {
  test("has labels, and starts the command as a user that is not root", async () => {
    const { User, Entrypoint, Labels } = image.config;
    expect([User, Entrypoint]).toEqual(["1001:0", ["quay-keyless-login"]]);
    const label = (name: string) => Labels[`org.opencontainers.image.${name}`];
    expect(["title", "licenses", "version"].map(label)).toEqual(["quay-keyless-login", "Apache-2.0", version]);
    expect(label("description")).toContain("Quay");
    expect(label("revision")).toMatch(/^[0-9a-f]{40}$/);
    expect(["url", "source"].map(label)).toEqual([address(), address()]);
    expect(label("documentation")).toBe(address(`/blob/v${version}/README.md`));
  });

  test("has the project's version by default", async () => {
    expect(await readFile(join(project, "Containerfile"), "utf8")).toContain(`\nARG VERSION=${version}\n`);
  });

  test("contains no Node, no downloader, no compiler, no other language", async () => {
    const folders = ["usr/local/bin", "usr/local/sbin", "usr/bin", "usr/sbin"];
    const programs = (await Promise.all(folders.map((each) => readdir(join(image.root, each))))).flat();
    const ours = ["quay-keyless-login", "docker-credential-quay-keyless"];
    expect(programs).toEqual(expect.arrayContaining(["sh", "skopeo", ...ours]));
    const unwanted =
      /^(node|npm|npx|yarn\w*|pnpm|corepack|curl|wget|cc|gcc.*|make|python.*|git|ssh|buildah|podman|docker)$/;
    expect(programs.filter((name) => unwanted.test(name))).toEqual([]);
    expect(await readdir(join(image.root, "var/lib/apt/lists"))).toEqual([]);
    expect(await readdir(join(image.root, "etc/ssl/certs"))).toContain("ca-certificates.crt");
  });

  test("lists its packages for scanners, with their licences, and none of them lacks another", async () => {
    const { stdout } = await call("dpkg", ["--root", image.root, "--list", "*"]);
    const states = stdout.split("\n").filter((line) => /^[a-z]{2} /.test(line));
    expect(states.filter((line) => !/^(ii|un) /.test(line))).toEqual([]);
    const packages = states.filter((line) => line.startsWith("ii")).map((line) => line.split(/[ :]+/)[1]);
    expect(packages).toEqual(expect.arrayContaining(["skopeo", "ca-certificates", "libgpgme11", "apt"]));
    for (const options of [["--audit"], ["--verify", "skopeo", "libgpgme11", "libdevmapper1.02.1"]]) {
      const checked = await call("dpkg", ["--root", image.root, ...options]);
      // As in Debian's image, only licences are left of the documentation.
      expect(
        checked.stdout
          .split("\n")
          .filter((line) => line && !/\/usr\/share\/(doc|man|info|locale|lintian)\//.test(line)),
      ).toEqual([]);
    }
    const { stdout: missing } = await call("apt-get", [
      "--option",
      `Dir::State::status=${image.root}/var/lib/dpkg/status`,
      "check",
    ]);
    expect(missing).not.toContain("unmet");
    const licences = await readdir(join(image.root, "usr/share/doc"));
    expect(licences).toEqual(expect.arrayContaining(["skopeo", "ca-certificates"]));
    expect(await readFile(join(image.root, "usr/share/doc/skopeo/copyright"), "utf8")).toContain("Apache");
    const own = await readFile(join(image.root, "licenses/quay-keyless-login.txt"), "utf8");
    for (const part of ["Apache License", "Node.js is licensed for use as follows", "jose"])
      expect(own).toContain(part);
  });

  test("has the completions where each shell looks for them", async () => {
    for (const file of [
      "bash-completion/completions/quay-keyless-login",
      "zsh/vendor-completions/_quay-keyless-login",
      "fish/vendor_completions.d/quay-keyless-login.fish",
    ]) {
      expect(await readFile(join(image.root, "usr/share", file), "utf8")).toContain("robot");
    }
  });

  test("is written to an archive under its name", async () => {
    const archive = join(folder, "image.tar");
    const { stdout } = await call("skopeo", ["inspect", "--config", `docker-archive:${archive}:${image.name}`]);
    expect(JSON.parse(stdout).config).toMatchObject({ User: "1001:0", Entrypoint: ["quay-keyless-login"] });
    const megabytes = Math.round((await stat(archive)).size / 1e6);
    console.log(`${image.name}: ${megabytes} MB unpacked`);
    expect(megabytes).toBeLessThan(240);
  });
});

describe.skipIf(!builds).concurrent(`run on a read-only root ${needsRoot}`, () => {
  test.for([0, 1001, 1_000_680_000])("as user %i: --version, --help and explain", async (uid, { expect }) => {
    expect(await run(["--version"], { uid })).toEqual({
      code: 0,
      stdout: `quay-keyless-login ${version}\n`,
      stderr: "",
    });
    const help = await run(["login", "--help"], { uid });
    expect(help).toMatchObject({ code: 0, stderr: "" });
    expect(help.stdout).toContain("--robot");
    const page = await run(["explain", "tag-taken"], { uid });
    expect(page).toMatchObject({ code: 0, stderr: "", stdout: expect.stringMatching(/^tag-taken\n\n/) });
  });

  test("can write to /tmp only", async ({ expect }) => {
    const tmp = await newTmp();
    const places = ["/x", "/usr/local/bin/x", "/run/x", "/var/tmp/x", "/etc/x", "/tmp/x"];
    const touch = 'for each in "$@"; do (: >"$each") 2>/dev/null && echo "$each"; done';
    const { stdout } = await run(["-c", touch, "sh", ...places], { tmp, uid: 0, command: ["sh"] });
    expect(stdout).toBe("/tmp/x\n");
  });

  test("exits with 2 on wrong use", async ({ expect }) => {
    expect(await run(["login"])).toMatchObject({ code: 2, stdout: "" });
  });

  test("logs in, lets another user of the group read the file, and logs out", async ({ expect }) => {
    const { issuer, authority, registryHost, quay } = peers;
    const tmp = await newTmp();
    const token = await issuer.sign();
    await mkdir(join(tmp, "in"));
    await writeFile(join(tmp, "in/token"), token);
    await writeFile(join(tmp, "in/ca.pem"), authority.ca);
    // Writable for the group, as the kubelet makes an emptyDir on OpenShift.
    await mkdir(join(tmp, "shared"));
    await chmod(join(tmp, "shared"), 0o2775);
    const certificates = ["--ca-file", "/tmp/in/ca.pem"];
    const login = await run(
      [
        ...[
          "login",
          "--registry",
          registryHost,
          "--robot",
          "acme+ci",
          "--token-file",
          "/tmp/in/token",
          ...certificates,
        ],
        ...["--auth-file", "/tmp/shared/auth.json", "--auth-file-mode", "0640", "--session", "/tmp/session"],
        ...["--access", "acme/app:pull,push", "--output", "json"],
      ],
      { tmp },
    );
    expect(login).toMatchObject({ code: 0 });
    const result = JSON.parse(login.stdout);
    expect(result).toMatchObject({ "logged-in": true, registry: registryHost, "auth-file": "/tmp/shared/auth.json" });
    const secrets = secretsOf(token, await readFile(join(tmp, "shared/auth.json"), "utf8"));
    expect([...kindsIn(login.stdout + login.stderr, secrets)]).toEqual([]);
    expect((await stat(join(tmp, "shared/auth.json"))).mode & 0o777).toBe(0o640);

    const pushed = await writeImage(join(folder, "pushed"));
    const there = `docker://${registryHost}/acme/app:image`;
    const auth = ["--authfile", join(tmp, "shared/auth.json")];
    await call("skopeo", ["copy", ...auth, "--dest-cert-dir", peers.certDir, pushed.reference, there]);
    // The other user can use the certificate that the login has left below HOME.
    const inspected = await run(["inspect", "--authfile", "/tmp/shared/auth.json", there], {
      tmp,
      uid: 1_000_690_000,
      command: ["skopeo"],
    });
    expect(inspected).toMatchObject({ code: 0, stderr: "" });
    expect(JSON.parse(inspected.stdout).Digest).toBe(pushed.digest);
    expect(quay.seen(token).map(({ user }) => user)).toEqual(["acme+ci"]);

    const logout = await run(["logout", "--session", "/tmp/session"], { tmp });
    expect(logout).toMatchObject({ code: 0 });
    expect((await readdir(tmp)).toSorted()).toEqual(["in", "shared"]);
    expect(await readdir(join(tmp, "shared"))).toEqual([]);
  });

  test("writes the login where its skopeo reads it, without --auth-file", async ({ expect }) => {
    const { issuer, authority, registryHost } = peers;
    const tmp = await newTmp();
    await writeFile(join(tmp, "ca.pem"), authority.ca);
    const token = await issuer.sign();
    const env = { QUAY_ID_TOKEN: token };
    const target = ["--registry", registryHost, "--robot", "acme+ci", "--ca-file", "/tmp/ca.pem"];
    const login = await run(["login", ...target, "--token-env", "QUAY_ID_TOKEN"], { tmp, env });
    expect(login).toMatchObject({ code: 0 });
    expect(login.stdout).toMatch(/^auth-file +\/tmp\/containers\/auth\.json$/m);
    const known = await run(["login", "--get-login", registryHost], { tmp, command: ["skopeo"] });
    expect(known).toMatchObject({ code: 0, stdout: "acme+ci\n" });
    expect(await run(["status", "--registry", registryHost, "--for", "10m"], { tmp })).toMatchObject({ code: 0 });
  });
});

function secretsOf(token: string, authFile: string): Secret[] {
  const [, entry = ""] = /"auth": *"([^"]+)"/.exec(authFile) ?? [];
  expect(entry).not.toBe("");
  const password = Buffer.from(entry, "base64").toString().split(":").slice(1).join(":");
  return [
    { kind: "identity", value: token },
    { kind: "robot", value: password },
    { kind: "robot", value: entry },
  ];
}
