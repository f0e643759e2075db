/** Servers, files and variables that would send a token elsewhere, or make a command hang. */
import { execFile } from "node:child_process";
import { mkdir, readFile, symlink } from "node:fs/promises";
import type { IncomingMessage } from "node:http";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, test } from "vitest";
import { SUBJECT } from "../../quay-stand-in/issuer.ts";
import { listen } from "../../quay-stand-in/listen.ts";
import { LOADING } from "../../quay-stand-in/quay/pages.ts";
import { type Quay, startQuay } from "../../quay-stand-in/quay/server.ts";
import { addRobot } from "../../quay-stand-in/quay/store.ts";
import { answer, page, switching } from "../../quay-stand-in/scripted.ts";
import { createMachine, type Machine } from "../../support/command.ts";
import { startProxy } from "../../support/proxy.ts";
import { findTool } from "../../support/runner.ts";
import { authsIn, of, userOf } from "../world.ts";
import { failed, machineWithToken, newRobot, quayOf, useWorld } from "./world.ts";

const peers = useWorld({ registry: false });
const closers: (() => Promise<unknown>)[] = [];
afterAll(() => Promise.all(closers.map((close) => close())));

/** A Quay with a certificate of an authority that is not trusted, and a robot. */
let stranger: Quay;
beforeAll(async () => {
  const { authority, issuer } = peers();
  stranger = await startQuay(authority);
  closers.push(stranger.close);
  addRobot(stranger.store, "acme+ci", [{ issuer: issuer.url, subject: SUBJECT }]);
});
const carried = ({ requests }: Quay) => requests.filter(({ scheme }) => scheme !== undefined);

describe.concurrent("NODE_TLS_REJECT_UNAUTHORIZED=0 turns nothing off", () => {
  const env = { NODE_TLS_REJECT_UNAUTHORIZED: "0" };

  test("an untrusted Quay gets nothing, and the error says so", async ({ expect }) => {
    const machine = await machineWithToken(peers(), { env });
    const target = ["--registry", stranger.host, "--robot", "acme+ci", "--token-file", machine.tokenFile];
    const stderr = failed(expect, await machine.run(["login", ...target]), 1, "tls-untrusted");
    expect(stderr).toContain("not even by NODE_TLS_REJECT_UNAUTHORIZED");
    expect(stderr).not.toContain("Warning: Setting the NODE_TLS"); // Node's own
    expect(carried(stranger)).toEqual([]);
  });

  test("an untrusted https proxy gets no password", async ({ expect }) => {
    const certificate = await peers().authority.issue();
    const proxy = await startProxy({ certificate, credentials: { user: "me", password: "a-proxy-password" } });
    closers.push(proxy.close);
    const machine = await machineWithToken(peers(), { env: { ...env, HTTPS_PROXY: proxy.url } });
    const target = [...quayOf(peers()), "--robot", newRobot(peers()).name, "--token-file", machine.tokenFile];
    const ran = await machine.run(["login", ...target, "--timeout", "3"]);
    expect(ran.code).toBe(1);
    expect(proxy.targets).toEqual([]);
    expect(ran.stderr).not.toContain("a-proxy-password");
  });

  test("GitHub's endpoint gets no request token if only ca-file trusts it", async ({ expect }) => {
    const { NODE_EXTRA_CA_CERTS: _, ...githubEnv } = peers().githubEnv;
    const own = { ...githubEnv, NODE_EXTRA_CA_CERTS: undefined } as unknown as Record<string, string>;
    const machine = await createMachine({ peers: peers(), env: { ...own, ...env } });
    const roots = await machine.write(
      join(machine.scratch, "both.pem"),
      peers().authority.ca + peers().githubAuthority.ca,
    );
    const robot = newRobot(peers());
    const target = ["--registry", peers().registryHost, "--ca-file", roots, "--robot", robot.name];
    const ran = await machine.run(["login", ...target, "--audience", robot.audience]);
    const stderr = failed(expect, ran, 1, "tls-untrusted");
    expect(stderr).toMatch(/NODE_EXTRA_CA_CERTS=.*NODE_USE_SYSTEM_CA=1/);
    expect(peers().github.requests.filter(({ audience }) => audience === robot.audience)).toEqual([]);
  });
});

describe.concurrent("registries.conf says insecure", () => {
  for (const tool of ["skopeo", "buildah", "podman"] as const) {
    test.skipIf(findTool(tool) === undefined)(`and ${tool} verifies even so`, async ({ expect }) => {
      const robot = newRobot(peers());
      // Node trusts this Quay, the tool does not.
      const machine = await machineWithToken(peers(), { env: { NODE_EXTRA_CA_CERTS: peers().caFile } });
      const conf = `[[registry]]\nlocation = "${peers().registryHost}"\ninsecure = true\n`;
      await machine.write(join(machine.home, ".config/containers/registries.conf"), conf, 0o644);
      const target = ["--registry", peers().registryHost, "--robot", robot.name, "--token-file", machine.tokenFile];
      failed(expect, await machine.run(["login", ...target, "--tool", tool]), 1, "tls-untrusted");
      const asTool = peers().quay.requests.filter(({ user, path }) => user === robot.name && path === "/v2/auth");
      expect(asTool).toEqual([]);
    });
  }
});

describe.concurrent("PATH has a folder of the job", () => {
  test.for([".", "bin", "./bin", "", "../work/bin"])(
    "by %j: no tool of that folder runs",
    async (entry, { expect }) => {
      const robot = newRobot(peers());
      const machine = await machineWithToken(peers(), { tools: [] });
      const folder = join(machine.work, entry);
      await machine.write(join(folder, "skopeo"), `#!/bin/sh\ncat > ${machine.scratch}/stolen\n`, 0o755);
      const node = join(machine.scratch, "tools");
      const target = [...quayOf(peers()), "--robot", robot.name, "--token-file", machine.tokenFile];
      const ran = await machine.run(["login", ...target], { env: { PATH: `${entry}:${node}` } });
      expect([ran.code, ran.stderr]).toEqual([0, expect.stringContaining("without a tool")]);
      await expect(readFile(join(machine.scratch, "stolen"))).rejects.toThrow("ENOENT");
    },
  );
});

describe.concurrent("a port for plain http", () => {
  test("is reported at once, with what to write", async ({ expect }) => {
    const { port, close } = await listen(
      createServer((socket) => socket.once("data", () => socket.end("HTTP/1.1 400 x\r\n\r\n"))),
    );
    closers.push(close);
    const machine = await machineWithToken(peers());
    const target = ["--registry", `localhost:${port}`, "--robot", "acme+ci", "--token-file", machine.tokenFile];
    const ran = await machine.run(["login", ...target]);
    const stderr = failed(expect, ran, 1, "quay-answer-unusable");
    expect(stderr).toContain(`localhost:${port} answers without TLS`);
    expect(stderr).toContain("--registry quay.example.com:8443");
    expect(ran.milliseconds).toBeLessThan(5_000);
  });
});

describe.concurrent("a 101", () => {
  /** Each endpoint of a login. The answer ends HTTP on its connection, which stays open. */
  const switches: [string, string, (machine: Machine & { tokenFile: string }) => Promise<readonly string[]>][] = [
    [
      "of the exchange",
      "quay-answer-unusable",
      async ({ tokenFile }) => {
        const robot = newRobot(peers());
        peers().quay.exchangeScript.always(switching(), of(robot));
        return [...quayOf(peers()), "--robot", robot.name, "--token-file", tokenFile];
      },
    ],
    [
      "of the registry",
      "realm-refused",
      async ({ tokenFile }) => {
        const quay = await startQuay(peers().authority);
        closers.push(quay.close);
        addRobot(quay.store, "acme+ci", [{ issuer: peers().issuer.url, subject: SUBJECT }]);
        quay.registryScript.always(switching());
        return ["--registry", quay.host, "--ca-file", peers().caFile, "--robot", "acme+ci", "--token-file", tokenFile];
      },
    ],
    [
      "of the place for permissions",
      "quay-unavailable",
      async ({ tokenFile }) => {
        const robot = newRobot(peers());
        const asksForScope = ({ url = "" }: IncomingMessage) => url.includes(encodeURIComponent(robot.repository));
        peers().quay.authScript.always(switching(), asksForScope);
        const target = [...quayOf(peers()), "--robot", robot.name, "--token-file", tokenFile];
        return [...target, "--access", `${robot.repository}:pull`];
      },
    ],
    [
      "of the issuer, looked at after a 502",
      "issuer-broken",
      async ({ tokenFile, write }) => {
        const robot = newRobot(peers());
        peers().quay.exchangeScript.always(page(LOADING), of(robot));
        const { port, close } = await listen(createServer());
        await close();
        const issuer = await startQuay(peers().authority, { port });
        closers.push(issuer.close);
        await write(tokenFile, await peers().issuer.sign({ iss: `https://localhost:${port}/v2` }));
        issuer.registryScript.always(switching());
        return [...quayOf(peers()), "--robot", robot.name, "--token-file", tokenFile];
      },
    ],
    [
      "of the Workload API",
      "spiffe-answer-unusable",
      async ({ scratch }) => {
        const socket = join(scratch, "agent.sock");
        const talk = (client: Socket) =>
          client.once("data", () => client.write("HTTP/1.1 101 x\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"));
        const server = createServer(talk).listen(socket);
        closers.push(async () => server.close());
        return [...quayOf(peers()), "--robot", newRobot(peers()).name, "--spiffe-socket", `unix://${socket}`];
      },
    ],
  ];
  test.for(switches)("%s ends in time", async ([, code, prepare], { expect }) => {
    const machine = await machineWithToken(peers());
    const ran = await machine.run(["login", ...(await prepare(machine)), "--timeout", "8"]);
    failed(expect, ran, ran.code ?? 0, code);
    expect(ran.milliseconds).toBeLessThan(9_500);
  });

  test("of GitHub's endpoint ends in time", async ({ expect }) => {
    const robot = newRobot(peers());
    const asked = ({ url = "" }: IncomingMessage) => url.includes(`audience=${robot.audience}`);
    peers().github.script.always(switching(), asked);
    const machine = await createMachine({ peers: peers(), env: peers().githubEnv });
    const target = [...quayOf(peers()), "--robot", robot.name, "--audience", robot.audience];
    failed(expect, await machine.run(["login", ...target]), 1, "identity-endpoint-refused");
  });
});

/** Paths on which a reader blocks, or reads without end. */
const endless: Record<string, (path: string) => Promise<unknown>> = {
  "a pipe": (path) => promisify(execFile)("mkfifo", [path]),
  "a device": (path) => symlink("/dev/zero", path),
};

describe.concurrent.each(Object.entries(endless))("%s", (_, make) => {
  interface Case {
    readonly code: string;
    readonly exitCode?: number;
    readonly args: readonly string[];
    readonly env?: Record<string, string>;
  }
  const target = (machine: { tokenFile: string }) => [
    ...quayOf(peers()),
    ...["--robot", newRobot(peers()).name, "--token-file", machine.tokenFile, "--timeout", "10"],
  ];
  /** A command with something at `path` that is not a file. */
  const places: [string, (machine: Machine & { tokenFile: string }, path: string) => Promise<Case>][] = [
    [
      "as ca-file",
      async (m, path) => ({ code: "invalid-input", exitCode: 2, args: ["login", ...target(m), "--ca-file", path] }),
    ],
    [
      "as token-file",
      async (m, path) => ({ code: "token-file-unusable", args: ["login", ...target({ ...m, tokenFile: path })] }),
    ],
    [
      "as token-file of identity",
      async (_m, path) => ({ code: "token-file-unusable", args: ["identity", "--token-file", path] }),
    ],
    [
      "as auth-file",
      async (m, path) => ({ code: "auth-file-unusable", args: ["login", ...target(m), "--auth-file", path] }),
    ],
    [
      "as auth-file of status",
      async (_m, path) => ({ code: "auth-file-unusable", args: ["status", "--auth-file", path] }),
    ],
    [
      "as auth-file of logout",
      async (_m, path) => ({ code: "auth-file-unusable", args: ["logout", "--auth-file", path] }),
    ],
    [
      "as REGISTRY_AUTH_FILE",
      async (m, path) => ({
        code: "auth-file-unusable",
        args: ["login", ...target(m)],
        env: { REGISTRY_AUTH_FILE: path },
      }),
    ],
    [
      "as docker's config",
      async (m, path) => {
        await symlink(path, join(m.scratch, "config.json"));
        const args = ["login", ...target(m), "--docker-config", "true"];
        return { code: "auth-file-unusable", args, env: { DOCKER_CONFIG: m.scratch, REGISTRY_AUTH_FILE: m.usualFile } };
      },
    ],
    [
      "as a result",
      async (m, path) => ({
        code: "invalid-input",
        exitCode: 2,
        args: ["login", ...target(m), "--result", `robot=${path}`],
      }),
    ],
    [
      "as the record of a session",
      async (m, path) => {
        await mkdir(join(m.scratch, "session"), { mode: 0o700 });
        await symlink(path, join(m.scratch, "session/session.json"));
        return { code: "logout-incomplete", args: ["logout", "--session", join(m.scratch, "session")] };
      },
    ],
    [
      "as GitHub's event",
      async (_m, path) => ({
        code: "github-permission-missing",
        args: ["login", ...quayOf(peers()), "--robot", "acme+ci"],
        env: { GITHUB_ACTIONS: "true", GITHUB_EVENT_NAME: "pull_request", GITHUB_EVENT_PATH: path },
      }),
    ],
    [
      "as the file of promotions",
      async (m, path) => ({
        code: "invalid-input",
        exitCode: 2,
        args: [
          "promote",
          "--file",
          path,
          "--destination-robot",
          "acme+ci",
          "--token-file",
          m.tokenFile,
          "--timeout",
          "2",
        ],
      }),
    ],
  ];
  test.for(places)("%s is rejected in time", async ([, prepare], { expect }) => {
    const machine = await machineWithToken(peers());
    const path = join(machine.scratch, "endless");
    await make(path);
    const { code, exitCode = 1, args, env = {} } = await prepare(machine, path);
    const ran = await machine.run(args, { env });
    failed(expect, ran, exitCode, code);
    expect(ran.milliseconds).toBeLessThan(8_000);
  });
});

describe.concurrent("the registry sends logins to another host", () => {
  /** Two names of one Quay: the requested one, and the one that its registry names. */
  async function misnamed() {
    const realm = await startQuay(peers().authority);
    const quay = await startQuay(peers().authority, { publicPort: realm.port });
    closers.push(realm.close, quay.close);
    addRobot(quay.store, "acme+ci", [{ issuer: peers().issuer.url, subject: SUBJECT }]);
    const machine = await machineWithToken(peers());
    const target = ["--registry", `localhost:${quay.port}`, "--ca-file", peers().caFile, "--robot", "acme+ci"];
    return { quay, realm, machine, target: [...target, "--token-file", machine.tokenFile] };
  }

  test("no tool gets the robot token; the remedy of the error works", async ({ expect }) => {
    const { realm, machine, target } = await misnamed();
    const stderr = failed(expect, await machine.run(["login", ...target]), 1, "realm-refused");
    expect(carried(realm)).toEqual([]);
    const [, line = ""] = /(--token-host \S+)/.exec(stderr) ?? [];
    expect(line).toBe(`--token-host ${realm.host}`);
    // The tool goes there now. That Quay does not know the robot.
    failed(expect, await machine.run(["login", ...target, ...line.split(" ")]), 1, "login-refused");
    expect(carried(realm).map(({ user }) => user)).toContain("acme+ci");
  });

  test("by another name of the same Quay, login and permissions work with token-host", async ({ expect }) => {
    const robot = newRobot(peers());
    const machine = await machineWithToken(peers());
    const alias = peers().registryHost.replace("localhost", "127.0.0.1");
    const target = [
      "--registry",
      alias,
      "--ca-file",
      peers().caFile,
      "--robot",
      robot.name,
      "--token-file",
      machine.tokenFile,
    ];
    failed(expect, await machine.run(["login", ...target]), 1, "realm-refused");
    const ran = await machine.run([
      "login",
      ...target,
      "--token-host",
      peers().registryHost,
      "--access",
      `${robot.repository}:pull,push`,
    ]);
    expect([ran.code, ran.stderr]).toEqual([0, expect.anything()]);
    expect(userOf((await authsIn(machine.usualFile))[alias])).toBe(robot.name);
  });

  test("a redirect, plain http, two ways: no token is sent", async ({ expect }) => {
    const { quay, realm, machine, target } = await misnamed();
    const moved = answer(307, "", { location: `${realm.url}/v2/` });
    const challenge = (text: string) => answer(401, "", { "www-authenticate": text });
    for (const given of [
      moved,
      challenge(`Bearer realm="${realm.httpUrl}/v2/auth"`),
      challenge(`Bearer realm="https://localhost:${quay.port}/v2/auth", Basic realm="x"`),
    ]) {
      quay.registryScript.clear();
      quay.registryScript.always(given);
      const ran = await machine.run(["login", ...target, "--token-host", realm.host]);
      failed(expect, ran, 1, "realm-refused");
    }
    expect(carried(realm)).toEqual([]);
    expect(carried(quay).filter(({ path }) => path.startsWith("/v2"))).toEqual([]);
  });
});

describe.concurrent("certs.d", () => {
  test("has the roots for both generations of tools if XDG_CONFIG_HOME is set, until logout", async ({ expect }) => {
    const robot = newRobot(peers());
    const machine = await machineWithToken(peers());
    const other = join(machine.scratch, "configuration");
    const target = [
      ...quayOf(peers()),
      "--robot",
      robot.name,
      "--token-file",
      machine.tokenFile,
      "--session",
      "../session",
    ];
    const env = { XDG_CONFIG_HOME: other };
    const before = await machine.snapshot();
    expect(await machine.run(["login", ...target], { env })).toMatchObject({ code: 0 });
    for (const configuration of [join(machine.home, ".config"), other]) {
      const folder = join(configuration, "containers/certs.d", peers().registryHost);
      const { stdout } = await promisify(execFile)("sh", ["-c", `cat ${folder}/*.crt`]);
      expect(stdout.trim()).toBe(peers().authority.ca.trim());
    }
    expect(await machine.run(["logout", "--session", "../session"], { env })).toMatchObject({ code: 0 });
    const after = await machine.snapshot();
    expect([...after.keys()]).toEqual([...before.keys()]);
    await expect(readFile(other)).rejects.toThrow("ENOENT");
  });
});
