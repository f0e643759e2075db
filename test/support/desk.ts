/** The machine of a reader who gets started: an empty folder, this command line on PATH, and a Quay where nothing is set up yet. */
import { spawn } from "node:child_process";
import { mkdir, mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { expect } from "vitest";
import { type Peers, startPeers } from "../quay-stand-in/peers.ts";
import { commandLine } from "./built.ts";
import { kindsIn, type Secret, watch } from "./leaks.ts";
import type { Reader } from "./page.ts";
import { finish, removeStorage, systemPath } from "./runner.ts";

const project = resolve(import.meta.dirname, "../..");
const node = join(project, "node_modules/node/bin");

export interface Desk extends Reader {
  readonly peers: Peers;
  readonly root: string;
  readonly work: string;
  readonly home: string;
  /** Trusts the peers as it trusts quay.io. */
  readonly env: Readonly<Record<string, string>>;
  /** Identity and robot tokens so far, and the API token. */
  secrets(): Secret[];
  /** A text of a page, with the stand-in in place of quay.io. */
  here(text: string): string;
  /** Makes the issuer that stands for the page's the one that the robot trusts. @returns the subjects */
  trustHere(robot: string): string[];
  close(): Promise<void>;
}

export interface DeskOptions {
  /** The issuer of the page, and the one that stands for it here; default: that of the peers. */
  readonly issuer: string;
  readonly issuerHere?: string;
  /** Default: peers of its own. */
  readonly peers?: Peers;
  /** Of the reader's shell. */
  readonly variables?: Readonly<Record<string, string>>;
  /** Programs of the reader, as shell scripts, by name. */
  readonly programs?: Readonly<Record<string, string>>;
  /** Runs a shell with the arguments after it; default: none. */
  readonly inside?: readonly string[];
}

/** The robot and the repository of the pages are not there yet. */
export async function openDesk(options: DeskOptions): Promise<Desk> {
  const [peers, root] = await Promise.all([
    options.peers ?? startPeers({ quay: { release: "newer" } }),
    mkdtemp(join(tmpdir(), "quay-get-started-")),
  ]);
  const { issuer, issuerHere = peers.issuer.url, inside = [] } = options;
  const { robot } = watch(peers);
  const { store } = peers.quay;
  store.robots.delete("acme+ci");
  store.repositories.delete("acme/app");
  const [work, home, bin] = [join(root, "work"), join(root, "home"), join(root, "bin")];
  for (const each of [work, home, bin]) await mkdir(each);
  const roots = join(root, "roots.pem");
  await writeFile(roots, peers.authority.ca + peers.githubAuthority.ca);
  const programs = { "quay-keyless-login": program(peers.registryHost), ...options.programs };
  for (const [name, script] of Object.entries(programs)) {
    await writeFile(join(bin, name), `#!/bin/bash\n${script}`, { mode: 0o755 });
  }
  const env = {
    PATH: `${bin}:${node}:${systemPath}`,
    HOME: home,
    XDG_RUNTIME_DIR: join(root, "run"),
    LANG: "C.UTF-8",
    NODE_EXTRA_CA_CERTS: roots,
    SSL_CERT_FILE: roots,
    ...options.variables,
  };
  const here = (text: string) => text.replaceAll(/\bquay\.io\/(?=acme\/)/g, `${peers.registryHost}/`);
  const secrets = (): Secret[] =>
    [...peers.github.issued, ...robot, peers.oauthToken].map((value) => ({ kind: "robot", value }));
  return {
    ...{ peers, root, work, home, env, here, secrets },
    names: [
      // A message names the registry only if it is not quay.io.
      [` --registry ${peers.registryHost}`, ""],
      [peers.registryHost, "quay.io"],
      [issuerHere, issuer],
    ],
    async save(file, content) {
      await mkdir(dirname(join(work, file)), { recursive: true });
      await writeFile(join(work, file), here(content));
    },
    async type(command) {
      const [shell = "bash", ...args] = [...inside, "bash", "--norc", "-euo", "pipefail", "-c"];
      const child = spawn(shell, [...args, `exec 2>&1\n${here(command)}`], {
        cwd: work,
        env: { QUAY_API_TOKEN: peers.oauthToken, ...env },
        stdio: "pipe",
      });
      // `read` gets the API token, as the page has it pasted.
      child.stdin.on("error", () => {}).end(`${peers.oauthToken}\n`);
      const { code, stdout } = await finish(child);
      expect(code, `${command}\n${stdout}`).toBe(0);
      expect([...kindsIn(stdout, secrets())]).toEqual([]);
      return stdout;
    },
    trustHere(name) {
      const { bindings } = store.robots.get(name) ?? expect.fail(`no robot ${name}`);
      for (const binding of bindings) binding.issuer = issuerHere;
      return bindings.map(({ subject }) => subject);
    },
    close: async () => {
      await Promise.all([options.peers === undefined && peers.close(), removeStorage(root)]);
    },
  };
}

/** The command line, for which the stand-in is quay.io, and which has no network beyond it. */
function program(host: string): string {
  return `case "$1 $*" in
  *" --registry "*) ;;
  federate*) set -- "$1" --registry ${host} --offline "\${@:2}" ;;
  login* | status*) set -- "$1" --registry ${host} "\${@:2}" ;;
esac
exec ${commandLine.join(" ")} "$@"
`;
}
