import { resolve } from "node:path";
import { isOurHelper, removal } from "../../authfile/cred-helpers.ts";
import { isRobotLogin } from "../../authfile/entry.ts";
import { logout as removeLogin } from "../../login/logout.ts";
import { logoutOf } from "../../login/logout-of-scopes.ts";
import { readStatus, type Status } from "../../login/status.ts";
import { readOptions } from "../../options/reader.ts";
import { systemClock } from "../../platform/clock.ts";
import { invalidInput, oneOfTheTwo } from "../../platform/errors.ts";
import { isThere } from "../../platform/fs.ts";
import { withoutSecrets } from "../../platform/text.ts";
import { joined, mention, text } from "../../platform/wording.ts";
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
  if (session?.configured) {
    const { path, registry } = session.configured;
    const { forgetTokens } = await import(/* webpackMode: "eager" */ "../../helper/cache-write.ts");
    await forgetTokens(path, registry, { ...platformOf(call), env: call.env });
  }
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
  const places = await readStatus(wanted, authFile, call.env);
  const [{ authFile: first, helper }] = places;
  const removed = await logoutOf(places, wanted.scopes, platformOf(call));
  if (removed.length === 0) {
    const isMissing = authFile !== undefined && !(await isThere(authFile));
    const why = isMissing ? "does not exist" : `holds no login for ${wanted.scopes.join(", ")}`;
    call.terminal.info(`${withoutSecrets(first)} ${why}: no login was removed.`);
  }
  if (helper !== undefined) {
    const what = `It names the credential helper ${helper} for ${registry}, which the tools ask for a login.`;
    call.terminal.info(isOurHelper(helper) ? `${what} To remove it: ${removal(registry)}` : what);
  }
  tellOfOthers(await readStatus({ registry, scopes: [] }, authFile, call.env), named, call);
  return removed;
}

/** Logs the robots' logins for other scopes of the registry, which stay. */
function tellOfOthers(places: Status, named: string | undefined, { terminal }: Call): void {
  const left = [...new Set(places.flatMap(({ logins }) => logins.filter(isRobotLogin).map(({ scope }) => scope)))];
  // A scope of another form is another program's.
  const scopes = left.filter((scope) => /^[\w.:/@,[\]-]{1,300}$/.test(scope));
  if (scopes.length > 0) {
    const file = named === undefined ? [] : [mention("auth-file", withoutSecrets(named))];
    const options = joined([...scopes.map((scope) => mention("scope", scope)), ...file], " ");
    terminal.info(text`Still logged in for ${scopes.join(", ")}. To log out: quay-keyless-login logout ${options}`);
  }
}
