/** The third act: a pod in Kubernetes, with the command line. */
import { spawn } from "node:child_process";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import type { Peers } from "../../test/quay-stand-in/peers.ts";
import { differences, readTree } from "../../test/support/leaks.ts";
import { type Finished, finish, systemPath } from "../../test/support/runner.ts";
import { chapter, expect, output, prompt, say } from "./screen.ts";

export const subject = "system:serviceaccount:acme:deployer";

export interface Pod {
  readonly folder: string;
  /** Its identity token. */
  readonly token: string;
  /** Shows a command, runs it in the pod and shows what it prints; fails unless it succeeds and `ok` holds. */
  run(command: string, ok?: (done: Finished) => boolean, env?: Record<string, string>): Promise<void>;
  remove(): Promise<void>;
}

/** A pod with the identity `subject`. */
export async function startPod({ issuer, authority }: Peers): Promise<Pod> {
  const token = await issuer.at("cluster").sign({ sub: subject, exp: Math.floor(Date.now() / 1000) + 3600 });
  const folder = await mkdtemp(join(tmpdir(), "quay-keyless-demo-"));
  await furnish(folder, token, authority.ca);
  return {
    folder,
    token,
    remove: () => rm(folder, { recursive: true, force: true }),
    async run(command, ok = () => true, env = {}) {
      prompt(command);
      const finished = await start(folder, command, env);
      const text = finished.stderr + finished.stdout;
      output(text);
      expect(`this succeeds: ${command}`, finished.code === 0 && ok(finished), { code: finished.code, output: text });
    },
  };
}

/** @param digest of the image that exists as acme/app:1.2.3 */
export async function showPod({ folder: pod, run }: Pod, registry: string, digest: string): Promise<void> {
  const before = await readTree(join(pod, "home"));

  chapter("Who is this pod?");
  say(`The kubelet has put a token of the pod's service account into tokens/, for the audience quay, and renews it.`);
  await run("quay-keyless-login identity --token-file tokens/quay-token --ca-file root.pem", ({ stdout }) =>
    [`subject     ${subject}`, "acceptable  yes"].every((line) => stdout.includes(line)),
  );

  chapter("It logs in and pulls");
  const auth = "--auth-file auth.json";
  await run(
    `quay-keyless-login login --registry ${registry} --robot acme+deploy --token-file tokens/quay-token ${auth} --session session --ca-file root.pem`,
  );
  await run(`skopeo copy --quiet --authfile auth.json docker://${registry}/acme/app:1.2.3 oci:pulled:1.2.3`);
  const inspect = await start(pod, "skopeo inspect --format {{.Digest}} oci:pulled:1.2.3");
  expect(`the image that comes is ${digest}`, inspect.stdout.trim() === digest);
  await run(`quay-keyless-login status --registry ${registry} ${auth} --for 30m`);
  say("As in the job, it is the image that was pushed, and there is no password. A probe can run status each minute.");

  chapter("It logs out");
  await run("quay-keyless-login logout --session session");
  const changed = differences(before, await readTree(join(pod, "home")));
  expect(`all files are as before (${changed.join(", ")})`, changed.length === 0);
  const left = await start(pod, "ls");
  expect("neither auth file nor session is left", left.stdout === "pulled\nroot.pem\ntokens\n", {
    code: left.code,
    output: left.stdout,
  });
}

/** A home, a folder to work in, and the token as the kubelet lays it out: a renewal changes the link ..data. */
async function furnish(pod: string, token: string, root: string): Promise<void> {
  const tokens = join(pod, "work/tokens");
  for (const folder of ["home", "tmp", "bin", "work/tokens/..2026_11_24"])
    await mkdir(join(pod, folder), { recursive: true });
  await writeFile(join(tokens, "..2026_11_24/quay-token"), token, { mode: 0o440 });
  await symlink("..2026_11_24", join(tokens, "..data"));
  await symlink("..data/quay-token", join(tokens, "quay-token"));
  await writeFile(join(pod, "work/root.pem"), root);
  await symlink(resolve("dist/cli/index.js"), join(pod, "bin/quay-keyless-login"));
}

function start(pod: string, command: string, more: Record<string, string> = {}): Promise<Finished> {
  const [program = "", ...args] = command.split(" ");
  const path = `${join(pod, "bin")}:${dirname(process.execPath)}:${systemPath}`;
  const home = { HOME: join(pod, "home"), TMPDIR: join(pod, "tmp") };
  // skopeo's cache of where layers are is not ours: for a user who is not root it would be in the home.
  const env = { PATH: path, ...home, XDG_DATA_HOME: join(pod, "data"), LANG: "C.UTF-8", ...more };
  return finish(spawn(program, args, { cwd: join(pod, "work"), env, stdio: ["ignore", "pipe", "pipe"] }));
}
