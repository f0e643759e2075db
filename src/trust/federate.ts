/** The story of `federate`: what is trusted, what is wrong with that, what Quay has, what changes. */
import { chooseIdentity, fetchFacts } from "../identity/index.ts";
import type { IdentityRequest } from "../identity/source.ts";
import { lastingInstead } from "../identity/subject.ts";
import { asIdentity, audienceToEnter, audienceWarning } from "../identity/token.ts";
import { ExplainedError, withOthers } from "../platform/errors.ts";
import type { Platform } from "../platform/platform.ts";
import { joined, mention, text, type Words } from "../platform/wording.ts";
import { readApiToken } from "../quay/api-token.ts";
import { openManagement } from "../quay/management.ts";
import { applyPlan, noProgress, type Progress } from "./apply.ts";
import { formOf, type IssuerAndSubject } from "./binding-forms.ts";
import type { FoundOrganization } from "./export.ts";
import { findOrganization, findTrust, readsPermissions } from "./find.ts";
import { type Finding, lintIssuers, lintTrust } from "./lint.ts";
import { isDifferent, type Plan, planTrust } from "./plan.ts";
import type { ExportRequest, FederationRequest, Mode, TrustSource } from "./request.ts";
import type { Trust, WantedBinding } from "./trust.ts";
import { readTrustFile } from "./trust-file.ts";
import { asOptions } from "./trust-of-options.ts";

export interface Federation extends Progress {
  readonly plan: Plan;
  readonly mode: Mode | "review";
  /** The lint's warnings. */
  readonly findings: readonly Finding[];
  readonly failure: ExplainedError | undefined;
}

/**
 * Nothing is changed in Quay before the trust is read and the lint has found no error in it.
 * @throws ExplainedError `invalid-input`, `trust-risky`, those of an identity, of the API token, and of `Management`
 */
export async function federate(request: FederationRequest, platform: Platform): Promise<Federation> {
  const { mode, prune } = request;
  const readToken = once(() => readApiToken(request.apiToken, platform));
  const trust = await readTrust(request.source, readToken, platform);
  const linted = await lint(trust, request, platform);
  const compared = compare(trust, { readToken, prune }, platform);
  const { management, found, plan } = await compared.catch((error: unknown) => {
    throw error instanceof ExplainedError ? (riskOf(linted.filter(isError), [error]) ?? error) : error;
  });
  plan.warnings.forEach(platform.reporter.warning);
  const findings = admit(linted, plan, platform);
  const nothing = { plan, mode, findings, ...noProgress, failure: undefined };
  if (!isDifferent(plan)) {
    return nothing;
  }
  switch (mode) {
    case "dry-run":
      return nothing;
    case "check":
      return { ...nothing, failure: drift(request.source, plan) };
    case "apply":
      return { ...nothing, ...(await applyPlan({ management, platform, trust, found, plan, prune })) };
  }
}

/** Reads a secret, and masks it. */
type ReadToken = () => Promise<string>;

/** Standard input can be read only once. */
function once(read: ReadToken): ReadToken {
  let token: Promise<string> | undefined;
  return () => {
    token ??= read();
    return token;
  };
}

interface Comparison {
  readonly readToken: ReadToken;
  readonly prune: boolean;
}

async function compare(trust: Trust, { readToken, prune }: Comparison, platform: Platform) {
  const management = await open(trust, scopesFor(trust, prune), readToken, platform);
  const found = await findTrust(management, trust, prune);
  return { management, found, plan: planTrust(trust, found, prune) };
}

/** Everything that an organization trusts today. @throws ExplainedError as `federate` does */
export async function readOrganization(request: ExportRequest, platform: Platform): Promise<FoundOrganization> {
  const scopes = { organization: "org:admin repo:admin", user: "user:admin repo:admin" };
  const readToken = () => readApiToken(request.apiToken, platform);
  return findOrganization(await open(request, scopes, readToken, platform), request.organization);
}

/** Of an API token, for an organization and for a user's robots. */
interface Scopes {
  readonly organization: string;
  readonly user: string;
}

function scopesFor(trust: Trust, prune: boolean): Scopes {
  const permissions = readsPermissions(trust, prune) ? " repo:admin" : "";
  const creates = trust.robots.some((robot) => robot.permissions.some(({ create }) => create)) ? " repo:create" : "";
  // org:admin contains the right to make repositories; user:admin does not.
  return { organization: `org:admin${permissions}`, user: `user:admin${permissions}${creates}` };
}

async function open(
  { registry, organization }: Pick<Trust, "registry" | "organization">,
  scopes: Scopes,
  readToken: ReadToken,
  platform: Platform,
) {
  platform.reporter.info(
    `Asks ${registry} about ${organization}. The API token needs the scopes ${scopes.organization} (for the robots of a user: ${scopes.user}).`,
  );
  return openManagement({ registry, token: await readToken() }, platform);
}

async function readTrust(source: TrustSource, readToken: ReadToken, platform: Platform): Promise<Trust> {
  switch (source.kind) {
    case "file":
      return readTrustFile(source.path, source, platform.signal);
    case "options":
      return source.trust;
    case "place": {
      const bindings = [await bindingOfPlace(source.identity, readToken, platform)];
      return { ...source.trust, robots: source.trust.robots.map((robot) => ({ ...robot, bindings })) };
    }
  }
}

/** The identity that a login would use here. */
async function bindingOfPlace(
  request: IdentityRequest,
  readToken: ReadToken,
  platform: Platform,
): Promise<WantedBinding> {
  const choice = await chooseIdentity(request, platform).catch(withForms);
  // A token-command is a child process: its environment holds no secret that is known before it starts.
  await readToken();
  const facts = await fetchFacts(choice, request.audience, platform);
  const { issuer, subject } = asIdentity(facts);
  const warning = audienceWarning(facts);
  if (warning !== undefined) {
    platform.reporter.warning(warning);
  }
  const lasting = lastingInstead({ issuer, subject });
  if (lasting !== undefined) {
    const [why = "", ...advice] = lasting.advice;
    const form = lasting.subject === undefined ? undefined : formOf({ issuer, subject: lasting.subject });
    throw new ExplainedError("trust-risky", why, {
      remedy: [...advice, ...(form ? [text`Then name what the robot shall trust: ${asOptions(form)}`] : [])],
    });
  }
  const audiences = [audienceToEnter(facts) ?? request.audience];
  return { issuer, subject, audiences, from: `this place's identity, from ${choice.why}` };
}

/** Away from a job, most users want to name what a robot shall trust. */
function withForms(error: unknown): never {
  if (error instanceof ExplainedError && error.code === "identity-not-found") {
    const { code, headline, remedy, cause } = error;
    const example = joined([mention("github", "acme/app"), mention("environment", "release")], " ");
    throw new ExplainedError(code, headline, {
      remedy: [text`Name what the robot shall trust, such as ${example}`, ...remedy],
      cause,
    });
  }
  throw error;
}

/**
 * Prints the warnings.
 * @returns them, and the errors of a file: only the plan tells which of them Quay has already
 * @throws ExplainedError `trust-risky`, with all errors
 */
export async function lint(
  trust: Trust,
  request: Pick<FederationRequest, "strict" | "offline" | "source">,
  platform: Platform,
): Promise<readonly Finding[]> {
  const { strict, offline, source } = request;
  const refuse = (findings: readonly Finding[]) => {
    const risk = riskOf(findings.filter(isError));
    if (risk && (strict || source.kind !== "file")) {
      throw risk;
    }
  };
  const ofRules = lintTrust(trust, request);
  warn(ofRules, platform);
  refuse(ofRules);
  const ofIssuers = offline ? [] : await lintIssuers(trust, request, platform);
  warn(ofIssuers, platform);
  refuse(ofIssuers);
  return [...ofRules, ...ofIssuers];
}

/**
 * An error about a binding that Quay has exactly as wanted becomes a warning, which it prints: an exported file can be checked and applied.
 * @throws ExplainedError `trust-risky`, with all errors about what would be added or changed
 */
export function admit(findings: readonly Finding[], { robots }: Plan, platform: Platform): readonly Finding[] {
  const unchanged = new Set(
    robots.flatMap(({ name, bindings }) =>
      bindings.filter(({ change }) => change === "unchanged").map((binding) => keyOf(name, binding)),
    ),
  );
  const isThere = ({ robot, binding }: Finding) => binding !== undefined && unchanged.has(keyOf(robot, binding));
  const risk = riskOf(findings.filter((finding) => isError(finding) && !isThere(finding)));
  if (risk) {
    throw risk;
  }
  const there = findings.filter(isError).map((finding): Finding => ({ ...finding, level: "warning" }));
  warn(there, platform);
  return [...findings.filter((finding) => !isError(finding)), ...there];
}

const keyOf = (robot: string, { issuer, subject }: IssuerAndSubject): string =>
  JSON.stringify([robot, issuer, subject]);

const isError = ({ level }: Finding): boolean => level === "error";

function warn(findings: readonly Finding[], { reporter }: Platform): void {
  for (const finding of findings.filter((each) => !isError(each))) {
    reporter.warning(joined([sentence(finding), ...finding.remedy], " "));
  }
}

function riskOf(findings: readonly Finding[], more: readonly ExplainedError[] = []): ExplainedError | undefined {
  const [first, ...others] = findings.map(
    (finding) => new ExplainedError("trust-risky", sentence(finding), { remedy: finding.remedy }),
  );
  return first && withOthers(first, [...others, ...more]);
}

const sentence = ({ says, from }: Finding): Words => text`${from}: ${says}`;

function drift(source: TrustSource, { registry, organization }: Plan): ExplainedError {
  const what = source.kind === "file" ? source.path : "what the options name";
  return new ExplainedError("trust-drift", `${organization} on ${registry} differs from ${what}: see the plan.`, {
    remedy: [text`Nothing was changed. To make Quay as wanted, run the same without ${mention("check")}.`],
  });
}
