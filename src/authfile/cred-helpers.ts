/**
 * The entries of `credHelpers` in an auth file: by host, the program docker-credential-NAME that tools ask for the login, instead
 * of reading one in that file (containers-auth.json(5); docker's client).
 */
import { dirname } from "node:path";
import { anotherFile, ExplainedError } from "../platform/errors.ts";
import { isId } from "../platform/replace.ts";
import { shellWord } from "../platform/text.ts";
import type { Words } from "../platform/wording.ts";
import { robotLoginState } from "./entry.ts";
import { type AuthContent, type AuthEntry, type AuthFile, getOwn } from "./read.ts";

/** Names of helpers, by host. */
export type HelperNames = Readonly<Record<string, string>>;

/** The name of this program's helper. */
export const helperName = "quay-keyless";

/** The same in a job, where each session has a program of its own. */
export const helperOfSession = (id: string): string => `${helperName}-${id}`;

/** Whether it is this program's, whichever session it belongs to. Values come from outside. */
export const isOurHelper = (name: unknown): boolean => name === helperName || isHelperOfSession(name);

/** The same, of a job. */
export const isHelperOfSession = (name: unknown): name is string =>
  typeof name === "string" && name.startsWith(`${helperName}-`) && isId(name.slice(helperName.length + 1));

/** Whether a helper of ours is in the file. */
export const holdsOurHelper = ({ credHelpers }: AuthContent): boolean =>
  Object.values(credHelpers ?? {}).some(isOurHelper);

/** The same, of a job. */
export const holdsHelperOfSession = ({ credHelpers }: AuthContent): boolean =>
  Object.values(credHelpers ?? {}).some(isHelperOfSession);

/** @returns the hosts whose entry is as it was written */
export const ownHosts = (written: HelperNames = {}, { credHelpers }: AuthContent): readonly string[] =>
  Object.keys(written).filter((host) => getOwn(credHelpers, host) === written[host]);

export const withHelpers = (content: AuthContent, names: HelperNames = {}): AuthContent =>
  Object.keys(names).length === 0 ? content : { ...content, credHelpers: { ...content.credHelpers, ...names } };

/** An empty list is left out: it says the same. */
export function withoutHelpers(content: AuthContent, hosts: readonly string[]): AuthContent {
  if (hosts.length === 0) {
    return content;
  }
  const { credHelpers = {}, ...others } = content;
  const left = Object.entries(credHelpers).filter(([host]) => !hosts.includes(host));
  return left.length === 0 ? others : { ...content, credHelpers: Object.fromEntries(left) };
}

/** An auth file that is looked at for its helpers. `program`: where that of the host's helper is, if it is of a job and that is known. */
export type HelperFile = Pick<AuthFile, "path" | "content"> & { readonly program?: string | undefined };

/**
 * Fails if the tools would ask a helper and never read a login in the file.
 * @throws ExplainedError `credential-helper`
 */
export function assertNotHidden(
  kind: "containers" | "docker",
  { path, content: { credHelpers, credsStore }, program }: HelperFile,
  registry: string,
): void {
  const helper = getOwn(credHelpers, registry);
  // The containers tools start the program of an empty name too, and fail; docker reads the file then. docker asks credsStore for
  // every other host; the containers tools ignore it.
  const isAsked = kind === "docker" ? Boolean(helper) : helper !== undefined;
  const hiding = isAsked ? `credHelpers.${registry}` : kind === "docker" && credsStore ? "credsStore" : undefined;
  if (hiding === undefined) {
    return;
  }
  throw new ExplainedError(
    "credential-helper",
    `${path} sets ${hiding}: the tools would not read a login in this file.`,
    {
      remedy: [
        ...(isAsked ? howToRemove(registry, helper, program) : [`Remove ${hiding} from it for this job.`]),
        anotherFile,
      ],
    },
  );
}

function howToRemove(registry: string, helper: unknown, program: string | undefined): readonly Words[] {
  if (helper === helperName) {
    return [`The helper logs the tools in by itself. To remove it: ${removal(registry)}`];
  }
  const entry = `credHelpers.${registry}`;
  return isHelperOfSession(helper)
    ? [
        "A step with a credential helper has set it, of this job or of another one that has the same file, and logs the tools in by that: leave one of the two steps out, or give each job a home folder of its own.",
        program === undefined
          ? `If the job of that step is over, remove ${entry} from the file.`
          : `If the job of that step is over, delete its folder, and the next login replaces ${entry}: rm -r ${shellWord(dirname(program))}`,
      ]
    : [`Remove ${entry} from it for this job.`];
}

/** The command that removes helpers of ours. */
export const removal = (registry: string): string =>
  `quay-keyless-login configure --remove${registry === "quay.io" ? "" : ` --registry ${registry}`}`;

/**
 * Fails if the host has another helper, or if the file holds logins that a helper would hide: the tools ask a host's helper
 * instead of reading any entry of that host, those of its organizations and repositories too.
 * @param name of the helper to enter; undefined: it has none yet, and any that is there is another one
 * @param now milliseconds since 1970
 * @throws ExplainedError `credential-helper`
 */
export function assertEnterable(
  { host, name }: { readonly host: string; readonly name: string | undefined },
  { path, content, program }: HelperFile,
  now: number,
): void {
  const found = getOwn(content.credHelpers, host);
  if (found !== undefined && found !== name) {
    throw new ExplainedError(
      "credential-helper",
      `${path} sets credHelpers.${host} to ${JSON.stringify(found)}: the tools ask that credential helper for ${host}, and a host has only one.`,
      { remedy: [...howToRemove(host, found, program), anotherFile] },
    );
  }
  const [scope] = Object.entries(content.auths ?? {}).find(isHidden(host, now)) ?? [];
  if (scope !== undefined) {
    // skopeo finds no login under docker's old keys, nor one whose name ends with a slash.
    const removal =
      isOrdinary(scope, host) && !scope.endsWith("/")
        ? `skopeo logout --authfile ${shellWord(path)} ${scope}`
        : `remove ${JSON.stringify(scope)} from auths in ${path}.`;
    throw new ExplainedError(
      "credential-helper",
      `${path} holds a login for ${scope}, which a credential helper for ${host} would hide: the tools read no login of a host that has a helper.`,
      { remedy: [`If you don't need that login: ${removal}`, anotherFile] },
    );
  }
}

const isOrdinary = (scope: string, host: string): boolean => scope === host || scope.startsWith(`${host}/`);

/** Docker's old keys have a scheme. A robot token that has expired, and a placeholder, are no logins. */
const isHidden =
  (host: string, now: number) =>
  ([key, entry]: readonly [string, AuthEntry]): boolean =>
    isOrdinary(key.replace(/^https?:\/\//i, "").toLowerCase(), host) &&
    Boolean(entry?.auth || entry?.identitytoken || entry?.registrytoken) &&
    robotLoginState(entry, now) !== "expired";
