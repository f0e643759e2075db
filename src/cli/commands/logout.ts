import { resolve } from "node:path";
import { logoutOf, logout as removeLogin } from "../../login/logout.ts";
import { readStatus } from "../../login/status.ts";
import { readOptions } from "../../options/reader.ts";
import { systemClock } from "../../platform/clock.ts";
import { invalidInput, oneOfTheTwo } from "../../platform/errors.ts";
import { isThere } from "../../platform/fs.ts";
import { withoutSecrets } from "../../platform/text.ts";
import { parseScopes } from "../../quay/scope.ts";
import type { Call, Outcome } from "../command.ts";

export async function logout(call: Call): Promise<Outcome> {
  const { optional } = readOptions(call.values);
  const session = optional("session");
  const misfit = (["auth-file", "scope", "registry"] as const).find((name) => call.values[name]?.trim());
  if (session !== undefined && misfit) {
    throw invalidInput(misfit, optional(misfit) ?? "", "the session records what to remove", oneOfTheTwo);
  }
  const scopes = session === undefined ? await fromFile(call) : await fromSession(resolve(session), call);
  return { lines: [], object: { "logged-out": scopes } };
}

/** Without signals: a logout is quick, and can be repeated. */
const platformOf = ({ terminal }: Call) =>
  ({ clock: systemClock, reporter: terminal, signal: AbortSignal.timeout(60_000) }) as const;

async function fromSession(folder: string, call: Call): Promise<readonly string[]> {
  const session = await removeLogin(folder, platformOf(call), { named: true });
  if (session === undefined) {
    call.terminal.info(`There is no session in ${withoutSecrets(folder)}: no login was removed.`);
  }
  return session?.robots.map(({ scope }) => scope) ?? [];
}

async function fromFile(call: Call): Promise<readonly string[]> {
  const { registry, scopes } = parseScopes(call.values);
  const wanted = { registry, scopes: scopes.length > 0 ? scopes : [registry] };
  const named = readOptions(call.values).optional("auth-file");
  const authFile = named && resolve(named);
  const stored = await readStatus(wanted, authFile, call.env);
  const removed = stored.logins.length === 0 ? [] : await logoutOf(stored, wanted.scopes, platformOf(call));
  if (removed.length === 0) {
    const isMissing = authFile !== undefined && !(await isThere(authFile));
    const why = isMissing ? "does not exist" : `holds no login for ${wanted.scopes.join(", ")}`;
    call.terminal.info(`${withoutSecrets(stored.authFile)} ${why}: no login was removed.`);
  }
  return removed;
}
