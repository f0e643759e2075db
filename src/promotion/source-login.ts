/** The login of a source that no robot reads, from an auth file that another step has written. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { type AuthEntry, getOwn, readAuthFile } from "../authfile/read.ts";
import { ExplainedError, invalidInput } from "../platform/errors.ts";
import { replaceFile } from "../platform/replace.ts";
import { mention, text } from "../platform/wording.ts";
import { pathOf, type Repository } from "./reference.ts";

export interface SourceLogin {
  /** The entry's key in the file. */
  readonly key: string;
  /** base64(user:password), as in the file and in an `Authorization: Basic` header. */
  readonly auth: string;
}

/**
 * Reads the most specific entry for each source, which is the one that skopeo, buildah and podman use. Reads nothing else.
 * @returns the logins, keyed by `registry/organization/repository`
 * @throws ExplainedError `invalid-input`, `auth-file-unusable`, `credential-helper`, `not-logged-in`
 */
export async function readSourceLogins(
  path: string,
  sources: readonly Repository[],
): Promise<ReadonlyMap<string, SourceLogin>> {
  const { content, existing } = await readAuthFile(path, "read");
  if (existing === undefined) {
    throw invalidInput("source-auth-file", path, "it does not exist", mention("source-auth-file", "/path/auth.json"));
  }
  const { auths = {}, credHelpers, credsStore } = content;
  return new Map(
    sources.map((source) => {
      const { registry } = source;
      const remedy = [
        `Log in to a separate file: skopeo login --authfile source.json ${registry}`,
        text`Then name that file: ${mention("source-auth-file", "source.json")}`,
      ];
      // The tools ask a helper before they read the entries.
      if (getOwn(credHelpers, registry) !== undefined) {
        const message = `${path} leaves the login for ${registry} to a credential helper (credHelpers), which is not used here.`;
        throw new ExplainedError("credential-helper", message, { remedy });
      }
      const [key, entry] = mostSpecific(auths, pathOf(source)) ?? [];
      const auth = entry?.auth;
      if (key === undefined || (auth === undefined && credsStore === undefined)) {
        throw new ExplainedError("not-logged-in", `${path} has no login for ${pathOf(source)}.`, { remedy });
      }
      const isPassword = typeof auth === "string" && /^[^:]+:./s.test(Buffer.from(auth, "base64").toString());
      if (!isPassword || entry?.identitytoken !== undefined) {
        const what = auth === undefined ? "leaves the login to a credential helper (credsStore)" : "has no password";
        throw new ExplainedError("credential-helper", `${path} ${what} for ${pathOf(source)}.`, { remedy });
      }
      return [pathOf(source), { key, auth }];
    }),
  );
}

/** @returns a file with only these logins, in its own folder: skopeo is given the file, cosign the folder */
export async function writeSourceLogins(logins: readonly SourceLogin[], folder: string): Promise<string> {
  const file = join(folder, "config.json");
  await mkdir(folder, { mode: 0o700 });
  const auths = Object.fromEntries(logins.map(({ key, auth }) => [key, { auth }]));
  await replaceFile(file, JSON.stringify({ auths }), { mode: 0o600 });
  return file;
}

function mostSpecific(
  auths: Readonly<Record<string, AuthEntry>>,
  path: string,
): readonly [key: string, entry: AuthEntry] | undefined {
  const scopes = Object.entries(auths).map(([key, entry]) => ({ key, entry, scope: scopeOf(key) }));
  const [found] = scopes
    .filter(({ scope }) => path === scope || path.startsWith(`${scope}/`))
    .sort((a, b) => b.scope.length - a.scope.length);
  return found && [found.key, found.entry];
}

/** docker writes `https://index.docker.io/v1/`; old versions write `https://host/v1/` for other registries. */
function scopeOf(key: string): string {
  const scope = key.replace(/^https?:\/\/([^/]*).*$/s, "$1").replace(/^[^/]*/, (host) => host.toLowerCase());
  return scope.replace(/^(?:index|registry-1)\.docker\.io(?=\/|$)/, "docker.io");
}
