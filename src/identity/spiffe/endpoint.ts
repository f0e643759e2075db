/** The address of a SPIFFE Workload API (SPIFFE Workload Endpoint, section 4). Pure. */

export type Endpoint =
  | { readonly kind: "unix"; readonly path: string }
  | { readonly kind: "tcp"; readonly host: string; readonly port: number };

export interface SvidRequest {
  readonly endpoint: Endpoint;
  /** As the user wrote it. */
  readonly address: string;
  /** Which one, if several are issued: a SPIFFE ID, or a hint. */
  readonly id: string | undefined;
}

/** The usual paths: the CSI driver csi.spiffe.io, a folder of the host, SPIRE's own default. */
export const usualSockets: readonly string[] = [
  "/spiffe-workload-api/spire-agent.sock",
  "/run/spire/sockets/spire-agent.sock",
  "/tmp/spire-agent/public/api.sock",
];

/** Bytes that fit into Linux's `sockaddr_un`, without the final zero. */
const maxSocketPath = 107;

/**
 * Accepts only `unix:///path`, `unix:/path` and `tcp://ip:port`.
 * @returns what is wrong, as a phrase, and an address that works
 */
export function parseEndpoint(text: string): Endpoint | { readonly problem: string; readonly example: string } {
  const [, scheme = "", rest = ""] = /^([a-z][a-z0-9+.-]*):(.*)$/is.exec(text) ?? [];
  const example = scheme.toLowerCase() === "tcp" ? "tcp://127.0.0.1:8081" : `unix://${usualSockets[0]}`;
  const wrong = (problem: string, better = example) => ({ problem, example: better });
  switch (scheme.toLowerCase()) {
    case "unix":
      return parseUnix(rest, wrong);
    case "tcp":
      return parseTcp(rest, wrong);
    case "":
      return text.startsWith("/")
        ? wrong("it is a path, not an address", `unix://${text}`)
        : wrong("it is not an address; an address starts with unix:/// or tcp://");
    default:
      return wrong("its scheme is neither unix nor tcp");
  }
}

type Wrong = (problem: string, better?: string) => { readonly problem: string; readonly example: string };

function parseUnix(rest: string, wrong: Wrong): ReturnType<typeof parseEndpoint> {
  const [, authority, written = ""] = /^(?:\/\/([^/?#]*))?(.*)$/s.exec(rest) ?? [];
  if (/[?#]/.test(written)) {
    return wrong("an address of a socket has no ? or #");
  }
  if (authority) {
    return wrong("the path must begin after unix://, with a third slash", `unix:///${authority}${written}`);
  }
  const path = decode(written);
  if (path === undefined || /\p{Cc}/u.test(path)) {
    return wrong("its path is not plain text");
  }
  if (!/^\/./.test(path)) {
    return wrong("the socket's path must be absolute");
  }
  const size = Buffer.byteLength(path);
  return size > maxSocketPath
    ? wrong(`its path has ${size} bytes; a socket's path can have at most ${maxSocketPath}`)
    : { kind: "unix", path };
}

function parseTcp(rest: string, wrong: Wrong): ReturnType<typeof parseEndpoint> {
  const [, ipv6, other, digits, more] = /^\/\/(?:\[([^\]]*)\]|([^:/?#]*))(?::(\d*))?(.*)$/s.exec(rest) ?? [];
  const host = ipv6 ?? other ?? "";
  if (!(ipv6 === undefined ? isIPv4(host) : isIPv6(host))) {
    return wrong("tcp:// needs an IP address and a port");
  }
  const port = Number(digits);
  if (!(port >= 1 && port <= 65_535)) {
    return wrong("it has no port between 1 and 65535");
  }
  return more === "" ? { kind: "tcp", host, port } : wrong("it has something after the port");
}

// Not node:net, which takes 2 ms to load: the credential helper reads this file each time it starts.
const isIPv4 = (host: string): boolean => /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/.test(host);

/** Without a zone (`fe80::1%eth0`), which a URL cannot contain. */
const isIPv6 = (host: string): boolean => /^[0-9a-f:.]+$/i.test(host) && URL.canParse(`tcp://[${host}]`);

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
