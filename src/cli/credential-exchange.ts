/** The part of the credential helper that talks to Quay, in a bundle of its own: most calls need none of it. */

import { dropTokens } from "../helper/cache-write.ts";
import type { HelperRequest, Origin } from "../helper/configuration.ts";
import { credentialFor, fetchCredential, inJob } from "../helper/credential.ts";
import { credentialLine } from "../helper/protocol.ts";
import { systemClock } from "../platform/clock.ts";
import type { Environment } from "../platform/environment.ts";
import { readRoots } from "../tools/certificates.ts";
import { interruption, withPlatform } from "./command.ts";
import { createHelperReporter, type HelperReporter } from "./helper-reporter.ts";
import { writeLine } from "./streams.ts";

export interface Asked {
  /** As the client wrote it. */
  readonly address: string;
  readonly request: HelperRequest;
  readonly origin: Origin;
  readonly env: Environment;
  /** The path of the cache. */
  readonly cache: string | undefined;
}

interface Erased extends Pick<Asked, "origin"> {
  readonly cache: string;
  readonly registry: string;
}

/** Answers a `get` by an exchange. */
export const answerByExchange = ({ address, request, origin, env, cache }: Asked): Promise<void> =>
  reporting(origin, async (reporter) => {
    const { caFile, robot, timeoutSeconds } = request;
    const roots = await readRoots(caFile);
    const limits = { timeoutSeconds, roots, work: "The credential helper" };
    const token = await withPlatform({ env, terminal: reporter }, limits, (platform) =>
      credentialFor(request, cache, platform, () => fetchCredential(request, platform)),
    ).catch((error) => {
      throw origin.kind === "job" ? inJob(error, request, env) : error;
    });
    writeLine(1, credentialLine(address, robot, token));
  });

/** Answers an `erase`: the next `get` exchanges anew. */
export const eraseCached = ({ cache, registry, origin }: Erased): Promise<void> =>
  reporting(origin, (_, signal) => dropTokens(cache, registry, { clock: systemClock, signal }));

/** Errors are reported here: the other bundle has a class of its own for them. */
async function reporting(
  origin: Origin,
  work: (reporter: HelperReporter, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const reporter = createHelperReporter(origin);
  try {
    await work(reporter, interruption("Run the command again."));
  } catch (error) {
    reporter.fail(error);
  }
}
