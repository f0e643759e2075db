/** Finds a login that no tool would use: skopeo reads other files before the one that it writes, docker reads a variable. */
import type { Environment } from "../platform/environment.ts";
import { ExplainedError } from "../platform/errors.ts";
import { parseObject } from "../platform/json.ts";
import { isOurHelper } from "./cred-helpers.ts";
import { containersLocations, dockerConfigPath } from "./locations.ts";
import { type AuthContent, getOwn, readAuthFile } from "./read.ts";

/**
 * With DOCKER_CONFIG, every tool writes there, and buildah and podman read only there. But skopeo reads the user's own files
 * first, and takes the first file that has anything for the image (measured: 1.9.3, and the libraries of v5.42).
 * @param scopes of the logins in the file that the tools write to by default
 * @throws ExplainedError `login-hidden`
 */
export async function assertReadFirst(scopes: readonly string[], env: Environment): Promise<void> {
  if (env.REGISTRY_AUTH_FILE || !env.DOCKER_CONFIG) {
    return;
  }
  const [{ path: written }] = containersLocations(env);
  const usual = containersLocations({ ...env, DOCKER_CONFIG: "" });
  const [ofDocker, legacy] = [dockerConfigPath({ HOME: env.HOME }), usual.find((each) => each.legacy)?.path];
  const earlier = usual.filter(({ path }) => ![ofDocker, legacy, written].includes(path));
  for (const { path } of earlier) {
    // skopeo itself reports a file that it can't read.
    const { content } = await readAuthFile(path, "read").catch(() => ({ content: {} as AuthContent }));
    for (const scope of scopes) {
      const found = keyFor(scope, content);
      if (found !== undefined) {
        throw new ExplainedError(
          "login-hidden",
          `skopeo does not use the login for ${scope} in ${written}: it reads ${path} first, which has one for ${found}, although DOCKER_CONFIG is set.`,
          {
            remedy: [
              `If you don't need that login: skopeo logout --authfile ${path} ${found}`,
              `Or name the file for all tools: export REGISTRY_AUTH_FILE=${written}`,
            ],
          },
        );
      }
    }
  }
}

/**
 * skopeo, buildah and podman take the first file that has anything for the image: a login there comes before a helper in `path`.
 * @param path of a file that they read by default
 * @throws ExplainedError `login-hidden`
 */
export async function assertHelperRead(registry: string, path: string, env: Environment): Promise<void> {
  const locations = containersLocations(env).map((location) => location.path);
  for (const earlier of locations.slice(0, Math.max(0, locations.indexOf(path)))) {
    const { content } = await readAuthFile(earlier, "read").catch(() => ({ content: {} as AuthContent }));
    const found = isOurHelper(getOwn(content.credHelpers, registry)) ? undefined : keyFor(registry, content);
    if (found !== undefined) {
      throw new ExplainedError(
        "login-hidden",
        `skopeo, buildah and podman would not ask the credential helper in ${path}: they read ${earlier} first, which has a login for ${found}.`,
        { remedy: [`If you don't need that login: skopeo logout --authfile ${earlier} ${found}`] },
      );
    }
  }
}

/** The key of a login whose scope contains this scope, or is contained in it. */
function keyFor(scope: string, { auths, credHelpers }: AuthContent): string | undefined {
  const host = scope.replace(/\/.*/s, "");
  const key = Object.keys(auths ?? {}).find(
    (each) => each === scope || scope.startsWith(`${each}/`) || each.startsWith(`${scope}/`),
  );
  return key ?? (getOwn(credHelpers, host) ? host : undefined);
}

/**
 * Current docker, and what reads logins with its library (crane, cosign), prefers the logins of this variable to those of files
 * (docker/cli, configfile/file.go, since 28.3).
 * @returns a warning that names what hides a login for `registry` in docker's configuration
 */
export function hidingVariable(registry: string, { DOCKER_AUTH_CONFIG: text = "" }: Environment): string | undefined {
  // The tools themselves report a value that is not JSON.
  const hosts = Object.keys(Object(parseObject(text)?.auths)).map((key) =>
    key.replace(/^https?:\/\//, "").replace(/\/.*/s, ""),
  );
  return hosts.includes(registry)
    ? `The variable DOCKER_AUTH_CONFIG has a login for ${registry}: docker, crane and cosign (since docker 28.3) use that login, not this one. Remove it from the variable for this job.`
    : undefined;
}
