/** What of the environment the tools get. Pure. */
import type { Environment } from "../platform/environment.ts";

/** Whether a text holds something that is known to be secret. */
type Knows = (text: string) => boolean;

/**
 * Only what the tools need, and nothing of it that is known to be secret, whatever its name: a variable with the identity token may be
 * called as one of theirs. REGISTRY_AUTH_FILE and DOCKER_CONFIG are replaced by arguments.
 */
export function toolEnvironment(env: Environment, isSecret: Knows, certificates: string | undefined): Environment {
  const names =
    /^(?:PATH|HOME|USER|LOGNAME|LANG|LC_.+|TMPDIR|XDG_.+|_?CONTAINERS_.+|BUILDAH_.+|STORAGE_.+|REGISTRIES_CONFIG_PATH|DOCKER_(?:HOST|CONTEXT|TLS_VERIFY|CERT_PATH|API_VERSION)|(?:HTTPS?|NO)_PROXY|SSL_CERT_(?:FILE|DIR))$/i;
  return childEnvironment(env, (name) => names.test(name), isSecret, certificates);
}

/** For a command that the user has chosen: all but what an identity token could be had with, and other logins. */
export function commandEnvironment(env: Environment, isSecret: Knows, certificates: string | undefined): Environment {
  const withheld = /^(?:ACTIONS_RUNTIME_.+|SPIFFE_ENDPOINT_SOCKET|DOCKER_AUTH_CONFIG)$/;
  return childEnvironment(env, (name) => !withheld.test(name), isSecret, certificates);
}

function childEnvironment(
  env: Environment,
  isWanted: (name: string) => boolean,
  isSecret: Knows,
  certificates: string | undefined,
): Environment {
  const kept = Object.entries(env).filter(
    ([name, value = ""]) => isWanted(name) && !name.startsWith("ACTIONS_ID_TOKEN_REQUEST_") && !isSecret(value),
  );
  return withRoots(Object.fromEntries(kept), certificates);
}

/** Go's crypto/x509: SSL_CERT_DIR adds folders to the system's bundle file. All the tools here are Go programs. */
function withRoots(env: Environment, certificates: string | undefined): Environment {
  return certificates === undefined
    ? env
    : { ...env, SSL_CERT_DIR: [certificates, env.SSL_CERT_DIR].filter(Boolean).join(":") };
}
