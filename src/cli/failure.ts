/** A failure as the command line tells it: options as they are typed here, and the exit code. Pure. */
import { errorCodes, LoginError, type Severity } from "../errors.ts";
import { type Option, options } from "../options.ts";

/** sysexits.h: EX_TEMPFAIL for what may pass by itself. */
const exitCodes: Readonly<Record<Severity, number>> = { refused: 1, "wrong-use": 2, temporary: 75 };

export const exitCodeOf = ({ code }: LoginError): number => exitCodes[errorCodes[code]];

const all: readonly Option[] = options;
const namesOf = (some: readonly Option[]) => some.map(({ name }) => name).join("|");
const typed = all.filter(({ faces }) => faces.some((face) => face !== "action"));
const mention = new RegExp(`\\b(option "?)(${namesOf(typed)})\\b`, "g");
// Those that the core speaks of; for, output and result are English words as well.
const spokenOf = typed.filter(({ name, faces }) => faces.includes("action") || name === "scope" || name === "session");
const assignment = new RegExp(`(?<![\\w-])(${namesOf(spokenOf)}): (?=\\S)`, "g");
const example = new RegExp(`^(Write, for example, )(${namesOf(typed)}): `);
const ofTheAction = new RegExp(`\\b(?:${namesOf(all.filter((option) => !typed.includes(option)))}): `);

/** The core writes `ca-file: root.pem`, as workflows do; here it is typed `--ca-file root.pem`. */
export function withFlags(error: LoginError): LoginError {
  const told = new LoginError(error.code, mentioned(error.message), {
    remedy: error.remedy
      .filter((line) => !ofTheAction.test(line))
      .map((line) => mentioned(line).replace(example, "$1--$2 ").replaceAll(assignment, "--$1 ")),
    binding: error.binding,
    cause: error.cause,
  });
  told.also = error.also.map(withFlags);
  return told;
}

/** The option audience becomes the option --audience. */
export const mentioned = (text: string): string => text.replaceAll(mention, "$1--$2");

interface FailureObject {
  readonly code: string;
  readonly message: string;
  readonly remedy: readonly string[];
  readonly binding?: LoginError["binding"];
  readonly also?: readonly FailureObject[];
}

export function failureObject({ code, message, remedy, binding, also }: LoginError): FailureObject {
  return {
    code,
    message,
    remedy,
    ...(binding && { binding }),
    ...(also.length > 0 && { also: also.map(failureObject) }),
  };
}
