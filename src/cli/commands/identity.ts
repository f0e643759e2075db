import { inspectIdentity } from "../../identity/inspect.ts";
import { parseIdentityRequest } from "../../identity/source.ts";
import { changesWith, lastingInstead, narrowed } from "../../identity/subject.ts";
import { audienceToEnter, isoTime } from "../../identity/token.ts";
import { parseTimeout, readOptions } from "../../options/reader.ts";
import { type ExplainedError, formatBinding } from "../../platform/errors.ts";
import { oneLine } from "../../platform/text.ts";
import { federateCommand } from "../../quay/federate-command.ts";
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
  const changes = subject === undefined ? undefined : changesWith(subject);
  const narrow = subject === undefined ? undefined : narrowed({ issuer, subject });
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
        ["acceptable", verdictOf(problem, changes)],
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
      ...(narrow && { "subject-matches-only": narrow.says }),
      // Where nothing that a binding could name stays the same, there is none to enter.
      federation: binding && !isHopeless(binding) ? [binding] : [],
    },
    failure: problem,
  };
}

function verdictOf(problem: ExplainedError | undefined, changes: string | undefined): string {
  const once = changes && `a binding matches once: the subject changes with every ${changes}`;
  if (problem) {
    return once ? `no, and ${once}` : "no";
  }
  return once ? `yes, but ${once}` : "yes: Quay accepts the algorithm, and the issuer publishes the key";
}

const isHopeless = (now: Federation): boolean => {
  const lasting = lastingInstead(now);
  return lasting !== undefined && lasting.subject === undefined;
};

interface Federation {
  readonly issuer: string;
  readonly subject: string;
  /** Absent: the token has none. */
  readonly audiences?: readonly string[];
}

/** The command that adds the binding, and what to enter in Quay's dialog instead. */
function howToTrust(now: Federation): readonly string[] {
  const lasting = lastingInstead(now);
  if (lasting && isHopeless(now)) {
    return lasting.advice.map((line) => oneLine(line, 8192));
  }
  const narrow = narrowed(now);
  const binding = { ...now, ...(lasting?.subject && { subject: lasting.subject }) };
  const { issuer, subject, audiences: [audience = "(none)"] = [] } = binding;
  const command = federateCommand({ ...binding, audience, robot: "ORGANIZATION+ROBOT" });
  return [
    ...(lasting?.advice ?? []),
    ...(narrow ? [narrow.says, ...narrow.advice] : []),
    `To let a robot trust ${lasting ? "that" : "it"}, with a token of Quay's API in QUAY_API_TOKEN:`,
    `  ${command}`,
    "or enter in Quay, under Robot accounts > the robot > Set robot federation:",
    ...formatBinding({ issuer, subject, audience }).map((line) => `  ${line}`),
  ].map((line) => oneLine(line, 8192));
}
