import { createInterface } from "node:readline";
import { orAborted } from "../../platform/abort.ts";
import { systemClock } from "../../platform/clock.ts";
import { ExplainedError } from "../../platform/errors.ts";
import { asGiven } from "../../platform/text.ts";
import { mention, text } from "../../platform/wording.ts";
import { readRoots } from "../../tools/certificates.ts";
import { parseRetireRequest, type RetireRequest } from "../../trust/audit-request.ts";
import { retire } from "../../trust/retire.ts";
import { type Call, interruption, type Outcome, withPlatform } from "../command.ts";
import { watchLog } from "../log-progress.ts";

export async function retireStaticToken(call: Call): Promise<Outcome> {
  const request = parseRetireRequest(call.values);
  assertAnswerable(request);
  const { timeoutSeconds, caFile, robot } = request;
  const roots = await readRoots(caFile);
  interruption("Run it again: replacing the static token a second time does no harm.");
  const progress = watchLog(call.terminal, systemClock);
  const { usage } = await withPlatform(call, { timeoutSeconds, roots, work: "The command" }, (platform) =>
    retire(request, platform, {
      onProgress: progress.show,
      confirm: () => {
        progress.end();
        return confirm(robot, platform.signal);
      },
    }),
  ).finally(progress.end);
  return {
    lines: [
      `The static token of ${robot} was replaced by one that nobody has seen: only keyless logins work now.`,
      "Robot tokens that were exchanged before, and tokens that the registry gave before, stay good until they expire, after an hour at most.",
    ],
    object: { robot, replaced: true, "log-read": usage !== undefined },
  };
}

/** @throws ExplainedError `invalid-input`, before anything is sent */
function assertAnswerable({ robot, isConfirmed, apiToken }: RetireRequest): void {
  const readsToken = apiToken.kind === "file" && apiToken.path === "-";
  if (!isConfirmed && (readsToken || !process.stdin.isTTY || !process.stderr.isTTY)) {
    throw new ExplainedError(
      "invalid-input",
      text`The static token of ${robot} is replaced only if its name is given a second time, and there is no terminal to ask on.`,
      { remedy: [text`Write ${mention("yes", robot)}`] },
    );
  }
}

/** Even with --quiet: without the question, nobody would know what to type. @throws ExplainedError `invalid-input` */
async function confirm(robot: string, signal: AbortSignal): Promise<void> {
  process.stderr.write(
    `After this, the static token of ${robot} no longer works anywhere.\nType the robot's name to go on: `,
  );
  const input = createInterface({ input: process.stdin, terminal: false });
  const answered = new Promise<string>((resolve) => {
    input.once("line", resolve);
    input.once("close", () => resolve(""));
  });
  const answer = (await orAborted(answered, signal).finally(() => input.close())).trim();
  if (answer !== robot) {
    throw new ExplainedError(
      "invalid-input",
      `${JSON.stringify(asGiven(answer))} is not ${robot}: nothing was changed.`,
      {
        remedy: [text`Type the name of the robot, or write ${mention("yes", robot)}`],
      },
    );
  }
}
