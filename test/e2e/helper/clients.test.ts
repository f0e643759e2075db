/** The real clients of this generation with the credential helper alone; test/real/helper.test.ts has those that take minutes to build. */
import { readdir, readFile, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, type ExpectStatic, test } from "vitest";
import { startPeers } from "../../quay-stand-in/peers.ts";
import { clientsWithHelper, isHere } from "../../support/helper-clients.ts";
import { writeImage } from "../../support/image.ts";
import { differences } from "../../support/leaks.ts";
import { useWorld } from "./world.ts";

const peers = useWorld();
const tls = () => `--cert-dir=${peers().certDir}`;

describe.concurrent("pushes and pulls with the helper alone:", () => {
  test.skipIf(!isHere("skopeo"))("skopeo", async ({ expect }) => {
    const { works, path, exchanges, walk, machine } = await clientsWithHelper(expect, peers());
    const { reference, digest } = await writeImage(join(machine.scratch, "image"));
    await works("skopeo", "copy", "--dest-cert-dir", peers().certDir, reference, `docker://${path}:1`);
    const copy = ["--src-cert-dir", peers().certDir, "--dest-cert-dir", peers().certDir];
    await works("skopeo", "copy", ...copy, `docker://${path}:1`, `docker://${path}:2`);
    expect(JSON.parse(await works("skopeo", "inspect", tls(), `docker://${path}:2`)).Digest).toBe(digest);
    expect(exchanges()).toBe(1);
    await walk();
  });

  test.for(["buildah", "podman"])("%s", async (tool, { expect, skip }) => {
    if (!isHere(tool)) skip(`${tool} is not here`);
    const { works, path, exchanges, walk, machine } = await clientsWithHelper(expect, peers());
    const { reference } = await writeImage(join(machine.scratch, "image"));
    await works("skopeo", "copy", "--dest-cert-dir", peers().certDir, reference, `docker://${path}:1`);
    await works(tool, "pull", tls(), `${path}:1`);
    await works(tool, "push", tls(), `${path}:1`, `docker://${path}:2`);
    await works(tool, "pull", tls(), `${path}:2`);
    expect(exchanges()).toBe(1);
    await walk();
  });

  test.skipIf(!isHere("docker"))("docker, as far as it goes without a daemon", async ({ expect }) => {
    const { works, path, exchanges, walk, machine } = await clientsWithHelper(expect, peers());
    const { reference, digest } = await writeImage(join(machine.scratch, "image"));
    await works("skopeo", "copy", "--dest-cert-dir", peers().certDir, reference, `docker://${path}:1`);
    expect(await works("docker", "manifest", "inspect", "--verbose", `${path}:1`)).toContain(digest);
    expect(exchanges()).toBe(1);
    await walk();
  });
});

describe.concurrent("several clients", () => {
  test("twenty at once cause one exchange", async ({ expect }) => {
    const { works, path, exchanges, walk, machine } = await clientsWithHelper(expect, peers());
    const push = async (tag: number) => {
      const { reference } = await writeImage(join(machine.scratch, `image-${tag}`));
      await works("skopeo", "copy", "--dest-cert-dir", peers().certDir, reference, `docker://${path}:${tag}`);
    };
    await Promise.all(Array.from({ length: 20 }, (_, tag) => push(tag)));
    expect(exchanges()).toBe(1);
    await walk();
  });

  test("a build that takes longer than a token's life pushes at its end", async ({ expect }) => {
    const life = 8;
    const shortLived = await startPeers({ quay: { robotTokenLife: life, leeway: 0 } });
    try {
      const { works, run, path, exchanges, walk, machine } = await clientsWithHelper(expect, shortLived);
      const cert = ["--dest-cert-dir", shortLived.certDir];
      const { reference } = await writeImage(join(machine.scratch, "image"));
      await works("skopeo", "copy", ...cert, reference, `docker://${path}:base`);
      const got = exchanges();
      // What a build does for its hour; it would hold on to a login of its beginning.
      await sleep(life * 1000 + 500);
      const cached = JSON.parse(await readFile(machine.cache, "utf8")).entries[0].token;
      const creds = `${machine.robot.name}:${cached}`;
      const old = await run("skopeo", ["copy", ...cert, "--dest-creds", creds, reference, `docker://${path}:old`]);
      expect([old.code, old.stderr]).toEqual([1, expect.stringMatching(/500 .?Internal Server Error/)]);
      await works("skopeo", "copy", ...cert, reference, `docker://${path}:1`);
      expect(exchanges()).toBe(got + 1);
      await walk();
    } finally {
      await shortLived.close();
    }
  });

  test("a token is handed out while half of its life is left, since no client asks twice", async ({ expect }) => {
    const life = 10;
    const shortLived = await startPeers({ quay: { robotTokenLife: life, leeway: 0 }, registry: false });
    try {
      const { run, path, exchanges } = await clientsWithHelper(expect, shortLived);
      const ask = () => run("skopeo", ["list-tags", `--cert-dir=${shortLived.certDir}`, `docker://${path}`]);
      await ask();
      await sleep((life / 2) * 1000 + 500);
      await ask();
      expect(exchanges()).toBe(2);
    } finally {
      await shortLived.close();
    }
  });

  test("another registry's helper is asked for that registry, and ours for ours", async ({ expect }) => {
    const other = "127.0.0.1:9";
    const { run, works, path, exchanges, walk, machine } = await clientsWithHelper(expect, peers(), {
      entered: { [other]: "other" },
    });
    const asked = join(machine.scratch, "asked");
    const script = `#!/bin/sh\nread -r host; echo "$1 $host" >>${asked}\necho '{"ServerURL":"${other}","Username":"u","Secret":"p"}'\n`;
    await machine.write(join(machine.scratch, "tools/docker-credential-other"), script, 0o755);
    const { reference } = await writeImage(join(machine.scratch, "image"));
    await works("skopeo", "copy", "--dest-cert-dir", peers().certDir, reference, `docker://${path}:1`);
    expect((await run("skopeo", ["inspect", `docker://${other}/acme/app`])).code).toBe(1);
    if (isHere("docker")) await run("docker", ["manifest", "inspect", `${other}/acme/app`]);
    expect([...new Set((await readFile(asked, "utf8")).trim().split("\n"))]).toEqual([`get ${other}`]);
    expect(exchanges()).toBe(1);
    await walk();
  });
});

describe.concurrent("a pull request from a fork", () => {
  /** A job whose event comes from a fork: GitHub gives it no identity. */
  async function forked(expect: ExpectStatic) {
    const clients = await clientsWithHelper(expect, peers(), {
      variables: { ...onGithub, QUAY_KEYLESS_TOKEN_FILE: "", GITHUB_EVENT_NAME: "pull_request" },
    });
    const { machine } = clients;
    const event = { pull_request: { head: { repo: { full_name: "someone/app", fork: true } } } };
    const path = await machine.write(join(machine.scratch, "event.json"), JSON.stringify(event), 0o644);
    return { ...clients, env: { GITHUB_EVENT_PATH: path } };
  }
  const onGithub = {
    GITHUB_ACTIONS: "true",
    GITHUB_REPOSITORY: "acme/app",
    GITHUB_WORKFLOW_REF: "acme/app/.github/workflows/b.yml@refs/pull/1/merge",
  };

  test.for([
    ["skopeo", (path: string) => ["inspect", tls(), `docker://${path}:1`]],
    ["buildah", (path: string) => ["pull", "--policy=always", tls(), `${path}:1`]],
    ["podman", (path: string) => ["pull", tls(), `${path}:1`]],
    ["docker", (path: string) => ["manifest", "inspect", `${path}:1`]],
  ] as const)("%s quotes the reason in one line, and shows the explanation", async ([tool, args], { expect, skip }) => {
    if (!isHere(tool)) skip(`${tool} is not here`);
    const { run, path, exchanges, walk, env } = await forked(expect);
    const { code, stderr } = await run(tool, args(path), env);
    const reason = "GitHub gives no identity to a pull request from a fork.";
    expect(stderr).toContain(`Error: ${reason}\n  Build without pushing here;`);
    // `docker manifest` reports only that it found nothing.
    if (tool !== "docker") expect(stderr).toContain(`exit status 1, out: \`${reason}\``);
    expect(code).not.toBe(0);
    expect(stderr).toContain("explain github-fork");
    expect(exchanges()).toBe(0);
    await walk();
  });
});

describe.concurrent("a login by hand", () => {
  /** A machine, and how it logs in to a host with the robot's static token. */
  async function byHand(expect: ExpectStatic, tool: string) {
    const clients = await clientsWithHelper(expect, peers());
    const { machine, run, walk } = clients;
    const { name } = machine.robot;
    const password = peers().quay.store.robots.get(name)?.token ?? "";
    const options = tool === "skopeo" ? [tls()] : [];
    const login = (host: string) => run(tool, ["login", ...options, "--username", name, "--password", password, host]);
    const file = tool === "docker" ? clients.files.docker : clients.files.containers;
    const auths = async () => JSON.parse(await readFile(file, "utf8")).auths ?? {};
    return { ...clients, login, file, auths, password, walk };
  }
  /** The same registry under a name that the helper is not configured for. */
  const foreign = () => peers().registryHost.replace("localhost", "127.0.0.1");

  test.for(["skopeo", "docker"])(
    "by %s for our host stores nothing, and says so; a logout drops the cached token",
    async (tool, { expect, skip }) => {
      if (!isHere(tool)) skip(`${tool} is not here`);
      const { run, login, path, exchanges, walk } = await byHand(expect, tool);
      const { registryHost: host } = peers();
      const ask = () => run("skopeo", ["inspect", tls(), `docker://${path}:none`]);
      const ran = await login(host);
      expect([ran.code, ran.stderr]).toEqual([
        0,
        expect.stringContaining("Nothing was stored: the credential helper gets"),
      ]);
      await ask();
      const got = exchanges();
      await ask();
      expect(exchanges()).toBe(got);
      expect(await run(tool, ["logout", host])).toMatchObject({ code: 0 });
      await walk();
      await ask();
      expect(exchanges()).toBe(got + 1);
    },
  );

  test.for(["skopeo", "docker"])(
    "by %s for another host goes to the file, and the helper is not asked",
    async (tool, { expect, skip }) => {
      if (!isHere(tool)) skip(`${tool} is not here`);
      const { login, auths, password } = await byHand(expect, tool);
      expect(await login(foreign())).toMatchObject({ code: 0 });
      expect(Buffer.from((await auths())[foreign()].auth, "base64").toString()).toContain(password);
    },
  );

  test.skipIf(!isHere("skopeo"))(
    "goes to the file too where registries.conf names the helper for every host",
    async ({ expect }) => {
      const { login, auths, machine, file, run, path, exchanges } = await byHand(expect, "skopeo");
      await machine.write(file, "{}");
      const conf = 'credential-helpers = ["quay-keyless", "containers-auth.json"]\n';
      await machine.write(join(machine.home, ".config/containers/registries.conf"), conf);
      const ran = await login(foreign());
      expect(ran.code).toBe(0);
      expect(Object.keys(await auths())).toEqual([foreign()]);
      await run("skopeo", ["inspect", tls(), `docker://${path}:none`]);
      expect(exchanges()).toBe(1);
    },
  );

  test.skipIf(!isHere("docker"))(
    "by docker fails for another host where the helper is docker's store for all",
    async ({ expect }) => {
      const { login, machine, file } = await byHand(expect, "docker");
      const content = '{"credsStore":"quay-keyless"}';
      await machine.write(file, content);
      const { code, stderr } = await login(foreign());
      expect([code, stderr]).toEqual([
        1,
        expect.stringContaining(`${foreign()} is not configured here; nothing was stored`),
      ]);
      expect(await readFile(file, "utf8")).toBe(content);
      expect(await login(peers().registryHost)).toMatchObject({ code: 0 });
    },
  );
});

describe.concurrent("what `configure` enters", () => {
  test("is used by docker and by the containers tools, without a variable, until --remove", async ({ expect }) => {
    const { machine, files, path, exchanges } = await clientsWithHelper(expect, peers());
    const { registryHost: host, caFile, certDir } = peers();
    for (const file of Object.values(files)) await rm(file);
    const before = await machine.snapshot();
    const options = ["--registry", host, "--robot", machine.robot.name, "--token-file", machine.tokenFile];
    const env = { PATH: machine.path, SSL_CERT_DIR: certDir };
    const ran = await machine.run(["configure", ...options, "--ca-file", caFile]);
    expect([ran.code, ran.stderr]).toEqual([0, expect.anything()]);
    const { reference } = await writeImage(join(machine.scratch, "image"));
    const copy = ["copy", "--dest-cert-dir", certDir, reference, `docker://${path}:1`];
    // Each file is tried alone.
    const containers = join(machine.home, ".config/containers/auth.json");
    const uses = async (tool: string, args: readonly string[], other: string) => {
      const hidden = `${other}.hidden`;
      await rename(other, hidden);
      const { code, stderr } = await machine.other(tool, args, { env });
      expect([tool, code, stderr]).toEqual([tool, 0, expect.anything()]);
      await rename(hidden, other);
    };
    await uses("skopeo", copy, files.docker);
    if (isHere("docker")) await uses("docker", ["manifest", "inspect", `${path}:1`], containers);
    expect(exchanges()).toBe(1);
    const removed = await machine.run(["configure", "--remove", "--registry", host]);
    expect([removed.code, removed.stderr]).toEqual([0, expect.anything()]);
    const left = differences(before, await machine.snapshot()).filter((line) => !line.includes("/run/quay-keyless"));
    expect([left, await readdir(dirname(machine.cache))]).toEqual([[], []]);
  });
});
