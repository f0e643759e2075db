/** What a `get` of the credential helper costs that needs no network, against Node's own start. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, open, readFile, writeFile } from "node:fs/promises";
import type { Peers } from "../../test/quay-stand-in/peers.ts";
import { systemPath } from "../../test/support/runner.ts";
import { at, type Environment, type Figure } from "./run.ts";

export interface HelperCost {
  /** For a host that is not configured. */
  readonly foreign: Figure;
  /** With a token in the cache; the identity token is in a file. */
  readonly ofFile: Figure;
  /** The same, in a variable. */
  readonly ofVariable: Figure;
  readonly node: Figure;
}

export async function measureHelper(peers: Peers, runs: number): Promise<HelperCost> {
  const runtime = at("helper");
  await mkdir(runtime);
  await chmod(runtime, 0o700);
  const token = await peers.issuer.sign({ exp: Math.floor(Date.now() / 1000) + 3600 });
  await writeFile(at("helper/token"), token, { mode: 0o600 });
  await writeFile(at("helper/root.pem"), await readFile(peers.caFile));
  await writeFile(at("helper/ours"), peers.registryHost);
  await writeFile(at("helper/foreign"), "registry.example.com");
  const common = {
    PATH: systemPath,
    XDG_RUNTIME_DIR: runtime,
    QUAY_KEYLESS_REGISTRY: peers.registryHost,
    QUAY_KEYLESS_ROBOT: "acme+ci",
    QUAY_KEYLESS_CA_FILE: at("helper/root.pem"),
  };
  const file = { ...common, QUAY_KEYLESS_TOKEN_FILE: at("helper/token") };
  const variable = { ...common, QUAY_KEYLESS_TOKEN_ENV: "MY_TOKEN", MY_TOKEN: token };
  const get = ["dist/helper/index.js", "get"];
  const cases = {
    foreign: { args: get, input: at("helper/foreign"), env: file, exit: 1 },
    ofFile: { args: get, input: at("helper/ours"), env: file, exit: 0 },
    ofVariable: { args: get, input: at("helper/ours"), env: variable, exit: 0 },
    node: { args: ["--eval", "0"], input: "/dev/null", env: common, exit: 0 },
  } as const;
  const cost = { foreign: none(), ofFile: none(), ofVariable: none(), node: none() };
  const before = peers.quay.requests.length;
  for (let run = 0; run <= runs; run++) {
    for (const name of Object.keys(cases) as (keyof typeof cases)[]) {
      const milliseconds = await timeOf(cases[name]);
      // The first one fills the cache.
      if (run > 0) cost[name].times.push(milliseconds);
    }
  }
  const exchanges = peers.quay.requests.slice(before).filter(({ path }) => path.startsWith("/oauth2")).length;
  if (exchanges !== 2) throw new Error(`the helper exchanged ${exchanges} tokens: the cache was not used`);
  return cost;
}

const none = (): Figure => ({ times: [], cpu: 0, servers: 0 });

interface Call {
  readonly args: readonly string[];
  /** A file. */
  readonly input: string;
  readonly env: Environment;
  readonly exit: number;
}

/** hyperfine gives no standard input without a shell. */
async function timeOf({ args, input, env, exit }: Call): Promise<number> {
  const stdin = await open(input);
  const began = performance.now();
  const child = spawn(process.execPath, args, { env, stdio: [stdin.fd, "ignore", "ignore"] });
  const [code] = await once(child, "exit");
  const milliseconds = performance.now() - began;
  await stdin.close();
  if (code !== exit) throw new Error(`${args.join(" ")} ended with ${code}, not ${exit}`);
  return milliseconds;
}
