/** The address of a SPIFFE Workload API (SPIFFE Workload Endpoint, section 4). Pure. */
import { isIP } from "node:net";

export type Endpoint =
  | { readonly kind: "unix"; readonly path: string }
  | { readonly kind: "tcp"; readonly host: string; readonly port: number };

export interface SvidRequest {
  readonly endpoint: Endpoint;
  /** As the user wrote it. */
  readonly address: string;
  /** Which one, where several are issued: a SPIFFE ID, or a hint. */
  readonly id: string | undefined;
}

/** Where agents usually put it: the CSI driver csi.spiffe.io, a folder of the host, SPIRE's own default. */
export const usualSockets: readonly string[] = [
  "/spiffe-workload-api/spire-agent.sock",
  "/run/spire/sockets/spire-agent.sock",
  "/tmp/spire-agent/public/api.sock",
];

/** What `sockaddr_un` of Linux has room for, the zero at its end left out. */
const maxSocketPath = 107;

/**
 * `unix:///path`, `unix:/path` or `tcp://ip:port`; nothing else may stand in it.
 * @returns what is wrong, as a phrase, and an address that would do
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
        : wrong("it is not an address; one starts with unix:/// or tcp://");
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
    return wrong("a path has to begin after unix://, with a third slash", `unix:///${authority}${written}`);
  }
  const path = decode(written);
  if (path === undefined || /\p{Cc}/u.test(path)) {
    return wrong("its path is not plain text");
  }
  if (!/^\/./.test(path)) {
    return wrong("the socket's path has to be absolute");
  }
  const size = Buffer.byteLength(path);
  return size > maxSocketPath
    ? wrong(`its path has ${size} bytes, and a socket's can have ${maxSocketPath}`)
    : { kind: "unix", path };
}

function parseTcp(rest: string, wrong: Wrong): ReturnType<typeof parseEndpoint> {
  const [, ipv6, other, digits, more] = /^\/\/(?:\[([^\]]*)\]|([^:/?#]*))(?::(\d*))?(.*)$/s.exec(rest) ?? [];
  const host = ipv6 ?? other ?? "";
  // Node also takes a zone (`fe80::1%eth0`), which can't stand in an address like that.
  if (isIP(host) !== (ipv6 === undefined ? 4 : 6) || host.includes("%")) {
    return wrong("after tcp:// stands an IP address, with a port");
  }
  const port = Number(digits);
  if (!(port >= 1 && port <= 65_535)) {
    return wrong("it has no port between 1 and 65535");
  }
  return more === "" ? { kind: "tcp", host, port } : wrong("nothing stands after the port");
}

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
