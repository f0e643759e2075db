/** Finds a login that no tool would use: skopeo reads other files before the one that it writes, docker a variable. */
import type { Environment } from "../platform/environment.ts";
import { ExplainedError } from "../platform/errors.ts";
import { parseObject } from "../platform/json.ts";
import { containersLocations, dockerConfigPath } from "./locations.ts";
import { type AuthContent, getOwn, readAuthFile } from "./read.ts";

/**
 * With DOCKER_CONFIG, every tool writes there, and buildah and podman read there alone. But skopeo reads the user's own files first, and
 * takes the first file that has anything for the image (measured: 1.9.3, and the libraries of v5.42).
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
    // What can't be read here, skopeo tells by itself.
    const { content } = await readAuthFile(path, "read").catch(() => ({ content: {} as AuthContent }));
    for (const scope of scopes) {
      const found = keyFor(scope, content);
      if (found !== undefined) {
        throw new ExplainedError(
          "login-hidden",
          `skopeo does not use the login for ${scope} in ${written}: it reads ${path} first, which has one for ${found}, although DOCKER_CONFIG is set.`,
          {
            remedy: [
              `If that one is not wanted any more: skopeo logout --authfile ${path} ${found}`,
              `Or name the file for all tools: export REGISTRY_AUTH_FILE=${written}`,
            ],
          },
        );
      }
    }
  }
}

/** The key of a login for a part of the scope, or for more than it. */
function keyFor(scope: string, { auths, credHelpers }: AuthContent): string | undefined {
  const host = scope.replace(/\/.*/s, "");
  const key = Object.keys(auths ?? {}).find(
    (each) => each === scope || scope.startsWith(`${each}/`) || each.startsWith(`${scope}/`),
  );
  return key ?? (getOwn(credHelpers, host) ? host : undefined);
}

/**
 * docker's client of today, and what reads logins by its library (crane, cosign), take those of this variable before any file's
 * (docker/cli, configfile/file.go, since 28.3).
 * @returns in words what hides a login for `registry` in docker's configuration
 */
export function hidingVariable(registry: string, { DOCKER_AUTH_CONFIG: text = "" }: Environment): string | undefined {
  // What is not JSON, those tools tell by themselves.
  const hosts = Object.keys(Object(parseObject(text)?.auths)).map((key) =>
    key.replace(/^https?:\/\//, "").replace(/\/.*/s, ""),
  );
  return hosts.includes(registry)
    ? `The variable DOCKER_AUTH_CONFIG has a login for ${registry}: docker, crane and cosign of today use that one, not this. Take it out of the variable, for this job.`
    : undefined;
}
