/** The Action that sets what the robots of an organization trust. */

import { readOptions, requireOptions } from "../options/reader.ts";
import { type FederationOutputName, federationOutputs } from "../options/table.ts";
import { withoutTlsSwitch } from "../platform/environment.ts";
import { ExplainedError, failureObject, reworded } from "../platform/errors.ts";
import { run } from "../platform/exit.ts";
import { FileFailure, maxSize, readTextWithin } from "../platform/files.ts";
import { parseObject } from "../platform/json.ts";
import { quoted } from "../platform/markdown.ts";
import { createPlatform, type Platform } from "../platform/platform.ts";
import { assertNoSecret } from "../platform/reporter.ts";
import { type Words, written } from "../platform/wording.ts";
import { readRoots } from "../tools/certificates.ts";
import { type Federation, federate } from "../trust/federate.ts";
import { isRobotDifferent } from "../trust/plan.ts";
import { objectOf, reportOf } from "../trust/report.ts";
import { type FederateRequest, type FileRequest, isOfFile, parseFederateRequest } from "../trust/request.ts";
import { review } from "../trust/review.ts";
import { createReporter, reportFailure } from "./annotations.ts";
import { readBaseFile } from "./base-file.ts";
import { cancellation } from "./cancellation.ts";
import { federationFailureSummary, federationSummary } from "./federation-summary.ts";
import { setOutput, summarize } from "./file-commands.ts";
import { readInputs } from "./inputs.ts";
import { type Base, type Run, refuseToken, stageOf } from "./stage.ts";
import { workflowSyntax } from "./syntax.ts";

const env = withoutTlsSwitch(process.env);
const reporter = createReporter(workflowSyntax("federate-action"));

run(main);

async function main(): Promise<void> {
  try {
    const inputs = readInputs("federate-action");
    const reader = readOptions(inputs);
    // Before anything can fail: an error quotes what it is about.
    const variable = reader.text("api-token-env");
    const token = env[variable]?.trim();
    if (token) {
      reporter.secret(token);
    }
    const stage = stageOf(await readRun());
    if (stage.kind === "review") {
      refuseToken(stage.event, {
        variable: token ? variable : undefined,
        file: reader.optional("api-token-file"),
      });
    }
    requireOptions(reader, { file: "quay-trust.yaml" });
    const federation = await withPlatform(parseFederateRequest(inputs), (request, platform) =>
      stage.kind === "live" ? federate(request, platform) : reviewFile(request, stage.base, platform),
    );
    await publish(federation, reader.text("file"));
  } catch (error) {
    const failure = inWorkflow(error);
    reportFailure(failure, reporter);
    if (failure instanceof ExplainedError) {
      await summarize(federationFailureSummary(failureObject(failure, reporter)));
    }
  }
}

/** A secret that a job does not get is an empty variable. */
function inWorkflow(error: unknown): unknown {
  if (!(error instanceof ExplainedError && /^api-token-(?:not-found|unusable)$/.test(error.code))) {
    return error;
  }
  const example = `env: QUAY_API_TOKEN: \${{ secrets.QUAY_API_TOKEN }}`;
  const hint = `At this step: ${example}. A job gets the secrets of an environment only if it names that environment.`;
  return reworded(error, { remedy: (lines) => [hint, ...lines] });
}

/** GitHub's variables and payload. A payload that can't be read names neither branch nor commits. */
async function readRun(): Promise<Run> {
  const { GITHUB_EVENT_NAME: event = "", GITHUB_REF: ref = "", GITHUB_SHA: commit = "" } = env;
  const payload = await readTextWithin(env.GITHUB_EVENT_PATH ?? "", maxSize.event).then(parseObject, (error) => {
    if (error instanceof FileFailure) {
      return undefined;
    }
    throw error;
  });
  return { event, ref, commit, payload: payload ?? {} };
}

async function withPlatform(
  request: FederateRequest,
  work: (request: FileRequest, platform: Platform) => Promise<Federation>,
): Promise<Federation> {
  if (!isOfFile(request)) {
    throw new Error("The inputs of the Action are those of a file.");
  }
  const platform = createPlatform({
    env,
    reporter,
    timeoutSeconds: request.timeoutSeconds,
    work: "The step",
    extraRoots: await readRoots(request.caFile),
    cancelled: cancellation("the step", "Run the same again: it does what is left."),
  });
  try {
    return await work(request, platform);
  } finally {
    platform.close();
  }
}

function reviewFile(request: FileRequest, base: Base, platform: Platform): Promise<Federation> {
  const { path } = request.source;
  return review(
    request,
    async () => {
      const { commit, content } = await readBaseFile(path, base, platform);
      reporter.info(
        content === undefined
          ? `${path} is new: the base branch, at ${commit}, does not have it.`
          : `Compares ${path} with the base branch, at ${commit}.`,
      );
      return content;
    },
    platform,
  );
}

/** Publishes what was done, even if not all of it was. */
async function publish(federation: Federation, file: string): Promise<void> {
  const say = (words: Words) => written(words, reporter.syntax);
  const lines = reportOf(federation, say);
  const { plan, failure } = federation;
  // Outputs have a limit of 1 MB. Who reads this one wants what differs.
  const differing: Federation = { ...federation, plan: { ...plan, robots: plan.robots.filter(isRobotDifferent) } };
  const { changed, drift = "", ...others } = objectOf(differing, say);
  const outputs: Record<FederationOutputName, string> = {
    changed: String(changed),
    drift: String(drift),
    plan: JSON.stringify(others),
  };
  const summary = federationSummary(federation, { file, lines, say });
  assertNoSecret({ ...outputs, summary }, reporter);
  lines.forEach(reporter.info);
  for (const { name } of federationOutputs) {
    setOutput(name, outputs[name]);
  }
  await summarize(failure ? summary + quoted(failureObject(failure, reporter)) : summary);
  if (failure) {
    reportFailure(failure, reporter);
  }
}
