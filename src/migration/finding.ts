/** What is found: a login with a stored password, and what becomes of it. */

import { defaultOf } from "../options/reader.ts";
import { oneLine } from "../platform/text.ts";
import { type Mention, mention } from "../platform/wording.ts";
import type { FileEdit } from "./permissions.ts";
import { nameOf, secretsIn, type Value } from "./values.ts";

/** `from` says where a name comes from that no file says. */
export type Robot = { readonly name: string } | { readonly from: string };

export interface Finding {
  readonly path: string;
  readonly line: number;
  /** The job, Task or script in which it is; "" where the file is the place. */
  readonly place: string;
  /** `docker/login-action`, `podman login` … */
  readonly what: string;
  readonly robot: Robot;
  /** Secrets and variables that it reads. */
  readonly secrets: readonly string[];
  readonly notes: readonly string[];
  readonly change: Change;
  /** The options of each `federate` that its robot needs. */
  readonly federate: readonly (readonly Mention[])[];
}

export type Change =
  | { readonly kind: "rewritten"; readonly edits: readonly FileEdit[] }
  | { readonly kind: "listed"; readonly why: string };

/** The registry of `federate`, where it is not the default one; and the robot. */
export const federated = (registry: string, robot: Robot): readonly Mention[] => [
  ...(registry === defaultOf("registry") ? [] : [mention("registry", registry)]),
  mention("robot", nameOfRobot(robot)),
];

export const listed = (why: string): Change => ({ kind: "listed", why });

/** Stands where the robot's name is not known. */
export const anyRobot = "ORGANIZATION+ROBOT";

export const nameOfRobot = (robot: Robot): string => ("name" in robot ? robot.name : anyRobot);

/** Only a robot can log in with an identity: another user's name is not taken over. */
export function robotOf(username: Value | undefined): Robot {
  if (username === undefined || (username.kind === "literal" && username.text === "")) {
    return { from: "no user name" };
  }
  if (username.kind === "literal") {
    return /^\w[\w.-]*\+\w[\w.-]*$/.test(username.text)
      ? { name: username.text }
      : { from: `${whole(`the user ${username.text}`) ?? "a user with a long name"}, who is no robot` };
  }
  const secrets = username.kind === "unknown" ? secretsIn(username.text) : [];
  return {
    from: secrets.length > 0 ? `the secrets ${secrets.join(", ")}` : (whole(nameOf(username)) ?? "a long expression"),
  };
}

/** In one line; undefined if it is too long for that: a password that is cut would not be found and hidden. */
const whole = (text: string): string | undefined => (text.length > 120 ? undefined : oneLine(text));

/** As a value in YAML: a placeholder says in a comment what to write. */
export const robotText = (robot: Robot): string =>
  "name" in robot ? robot.name : `${anyRobot} # write the robot's name; it was ${robot.from}`;
