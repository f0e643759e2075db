/** A pod in Kubernetes, with the command line; the third act is its login. */
import { spawn } from "node:child_process";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import type { Peers } from "../../test/quay-stand-in/peers.ts";
import { differences, readTree } from "../../test/support/leaks.ts";
import { type Finished, finish, systemPath } from "../../test/support/runner.ts";
import { chapter, expect, output, prompt, say } from "./screen.ts";

export const subject = "system:serviceaccount:acme:deployer";

export interface Expected {
  /** Holds for what the command prints. */
  readonly ok?: (done: Finished) => boolean;
  /** Default 0. */
  readonly code?: number;
  /** Further variables. */
  readonly env?: Readonly<Record<string, string>>;
}

export interface Pod {
  readonly folder: string;
  /** Where its commands run. */
  readonly work: string;
  /** Its identity token. */
  readonly token: string;
  /** Variables of its commands. */
  readonly env: Readonly<Record<string, string>>;
  /**
   * Shows a command, runs it in the pod and shows what it prints; fails unless it goes as expected. Its standard output is not
   * shown if it ends with `>FILE`.
   */
  run(command: string, expected?: Expected): Promise<void>;
  /** Writes a file where the commands run, which only this user can read. */
  write(name: string, text: string): Promise<void>;
  remove(): Promise<void>;
}

/**
 * A pod with the identity `subject`.
 * @param hours the life of its identity token
 */
export async function startPod({ issuer, authority }: Peers, hours: number): Promise<Pod> {
  const token = await issuer.at("cluster").sign({ sub: subject, exp: Math.floor(Date.now() / 1000) + hours * 3600 });
  const folder = await mkdtemp(join(tmpdir(), "quay-keyless-demo-"));
  await furnish(folder, token, authority.ca);
  const env = {
    PATH: `${join(folder, "bin")}:${dirname(process.execPath)}:${systemPath}`,
    HOME: join(folder, "home"),
    TMPDIR: join(folder, "tmp"),
    XDG_RUNTIME_DIR: join(folder, "run"),
    // skopeo's cache of where layers are is not ours: for a user who is not root it would be in the home.
    XDG_DATA_HOME: join(folder, "data"),
    LANG: "C.UTF-8",
  };
  const work = join(folder, "work");
  return {
    folder,
    work,
    token,
    env,
    write: (name, text) => writeFile(join(work, name), text, { mode: 0o600 }),
    remove: () => rm(folder, { recursive: true, force: true }),
    async run(command, { ok = () => true, code = 0, env: more } = {}) {
      prompt(command);
      const [line = "", file] = command.split(" >");
      const finished = await start({ folder, env: { ...env, ...more } }, line);
      const text = finished.stderr + (file === undefined ? finished.stdout : "");
      output(text, code === 0 ? undefined : "red");
      const what = code === 0 ? "succeeds" : "fails";
      expect(`this ${what}: ${command}`, finished.code === code && ok(finished), { code: finished.code, output: text });
    },
  };
}

/** @param digest of the image that exists as acme/app:1.2.3 */
export async function showPod(pod: Pod, registry: string, digest: string): Promise<void> {
  const { folder, run } = pod;
  const before = await readTree(join(folder, "home"));
  const image = `docker://${registry}/acme/app:1.2.3`;

  chapter("Who is this pod?");
  say(`The kubelet has put a token of the pod's service account into tokens/, for the audience quay, and renews it.`);
  await run("quay-keyless-login identity --token-file tokens/quay-token --ca-file root.pem", {
    ok: ({ stdout }) => [`subject     ${subject}`, "acceptable  yes"].every((line) => stdout.includes(line)),
  });

  chapter("It logs in and pulls");
  const auth = "--auth-file auth.json";
  const robot = `--registry ${registry} --robot acme+deploy --token-file tokens/quay-token`;
  await run(`quay-keyless-login login ${robot} ${auth} --session session --ca-file root.pem`);
  await run(`skopeo copy --quiet --authfile auth.json ${image} oci:pulled:1.2.3`);
  const inspect = await start(pod, "skopeo inspect --format {{.Digest}} oci:pulled:1.2.3");
  expect(`the image that comes is ${digest}`, inspect.stdout.trim() === digest);
  await run(`quay-keyless-login status --registry ${registry} ${auth} --for 30m`);
  say("As in the job, it is the image that was pushed, and there is no password. A probe can run status each minute.");

  chapter("It logs out");
  await run("quay-keyless-login logout --session session");

  chapter("Or it never logs in: skopeo asks a credential helper");
  await run(`quay-keyless-login configure ${robot} ${auth} --ca-file root.pem`);
  await run(`skopeo inspect --authfile auth.json --cert-dir=ca --format {{.Digest}} ${image}`, {
    ok: ({ stdout }) => stdout.trim() === digest,
  });
  await run(`quay-keyless-login configure --remove --registry ${registry} ${auth}`);
  const changed = differences(before, await readTree(join(folder, "home")));
  expect(`all files are as before (${changed.join(", ")})`, changed.length === 0);
  const left = await start(pod, "ls");
  expect("no auth file and no session is left", left.stdout === "ca\npulled\nquay-trust.yaml\nroot.pem\ntokens\n", {
    code: left.code,
    output: left.stdout,
  });
}

/** A home, a folder to work in, and the token as the kubelet lays it out: a renewal changes the link ..data. */
async function furnish(pod: string, token: string, root: string): Promise<void> {
  const tokens = join(pod, "work/tokens");
  for (const folder of ["home", "tmp", "bin", "run", "work/ca", "work/tokens/..2026_11_24"])
    await mkdir(join(pod, folder), { recursive: true, mode: 0o700 });
  await writeFile(join(tokens, "..2026_11_24/quay-token"), token, { mode: 0o440 });
  await symlink("..2026_11_24", join(tokens, "..data"));
  await symlink("..data/quay-token", join(tokens, "quay-token"));
  for (const name of ["root.pem", "ca/ca.crt"]) await writeFile(join(pod, "work", name), root);
  await symlink(resolve("dist/cli/index.js"), join(pod, "bin/quay-keyless-login"));
  await symlink(resolve("dist/helper/index.js"), join(pod, "bin/docker-credential-quay-keyless"));
}

function start({ folder, env }: Pick<Pod, "folder" | "env">, command: string): Promise<Finished> {
  const [program = "", ...args] = command.split(" ");
  return finish(spawn(program, args, { cwd: join(folder, "work"), env, stdio: ["ignore", "pipe", "pipe"] }));
}
