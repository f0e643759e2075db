import { resolve } from "node:path";
import { isOurHelper, removal } from "../../authfile/cred-helpers.ts";
import { assertReadFirst } from "../../authfile/hidden.ts";
import { isoTime } from "../../identity/token.ts";
import { assertLasting, readStatus, type StoredLogin } from "../../login/status.ts";
import { readOptions } from "../../options/reader.ts";
import { systemClock } from "../../platform/clock.ts";
import type { Environment } from "../../platform/environment.ts";
import { ExplainedError, invalidInput } from "../../platform/errors.ts";
import { which } from "../../platform/exec.ts";
import { isThere } from "../../platform/fs.ts";
import { oneLine, withoutSecrets } from "../../platform/text.ts";
import { mention, text } from "../../platform/wording.ts";
import { parseScopes } from "../../quay/scope.ts";
import { aligned, type Call, type Outcome } from "../command.ts";

export async function status({ values, env }: Call): Promise<Outcome> {
  const { optional } = readOptions(values);
  const wanted = parseScopes(values);
  const seconds = parseDuration(optional("for") ?? "0s");
  const authFile = optional("auth-file");
  const places = await readStatus(wanted, authFile && resolve(authFile), env);
  const [first] = places;
  const now = systemClock.now();
  return {
    lines: aligned(
      places.flatMap((place) => [
        ["auth-file", place.authFile],
        ...(place.helper === undefined ? [] : [["credential-helper", shown(place.helper)] as const]),
        ...place.logins.map((login) => [shown(login.scope), `${shown(login.robot)}, ${inWords(login, now)}`] as const),
      ]),
    ),
    object: {
      "auth-file": first.authFile,
      ...(first.helper !== undefined && { "credential-helper": first.helper }),
      logins: places.flatMap(({ authFile, logins }) =>
        logins.map(({ scope, robot, expiresAt, path }) => ({
          scope,
          robot,
          "auth-file": path ?? authFile,
          "expires-at": expiresAt === undefined ? null : isoTime(expiresAt),
          "seconds-left": expiresAt === undefined ? null : secondsLeft(expiresAt, now),
        })),
      ),
    },
    failure: await failureOf(async () => {
      if (authFile !== undefined && !(await isThere(authFile))) {
        throw missing(authFile, wanted.registry);
      }
      if (first.helper !== undefined) {
        return assertThere(first.helper, first.authFile, wanted.registry, env);
      }
      assertLasting(places, wanted, now, seconds);
      if (authFile === undefined) {
        const ofTools = places.flatMap(({ logins }) => logins).filter(({ path }) => path === undefined);
        await assertReadFirst(
          ofTools.map(({ scope }) => scope),
          env,
        );
      }
    }),
  };
}

/** The tools read no login of a registry that has a helper: all that counts is whether they find its program. */
async function assertThere(helper: string, authFile: string, registry: string, env: Environment): Promise<void> {
  if ((await which(`docker-credential-${helper}`, env)) === undefined) {
    const [file, name] = [withoutSecrets(authFile), shown(helper)];
    const message = `${file} names the credential helper ${name} for ${registry}, and docker-credential-${name} is not on PATH.`;
    throw new ExplainedError("helper-not-found", message, {
      remedy: [
        "Add its folder to PATH, here and where the tools run.",
        isOurHelper(helper) ? `Or remove it: ${removal(registry)}` : `Or remove credHelpers.${registry} from ${file}.`,
      ],
    });
  }
}

function missing(authFile: string, registry: string): ExplainedError {
  const file = withoutSecrets(authFile);
  return new ExplainedError("not-logged-in", `${file} does not exist.`, {
    remedy: [
      text`Name the file that holds the login. Without ${mention("auth-file")}, the files of the tools are read.`,
      `To log in: quay-keyless-login login --registry ${registry} --robot organization+name --auth-file ${file}`,
    ],
  });
}

/** A scope or user as the file has it. Unusual text is quoted, so it can't imitate other output. */
const shown = (text: string): string =>
  /^[\w.,:/+@[\]-]{1,300}$/.test(text) ? text : JSON.stringify(oneLine(text, 300));

const secondsLeft = (expiresAt: number, now: number): number => Math.max(0, Math.floor(expiresAt - now / 1000));

function inWords({ expiresAt }: StoredLogin, now: number): string {
  if (expiresAt === undefined) {
    return "a stored password, which does not expire";
  }
  const left = secondsLeft(expiresAt, now);
  const rest = left >= 120 ? `${Math.floor(left / 60)} min left` : `${left} s left`;
  return left > 0 ? `until ${isoTime(expiresAt)}, ${rest}` : `expired at ${isoTime(expiresAt)}`;
}

function parseDuration(text: string): number {
  const [, number, unit = "s"] = /^([0-9]+)(s|m|h)?$/.exec(text) ?? [];
  if (number === undefined) {
    throw invalidInput("for", text, "it is a whole number with s, m or h", mention("for", "10m"));
  }
  return Number(number) * { s: 1, m: 60, h: 3600 }[unit as "s" | "m" | "h"];
}

async function failureOf(check: () => Promise<void>): Promise<ExplainedError | undefined> {
  try {
    await check();
    return undefined;
  } catch (error) {
    if (error instanceof ExplainedError) {
      return error;
    }
    throw error;
  }
}
