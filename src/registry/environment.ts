/** What of the environment the tools get. Pure. */
import type { Environment } from "../platform/environment.ts";

/**
 * Only what the tools need: the job's environment holds secrets (GitHub's request token, a variable with the identity token)
 * that no child of ours should inherit. REGISTRY_AUTH_FILE and DOCKER_CONFIG are replaced by arguments.
 */
export function toolEnvironment(env: Environment, certificates: string | undefined): Environment {
  const names =
    /^(?:PATH|HOME|USER|LOGNAME|LANG|LC_.+|TMPDIR|XDG_.+|_?CONTAINERS_.+|BUILDAH_.+|STORAGE_.+|REGISTRIES_CONFIG_PATH|DOCKER_(?:HOST|CONTEXT|TLS_VERIFY|CERT_PATH|API_VERSION)|(?:HTTPS?|NO)_PROXY|SSL_CERT_(?:FILE|DIR))$/i;
  const kept = Object.fromEntries(Object.entries(env).filter(([name]) => names.test(name)));
  return withRoots(kept, certificates);
}

/**
 * For a command that the user has chosen: all but what an identity token could be had with, and other logins.
 * @param secret the variable that holds the identity token itself
 */
export function commandEnvironment(
  env: Environment,
  secret: string | undefined,
  certificates: string | undefined,
): Environment {
  const kept = Object.entries(env).filter(
    ([name]) => name !== secret && !/^(?:ACTIONS_(?:ID_TOKEN_REQUEST|RUNTIME)_.+|SPIFFE_ENDPOINT_SOCKET)$/.test(name),
  );
  return withRoots(Object.fromEntries(kept), certificates);
}

/** Go's crypto/x509: SSL_CERT_DIR adds folders to the system's bundle file. All the tools here are Go programs. */
function withRoots(env: Environment, certificates: string | undefined): Environment {
  return certificates === undefined
    ? env
    : { ...env, SSL_CERT_DIR: [certificates, env.SSL_CERT_DIR].filter(Boolean).join(":") };
}
