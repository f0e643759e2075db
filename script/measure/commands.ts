/** What is compared: the Action in a job, the command line in a pod, and scripts that do the same. */
import { execFile } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import type { Peers } from "../../test/quay-stand-in/peers.ts";
import { addRobot } from "../../test/quay-stand-in/quay/store.ts";
import { inputVariables, runnerVariables, systemPath } from "../../test/support/runner.ts";
import { parseActionFile, parseFileCommands } from "../../test/support/workflow-commands.ts";
import { startWorkloadApi } from "../../test/support/workload-api.ts";
import { at, type Environment, type Figure, start } from "./run.ts";

/**
 * What is measured, side by side: `ours` against scripts with `jq` or `python`; `best`: curl trusts only the test's root.
 * `other`: the only other Action of this kind. `password`: a stored password.
 * `none`: ours without a tool. `spiffe`: ours with an identity of the Workload API. `skopeo`, `version`, `node`: what every way
 * needs.
 */
export type Name =
  | "ours"
  | "none"
  | "jq"
  | "python"
  | "best"
  | "other"
  | "password"
  | "spiffe"
  | "skopeo"
  | "version"
  | "node";

/** The three ways that are compared everywhere. */
export const ways = ["ours", "jq", "python"] as const;

export interface Setting {
  /** Where it is measured: the Action in a job, the command line in a pod. */
  place: "job" | "pod";
  /** What a round trip costs, milliseconds. */
  delayMs: number;
  robots: number;
  /** Rounds of all commands in turn: noise hits them alike. And runs of each command in a round. */
  rounds: number;
  runs: number;
  names: readonly Name[];
}

export interface Result extends Setting {
  figures: Map<Name, Figure>;
}

export interface Place {
  env: Environment;
  commands: Record<Name, string>;
  /** Back to the same empty folders. */
  prepare: string;
  close(): Promise<void>;
}

const runnerFiles = ["OUTPUT", "ENV", "STATE", "STEP_SUMMARY"];
/** Empty folders, and in them the runner's files. */
const prepare = `rm -rf "$HOME" "$RUNNER_TEMP"
mkdir "$HOME" "$RUNNER_TEMP"
touch ${runnerFiles.map((name) => `"$RUNNER_TEMP/${name}"`).join(" ")}
`;
const cli = `${process.execPath} dist/cli/index.js`;
const systemRoots = "/etc/ssl/certs/ca-certificates.crt";
const spiffeId = "spiffe://example.org/ns/acme/sa/app";

/** A step on GitHub: its variables, the Action's inputs, and the same as words for the scripts. */
export async function enterJob(peers: Peers, robots: number): Promise<Place> {
  const { registryHost, githubEnv } = peers;
  const folders = await makeFolders();
  const event = at("event.json");
  await writeFile(event, "{}");
  const logins =
    robots === 1
      ? [[registryHost, "acme+ci"]]
      : Array.from({ length: robots }, (_, index) => [`${registryHost}/acme/app${index + 1}`, `acme+ci${index + 1}`]);
  const file = parseActionFile(await readFile("action.yml", "utf8"));
  const inputs = {
    registry: registryHost,
    robot: robots === 1 ? "acme+ci" : logins.map((login) => login.join("=")).join("\n"),
    "ca-file": at("root.pem"),
  };
  const env = {
    ...runnerVariables({ ...folders, path: systemPath, event, action: process.cwd() }),
    ...Object.fromEntries(runnerFiles.map((name) => [`GITHUB_${name}`, join(folders.temp, name)])),
    ...githubEnv,
    ...inputVariables(file, inputs, ""),
    XDG_RUNTIME_DIR: at("run"),
    LOGINS: logins.map((login) => login.join(" ")).join("\n"),
  };
  const action = (before: string) => `${before}${process.execPath} dist/main/index.js`;
  /** The identity token once, then each robot in turn. */
  const pipeline = (roots: string, field: Field) => `identity=$(${curl(roots)} \\
  --header "Authorization: bearer $ACTIONS_ID_TOKEN_REQUEST_TOKEN" "$ACTIONS_ID_TOKEN_REQUEST_URL&audience=quay" | ${field("value")})
while read -r scope robot; do
  ${exchange(registryHost, roots, field)}
  ${skopeoLogin('"$robot"', '"$scope"', '<<<"$token"')}
done <<<"$LOGINS"
`;
  const { prepare, commands } = await writeCommands(peers, [action(""), action("env INPUT_TOOL=none ")], pipeline);
  return { env, prepare, commands: { ...commands, ...(await writePeers(peers)) }, close: async () => {} };
}

/** A pod with a projected token, and with SPIFFE's socket. */
export async function enterPod(peers: Peers): Promise<Place> {
  const { registryHost, issuer, quay } = peers;
  const { home, temp } = await makeFolders();
  const exp = Math.floor(Date.now() / 1000) + 3600; // as the kubelet asks for
  await writeFile(at("identity"), await issuer.sign({ exp }));
  addRobot(quay.store, "acme+spiffe", [{ issuer: issuer.url, subject: spiffeId }]);
  const svid = { id: spiffeId, token: await issuer.sign({ exp, sub: spiffeId }) };
  const workloadApi = await startWorkloadApi(at("workload.sock"), { svids: [svid] });

  const login = (robot: string, identity: string) =>
    `${cli} login --registry ${registryHost} --robot ${robot} ${identity} --auth-file ${join(temp, "auth.json")} --ca-file ${at("root.pem")}`;
  const pipeline = (roots: string, field: Field) => `robot=acme+ci
identity=$(cat ${at("identity")})
${exchange(registryHost, roots, field)}
${skopeoLogin('"$robot"', registryHost, '<<<"$token"')}
`;
  const ours = login("acme+ci", `--identity file --token-file ${at("identity")}`);
  const { prepare, commands } = await writeCommands(peers, [ours, `${ours} --tool none`], pipeline);
  return {
    env: { PATH: systemPath, HOME: home, TMPDIR: temp, RUNNER_TEMP: temp, LANG: "C.UTF-8" },
    prepare,
    commands: { ...commands, spiffe: login("acme+spiffe", `--spiffe-socket ${workloadApi.address}`) },
    close: workloadApi.close,
  };
}

async function makeFolders(): Promise<Record<"home" | "temp" | "workspace", string>> {
  const folders = { home: at("home"), temp: at("temp"), workspace: at("workspace") };
  for (const folder of [...Object.values(folders), at("run")]) await mkdir(folder, { recursive: true });
  return folders;
}

type Field = (name: string) => string;

/** All commands; the scripts as a `run:` step or a container has them, each started without a shell in between. */
async function writeCommands(
  { caFile, githubAuthority, quay, registryHost }: Peers,
  [ours, none]: readonly [string, string],
  pipeline: (roots: string, field: Field) => string,
): Promise<Pick<Place, "commands" | "prepare">> {
  const root = await readFile(caFile, "utf8");
  await writeFile(at("root.pem"), root);
  const roots = `${root}\n${githubAuthority.ca}`;
  await writeFile(at("roots.pem"), roots);
  await writeFile(at("bundle.pem"), `${await readFile(systemRoots, "utf8")}\n${roots}`);
  await writeFile(at("token"), await quay.tokens.robotToken("acme+ci"));
  const jq = (field: string) => `jq --raw-output .${field}`;
  const python = (field: string) => `python3 -c 'import json,sys;print(json.load(sys.stdin)["${field}"])'`;
  return {
    prepare: await script("prepare.sh", prepare),
    commands: {
      ours,
      none,
      jq: await script("jq.sh", pipeline("bundle.pem", jq)),
      python: await script("python.sh", pipeline("bundle.pem", python)),
      best: await script("best.sh", pipeline("roots.pem", jq)),
      other: "",
      password: "",
      spiffe: "",
      skopeo: await script("skopeo.sh", skopeoLogin("acme+ci", registryHost, `<${at("token")}`)),
      version: `${cli} --version`,
      node: `${process.execPath} --eval 0`,
    },
  };
}

const curl = (roots: string): string => `curl --silent --show-error --fail --cacert ${at(roots)}`;

/** The article's way, for the robot and the identity token in the variables of these names. */
function exchange(registry: string, roots: string, field: Field): string {
  return `token=$(${curl(roots)} --user "$robot:$identity" https://${registry}/oauth2/federation/robot/token | ${field("token")})`;
}

function skopeoLogin(robot: string, scope: string, input: string): string {
  return `SSL_CERT_FILE=${at("bundle.pem")} skopeo login --authfile "$RUNNER_TEMP/auth.json" \\
    --username ${robot} --password-stdin ${scope} ${input}`;
}

/** What people use on GitHub today, replayed (docs/performance.md). */
async function writePeers({ registryHost, quay, caFile }: Peers): Promise<Record<"other" | "password", string>> {
  const options = ["--no-cache", "--quiet", "--out", at("other")];
  // Not in the project: its tsconfig.json leaves the network out of these packages.
  await promisify(execFile)("ncc", ["build", resolve("script/measure/other-action.mjs"), ...options], { cwd: at(".") });
  await writeFile(at("password"), await quay.tokens.robotToken("acme+ci"));
  const certificate = (await readFile(caFile)).toString("base64");
  const outputs = `while IFS= read -r line; do case $line in "token<<"*) IFS= read -r token ;; esac; done <"$GITHUB_OUTPUT"\n`;
  return {
    other: await script(
      "other.sh",
      `env INPUT_HOSTNAME=${registryHost} INPUT_USERNAME=acme+ci INPUT_TLS-CERTIFICATE-BASE64=${certificate} \\
  ${process.execPath} ${at("other/index.mjs")} >/dev/null
${outputs}${skopeoLogin("acme+ci", registryHost, '<<<"$token"')}
`,
    ),
    password: await script(
      "password.sh",
      `SSL_CERT_FILE=${at("bundle.pem")} docker login --username acme+ci --password-stdin ${registryHost} <${at("password")}\n`,
    ),
  };
}

/** A shell script as a command. */
export async function script(name: string, text: string): Promise<string> {
  await writeFile(at(name), `set -euo pipefail\n${text}`);
  return `bash --noprofile --norc ${at(name)}`;
}

/** Checks that each way logs in as often as it should. */
export async function verify({ env, commands, prepare }: Place, robots: number): Promise<void> {
  for (const name of [...ways, "none", "other", "password", "spiffe"] as const) {
    if (commands[name] === "") continue;
    await start(prepare, env);
    await start(commands[name], env);
    const text = await readFile(env.GITHUB_ENV ?? "", "utf8").catch(() => "");
    const byItself =
      name === "password" ? join(env.HOME ?? "", ".docker/config.json") : join(env.RUNNER_TEMP ?? "", "auth.json");
    const { REGISTRY_AUTH_FILE: file = byItself } = parseFileCommands(text);
    const made = Object.keys(JSON.parse(await readFile(file, "utf8")).auths).length;
    if (made !== robots) throw new Error(`${name} made ${made} logins instead of ${robots}`);
  }
}
