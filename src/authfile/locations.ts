/** The files where the tools store logins (containers-auth.json(5); docker's client). Pure, but for the user id. */
import { dirname, isAbsolute, join } from "node:path";
import type { Environment } from "../platform/environment.ts";

export interface Location {
  readonly path: string;
  /** `.dockercfg`, docker's old file, has the entries at its top level. */
  readonly legacy?: true;
}

/** The files that skopeo, buildah and podman read: the first with an entry wins. A variable that is set excludes all others. */
export function containersLocations(
  env: Environment,
  uid = process.getuid?.() ?? 0,
): readonly [Location, ...Location[]] {
  if (env.REGISTRY_AUTH_FILE) {
    return [{ path: env.REGISTRY_AUTH_FILE }];
  }
  if (env.DOCKER_CONFIG) {
    return [{ path: join(env.DOCKER_CONFIG, "config.json") }];
  }
  const home = env.HOME;
  const configuration = env.XDG_CONFIG_HOME || (home && join(home, ".config"));
  return [
    {
      path: env.XDG_RUNTIME_DIR
        ? join(env.XDG_RUNTIME_DIR, "containers/auth.json")
        : `/run/containers/${uid}/auth.json`,
    },
    ...(configuration ? [{ path: join(configuration, "containers/auth.json") }] : []),
    ...(home
      ? [{ path: join(home, ".docker/config.json") }, { path: join(home, ".dockercfg"), legacy: true as const }]
      : []),
  ];
}

export function dockerConfigPath(env: Environment): string | undefined {
  const folder = env.DOCKER_CONFIG || (env.HOME && join(env.HOME, ".docker"));
  return folder ? join(folder, "config.json") : undefined;
}

/**
 * Where docker's builder looks for a login of a repository or an action before it reads docker's configuration: each folder
 * below is named as the scope, and has a config.json (buildx, util/dockerutil/dockerconfig and util/confutil).
 */
export function builderFolder(env: Environment): string | undefined {
  const docker = dockerConfigPath(env);
  const folder = env.BUILDX_CONFIG || (docker && join(dirname(docker), "buildx"));
  return folder ? join(folder, "config") : undefined;
}

/**
 * Folders whose roots the containers tools trust for this host, besides the system's (measured, as root too). Libraries before
 * v5.41 read the home's, whatever XDG_CONFIG_HOME says; newer ones read the folder that this variable names, and the home's
 * only if it is not set.
 */
export function certificatesFolders(env: Environment, registry: string): readonly string[] {
  const configurations = [env.HOME && join(env.HOME, ".config"), env.XDG_CONFIG_HOME];
  return configurations
    .filter((folder) => folder !== undefined)
    .filter(isAbsolute)
    .map((folder) => join(folder, "containers/certs.d", registry))
    .filter((folder, index, all) => all.indexOf(folder) === index);
}
