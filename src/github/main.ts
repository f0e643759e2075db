/** The Action's main step. */

import { type LoginResult, login } from "../login/login.ts";
import { logout } from "../login/logout.ts";
import { outputsOf } from "../login/outputs.ts";
import { sourceOf } from "../login/renewal.ts";
import { type LoginRequest, parseRequest } from "../login/request.ts";
import { type OutputName, outputs } from "../options/table.ts";
import { systemClock } from "../platform/clock.ts";
import { withoutTlsSwitch } from "../platform/environment.ts";
import { ExplainedError } from "../platform/errors.ts";
import { abandonLookUps } from "../platform/exit.ts";
import { createPlatform } from "../platform/platform.ts";
import { assertNoSecret, withoutSecretsOf } from "../platform/reporter.ts";
import { readRoots } from "../tools/certificates.ts";
import { createReporter, reportFailure } from "./annotations.ts";
import { startBackground } from "./background.ts";
import { cancellation } from "./cancellation.ts";
import { readInputs, workplaceOf } from "./job.ts";
import { createRunner } from "./runner.ts";
import { forget, rememberIn } from "./state.ts";
import { failureSummary, skippedSummary, successSummary } from "./summary.ts";

const env = withoutTlsSwitch(process.env);
const runner = createRunner(env);
const reporter = createReporter(runner);
let sessionFolder: string | undefined;
let request: LoginRequest | undefined;
let close = () => {};

try {
  request = parseRequest(readInputs(runner));
  const roots = request.caFile === undefined ? undefined : await readRoots(request.caFile);
  const platform = createPlatform({
    env,
    reporter,
    timeoutSeconds: request.timeoutSeconds,
    extraRoots: roots,
    cancelled: cancellation("the login", "Nothing is left to do."),
  });
  close = platform.close;
  const remember = rememberIn(runner);
  const workplace = workplaceOf(env, roots, {
    job: { logout: request.logout, refresh: request.refresh, authFileBefore: env.REGISTRY_AUTH_FILE ?? "" },
    onSession(session) {
      sessionFolder = session.folder;
      remember(session);
    },
  });
  const result = await login(request, workplace, platform);
  if (request.refresh) {
    await keepAlive(result);
  }
  publish(request, result);
} catch (error) {
  await takeBack();
  if (error instanceof ExplainedError && isWithoutIdentity(error) && request?.withoutIdentity === "skip") {
    goOnWithout(error, request);
  } else {
    fail(error);
  }
} finally {
  close();
  setImmediate(abandonLookUps);
}

function goOnWithout(error: ExplainedError, { registry }: LoginRequest): void {
  reporter.info(`${error.message} Going on logged out (without-identity: skip).`);
  try {
    setOutputs({ "logged-in": "false", registry });
    runner.summarize(skippedSummary(error));
  } catch (problem) {
    fail(problem);
  }
}

function fail(error: unknown): void {
  reportFailure(runner, error);
  if (error instanceof ExplainedError) {
    runner.summarize(failureSummary(withoutSecretsOf(reporter, error)));
  }
}

function publish(request: LoginRequest, result: LoginResult): void {
  const { token, ...others } = outputsOf(request, result);
  assertNoSecret(others, reporter);
  runner.set("GITHUB_ENV", "REGISTRY_AUTH_FILE", result.authFile);
  setOutputs({ ...others, token });
  reporter.info(`The login stands in ${result.files.join(" and ")}.`);
  runner.summarize(successSummary(request.registry, result));
}

async function keepAlive(result: LoginResult): Promise<void> {
  await startBackground({ env, sessionFolder: result.session.folder, source: sourceOf(result) }, reporter.holdsSecret);
  reporter.info("The login is kept alive in the background until the post step, which shows what that did.");
}

function setOutputs(values: Partial<Record<OutputName, string>>): void {
  for (const { name } of outputs) {
    runner.set("GITHUB_OUTPUT", name, values[name] ?? "");
  }
}

/** What a failed login has left goes at once, whatever the option logout says. */
async function takeBack(): Promise<void> {
  if (sessionFolder !== undefined) {
    await logout(sessionFolder, { clock: systemClock, reporter, signal: AbortSignal.timeout(30_000) })
      .then(() => forget(runner))
      .catch((error) => reportFailure(runner, error));
  }
}

function isWithoutIdentity({ code }: ExplainedError): boolean {
  const isOfDependabot = code === "github-permission-missing" && env.GITHUB_ACTOR === "dependabot[bot]";
  return code === "github-fork" || code === "github-dependabot" || isOfDependabot;
}
