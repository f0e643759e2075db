/** The protocol between a client and its credential helper (docker/docker-credential-helpers, credentials.go and error.go). Pure. */
import { parseObject } from "../platform/json.ts";
import { asGiven, oneLine } from "../platform/text.ts";
import { version } from "../platform/version.ts";

export const program = "docker-credential-quay-keyless";

export const usage = `Usage: ${program} <store|get|erase|list|version>`;

export const versionLine = `${program} (quay-keyless-login) ${version}`;

/** Clients compare these with all of standard output: they mean that there is no login, and that an address or a name is missing. */
export const notFound = "credentials not found in native keychain";
export const withoutAddress = "no credentials server URL";
export const withoutUser = "no credentials username";

export type Action = "get" | "store" | "erase" | "list";

export type Call =
  | { readonly kind: "act"; readonly action: Action; readonly file: string | undefined }
  /** To print, and whether this is a failure. */
  | { readonly kind: "print"; readonly line: string; readonly failed: boolean };

/** @param args `ACTION`, or from a wrapper `--configuration FILE ACTION` */
export function parseCall(args: readonly string[]): Call {
  const isWrapped = args[0] === "--configuration" && args.length >= 2;
  const [action, ...more] = isWrapped ? args.slice(2) : args;
  const file = isWrapped ? args[1] : undefined;
  if (action === undefined || more.length > 0) {
    return { kind: "print", line: usage, failed: true };
  }
  switch (action) {
    case "get":
    case "store":
    case "erase":
    case "list":
      return { kind: "act", action, file };
    case "version":
    case "--version":
    case "-v":
      return { kind: "print", line: versionLine, failed: false };
    case "--help":
    case "-h":
      return { kind: "print", line: usage, failed: false };
    default:
      return { kind: "print", line: `${program}: unknown action: ${oneLine(asGiven(action))}`, failed: true };
  }
}

/**
 * The registry in what a client asks for: `HOST`, `https://HOST`, `HOST/`, `https://HOST/v1/`, `HOST/organization`. Clients send any
 * of these, in capitals too.
 * @returns host or host:port, lower case, without the port 443; undefined if it is none, or an address for plain http
 */
export function hostOf(address: string): string | undefined {
  const [, host] =
    /^(?:https:\/\/)?((?:[a-z0-9.-]{1,253}|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?)(?:\/\S*)?$/i.exec(address) ?? [];
  return host?.toLowerCase().replace(/:443$/, "");
}

/** The server's address and the user in what `store` gets. */
export function parseStored(input: string): { readonly address: string; readonly user: string } | undefined {
  const stored = parseObject(input);
  const text = (value: unknown) => (typeof value === "string" ? value.trim() : "");
  return stored && { address: text(stored.ServerURL), user: text(stored.Username) };
}

/** What `get` answers. A secret. */
export const credentialLine = (address: string, user: string, secret: string): string =>
  JSON.stringify({ ServerURL: address, Username: user, Secret: secret });
