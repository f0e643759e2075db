/** The story of a review: what a change of the file trusts that the file did not before. Nothing is asked of Quay. */
import { ExplainedError } from "../platform/errors.ts";
import type { Platform } from "../platform/platform.ts";
import { text, type Words } from "../platform/wording.ts";
import { noProgress } from "./apply.ts";
import type { FoundRobot } from "./export.ts";
import { admit, type Federation, lint } from "./federate.ts";
import { type Plan, planTrust } from "./plan.ts";
import type { FileRequest } from "./request.ts";
import { defaultAudience, type Trust, type WantedRobot } from "./trust.ts";
import { parseTrustFile, readTrustFile } from "./trust-file.ts";

/**
 * The difference is there even if the lint fails.
 * @param readBefore the file's content before the change; undefined: there was no file. Called once the file itself is known to be valid
 * @throws ExplainedError `invalid-input` for the file as it is now
 */
export async function review(
  request: FileRequest,
  readBefore: () => Promise<string | undefined>,
  platform: Platform,
): Promise<Federation> {
  const now = await readTrustFile(request.source.path, request.source, platform.signal);
  const before = await readBefore();
  const earlier = before === undefined ? undefined : await readEarlier(before, request, platform);
  const plan = compareTrusts(earlier, now);
  plan.warnings.forEach(platform.reporter.warning);
  const reviewed = { plan, mode: "review", ...noProgress } as const;
  try {
    const findings = admit(await lint(now, request, platform), plan, platform);
    return { ...reviewed, findings, failure: undefined };
  } catch (error) {
    if (error instanceof ExplainedError && error.code === "trust-risky") {
      return { ...reviewed, findings: [], failure: error };
    }
    throw error;
  }
}

/** A change may mend a file that was not valid. */
async function readEarlier(
  content: string,
  { source }: FileRequest,
  { reporter }: Platform,
): Promise<Trust | undefined> {
  try {
    // Lists that are empty were an error or removed what was there: both are compared.
    const yaml = await import(/* webpackMode: "eager" */ "yaml");
    return parseTrustFile(yaml, content, source.path, { ...source, prune: true });
  } catch (error) {
    if (!(error instanceof ExplainedError)) {
      throw error;
    }
    reporter.warning(text`The file in the base branch is not valid, so all of it shows as new: ${error.headline}`);
    return undefined;
  }
}

/** Compares as if Quay were as the file was, and everything in it listed. */
export function compareTrusts(earlier: Trust | undefined, now: Trust): Plan {
  const isSame = earlier?.registry === now.registry && earlier.organization === now.organization;
  const robots = isSame ? earlier.robots : [];
  const names = new Set(now.robots.map(({ name }) => name));
  const plan = planTrust(
    { ...now, robots: now.robots.map(asWanted) },
    {
      keepsAudiences: true,
      robots: new Map(robots.map((robot) => [robot.name, asFound(robot)])),
      missingRepositories: new Set(),
    },
    true,
  );
  const moved: readonly Words[] =
    earlier && !isSame
      ? [
          `The file was about ${earlier.organization} on ${earlier.registry}, and is about ${now.organization} on ${now.registry}: all of it shows as new.`,
        ]
      : [];
  const gone = robots.map(({ name }) => name).filter((name) => !names.has(name));
  const dropped =
    gone.length > 0
      ? [`No longer in the file: ${gone.join(", ")}. Robots stay in Quay, with their bindings and permissions.`]
      : [];
  return { ...plan, warnings: [...moved, ...dropped, ...plan.warnings] };
}

/** All that the file says, and audiences by name: an entry without any means the default one. */
const asWanted = ({ unlisted: _, ...robot }: WantedRobot): WantedRobot => ({
  ...robot,
  create: true,
  bindings: robot.bindings.map(({ audiences, ...binding }) => ({
    ...binding,
    audiences: audiences.length > 0 ? audiences : [defaultAudience],
  })),
});

const asFound = ({ name, description = "", bindings, permissions }: WantedRobot): FoundRobot => ({
  name,
  description,
  bindings: bindings.map(({ issuer, subject, audiences }) => ({ issuer, subject, audiences })),
  permissions,
});
