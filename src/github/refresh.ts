/** The background process of `refresh: true`: renews main's login until post or the end of the job ends it. */
import { text } from "node:stream/consumers";
import { login } from "../login/login.ts";
import { renewUntilStopped } from "../login/renewal.ts";
import { parseRequest } from "../login/request.ts";
import { readSession, type Session } from "../login/session.ts";
import { parseTimeout, readOptions } from "../options/reader.ts";
import { systemClock } from "../platform/clock.ts";
import { withoutTlsSwitch } from "../platform/environment.ts";
import { asExplainedError, ExplainedError, failureObject, formatError } from "../platform/errors.ts";
import { run } from "../platform/exit.ts";
import { createPlatform } from "../platform/platform.ts";
import { explanationUrl } from "../platform/project.ts";
import { createSecrets, type Reporter } from "../platform/reporter.ts";
import { oneLine, plain } from "../platform/text.ts";
import { written } from "../platform/wording.ts";
import { readRoots } from "../tools/certificates.ts";
import { noteLapse, type Order } from "./background.ts";
import { workplaceOf } from "./job.ts";
import { workflowSyntax } from "./syntax.ts";

withoutTlsSwitch(process.env);
const stopped = new AbortController();
process.once("SIGTERM", () =>
  stopped.abort(new ExplainedError("cancelled", "Received SIGTERM, stopping.", { remedy: [] })),
);
const reporter = createLog();

run(main);

async function main(): Promise<void> {
  const order: Order = JSON.parse(await text(process.stdin));
  try {
    await renew(order);
  } catch (error) {
    if (error !== stopped.signal.reason) {
      const failure = formatError(failureObject(asExplainedError(error), reporter));
      reporter.warning(failure);
      await noteLapse(order.sessionFolder, failure);
      process.exitCode = 1;
    }
  }
}

async function renew({ env, inputs, sessionFolder, source }: Order): Promise<void> {
  const reader = readOptions(inputs);
  const request = parseRequest(inputs);
  const timeoutSeconds = parseTimeout(reader);
  const caFile = reader.optional("ca-file");
  const roots = await readRoots(caFile);
  const session = await readSession(sessionFolder);
  if (session === undefined) {
    return;
  }
  const renewOnce = async (current: Session): Promise<Session> => {
    const platform = createPlatform({ env, reporter, timeoutSeconds, extraRoots: roots, cancelled: stopped.signal });
    try {
      return (
        await login(request, workplaceOf(env, roots, { job: session.job, onSession: () => {} }), platform, current)
      ).session;
    } finally {
      platform.close();
    }
  };
  const onLapsed = (lapse: ExplainedError) =>
    void noteLapse(sessionFolder, formatError(failureObject(lapse, reporter)));
  const platform = { clock: systemClock, reporter, signal: stopped.signal };
  await renewUntilStopped(session, { ...source, renew: renewOnce, onLapse: "retry", onLapsed }, platform);
}

/** Writes lines to a file that post shows. A command to the runner, such as a mask, would only print the secret there. */
function createLog(): Reporter {
  const { add, hide, holds } = createSecrets();
  const syntax = workflowSyntax("action");
  const write = (message: string) => void process.stdout.write(`${new Date().toISOString()} ${plain(hide(message))}\n`);
  return {
    info: (message) => write(oneLine(written(message, syntax), 8192)),
    warning: (message) => write(`Warning: ${written(message, syntax)}`),
    debug: () => {},
    secret: add,
    hide,
    holdsSecret: holds,
    syntax,
    moreOn: explanationUrl,
  };
}
