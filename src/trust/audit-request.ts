/** The options of `audit` and `retire-static-token`, checked. */
import { closest } from "../options/closest.ts";
import { type OptionReader, parseTimeout, readOptions, requireOptions } from "../options/reader.ts";
import { findingNames, type OptionValues } from "../options/table.ts";
import { invalidInput } from "../platform/errors.ts";
import { mention, text } from "../platform/wording.ts";
import { type ApiTokenSource, parseApiTokenSource } from "../quay/api-token.ts";
import { parseOrganization, parseRegistry, parseRobot } from "../quay/scope.ts";
import type { FindingName } from "./findings.ts";

export interface UsageRequest {
  readonly registry: string;
  readonly organization: string;
  /** How far back the usage log is read. */
  readonly days: number;
  readonly apiToken: ApiTokenSource;
  readonly caFile: string | undefined;
  readonly timeoutSeconds: number;
}

export interface AuditRequest extends UsageRequest {
  readonly failOn: readonly FindingName[];
}

export interface RetireRequest extends UsageRequest {
  /** `acme+ci` */
  readonly robot: string;
  /** Whether the robot was named a second time, so that nobody has to be asked. */
  readonly isConfirmed: boolean;
  readonly force: boolean;
}

/** @throws ExplainedError `invalid-input` */
export function parseAuditRequest(values: OptionValues): AuditRequest {
  const reader = readOptions(values);
  requireOptions(reader, { organization: "acme" });
  const organization = parseOrganization(reader.text("organization"));
  return { ...parseUsage(reader, values), organization, failOn: parseFailOn(values["fail-on"]) };
}

/** @throws ExplainedError `invalid-input` */
export function parseRetireRequest(values: OptionValues): RetireRequest {
  const reader = readOptions(values);
  requireOptions(reader, { robot: "acme+ci" });
  const [robot = "", other] = reader.list("robot");
  if (other !== undefined) {
    throw invalidInput(
      "robot",
      other,
      "one robot is retired at a time",
      "quay-keyless-login retire-static-token acme+ci",
    );
  }
  parseRobot(robot);
  const again = reader.optional("yes");
  if (again !== undefined && again !== robot) {
    throw invalidInput("yes", again, `it must be the robot once more, ${robot}`, mention("yes", robot));
  }
  return {
    ...parseUsage(reader, values),
    organization: robot.slice(0, robot.indexOf("+")),
    robot,
    isConfirmed: again !== undefined,
    force: reader.boolean("force"),
  };
}

const parseUsage = (reader: OptionReader, { since }: OptionValues): Omit<UsageRequest, "organization"> => ({
  registry: parseRegistry(reader.text("registry")),
  days: parseDays(since ?? reader.text("since")),
  apiToken: parseApiTokenSource(reader),
  caFile: reader.optional("ca-file"),
  timeoutSeconds: parseTimeout(reader),
});

/** A year of a busy organization's log takes hours. */
const mostDays = 365;

/** Blank is no default here: a variable that is not set would judge by another time than the one that was meant. */
function parseDays(value: string): number {
  const days = Number(/^([0-9]{1,4})d$/.exec(value.trim())?.[1]);
  if (!(days >= 1 && days <= mostDays)) {
    throw invalidInput("since", value, `it must be a number of days, 1d to ${mostDays}d`, mention("since", "30d"));
  }
  return days;
}

/**
 * Several on a line, separated by commas. A line without any would be a check that never fails.
 * @param value undefined: not given
 */
function parseFailOn(value: string | undefined): readonly FindingName[] {
  const names = (value?.split(/\r?\n/) ?? []).flatMap((line) => {
    const found = line
      .split(",")
      .map((name) => name.trim())
      .filter(Boolean);
    if (found.length === 0) {
      throw invalidInput("fail-on", line, "it names no finding", mention("fail-on", "static-token,no-binding"));
    }
    return found;
  });
  return [...new Set(names)].map((name) => {
    const found = findingNames.find((known) => known === name);
    if (found === undefined) {
      const all = `the findings are ${findingNames.join(", ")}`;
      throw invalidInput(
        "fail-on",
        name,
        text`${all}`,
        mention("fail-on", closest(name, findingNames) ?? "static-token"),
      );
    }
    return found;
  });
}
