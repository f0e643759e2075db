/** The Action's main step. */

import { type LoginResult, login } from "../login/login.ts";
import { logout } from "../login/logout.ts";
import { outputsOf, parseExportToken } from "../login/outputs.ts";
import { sourceOf } from "../login/renewal.ts";
import { type LoginRequest, parseRequest } from "../login/request.ts";
import type { FirstLogin } from "../login/workplace.ts";
import { parseTimeout, readOptions } from "../options/reader.ts";
import { type OutputName, outputs } from "../options/table.ts";
import { systemClock } from "../platform/clock.ts";
import { withoutTlsSwitch } from "../platform/environment.ts";
import { ExplainedError, failureObject } from "../platform/errors.ts";
import { run } from "../platform/exit.ts";
import { createPlatform } from "../platform/platform.ts";
import { assertNoSecret } from "../platform/reporter.ts";
import { mention, text } from "../platform/wording.ts";
import { kindOf } from "../quay/scope.ts";
import { readRoots } from "../tools/certificates.ts";
import { createReporter, reportFailure } from "./annotations.ts";
import { startBackground } from "./background.ts";
import { cancellation } from "./cancellation.ts";
import { assertCanBeOnPath, assertGoWithHelper, installHelper } from "./credential-helper.ts";
import { addPath, exportVariable, setOutput, summarize } from "./file-commands.ts";
import { readInputs } from "./inputs.ts";
import { type JobOptions, parseJobOptions, workplaceOf } from "./job.ts";
import { forget, rememberSessions } from "./state.ts";
import { failureSummary, skippedSummary, successSummary } from "./summary.ts";
import { workflowSyntax } from "./syntax.ts";

const env = withoutTlsSwitch(process.env);
const inputs = readInputs();
const reporter = createReporter(workflowSyntax("action"));
let sessionFolder: string | undefined;
let request: LoginRequest | undefined;
let options: JobOptions | undefined;
let close = () => {};

run(main);

async function main(): Promise<void> {
  try {
    const reader = readOptions(inputs);
    options = parseJobOptions(reader);
    const { credentialHelper } = options;
    if (credentialHelper) {
      assertGoWithHelper(reader);
      assertCanBeOnPath(env.RUNNER_TEMP ?? "");
    }
    const wanted = parseRequest(inputs);
    request = credentialHelper ? { ...wanted, tool: "none" } : wanted;
    const exportToken = parseExportToken(reader, request.robots);
    const timeoutSeconds = parseTimeout(reader);
    const caFile = reader.optional("ca-file");
    const roots = await readRoots(caFile);
    const platform = createPlatform({
      env,
      reporter,
      timeoutSeconds,
      extraRoots: roots,
      cancelled: cancellation("the login", "No action is needed."),
    });
    close = platform.close;
    const remember = rememberSessions();
    const workplace = workplaceOf(env, roots, {
      ...(credentialHelper && {
        installHelper: (first: FirstLogin) => installHelper(first, wanted, { inputs, roots }, platform),
      }),
      job: { logout: options.logout, refresh: options.refresh, authFileBefore: env.REGISTRY_AUTH_FILE ?? "" },
      onSession(session) {
        sessionFolder = session.folder;
        remember(session);
      },
    });
    const result = await login(request, workplace, platform);
    if (options.refresh) {
      await startRenewal(result);
    }
    await publish(result, { registry: request.registry, exportToken });
  } catch (error) {
    await removeLogin();
    const mayContinue =
      error instanceof ExplainedError && isWithoutIdentity(error) && options?.withoutIdentity === "skip";
    await (mayContinue && request ? continueWithoutLogin(error, request.registry).catch(fail) : fail(error));
  } finally {
    close();
  }
}

async function continueWithoutLogin(error: ExplainedError, registry: string): Promise<void> {
  reporter.info(text`${error.headline} Continuing without a login (${mention("without-identity", "skip")}).`);
  setOutputs({ "logged-in": "false", registry });
  await summarize(skippedSummary(failureObject(error, reporter)));
}

async function fail(error: unknown): Promise<void> {
  reportFailure(error, reporter);
  if (error instanceof ExplainedError) {
    await summarize(failureSummary(failureObject(error, reporter)));
  }
}

async function publish(result: LoginResult, asked: Parameters<typeof outputsOf>[1]): Promise<void> {
  const { token, ...others } = outputsOf(result, asked);
  assertNoSecret(others, reporter);
  // What docker's builder alone reads is no file of the other tools.
  if (result.session.robots.some(({ scope }) => kindOf(scope) !== "action")) {
    exportVariable("REGISTRY_AUTH_FILE", result.authFile);
  }
  setOutputs({ ...others, token });
  const helper = options?.credentialHelper === true;
  if (helper) {
    addPath(result.session.folder);
  }
  reporter.info(`The ${helper ? "credential helper" : "login"} is in ${result.files.join(" and ")}.`);
  await summarize(successSummary(asked.registry, result, helper));
}

async function startRenewal(result: LoginResult): Promise<void> {
  const order = { env, inputs, sessionFolder: result.session.folder, source: sourceOf(result) };
  await startBackground(order, reporter.holdsSecret);
  reporter.info("A background process renews the login until the post step, which shows its log.");
}

function setOutputs(values: Partial<Record<OutputName, string>>): void {
  for (const { name } of outputs) {
    setOutput(name, values[name] ?? "");
  }
}

/** Removes what a failed login has left, whatever the option logout says. */
async function removeLogin(): Promise<void> {
  const folder = sessionFolder;
  if (folder !== undefined) {
    await logout(folder, { clock: systemClock, reporter, signal: AbortSignal.timeout(30_000) })
      .then(() => forget(folder))
      .catch((error) => reportFailure(error, reporter));
  }
}

function isWithoutIdentity({ code }: ExplainedError): boolean {
  const isOfDependabot = code === "github-permission-missing" && env.GITHUB_ACTOR === "dependabot[bot]";
  return code === "github-fork" || code === "github-dependabot" || isOfDependabot;
}
