/** Explains a refusal or failure of the exchange: its cause, its remedy, and the binding to add. Pure. */

import { audienceAdvice, sameNameAdvice } from "../identity/advice.ts";
import { explainFinding } from "../identity/explain-issuer.ts";
import type { IssuerFinding } from "../identity/issuer.ts";
import { lastingInstead, narrowed } from "../identity/subject.ts";
import { bindingOf, type Identity, isoTime } from "../identity/token.ts";
import { ExplainedError, formatBinding, privateAuthority, unreachable } from "../platform/errors.ts";
import type { HttpFailure } from "../platform/http.ts";
import { mention, text, type Words } from "../platform/wording.ts";
import type { ExchangeResult, RefusalCode } from "./answers.ts";
import { federateCommand } from "./federate-command.ts";

export interface ExchangeContext {
  readonly registry: string;
  readonly robot: string;
  readonly identity: Identity;
  /** Milliseconds since 1970. */
  readonly now: number;
}

type Failed = Exclude<ExchangeResult, { kind: "token" }>;

/** Remedies of more than one failure. */
export const remedies = {
  notRenewed: "Run it again. The log above says why the login was not renewed in time.",
  runAgain: "Run the job again. If it keeps failing, check the status page of this Quay.",
  registryPart:
    "It is a separate process, which restarts. Run the job again; if it keeps failing, ask Quay's administrator.",
  checkRegistry: text`Check that the option ${mention("registry")} names Quay itself, not a web page, proxy or login portal in front of it.`,
  checkRobot: (robot: string, registry: string) =>
    `Check that ${robot} still exists and that ${registry} is one Quay, not two behind one name.`,
  robotsDisabled: (registry: string) =>
    `Robot accounts are turned off on ${registry} (ROBOTS_DISALLOW). Only its administrator can turn them on.`,
} as const;

export function explainResult(result: Failed, context: ExchangeContext): ExplainedError {
  const { registry, identity } = context;
  switch (result.kind) {
    case "refused":
      return explainRefusal(result, context);
    case "unclear":
      return new ExplainedError("quay-unavailable", `Quay at ${registry} answered ${result.status} without a reason.`, {
        remedy: [`Check whether ${registry} is up, then run the job again.`],
      });
    case "busy":
      return new ExplainedError(result.code, busy[result.code](registry, result.status), {
        remedy: busyRemedy[result.code],
      });
    case "without-federation":
      return new ExplainedError(
        "quay-without-federation",
        `${registry} has no robot federation: it does not know the exchange's address.`,
        {
          remedy: [
            "Quay 3.13 and newer have it: ask its administrator to update.",
            text`If this host is not a Quay, set the option ${mention("registry")}.`,
          ],
        },
      );
    case "too-big":
      return new ExplainedError(
        "token-too-big",
        `${registry} refused the identity token's size: ${identity.token.length} characters.`,
        {
          remedy: [
            "Have the issuer leave claims out, such as groups and roles: Quay accepts tokens of up to about 6 kB.",
          ],
        },
      );
    case "unusable":
      return new ExplainedError(
        "quay-answer-unusable",
        `${registry} answered the exchange without a usable robot token: ${result.why}.`,
        {
          remedy: [remedies.checkRegistry],
        },
      );
    default:
      return unreachable(result);
  }
}

/** A refusal by Quay itself. */
function explainRefusal(
  { code, reason }: Extract<Failed, { kind: "refused" }>,
  context: ExchangeContext,
): ExplainedError {
  const { registry, robot, identity } = context;
  const { remedy, binding } = refusal[code](context);
  const what = concerns[code] === "robot" ? robot : "the identity of this job";
  const message = `Quay refused ${what}: "${reason}"`;
  const lasting = binding === "new" ? lastingInstead(identity) : undefined;
  const toAdd = { ...bindingOf(identity), ...(lasting?.subject && { subject: lasting.subject }) };
  const adds = `With a token of Quay's API: ${federateCommand({ registry, robot, ...toAdd })}`;
  if (lasting) {
    const [fault = ""] = remedy;
    const enter = `Or add to ${robot}, ${dialog(robot)}`;
    return new ExplainedError(code, message, {
      remedy: [fault, ...lasting.advice, ...(lasting.subject ? [adds, enter] : [])],
      binding: lasting.subject ? toAdd : undefined,
    });
  }
  if (binding === "new") {
    const enter = `Or add to ${robot}, ${dialog(robot)}`;
    const narrow = narrowed(identity);
    const only = narrow ? [narrow.says, ...narrow.advice] : [];
    return new ExplainedError(code, message, { remedy: [...remedy, ...only, adds, enter], binding: toAdd });
  }
  // The identity is shown even if the remedy asks for no binding: only these strings match.
  const facts = formatBinding(bindingOf(identity)).map((line) => `  ${line}`);
  return new ExplainedError(code, message, {
    remedy: binding ? remedy : [...remedy, "The identity of this job:", ...facts],
    binding: binding && bindingOf(identity),
  });
}

/** Below HTTP: names, connections, certificates, limits. */
export function explainFailure(failure: HttpFailure, { registry }: Pick<ExchangeContext, "registry">): ExplainedError {
  switch (failure.kind) {
    case "untrusted":
      return new ExplainedError("tls-untrusted", `Quay's identity cannot be verified: ${failure.message}.`, {
        remedy: [
          privateAuthority,
          "TLS verification cannot be turned off, not even by NODE_TLS_REJECT_UNAUTHORIZED: tokens would go to any server that answers.",
        ],
        cause: failure,
      });
    case "without-tls":
      return new ExplainedError("quay-answer-unusable", `Quay cannot be reached over TLS: ${failure.message}.`, {
        remedy: [
          text`Check the option ${mention("registry")} (${registry}): it must name the port where Quay speaks https, as in ${mention("registry", "quay.example.com:8443")}. The default port is 443.`,
        ],
        cause: failure,
      });
    case "too-big":
    case "cut":
      return new ExplainedError(
        "quay-answer-unusable",
        `${registry} gave an unusable answer to the exchange: ${failure.message}.`,
        {
          remedy: [remedies.checkRegistry],
          cause: failure,
        },
      );
    case "unknown-name":
    case "unreachable":
    case "timeout":
      return new ExplainedError("quay-unreachable", `Quay cannot be reached: ${failure.message}.`, {
        remedy: [
          text`Check the option ${mention("registry")} (${registry}), and the network: HTTPS_PROXY and NO_PROXY, firewall, DNS.`,
        ],
        cause: failure,
      });
    default:
      return unreachable(failure.kind);
  }
}

const concerns: Readonly<Partial<Record<RefusalCode, "robot">>> = {
  "robot-not-found": "robot",
  "robot-not-federated": "robot",
  "robots-disabled": "robot",
};

interface Refusal {
  readonly remedy: readonly Words[];
  /** Set if the remedy ends in the binding below it: a new one, or an existing one as it should be. */
  readonly binding?: "new" | "as-it-is";
}

const dialog = (robot: string): string => `under Robot accounts > ${robot} > Set robot federation:`;

const refusal: Readonly<Record<RefusalCode, (context: ExchangeContext) => Refusal>> = {
  "robot-not-found": ({ robot, registry }) => ({
    remedy: [
      text`There is no robot ${robot} on ${registry}. Check the option ${mention("robot")}: organization+name, as Quay's page Robot accounts shows it.`,
    ],
  }),
  "robot-not-federated": ({ robot, registry }) => ({
    remedy: [`${robot} on ${registry} has no binding at all.`],
    binding: "new",
  }),
  "issuer-not-bound": ({ robot, registry }) => ({
    remedy: [
      `${robot} on ${registry} has no binding for this issuer; the issuer must match exactly, including a trailing slash.`,
    ],
    binding: "new",
  }),
  "subject-not-bound": ({ robot, registry }) => ({
    remedy: [`${robot} on ${registry} has a binding for this issuer, but for another subject.`],
    binding: "new",
  }),
  "audience-refused": ({ robot, registry, identity }) => ({
    remedy: [
      `The binding of ${robot} on ${registry} expects another audience than this token has.`,
      audienceAdvice(identity.source, "the audience that the binding names"),
      `Or set this audience in the binding, ${dialog(robot)}`,
    ],
    binding: "as-it-is",
  }),
  "binding-ambiguous": ({ robot, registry }) => ({
    remedy: [
      `${robot} on ${registry} has more than one binding that matches this identity.`,
      `Keep only this one, ${dialog(robot)}`,
    ],
    binding: "as-it-is",
  }),
  "issuer-mismatch": ({ identity }) => ({
    remedy: [
      `The discovery document at ${identity.issuer}/.well-known/openid-configuration names another issuer than the token does.`,
      ...sameNameAdvice(identity),
    ],
  }),
  "signature-refused": ({ identity }) => ({
    remedy: [
      `The key that ${identity.issuer} publishes as ${identity.keyId} is not the one that signed this token.`,
      "Check that the issuer's address leads to the issuer that gave the token, not to another one by the same name (another cluster, a restored copy).",
    ],
  }),
  "token-expired": ({ identity, now }) => ({
    remedy: [
      `The token expires at ${isoTime(identity.expiresAt)}; this machine's clock says ${isoTime(now / 1000)}.`,
      "If it has not expired yet, Quay's clock is ahead. Otherwise provide a fresh token.",
    ],
  }),
  "token-from-the-future": ({ identity, now }) => ({
    remedy: [
      `The token was issued at ${isoTime(identity.issuedAt)}; this machine's clock says ${isoTime(now / 1000)}.`,
      "The clocks of Quay and the issuer are more than 30 s apart: set the one that is wrong.",
    ],
  }),
  "token-incomplete": () => ({
    remedy: ["Quay requires kid, iss, sub, iat and exp. Configure the issuer to put them into its tokens."],
  }),
  "token-algorithm": ({ identity }) => ({
    remedy: [
      `The token is signed with ${identity.algorithm}; Quay takes RS256 and RS384 with an RSA key of the issuer.`,
    ],
  }),
  "robots-disabled": ({ registry }) => ({
    remedy: [remedies.robotsDisabled(registry)],
  }),
  "quay-refused": ({ robot, registry }) => ({
    remedy: [`Compare this identity with the bindings of ${robot} on ${registry}.`],
    binding: "new",
  }),
};

type BusyCode = Extract<Failed, { kind: "busy" }>["code"];

const busy: Readonly<Record<BusyCode, (registry: string, status: number) => string>> = {
  "quay-unavailable": (registry, status) => `${registry} is not available at the moment: it answered ${status}.`,
  "rate-limited": (registry) => `${registry} received too many requests from here (429).`,
  "quay-read-only": (registry) => `${registry} is in read-only mode and exchanges no tokens.`,
};

const busyRemedy: Readonly<Record<BusyCode, readonly string[]>> = {
  "quay-unavailable": [remedies.runAgain],
  "rate-limited": ["Run the job again later, or spread the jobs that log in over time."],
  "quay-read-only": ["Wait until its administrators end the maintenance, then run the job again."],
};

/** After a 500 or 502: explains what a check of the issuer from here has found. */
export function explainIssuer(
  finding: IssuerFinding,
  status: number,
  { registry, identity }: ExchangeContext,
): ExplainedError {
  const because = `Quay at ${registry} answered ${status}`;
  if (finding.kind === "sound") {
    return new ExplainedError("quay-unavailable", `${because}, and the issuer looks right from here.`, {
      remedy:
        status === 502
          ? [
              `Either Quay is starting, or it cannot reach ${identity.issuer} (a firewall, a proxy, a root certificate that Quay lacks).`,
              "Run the job again; if it keeps failing, ask Quay's administrator to fetch that address from Quay's own host.",
            ]
          : [
              "Quay has a fault or is overloaded. Run the job again; if it keeps failing, Quay's log has the reason for its administrator.",
            ],
    });
  }
  return explainFinding(finding, identity, `${because}: the`);
}
