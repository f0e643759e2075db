/** docker's builder as a process of its own, without docker (`need_buildkitd` of script/lib.sh). It needs root. */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findBuilt } from "../quay-stand-in/built.ts";
import type { Peers } from "../quay-stand-in/peers.ts";

export interface Builder {
  /** For `buildx create --driver remote`. */
  readonly address: string;
  close(): Promise<void>;
}

/** It trusts the peers' root for their registry, to which it would otherwise talk without TLS. */
export async function startBuilder({ registryHost, caFile }: Peers): Promise<Builder> {
  const program = findBuilt("buildkitd");
  if (program === undefined) throw new Error("buildkitd is missing: script/test --real builds it");
  const folder = await mkdtemp(join(tmpdir(), "quay-keyless-buildkit-"));
  const [socket, configuration] = [join(folder, "socket"), join(folder, "buildkitd.toml")];
  const lines = [
    `root = ${JSON.stringify(join(folder, "state"))}`,
    `grpc = { address = ["unix://${socket}"] }`,
    "[worker.containerd]",
    "enabled = false",
    "[worker.oci]",
    'snapshotter = "native"',
    `[registry.${JSON.stringify(registryHost)}]`,
    "http = false",
    `ca = [${JSON.stringify(caFile)}]`,
  ];
  await writeFile(configuration, `${lines.join("\n")}\n`);
  const child = spawn(program, ["--config", configuration], { stdio: ["ignore", "ignore", "pipe"] });
  let log = "";
  child.stderr.on("data", (text) => {
    log = `${log}${text}`.slice(-10_000);
  });
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const close = async () => {
    child.kill();
    await ended;
    await rm(folder, { recursive: true, force: true });
  };
  for (const end = performance.now() + 20_000; !existsSync(socket); ) {
    if (performance.now() > end || child.exitCode !== null) {
      await close();
      throw new Error(`buildkitd did not start:\n${log}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return { address: `unix://${socket}`, close };
}
