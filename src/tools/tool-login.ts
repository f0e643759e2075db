/** One login by a tool, in a fresh folder: the tool verifies the credential, and no two tools write to one file. */
import { rm } from "node:fs/promises";
import type { AuthEntry } from "../authfile/read.ts";
import { basicCredentials } from "../identity/token.ts";
import { toolEnvironment } from "../platform/child-environment.ts";
import type { Environment } from "../platform/environment.ts";
import { type ErrorCode, ExplainedError, privateAuthority, unreachable } from "../platform/errors.ts";
import { type Running, start } from "../platform/exec.ts";
import { isThere } from "../platform/fs.ts";
import type { Platform } from "../platform/platform.ts";
import { type Attempt, retry } from "../platform/retry.ts";
import { mention, text, type Words } from "../platform/wording.ts";
import type { RobotToken } from "../quay/exchange.ts";
import { remedies } from "../quay/explain.ts";
import type { RobotLogin } from "../quay/scope.ts";
import { whyRefused } from "../registry/access.ts";
import type { Realm } from "../registry/realm.ts";
import { readToolFailure, type ToolWords } from "./failures.ts";
import { explainHelper, withStandIns } from "./helpers.ts";
import { type Program, prepareLogin, readLogin, tools } from "./tools.ts";

export interface ToolLogin {
  /**
   * Gives the tool the robot token and waits until it has logged in.
   * @returns the entry that the tool wrote
   * @throws ExplainedError `login-refused`, `tls-untrusted`, `credential-helper`, `registry-unavailable`, `tool-failed`,
   * `robots-disabled`, or why there is no realm
   */
  finish(token: RobotToken): Promise<AuthEntry>;
  abandon(): Promise<void>;
}

export interface ToolLoginOptions {
  readonly tool: Program;
  readonly registry: string;
  readonly login: RobotLogin;
  /** Does not exist yet; removed afterwards. */
  readonly folder: string;
  /** A folder of root certificates to trust besides the system's. */
  readonly certificates: string | undefined;
  /** Where the tool will send the robot token; it gets none before that is known. */
  readonly realm: () => Promise<Realm>;
  /** A folder of stand-ins for credential helpers. */
  readonly helpers: string | undefined;
}

/** Starts the tool, which waits for the password: its start takes no time once the token has arrived. */
export async function startToolLogin(options: ToolLoginOptions, platform: Platform): Promise<ToolLogin> {
  const { tool, registry, login, folder, certificates, helpers } = options;
  // Where a tool keeps one login per host, a file of its own makes it the login of a repository.
  const scope = tools[tool.name].knowsScopes ? login.scope : registry;
  const launch = async (): Promise<Running> => {
    const args = await prepareLogin(tool, folder, login.robot, scope);
    // Containers tools before 2023 (skopeo 1.9) ask ~/.docker/config.json for its helpers even if --authfile is given.
    const env = {
      ...withStandIns(toolEnvironment(platform.env, platform.reporter.holdsSecret, certificates), helpers),
      DOCKER_CONFIG: folder,
    };
    return start({ file: tool.file, args, env }, platform.signal);
  };
  let ready: Running | undefined = await launch();
  return {
    async abandon() {
      if (ready) {
        await ready.kill();
        await rm(folder, { recursive: true, force: true });
      }
    },
    async finish(credential) {
      const auth = basicCredentials(login.robot, credential.token);
      platform.reporter.secret(auth);
      const realm = await options.realm();
      return retry(platform, `${tool.name} login`, async (): Promise<Attempt<AuthEntry>> => {
        const running = ready ?? (await launch());
        ready = undefined;
        try {
          const { exitCode, output } = await running.finish(credential.token);
          const entry = await readLogin(tool, folder, scope);
          if (exitCode === 0 && entry?.auth === auth) {
            return { value: entry };
          }
          // Mask first, then shorten: a shortened secret would no longer be found.
          const failure = readToolFailure(output.replaceAll(credential.token, "***").replaceAll(auth, "***"));
          return await whyFailed(options, { exitCode, ...failure }, platform, () =>
            whyRefused(registry, credential, realm, platform),
          );
        } finally {
          await rm(folder, { recursive: true, force: true });
        }
      });
    },
  };
}

interface Failed extends ToolWords {
  /** undefined if a signal ended it */
  readonly exitCode: number | undefined;
}

/** Why the login failed: first what is wrong on this machine, then what the tool itself says. */
async function whyFailed(
  options: ToolLoginOptions,
  failed: Failed,
  { env }: Pick<Platform, "env">,
  askQuay: () => Promise<ExplainedError | undefined>,
): Promise<Attempt<AuthEntry>> {
  const { tool, certificates, helpers } = options;
  if (certificates !== undefined && !(await isThere(certificates))) {
    return { retry: "no", error: emptied(certificates) };
  }
  const helper = await explainHelper(tool.name, failed.words, helpers, env);
  if (helper) {
    return { retry: "no", error: helper };
  }
  if (failed.exitCode === 0) {
    return { retry: "no", error: wroteNothing(options) };
  }
  const homeless = tools[tool.name].needsHome && !(await hasHome(env)) ? [needsHome] : [];
  return explainToolFailure(options, failed, homeless, askQuay);
}

/** Another process has emptied the folder during the login: the tool's own message would mislead. */
function emptied(folder: string): ExplainedError {
  return new ExplainedError(
    "auth-file-unusable",
    `The temporary folder was emptied during the login: ${folder} is gone.`,
    {
      remedy: ["Don't delete files there while a login runs, and run the job again."],
    },
  );
}

const another = text`Or choose another tool with the option ${mention("tool")}.`;

function wroteNothing({ tool, login }: ToolLoginOptions): ExplainedError {
  const message = `${tool.name} reported success, but wrote no login for ${login.scope}.`;
  return new ExplainedError("tool-failed", message, {
    remedy: [`Check which ${tool.name} this is: ${tool.file}`, another],
  });
}

const needsHome = text`It may need a home folder: set HOME to one that exists, or use a tool that needs none, ${mention("tool", "skopeo")}`;

const hasHome = async ({ HOME }: Environment): Promise<boolean> => HOME !== undefined && (await isThere(HOME));

/**
 * What a tool's failure means.
 * @param homeless what to do if it may need a home folder
 */
function explainToolFailure(
  { tool, registry, login }: ToolLoginOptions,
  { kind, words, exitCode }: Failed,
  homeless: readonly Words[],
  askQuay: () => Promise<ExplainedError | undefined>,
): Attempt<AuthEntry> {
  const fail = (code: ErrorCode, message: string, ...remedy: Words[]) => new ExplainedError(code, message, { remedy });
  const noOutput = exitCode === undefined ? "it was killed" : "it printed nothing";
  const quoted = `${tool.name} login ${login.scope}: ${words || noOutput}`;
  switch (kind) {
    case "refused": {
      const message = `${registry} does not accept the robot token that Quay has just given. ${quoted}`;
      const error = fail("login-refused", message, remedies.checkRobot(login.robot, registry));
      const examine = async () => {
        const reason = await askQuay();
        return reason && { retry: "no" as const, error: reason };
      };
      return { retry: "no", error, examine };
    }
    case "untrusted": {
      const message = `${tool.name} does not trust the certificate of ${registry}. ${quoted}`;
      return { retry: "no", error: fail("tls-untrusted", message, privateAuthority) };
    }
    case "not-up": {
      const message = `The registry part of Quay at ${registry} is not up, only its web part. ${quoted}`;
      return { retry: "patient", error: fail("registry-unavailable", message, remedies.registryPart) };
    }
    case "passing":
    case "crashed": {
      const message = `The exchange worked, but the registry of ${registry} is not available at the moment. ${quoted}`;
      const error = fail("registry-unavailable", message, remedies.runAgain);
      return { retry: kind === "passing" ? "patient" : "quick", error };
    }
    case "other": {
      const message = `The exchange worked, but the tool's login failed. ${quoted}`;
      const byHand = `Try the same by hand: ${tool.name} login ${login.scope}`;
      return { retry: "no", error: fail("tool-failed", message, ...homeless, byHand, another) };
    }
    default:
      return unreachable(kind);
  }
}
