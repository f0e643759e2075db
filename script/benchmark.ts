// The measuring part of script/benchmark. docs/performance.md says what is compared and how.
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { cpus, loadavg, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { type Peers, startPeers } from "../test/support/peers.ts";
import { inputVariables, runnerVariables, systemPath } from "../test/support/runner.ts";
import { parseActionFile, parseFileCommands } from "../test/support/workflow-commands.ts";

type Environment = Record<string, string>;

/** What is measured, side by side. `best`: curl trusts nothing but the one root. `skopeo`, `node`: what no way can do without. */
const names = ["action", "jq", "python", "best", "skopeo", "node"] as const;
type Name = (typeof names)[number];

interface Setting {
  /** What a round trip costs, milliseconds. */
  delayMs: number;
  robots: number;
  /** Rounds of all commands in turn, so that noise hits them alike, and runs of each command in a round. */
  rounds: number;
  runs: number;
  names: readonly Name[];
}

interface Figure {
  /** Wall clock, milliseconds, of each run. */
  times: number[];
  /** CPU, user and system, milliseconds: the mean. */
  cpu: number;
}

interface Result extends Setting {
  figures: Map<Name, Figure>;
}

interface Extras {
  /** Largest process, MB, by command and number of robots. */
  memory: Map<string, number>;
  post: Figure;
}

const quick = process.argv.includes("--quick");
const ways = ["action", "jq", "python"] as const;
const settings: readonly Setting[] = [
  { delayMs: 0, robots: 1, rounds: quick ? 2 : 5, runs: quick ? 4 : 8, names },
  { delayMs: 0, robots: 5, rounds: quick ? 0 : 3, runs: 3, names: ways },
  { delayMs: 0, robots: 20, rounds: quick ? 1 : 2, runs: quick ? 1 : 2, names: ways },
  { delayMs: 30, robots: 1, rounds: quick ? 2 : 4, runs: quick ? 3 : 6, names },
  { delayMs: 30, robots: 5, rounds: quick ? 0 : 2, runs: 2, names: ways },
  { delayMs: 30, robots: 20, rounds: quick ? 0 : 2, runs: 1, names: ways },
];

const document = "docs/performance.md";
const systemRoots = "/etc/ssl/certs/ca-certificates.crt";
const scratch = await mkdtemp(join(tmpdir(), "quay-keyless-benchmark-"));
const at = (name: string) => join(scratch, name);
const stop = new AbortController();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => stop.abort());

async function main(): Promise<void> {
  const load = loadavg()[0] ?? 0;
  const results: Result[] = [];
  let extras: Extras | undefined;
  for (const delayMs of [0, 30]) {
    const peers = await startPeers({ delayMs, robots: 20, registry: false });
    try {
      for (const setting of settings) {
        if (setting.delayMs !== delayMs || setting.rounds === 0) continue;
        progress(`${delayMs} ms a round trip, ${count(setting.robots)}`);
        results.push({ ...setting, figures: await measure(setting, peers) });
      }
      if (delayMs === 0) {
        progress("memory and the post step");
        extras = { memory: await measureMemory(peers), post: await measurePost(peers) };
      }
    } finally {
      await peers.close();
    }
  }
  if (extras === undefined) return;
  const report = [await describeMachine(load), table(results), await others(results, extras), aims(results)].join(
    "\n\n",
  );
  console.log(report);
  if (!quick) await intoDocument(report);
}

/** All commands of a setting by turns, each from the same empty state. */
async function measure(setting: Setting, peers: Peers): Promise<Map<Name, Figure>> {
  const env = await environment(setting.robots, peers);
  const commands = await writeCommands(peers);
  if (setting.robots < 20) await verify(commands, env, setting); // also warms up; takes too long for 20
  const figures = new Map<Name, Figure>(setting.names.map((name) => [name, { times: [], cpu: 0 }]));
  for (let round = 0; round < setting.rounds; round++) {
    const measured = await hyperfine(
      commands.prepare,
      setting.names.map((name) => commands[name]),
      setting.runs,
      env,
    );
    for (const [index, figure] of [...figures.values()].entries()) {
      figure.times.push(...(measured[index]?.times ?? []));
      figure.cpu += (measured[index]?.cpu ?? 0) / setting.rounds;
    }
  }
  return figures;
}

async function hyperfine(prepare: string, commands: readonly string[], runs: number, env: Environment) {
  const results = at("results.json");
  const options = ["--shell=none", "--style=none", `--runs=${runs}`, `--export-json=${results}`];
  await go("hyperfine", [...options, "--prepare", prepare, ...commands], env);
  const measured: { times: number[]; user: number; system: number }[] = JSON.parse(
    await readFile(results, "utf8"),
  ).results;
  return measured.map(
    ({ times, user, system }): Figure => ({
      times: times.map((seconds) => seconds * 1000),
      cpu: (user + system) * 1000,
    }),
  );
}

/** One environment for all: a step's on GitHub, the Action's inputs, and the same in words for the scripts. */
async function environment(robots: number, { registryHost, githubEnv }: Peers): Promise<Environment> {
  const [home, temp, workspace, event] = ["home", "temp", "workspace", "event.json"].map(at) as [
    string,
    string,
    string,
    string,
  ];
  for (const folder of [home, temp, workspace, at("run")]) await mkdir(folder, { recursive: true });
  await writeFile(event, "{}");
  const logins =
    robots === 1
      ? [[registryHost, "acme+ci"]]
      : Array.from({ length: robots }, (_, index) => [`${registryHost}/acme/app${index + 1}`, `acme+ci${index + 1}`]);
  const action = parseActionFile(await readFile("action.yml", "utf8"));
  const inputs = {
    registry: registryHost,
    robot: robots === 1 ? "acme+ci" : logins.map((login) => login.join("=")).join("\n"),
    "ca-file": at("root.pem"),
  };
  return {
    ...runnerVariables({ home, temp, workspace, path: systemPath, event, action: process.cwd() }),
    ...Object.fromEntries(
      ["OUTPUT", "ENV", "STATE", "STEP_SUMMARY"].map((name) => [`GITHUB_${name}`, join(temp, name)]),
    ),
    ...githubEnv,
    ...inputVariables(action, inputs, ""),
    XDG_RUNTIME_DIR: at("run"),
    LOGINS: logins.map((login) => login.join(" ")).join("\n"),
  };
}

/** All commands; the scripts as a `run:` step has them, each started without a shell in between. */
async function writeCommands({ caFile, quay, registryHost }: Peers): Promise<Record<Name | "prepare", string>> {
  const root = await readFile(caFile, "utf8");
  await writeFile(at("root.pem"), root);
  await writeFile(at("bundle.pem"), `${await readFile(systemRoots, "utf8")}\n${root}`);
  await writeFile(at("token"), await quay.tokens.robotToken("acme+ci"));
  const jq = (field: string) => `jq --raw-output .${field}`;
  const python = (field: string) => `python3 -c 'import json,sys;print(json.load(sys.stdin)["${field}"])'`;
  return {
    action: `${process.execPath} dist/main/index.js`,
    jq: await script("jq.sh", pipeline(registryHost, "bundle.pem", jq)),
    python: await script("python.sh", pipeline(registryHost, "bundle.pem", python)),
    best: await script("best.sh", pipeline(registryHost, "root.pem", jq)),
    skopeo: await script("skopeo.sh", skopeoLogin("acme+ci", registryHost, `<${at("token")}`)),
    node: `${process.execPath} --eval 0`,
    prepare: await script("prepare.sh", 'rm -rf "$HOME" "$RUNNER_TEMP"\nmkdir "$HOME" "$RUNNER_TEMP"\n'),
  };
}

/** The article's way: the identity token once, then each robot in turn. */
function pipeline(registry: string, roots: string, field: (name: string) => string): string {
  const curl = `curl --silent --show-error --fail --cacert ${at(roots)}`;
  return `identity=$(${curl} --header "Authorization: bearer $ACTIONS_ID_TOKEN_REQUEST_TOKEN" \\
  "$ACTIONS_ID_TOKEN_REQUEST_URL&audience=quay" | ${field("value")})
while read -r scope robot; do
  token=$(${curl} --user "$robot:$identity" https://${registry}/oauth2/federation/robot/token | ${field("token")})
  ${skopeoLogin('"$robot"', '"$scope"', '<<<"$token"')}
done <<<"$LOGINS"
`;
}

function skopeoLogin(robot: string, scope: string, input: string): string {
  return `SSL_CERT_FILE=${at("bundle.pem")} skopeo login --authfile "$RUNNER_TEMP/auth.json" \\
    --username ${robot} --password-stdin ${scope} ${input}`;
}

async function script(name: string, text: string): Promise<string> {
  await writeFile(at(name), `set -euo pipefail\n${text}`);
  return `bash --noprofile --norc ${at(name)}`;
}

/** Each way does log in, as often as it should. */
async function verify(commands: Record<string, string>, env: Environment, setting: Setting): Promise<void> {
  for (const name of ways) {
    await start(commands.prepare ?? "", env);
    await start(commands[name] ?? "", env);
    const text = await readFile(env.GITHUB_ENV ?? "", "utf8").catch(() => "");
    const { REGISTRY_AUTH_FILE: file = join(env.RUNNER_TEMP ?? "", "auth.json") } = parseFileCommands(text);
    const made = Object.keys(JSON.parse(await readFile(file, "utf8")).auths).length;
    if (made !== setting.robots) throw new Error(`${name} made ${made} logins instead of ${setting.robots}`);
  }
}

async function measureMemory(peers: Peers): Promise<Map<string, number>> {
  const commands = await writeCommands(peers);
  const wrapper = `import resource,subprocess,sys
subprocess.run(sys.argv[1:],check=True,stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)`;
  const memory = new Map<string, number>();
  for (const robots of [1, 20]) {
    const env = await environment(robots, peers);
    for (const name of ways) {
      await start(commands.prepare, env);
      const kilobytes = await go("python3", ["-c", wrapper, ...commands[name].split(" ")], env);
      memory.set(`${name} ${robots}`, Number(kilobytes) / 1000);
    }
  }
  return memory;
}

/** The post step after a login of one robot. */
async function measurePost(peers: Peers): Promise<Figure> {
  const env = await environment(1, peers);
  const commands = await writeCommands(peers);
  const prepare = await script("before-post.sh", `bash ${at("prepare.sh")}\n${commands.action} >/dev/null\n`);
  const find = `while IFS= read -r line; do [[ $line != "$RUNNER_TEMP"/* ]] || session=$line; done <"$GITHUB_STATE"\n`;
  const post = await script(
    "post.sh",
    `${find}STATE_session=$session STATE_logout=true exec ${process.execPath} dist/post/index.js\n`,
  );
  const [figure] = await hyperfine(prepare, [post], quick ? 3 : 15, env);
  if (figure === undefined) throw new Error("hyperfine has no result");
  return figure;
}

async function describeMachine(load: number): Promise<string> {
  const version = async (program: string, ...args: string[]) => {
    const text = await go(program, args.length > 0 ? args : ["--version"], { PATH: systemPath });
    return /\d+(\.\d+)+/.exec(text)?.[0] ?? "?";
  };
  const versions = ["skopeo", "curl", "jq", "python3", "bash", "hyperfine"].map(
    async (program) => `${program} ${await version(program)}`,
  );
  const model = cpus()[0]?.model.replaceAll(/\s+/g, " ") ?? "unknown CPU";
  return `Measured on ${new Date().toISOString().slice(0, 10)}: ${model}, ${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GiB.
Node ${process.versions.node}, ${(await Promise.all(versions)).join(", ")}.
Load when it began: ${load.toFixed(1)}. Wall clock, medians, in milliseconds.`;
}

function table(results: readonly Result[]): string {
  const rows = results.map(({ delayMs, robots, figures }) => {
    const action = typical(figures.get("action"));
    const cell = (name: Name) => {
      const other = typical(figures.get(name));
      return figures.has(name) ? `${other.toFixed(0)} | ${(action / other).toFixed(2)}` : "– | –";
    };
    return `| ${delayMs} | ${robots} | ${action.toFixed(0)} | ${cell("jq")} | ${cell("python")} | ${cell("best")} |`;
  });
  return [
    "| round trip | robots | this Action | curl, jq | ratio | curl, python3 | ratio | curl with one root, jq | ratio |",
    "|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ...rows,
  ].join("\n");
}

async function others(results: readonly Result[], { memory, post }: Extras): Promise<string> {
  const one = results.filter(({ robots }) => robots === 1).map(({ figures }) => figures);
  const each = (name: Name) => one.map((figures) => typical(figures.get(name)).toFixed(0)).join(" and ");
  const cpu = (name: Name) => one[0]?.get(name)?.cpu.toFixed(0);
  const megabytes = (robots: number) => ways.map((name) => `${memory.get(`${name} ${robots}`)?.toFixed(0)}`).join(", ");
  const kilobytes = async (name: string) => ((await stat(`dist/${name}/index.js`)).size / 1000).toFixed(0);
  return [
    "| besides | |",
    "|---|---|",
    `| skopeo login alone, at 0 and 30 ms | ${each("skopeo")} ms |`,
    `| Node's own start | ${typical(one[0]?.get("node")).toFixed(0)} ms |`,
    `| CPU for one robot: this Action; curl, jq; curl, python3 | ${ways.map(cpu).join(", ")} ms |`,
    `| largest process, one robot: the same three | ${megabytes(1)} MB |`,
    `| largest process, 20 robots | ${megabytes(20)} MB |`,
    `| post step | ${typical(post).toFixed(0)} ms, ${post.cpu.toFixed(0)} ms of CPU |`,
    `| bundle: main, post | ${await kilobytes("main")}, ${await kilobytes("post")} kB |`,
  ].join("\n");
}

function aims(results: readonly Result[]): string {
  const time = (delayMs: number, robots: number, name: Name = "action") =>
    typical(results.find((each) => each.delayMs === delayMs && each.robots === robots)?.figures.get(name));
  const aim = (what: string, ratio: number, most: number) =>
    Number.isNaN(ratio)
      ? []
      : [`- ${what}: ${ratio.toFixed(2)} times, aim ${most}: ${ratio <= most ? "reached" : "**missed**"}`];
  return [
    ...aim("one robot against curl and jq, 0 ms", time(0, 1) / time(0, 1, "jq"), 1.4),
    ...aim("one robot against curl and jq, 30 ms", time(30, 1) / time(30, 1, "jq"), 0.95),
    ...aim("20 robots against one, 0 ms", time(0, 20) / time(0, 1), 2),
    ...aim("20 robots against one, 30 ms", time(30, 20) / time(30, 1), 2),
  ].join("\n");
}

async function intoDocument(report: string): Promise<void> {
  const text = await readFile(document, "utf8");
  const figures = /(<!-- figures: written by script\/benchmark -->\n)[\s\S]*(\n<!-- end of figures -->)/;
  if (!figures.test(text)) throw new Error(`${document} has lost the place for the figures`);
  await writeFile(
    document,
    text.replace(figures, (_, before, after) => `${before}\n${report}\n${after}`),
  );
  progress(`written into ${document}`);
}

/** The median: a single run that something else has slowed down does not move it. */
function typical(figure: Figure | undefined): number {
  const sorted = figure?.times.toSorted((a, b) => a - b) ?? [];
  const middle = sorted.length / 2;
  const [low = Number.NaN, high = Number.NaN] = [sorted[Math.ceil(middle) - 1], sorted[Math.floor(middle)]];
  return (low + high) / 2;
}

async function start(command: string, env: Environment): Promise<string> {
  const [program = "", ...args] = command.split(" ");
  return go(program, args, env);
}

async function go(program: string, args: readonly string[], env: Environment): Promise<string> {
  return (await promisify(execFile)(program, args, { env, signal: stop.signal })).stdout;
}

const count = (robots: number): string => (robots === 1 ? "1 robot" : `${robots} robots`);

const progress = (text: string): void => console.error(text);

try {
  await main();
} catch (error) {
  if (!stop.signal.aborted) throw error;
  process.exitCode = 130;
} finally {
  await rm(scratch, { recursive: true, force: true });
}
