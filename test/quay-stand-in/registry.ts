/**
 * Real registries on loopback, behind a stand-in. Debian's docker-registry (distribution 2.8.2) verifies for itself every
 * bearer token that the stand-in's `/v2/auth` issued; it has no API for referrers. go-containerregistry's has it, and
 * checks no tokens: the stand-in does.
 */
import { execFile, spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { findBuilt } from "./built.ts";
import type { Quay } from "./quay/server.ts";

export type RegistryKind = "2.8.2" | "referrers";

export interface Registry {
  port: number;
  close(): Promise<void>;
}

/** Starts one behind a stand-in. */
export async function startRegistry(quay: Quay, kind: RegistryKind = "2.8.2"): Promise<Registry> {
  const registry = await (kind === "2.8.2" ? startDistribution(quay) : startWithReferrers());
  quay.attachRegistry({ port: registry.port, checksTokens: kind === "2.8.2" });
  return registry;
}

/**
 * The token's key is found by the `kid` (libtrust's fingerprint, see quay/tokens.ts) among the certificates of
 * `rootcertbundle`, so that certificate may sign itself.
 */
async function startDistribution(quay: Quay): Promise<Registry> {
  const folder = await mkdtemp(join(tmpdir(), "quay-keyless-registry-"));
  const at = (name: string) => join(folder, name);
  await writeFile(at("token.key"), quay.tokens.privateKey, { mode: 0o600 });
  const subject = ["-subj", "/CN=quay", "-days", "2"];
  await promisify(execFile)("openssl", [
    ...["req", "-x509", "-new", "-key", at("token.key"), ...subject, "-out", at("token.crt")],
  ]);
  await rm(at("token.key"));
  const config = {
    version: "0.1",
    log: { level: "info", formatter: "json", accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: at("storage") }, delete: { enabled: true } },
    // `host` is what Location headers are made from: the public address.
    http: { addr: "127.0.0.1:0", host: quay.url, secret: "the uploads of a test" },
    auth: {
      token: {
        realm: `${quay.url}/v2/auth`,
        service: quay.host,
        issuer: "quay",
        rootcertbundle: at("token.crt"),
      },
    },
  };
  // JSON is YAML.
  await writeFile(at("config.yml"), JSON.stringify(config));

  return run('docker-registry serve "$1/config.yml" & cat >/dev/null; kill $!; wait; rm -rf "$1"', folder);
}

/** One that asks for no login. The program of test/quay-stand-in/referrers, built by `need_referrers_registry` of script/lib.sh. */
export async function startWithReferrers(): Promise<Registry> {
  const program = findBuilt("referrers-registry");
  if (program === undefined) throw new Error("there is no referrers-registry here: script/test builds it");
  return run('"$1" & cat >/dev/null; kill $!; wait', program);
}

/** The shell runs until its standard input closes: when this process ends in any way, the registry does too. */
async function run(script: string, argument: string): Promise<Registry> {
  const child = spawn("sh", ["-c", script, "registry", argument], {
    stdio: ["pipe", "ignore", "pipe"],
    // A terminal's Ctrl-C must not reach this shell: it cleans up when its standard input ends.
    detached: true,
  });
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const close = () => {
    child.stdin.end();
    return ended;
  };
  try {
    return { port: await readPort(child.stderr), close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** The registry prints where it listens: `listening on 127.0.0.1:44321`. */
function readPort(stderr: NodeJS.ReadableStream): Promise<number> {
  return new Promise((resolve, reject) => {
    let log = "";
    const give = (problem: string) => reject(new Error(`the registry ${problem}:\n${log}`));
    const timer = setTimeout(give, 10_000, "did not start in 10 s");
    stderr.on("data", (chunk) => {
      log = `${log}${chunk}`.slice(-10_000);
      const [, port] = /listening on 127\.0\.0\.1:(\d+)/.exec(log) ?? [];
      const failed = /level=fatal|"fatal"|panic:|not found/.test(log);
      if (port === undefined && !failed) return;
      clearTimeout(timer);
      if (port === undefined) give("failed");
      else resolve(Number(port));
    });
  });
}
