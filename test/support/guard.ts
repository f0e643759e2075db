/** Applies the leak harness to the steps of a job: knows its secrets, and which of its files may hold which of them now. */
import { existsSync, realpathSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { Peers } from "../quay-stand-in/peers.ts";
import type { JobOptions, Step } from "./job.ts";
import { type Entry, findLeaks, type Kind, type Leak, type Secret, secretsIn, unmasked, watch } from "./leaks.ts";
import type { Inputs } from "./runner.ts";

/** A file with a login of the job, until its post step. */
interface LoginFile {
  login: Login;
  path: string;
  kinds: readonly Kind[];
  mode: number;
}

/** A main step and its post step. */
export interface Login {
  readonly inputs: Inputs;
  /** How many robot tokens Quay had given before it: those of earlier steps are foreign to this one. */
  readonly robotsBefore: number;
  session: string | undefined;
}

/** What `Step` does not have of a step, or not in its original form. */
export interface RawTraces {
  stderr: string;
  /** Its children, and processes that it has left running. */
  processes: readonly { argv: readonly string[]; env: string }[];
  state: string;
  env: string;
  before: Map<string, Entry>;
  after: Map<string, Entry>;
}

export interface Guard {
  open(inputs: Inputs): Login;
  check(step: Step, login: Login, script: "main" | "post", traces: RawTraces): Leak[];
}

export function createGuard(
  options: JobOptions,
  place: { temp: string; dockerFiles: (robots: readonly string[]) => readonly string[] },
): Guard {
  const { peers } = options;
  const seen = peers && watch(peers);
  let loginFiles: LoginFile[] = [];

  const authFileOf = ({ inputs, session }: Login) =>
    realPath(inputs["auth-file"] || join(session ?? place.temp, "auth.json"));

  /** The secrets that a successful login has got and should have masked first. */
  function notMasked({ masks }: Step, login: Login, after: Map<string, Entry>): Leak[] {
    const content = after.get(authFileOf(login))?.content ?? "";
    const leaks = unmasked(content, seen?.robot.slice(login.robotsBefore) ?? [], masks);
    // What a command prints is known only to the test that wrote it.
    const { "token-file": file, "token-env": variable, "token-command": command } = login.inputs;
    const identities = variable ? fromEnvironment(options).map(({ value }) => value) : (peers?.github.issued ?? []);
    const asCredential = (value: string) =>
      masks.some((mask) => Buffer.from(mask, "base64").toString("latin1").endsWith(`:${value}`));
    if (peers && !file && !command && !identities.some((value) => masks.includes(value) && asCredential(value))) {
      leaks.push({ where: "masks", what: "an identity token that was not masked, alone and as a credential" });
    }
    return leaks;
  }

  /** Which files may hold which secrets after a main step. */
  function noteLogin(step: Step, login: Login, { before, after }: RawTraces): void {
    const { inputs, session } = login;
    const auth = authFileOf(login);
    const { "auth-file": shared } = step.outputs;
    const files = [auth, ...place.dockerFiles(inputs.robot?.split("\n") ?? []), ...(shared ? [shared] : [])];
    const logins = ["robot", "foreign"] as const;
    if (step.signal !== null) {
      // It had no time to clean up: what it was writing must be private, and the post step must remove it.
      const touched = [...after.keys()].filter((path) => session && path.startsWith(`${session}/`));
      loginFiles.push(...touched.map((path) => ({ login, path, kinds: logins, mode: 0o600 })));
      for (const file of files) {
        const mode = before.get(file)?.mode ?? 0o600;
        const beside = [...after.keys()].filter((path) => path === file || isDraftOf(file, path));
        loginFiles.push(...beside.map((path) => ({ login, path, kinds: logins, mode })));
      }
    } else if (step.outputs["logged-in"] === "true") {
      const kinds = inputs["credential-helper"] === "true" ? (["foreign"] as const) : logins;
      for (const path of files) {
        const asked = path === auth ? inputs["auth-file-mode"] : undefined;
        const mode = asked ? Number.parseInt(asked, 8) : (before.get(path)?.mode ?? 0o600);
        loginFiles.push({ login, path, kinds, mode });
      }
      loginFiles.push({ login, path: join(session ?? place.temp, "session.json"), kinds: ["foreign"], mode: 0o600 });
      if (inputs["credential-helper"] === "true") {
        loginFiles.push({ login, path: join(session ?? place.temp, "cache.json"), kinds: logins, mode: 0o600 });
      }
    }
  }

  return {
    open: (inputs) => ({ inputs, robotsBefore: seen?.robot.length ?? 0, session: undefined }),
    check(step, login, script, traces) {
      if (script === "main") {
        login.session = step.state.session;
        noteLogin(step, login, traces);
      } else if (login.inputs.logout !== "false") {
        loginFiles = loginFiles.filter((each) => each.login !== login);
      }
      const leaks = findLeaks(
        { ...traces, log: step.shown, outputs: step.outputs, summary: step.summary, children: traces.processes },
        knownSecrets(options, login.robotsBefore, traces.before),
        {
          tokenOutput: login.inputs["export-token"] === "true",
          files: (file) => new Set(loginFiles.filter(({ path }) => path === file).flatMap(({ kinds }) => kinds)),
          mode: (file) => loginFiles.find(({ path }) => path === file)?.mode ?? traces.before.get(file)?.mode ?? 0o600,
        },
      );
      return step.outputs["logged-in"] === "true" ? [...leaks, ...notMasked(step, login, traces.after)] : leaks;
    },
  };
}

const fromEnvironment = ({ env = {} }: Pick<JobOptions, "env">) => secretsIn(Object.values(env).join("\n"));

/**
 * Everything that must not appear now.
 * @param options where a test put secrets
 * @param robotsBefore robot tokens that Quay gave earlier: foreign ones
 * @param before files that existed
 */
export function knownSecrets(
  options: Pick<JobOptions, "peers" | "env" | "secrets">,
  robotsBefore: number,
  before: Map<string, Entry>,
): Secret[] {
  const { peers, env = {} } = options;
  const seen = peers && watch(peers);
  const proxies = Object.entries(env).filter(([name]) => /_proxy$/i.test(name));
  return [
    ...(options.secrets ?? []),
    ...[...before.values()].flatMap(({ content }) => secretsIn(content)),
    ...fromEnvironment(options),
    ...proxies.flatMap(([, url]) => passwordOf(url ?? "")),
    ...secretsOf(peers),
    ...(seen?.robot ?? []).map((value, index): Secret => ({ kind: index < robotsBefore ? "foreign" : "robot", value })),
    ...(seen?.registry ?? []).map((value): Secret => ({ kind: "registry", value })),
  ];
}

/** Whether a path is that of a file's new content before its rename. */
export const isDraftOf = (file: string, path: string): boolean =>
  path.startsWith(join(dirname(file), `.${basename(file)}.`)) && path.endsWith(".tmp");

/** The file behind a link; the path itself if it is not a link. */
export const realPath = (path: string): string => (existsSync(path) ? realpathSync(path) : path);

function secretsOf(peers: Peers | undefined): Secret[] {
  if (peers === undefined) return [];
  const { github, quay } = peers;
  return [
    ...github.issued.map((value): Secret => ({ kind: "identity", value })),
    { kind: "request", value: github.env.ACTIONS_ID_TOKEN_REQUEST_TOKEN },
    ...[...quay.store.robots.values()].map(({ token }): Secret => ({ kind: "static", value: token })),
    ...[...quay.store.oauthTokens.keys()].map((value): Secret => ({ kind: "api", value })),
  ];
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function passwordOf(url: string): Secret[] {
  const password = URL.canParse(url) ? new URL(url).password : "";
  return password === "" ? [] : [{ kind: "proxy", value: decoded(password) }];
}
