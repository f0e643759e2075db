/** Reads an entry of an auth file: its user, and its token's expiry, since a robot token is a JWT. Pure. */
import { decodeJwt } from "jose/jwt/decode";
import { isTime } from "../platform/jwt.ts";
import type { AuthEntry } from "./read.ts";

export interface EntryLogin {
  /** The user of the entry; a robot is `organization+name`. */
  readonly robot: string;
  /** Seconds since 1970; undefined: a stored password, which does not expire. */
  readonly expiresAt: number | undefined;
}

/** undefined: a placeholder, such as docker writes where a helper has the password */
export function readEntry(entry: AuthEntry): EntryLogin | undefined {
  const text = typeof entry?.auth === "string" ? Buffer.from(entry.auth, "base64").toString() : "";
  const separator = text.indexOf(":");
  if (separator < 0) {
    return undefined;
  }
  return { robot: text.slice(0, separator), expiresAt: expiryOf(text.slice(separator + 1)) };
}

function expiryOf(password: string): number | undefined {
  try {
    const { exp } = decodeJwt(password);
    return isTime(exp) ? exp : undefined;
  } catch {
    return undefined;
  }
}

/** Whether it is a robot token, as this program writes it, and not a stored password or another registry's token. */
export const isRobotLogin = ({ robot, expiresAt }: EntryLogin): boolean =>
  expiresAt !== undefined && robot.includes("+");

/** @param now milliseconds since 1970 */
export function robotLoginState(entry: AuthEntry, now: number): "valid" | "expired" | "no robot token" {
  const login = readEntry(entry);
  if (login?.expiresAt === undefined || !isRobotLogin(login)) {
    return "no robot token";
  }
  return login.expiresAt * 1000 > now ? "valid" : "expired";
}
