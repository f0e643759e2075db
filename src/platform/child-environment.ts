/** The environment variables that children get. Pure. */
import type { Environment } from "./environment.ts";

/** Whether a text holds a known secret. */
type IsSecret = (text: string) => boolean;

/**
 * Only what the tools need, without known secrets, whatever the variable's name: the variable of the identity token may have
 * the name of one of theirs. Arguments replace REGISTRY_AUTH_FILE and DOCKER_CONFIG.
 */
export function toolEnvironment(env: Environment, isSecret: IsSecret, certificates: string | undefined): Environment {
  const names =
    /^(?:PATH|HOME|USER|LOGNAME|LANG|LC_.+|TMPDIR|XDG_.+|_?CONTAINERS_.+|BUILDAH_.+|STORAGE_.+|REGISTRIES_CONFIG_PATH|DOCKER_(?:HOST|CONTEXT|TLS_VERIFY|CERT_PATH|API_VERSION)|(?:HTTPS?|NO)_PROXY|SSL_CERT_(?:FILE|DIR))$/i;
  return childEnvironment(env, (name) => names.test(name), isSecret, certificates);
}

/** For a command of the user's: all variables but other logins and those that lead to an identity token. */
export function commandEnvironment(
  env: Environment,
  isSecret: IsSecret,
  certificates: string | undefined,
): Environment {
  const withheld = /^(?:SPIFFE_ENDPOINT_SOCKET|DOCKER_AUTH_CONFIG)$/;
  return childEnvironment(env, (name) => !withheld.test(name), isSecret, certificates);
}

/**
 * For the command of the option token-command: all variables but ours. It needs whatever its platform's program needs, credentials too.
 * @param named the variables that options name as places of secrets
 */
export const tokenCommandEnvironment = (env: Environment, isSecret: IsSecret, named: readonly string[]): Environment =>
  childEnvironment(env, (name) => !named.includes(name), isSecret, undefined);

/** Variables of ours that hold a secret: a copy of one under another name is a secret too. */
export const secretVariables = [
  "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
  "ACTIONS_RUNTIME_TOKEN",
  "QUAY_ID_TOKEN",
  "QUAY_API_TOKEN",
] as const;

/**
 * What is given to this program and to no other: the identity token and what leads to one, Quay's API token, the runner's own token,
 * the inputs of an Action, the credential helper's configuration.
 */
const ours = /^(?:ACTIONS_(?:ID_TOKEN_REQUEST|RUNTIME)_.+|QUAY_ID_TOKEN|QUAY_API_TOKEN|QUAY_KEYLESS_.+|INPUT_.+)$/;

function childEnvironment(
  env: Environment,
  isWanted: (name: string) => boolean,
  isSecret: IsSecret,
  certificates: string | undefined,
): Environment {
  const kept = Object.entries(env).filter(
    ([name, value = ""]) => isWanted(name) && !ours.test(name) && !isSecret(value),
  );
  return withRoots(Object.fromEntries(kept), certificates);
}

/** Go's crypto/x509: SSL_CERT_DIR adds folders to the system's bundle file. All the tools here are Go programs. */
function withRoots(env: Environment, certificates: string | undefined): Environment {
  return certificates === undefined
    ? env
    : { ...env, SSL_CERT_DIR: [certificates, env.SSL_CERT_DIR].filter(Boolean).join(":") };
}
