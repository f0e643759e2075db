import { describe, expect, test } from "vitest";
import { type Endpoint, parseEndpoint, usualSockets } from "../../../src/identity/spiffe/endpoint.ts";

test.each<[string, Endpoint]>([
  ["unix:///run/spire/agent.sock", { kind: "unix", path: "/run/spire/agent.sock" }],
  ["unix:/run/spire/agent.sock", { kind: "unix", path: "/run/spire/agent.sock" }],
  ["UNIX:///a", { kind: "unix", path: "/a" }],
  ["unix:///a%20b/%C3%BC", { kind: "unix", path: "/a b/ü" }],
  ["unix:///a b", { kind: "unix", path: "/a b" }],
  [`unix:///${"x".repeat(106)}`, { kind: "unix", path: `/${"x".repeat(106)}` }],
  ["tcp://127.0.0.1:8000", { kind: "tcp", host: "127.0.0.1", port: 8000 }],
  ["TCP://10.0.0.1:1", { kind: "tcp", host: "10.0.0.1", port: 1 }],
  ["tcp://[::1]:65535", { kind: "tcp", host: "::1", port: 65_535 }],
])("%s", (text, endpoint) => {
  expect(parseEndpoint(text)).toEqual(endpoint);
});

describe("invalid addresses", () => {
  test.each<[string, problem: string, example?: string]>([
    ["/run/spire/agent.sock", "it is a path, not an address", "unix:///run/spire/agent.sock"],
    ["run/agent.sock", "it is not an address; an address starts with unix:/// or tcp://"],
    ["", "it is not an address; an address starts with unix:/// or tcp://"],
    ["localhost", "it is not an address; an address starts with unix:/// or tcp://"],
    ["127.0.0.1:8081", "it is not an address; an address starts with unix:/// or tcp://"],
    ["http://127.0.0.1:80", "its scheme is neither unix nor tcp"],
    ["npipe:spire", "its scheme is neither unix nor tcp"],
    ["see unix:///run/agent.sock", "it is not an address; an address starts with unix:/// or tcp://"],
    ["localhost:8081", "its scheme is neither unix nor tcp"],
    ["unix://run/agent.sock", "the path must begin after unix://, with a third slash", "unix:///run/agent.sock"],
    ["unix:run/agent.sock", "the socket's path must be absolute"],
    ["unix:", "the socket's path must be absolute"],
    ["unix://", "the socket's path must be absolute"],
    ["unix:///", "the socket's path must be absolute"],
    ["unix:///a?b", "an address of a socket has no ? or #"],
    ["unix:///a#b", "an address of a socket has no ? or #"],
    ["unix:///a%0", "its path is not plain text"],
    ["unix:///a%ff", "its path is not plain text"],
    ["unix:///a%00b", "its path is not plain text"],
    ["unix:///a\n::error::b", "its path is not plain text"],
    ["unix:///a%1bb", "its path is not plain text"],
    [`unix:///${"ü".repeat(54)}`, "its path has 109 bytes; a socket's path can have at most 107"],
    ["tcp://localhost:8081", "tcp:// needs an IP address and a port"],
    ["tcp://", "tcp:// needs an IP address and a port"],
    ["tcp:127.0.0.1:8081", "tcp:// needs an IP address and a port"],
    ["tcp:agent//127.0.0.1:8081", "tcp:// needs an IP address and a port"],
    ["tcp://user@127.0.0.1:8081", "tcp:// needs an IP address and a port"],
    ["tcp://::1:8081", "tcp:// needs an IP address and a port"],
    ["tcp://[127.0.0.1]:8081", "tcp:// needs an IP address and a port"],
    ["tcp://[fe80::1%eth0]:8081", "tcp:// needs an IP address and a port"],
    ["tcp://127.1:8081", "tcp:// needs an IP address and a port"],
    ["tcp://127.0.0.1", "it has no port between 1 and 65535"],
    ["tcp://127.0.0.1:", "it has no port between 1 and 65535"],
    ["tcp://127.0.0.1:0", "it has no port between 1 and 65535"],
    ["tcp://127.0.0.1:65536", "it has no port between 1 and 65535"],
    ["tcp://127.0.0.1:80a", "it has something after the port"],
    ["tcp://127.0.0.1:8000/", "it has something after the port"],
    ["tcp://127.0.0.1:8000/foo", "it has something after the port"],
    ["tcp://127.0.0.1:8000?a", "it has something after the port"],
  ])("%j: %s", (text, problem, example) => {
    const general = text.startsWith("tcp:") ? "tcp://127.0.0.1:8081" : `unix://${usualSockets[0]}`;
    const answer = parseEndpoint(text);
    expect(answer).toEqual({ problem, example: example ?? general });
    expect(parseEndpoint((answer as { example: string }).example)).toHaveProperty("kind");
  });
});

test("the usual sockets are valid addresses", () => {
  for (const path of usualSockets) {
    expect(parseEndpoint(`unix://${path}`)).toEqual({ kind: "unix", path });
  }
});
