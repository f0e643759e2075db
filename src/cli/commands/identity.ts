import { inspectIdentity } from "../../identity/inspect.ts";
import { parseIdentityRequest } from "../../identity/source.ts";
import { changesWith, lastingInstead } from "../../identity/subject.ts";
import { audienceToEnter, isoTime } from "../../identity/token.ts";
import { parseTimeout, readOptions } from "../../options/reader.ts";
import { formatBinding } from "../../platform/errors.ts";
import { oneLine } from "../../platform/text.ts";
import { readRoots } from "../../tools/certificates.ts";
import { aligned, type Call, type Outcome, withPlatform } from "../command.ts";

export async function identity(call: Call): Promise<Outcome> {
  const reader = readOptions(call.values);
  const request = parseIdentityRequest(reader);
  const caFile = reader.optional("ca-file");
  const timeoutSeconds = parseTimeout(reader);
  const roots = await readRoots(caFile);
  const { choice, facts, problem, warning } = await withPlatform(call, { timeoutSeconds, roots }, (platform) =>
    inspectIdentity(request, platform),
  );
  const { issuer, subject, audience, algorithm, keyId, expiresAt } = facts;
  const end = expiresAt === undefined ? undefined : isoTime(expiresAt);
  const none = "(none)";
  if (warning !== undefined) {
    call.terminal.warning(warning);
  }
  const changes = subject && changesWith(subject);
  const entered = audienceToEnter(facts);
  const binding = issuer && subject ? { issuer, subject, ...(entered && { audiences: [entered] }) } : undefined;
  return {
    lines: [
      ...aligned([
        ["source", `${choice.source} (${choice.why})`],
        ["issuer", issuer ?? none],
        ["subject", subject ?? none],
        ["audience", audience.join(" ") || none],
        ["algorithm", algorithm],
        ["key-id", keyId ?? none],
        ["expires-at", end ?? none],
        ["acceptable", problem ? "no" : "yes: Quay accepts the algorithm, and the issuer publishes the key"],
      ]),
      ...(binding && !problem ? ["", ...howToTrust(binding)] : []),
    ],
    object: {
      source: choice.source,
      why: choice.why,
      issuer: issuer ?? null,
      subject: subject ?? null,
      audience,
      algorithm,
      "key-id": keyId ?? null,
      "expires-at": end ?? null,
      acceptable: problem === undefined,
      ...(changes && { "subject-changes-with": changes }),
      federation: binding ? [binding] : [],
    },
    failure: problem,
  };
}

interface Federation {
  readonly issuer: string;
  readonly subject: string;
  /** Absent: the token has none. */
  readonly audiences?: readonly string[];
}

/** What to enter, in Quay's dialog or by its API. Newer Quays give a binding without audiences the audience quay. */
function howToTrust(now: Federation): readonly string[] {
  const lasting = lastingInstead(now);
  const binding = { ...now, ...(lasting?.subject && { subject: lasting.subject }) };
  const { issuer, subject, audiences: [audience = "(none)"] = [] } = binding;
  return [
    ...(lasting?.advice ?? []),
    `To let a robot trust ${lasting ? "that" : "it"}, enter in Quay, under Robot accounts > the robot > Set robot federation:`,
    ...formatBinding({ issuer, subject, audience }).map((line) => `  ${line}`),
    "or send this to POST /api/v1/organization/ORGANIZATION/robots/NAME/federation (it replaces all bindings of the robot):",
    `  ${JSON.stringify([binding])}`,
  ].map((line) => oneLine(line, 8192));
}
