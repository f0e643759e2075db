/** What is wrong or unwise about a trust, as data. Pure but for the look at issuers. */
import { examineIssuer, type IssuerFinding } from "../identity/issuer.ts";
import { changesWith, lastingInstead, narrowed, once } from "../identity/subject.ts";
import { mapLimit } from "../platform/concurrency.ts";
import type { Platform } from "../platform/platform.ts";
import { oneLine, unprintable } from "../platform/text.ts";
import { mention, text, type Words } from "../platform/wording.ts";
import type { IssuerAndSubject } from "./binding-forms.ts";
import { unreachableFrom } from "./issuer-host.ts";
import type { Origin, Trust, WantedBinding, WantedPermission, WantedRobot } from "./trust.ts";

const levels = {
  "issuer-not-https": "error",
  "issuer-in-cluster": "error",
  "issuer-with-query": "error",
  blanks: "error",
  "subject-changes": "error",
  "subject-matches-once": "warning",
  "subject-narrow": "warning",
  wildcard: "warning",
  "pull-requests-write": "warning",
  "subject-shared": "warning",
  "role-admin": "warning",
  "branch-promotes": "warning",
  "issuer-look": "warning",
} as const;

export type Rule = keyof typeof levels;

/** What the lint found about a binding or a permission. */
export interface Finding {
  readonly rule: Rule;
  /** An error stops before anything is sent. */
  readonly level: "error" | "warning";
  /** `acme+ci` */
  readonly robot: string;
  /** undefined: it is about a permission */
  readonly binding?: IssuerAndSubject | undefined;
  /** What is wrong: a sentence. */
  readonly says: Words;
  readonly remedy: readonly Words[];
  readonly from: Origin;
}

export interface LintOptions {
  /** Makes each warning an error. */
  readonly strict: boolean;
}

type Found = Pick<Finding, "rule" | "says" | "remedy">;

/** The findings in the order of the robots. Rules across robots look at these robots only. */
export function lintTrust(trust: Trust, { strict }: LintOptions): readonly Finding[] {
  const firstWith = new Map<string, WantedRobot>();
  return trust.robots.flatMap((robot) => {
    const make = (about: About, found: readonly (Found | undefined)[]) =>
      found.flatMap((each) => finding(each, robot, about, strict));
    return [
      ...robot.bindings.flatMap((binding) =>
        make(binding, [
          issuerAddress(binding, trust.registry),
          blanks(binding),
          wildcard(binding),
          changing(binding),
          narrow(binding),
          pullRequests(binding, robot),
          branchThatPromotes(binding, robot),
          shared(binding, robot, firstWith),
        ]),
      ),
      ...robot.permissions.flatMap((permission) => make(permission, [admin(permission, robot)])),
    ];
  });
}

type About = WantedBinding | WantedPermission;

function finding(found: Found | undefined, robot: WantedRobot, about: About, strict: boolean): readonly Finding[] {
  const binding = "issuer" in about ? about : undefined;
  const level = strict ? "error" : found && levels[found.rule];
  return found && level ? [{ ...found, level, robot: robot.name, binding, from: about.from }] : [];
}

const canWrite = ({ permissions }: WantedRobot): boolean => permissions.some(({ role }) => role !== "read");

function issuerAddress({ issuer }: WantedBinding, registry: string): Found | undefined {
  const address = issuer.trim();
  if (!address.startsWith("https://") || !URL.canParse(address)) {
    return {
      rule: "issuer-not-https",
      says: `The issuer ${oneLine(address)} is not an https address: Quay fetches keys over https only.`,
      remedy: ["Give the issuer an https address, and have it name itself so in its tokens."],
    };
  }
  if (/[?#]/.test(address)) {
    return {
      rule: "issuer-with-query",
      says: `The issuer ${oneLine(address)} has a query or a fragment (? or #): an issuer has neither (OpenID Connect Discovery), and its keys can't be found.`,
      remedy: ["Write the issuer as the claim iss of its tokens has it."],
    };
  }
  const why = unreachableFrom(registry, address);
  return why === undefined
    ? undefined
    : {
        rule: "issuer-in-cluster",
        says: `The issuer ${oneLine(address)} ${why}: ${registry} can't fetch its keys.`,
        remedy: [
          "Name an issuer that Quay can reach. Kubernetes: --service-account-issuer and --service-account-jwks-uri of the API server; OpenShift: an external OIDC issuer.",
          "Where that is not possible, use SPIFFE: SPIRE brings an issuer of its own.",
        ],
      };
}

function blanks({ issuer, subject, audiences }: WantedBinding): Found | undefined {
  const spaced = audiences.find((audience) => /\s/.test(audience));
  if (spaced !== undefined) {
    return {
      rule: "blanks",
      says: `The audience ${JSON.stringify(oneLine(spaced))} has a blank: no identity token is for it.`,
      remedy: ["Write the audience without it. Several audiences are a list."],
    };
  }
  for (const [name, value] of Object.entries({ issuer, subject })) {
    const problem =
      value.trim() !== value
        ? "begins or ends with a blank"
        : value.search(unprintable) >= 0 || /[\n\t]/.test(value)
          ? "has characters that can't be seen"
          : undefined;
    if (problem) {
      return {
        rule: "blanks",
        says: `The ${name} ${JSON.stringify(oneLine(value))} ${problem}: Quay keeps them, and no token matches.`,
        remedy: [`Write the ${name} without them.`],
      };
    }
  }
  return undefined;
}

const wildcard = ({ subject }: WantedBinding): Found | undefined =>
  subject.includes("*")
    ? {
        rule: "wildcard",
        says: `The subject ${oneLine(subject)} has a *: Quay compares letter by letter, and has no wildcards.`,
        remedy: ["Write a binding for each subject."],
      }
    : undefined;

function changing(binding: WantedBinding): Found | undefined {
  const changes = changesWith(binding.subject);
  return changes === undefined
    ? undefined
    : {
        rule: once.has(changes) ? "subject-matches-once" : "subject-changes",
        says: `The subject ${oneLine(binding.subject)} changes with every ${changes}: the binding matches only this one.`,
        remedy: lastingInstead(binding)?.advice.slice(1) ?? [],
      };
}

function narrow(binding: WantedBinding): Found | undefined {
  const found = narrowed(binding);
  return found && { rule: "subject-narrow", says: oneLine(found.says, 8192), remedy: found.advice };
}

const pullRequests = ({ subject }: WantedBinding, robot: WantedRobot): Found | undefined =>
  /:pull_request(?:$|:)/.test(subject) && canWrite(robot)
    ? {
        rule: "pull-requests-write",
        says: `${robot.name} can write, and trusts every pull request of a repository: its author decides what is pushed.`,
        remedy: ["Give pull requests a robot of their own that reads."],
      }
    : undefined;

const branchThatPromotes = ({ subject }: WantedBinding, robot: WantedRobot): Found | undefined =>
  robot.promotes && /:ref:refs\/heads\/|:ref_type:branch:/.test(subject)
    ? {
        rule: "branch-promotes",
        says: `${robot.name} promotes, and trusts a branch; every push to it can promote.`,
        remedy: ["Trust an environment instead: its settings say who must approve."],
      }
    : undefined;

/** @param firstWith the first writing robot with an issuer and subject; this adds the robot to it */
function shared(binding: WantedBinding, robot: WantedRobot, firstWith: Map<string, WantedRobot>): Found | undefined {
  const key = JSON.stringify([binding.issuer, binding.subject]);
  const other = firstWith.get(key);
  if (!canWrite(robot)) {
    return undefined;
  }
  if (other === undefined) {
    firstWith.set(key, robot);
    return undefined;
  }
  return {
    rule: "subject-shared",
    says: `${robot.name} and ${other.name} trust the same subject, ${oneLine(binding.subject)}, and both can write.`,
    remedy: ["Give each robot a subject of its own, such as an environment, or one robot all permissions."],
  };
}

const admin = ({ repository, role }: WantedPermission, { name }: WantedRobot): Found | undefined =>
  role === "admin"
    ? {
        rule: "role-admin",
        says: `${name} gets admin on ${repository}: it could delete the repository and change who may use it.`,
        remedy: ["To push and pull, write is enough."],
      }
    : undefined;

/** As many issuers at the same time. */
const atOnce = 8;

/**
 * Looks at each issuer once, from here, as Quay does for an exchange. Those that `lintTrust` refuses are left out.
 * @throws the signal's reason once it aborts
 */
export async function lintIssuers(
  trust: Trust,
  { strict }: LintOptions,
  platform: Platform,
): Promise<readonly Finding[]> {
  const issuers = new Map<string, { readonly robot: WantedRobot; readonly binding: WantedBinding }>();
  for (const robot of trust.robots) {
    for (const binding of robot.bindings) {
      const isRefused =
        issuerAddress(binding, trust.registry) !== undefined || binding.issuer.trim() !== binding.issuer;
      if (!isRefused && !issuers.has(binding.issuer)) {
        issuers.set(binding.issuer, { robot, binding });
      }
    }
  }
  const found = await mapLimit([...issuers], atOnce, async ([issuer, { robot, binding }]) =>
    // No token is at hand: any RSA key will do.
    finding(explained(await examineIssuer({ issuer, keyId: "" }, platform), issuer), robot, binding, strict),
  );
  return found.flat();
}

function explained(found: IssuerFinding, issuer: string): Found | undefined {
  if (found.kind === "sound" || (found.kind === "key-not-published" && found.keys.length > 0)) {
    return undefined;
  }
  const problem =
    found.kind === "unreachable"
      ? `cannot be reached: ${found.why}`
      : found.kind === "broken"
        ? `gives an invalid answer: ${found.why}`
        : found.kind === "other-issuer"
          ? `calls itself ${found.named}`
          : "publishes no RSA key for signatures; Quay takes RS256 and RS384 only";
  const isUntrusted = found.kind === "unreachable" && found.untrusted;
  return {
    rule: "issuer-look",
    says: `The issuer ${oneLine(issuer)} ${problem}.`,
    remedy: [
      "Quay itself must reach the issuer; this look ran from here.",
      ...(isUntrusted ? [text`For this look: ${mention("ca-file", "path/to/root.pem")}`] : []),
    ],
  };
}
