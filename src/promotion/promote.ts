/** The story of a promotion: log in on both sides -> plan -> apply. */

import { createLimit, mapLimit } from "../platform/concurrency.ts";
import type { Platform } from "../platform/platform.ts";
import { createClient, type RepositoryClient } from "../registry/client.ts";
import { createTransport, type Transport } from "../registry/transport.ts";
import { findProgram } from "../tools/tools.ts";
import { type Applied, apply, type Means, notApplied } from "./apply.ts";
import { type CopyTools, copyByDigest } from "./copy.ts";
import { type Endpoint, openEndpoints } from "./logins.ts";
import { type Planned, type PromotionRun, plan } from "./plan.ts";
import { pathOf, type Repository } from "./reference.ts";
import type { PromotionRequest } from "./request.ts";
import type { PromotionContext, PromotionResult } from "./result.ts";
import { verify } from "./verify.ts";

/**
 * Promotes everything in the request.
 * @returns a result for each promotion, in order, also for those that failed
 * @throws ExplainedError for a failure that concerns them all: a login failed, skopeo is missing
 */
export async function promote(
  request: PromotionRequest,
  context: PromotionContext,
): Promise<readonly PromotionResult[]> {
  const { promotions, parallel, timeoutSeconds } = request;
  const platform = context.createPlatform(undefined);
  try {
    const tool = await findProgram("skopeo", platform.env);
    const endpoints = await openEndpoints(request, context, platform);
    try {
      const clientOf = clientsOf(request, platform);
      const means = meansOf(request, { tool, endpoints, idleMs: 5 * timeoutSeconds * 1000 }, platform);
      // As many plans as copies at once: the first copies should not wait for the last plans.
      const look = createLimit(parallel);
      // Twice as many: while the limit is copied, the next ones are planned.
      return await mapLimit(promotions, 2 * parallel, (promotion, index) => {
        const source = clientOf(endpoints.source, promotion.source);
        const destination = clientOf(endpoints.destination, promotion.destination);
        const onProgress: PromotionRun["onProgress"] = (progress) => context.onProgress(index, progress);
        return promoteOne({ promotion, request, source, destination, platform, onProgress }, means, look);
      });
    } finally {
      await endpoints.close();
    }
  } finally {
    platform.close();
  }
}

function meansOf(request: PromotionRequest, tools: CopyTools, platform: Platform): Means {
  const { verifyCommand: command, parallel, timeoutSeconds } = request;
  const [copies, checks] = [createLimit(parallel), createLimit(parallel)];
  const check = command === undefined ? undefined : { command, maxSeconds: 2 * timeoutSeconds };
  return {
    copy: (copy) => copies(() => copyByDigest(copy, tools, platform)),
    verify: check && ((reference) => checks(() => verify(check, reference, tools.endpoints, platform))),
  };
}

/** One transport per login and registry: what it learns about its permissions serves all promotions. */
function clientsOf(
  { timeoutSeconds }: PromotionRequest,
  platform: Platform,
): (endpoint: Endpoint, repository: Repository) => RepositoryClient {
  const transports = new Map<string, Transport>();
  return ({ name, login, others }, repository) => {
    const { registry } = repository;
    const other = others.get(pathOf(repository));
    const key = `${name} ${registry} ${other?.key}`;
    const transport =
      transports.get(key) ??
      createTransport(
        {
          ...{ registry, endpoint: name, robot: login?.robot, timeoutSeconds },
          credential: () => login?.credential(),
          realm: () => login?.realm(),
          basic: other?.auth,
        },
        platform,
      );
    transports.set(key, transport);
    return createClient(transport, repository.repository);
  };
}

/** Never throws: the result holds the failure, beside what was done before it. */
async function promoteOne(
  run: PromotionRun,
  means: Means,
  look: ReturnType<typeof createLimit>,
): Promise<PromotionResult> {
  const { promotion, platform, onProgress } = run;
  const began = platform.clock.elapsed();
  const planned = await look(() => plan(run));
  const applied = await outcomeOf(planned, run, means);
  onProgress({ phase: applied.failure ? "failed" : "done" });
  const { digest, platforms } = planned;
  const bytes = planned.plan?.missing?.bytes ?? 0;
  return {
    ...{ promotion, digest, platforms, bytes },
    ...applied,
    milliseconds: Math.round(platform.clock.elapsed() - began),
  };
}

async function outcomeOf({ plan, failure }: Planned, run: PromotionRun, means: Means): Promise<Applied> {
  if (plan === undefined) {
    return { tags: [], artifacts: [], changed: false, failure };
  }
  const { request, destination, platform } = run;
  if (!request.dryRun) {
    return apply(plan, run, means);
  }
  if (!plan.destinationExists) {
    platform.reporter.info(`${pathOf(destination)} does not exist yet, or its robot has no permission to read it.`);
  }
  return notApplied(plan);
}
