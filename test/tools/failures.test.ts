/** What a tool's words mean: Go's own errors and those of the containers libraries, in each tool's log format. */
import { describe, expect, test } from "vitest";
import { readToolFailure, type ToolFailure } from "../../src/tools/failures.ts";

const digest = `sha256:${"5".repeat(64)}`;

/** From the sources: GOROOT/src (net, syscall, crypto/tls, net/http with its HTTP/2), containers/image, distribution, docker. */
const passing: Readonly<Record<string, readonly string[]>> = {
  "net, names": [
    "dial tcp: lookup HOST on 127.0.0.53:53: server misbehaving",
    "dial tcp: lookup HOST on 127.0.0.53:53: no such host",
    "dial tcp: lookup HOST on [fd00::53]:53: no such host",
    "dial tcp: lookup HOST: no such host",
    "dial tcp: lookup HOST: Temporary failure in name resolution",
    "dial tcp: lookup HOST: Name or service not known",
    "dial tcp: lookup HOST: No address associated with hostname",
    "dial tcp: lookup HOST: Non-recoverable failure in name resolution",
    "dial tcp: lookup HOST: lame referral",
    "dial tcp: lookup HOST on 127.0.0.53:53: cannot unmarshal DNS message",
    "dial tcp: lookup HOST: invalid DNS response",
    "dial tcp: lookup HOST: no answer from DNS server",
    "dial tcp: lookup HOST on 127.0.0.53:53: read udp 127.0.0.1:4711->127.0.0.53:53: i/o timeout",
    "dial tcp: lookup HOST on 127.0.0.53:53: dial udp 127.0.0.53:53: connect: network is unreachable",
  ],
  syscall: [
    "dial tcp 10.0.0.3:443: connect: network is unreachable",
    "dial tcp 10.0.0.3:443: connect: no route to host",
    "dial tcp 10.0.0.3:443: connect: host is down",
    "dial tcp 10.0.0.3:443: connect: network is down",
    "dial tcp 10.0.0.3:443: connect: connection refused",
    "dial tcp [2001:db8::3]:443: connect: connection timed out",
    "dial tcp 10.0.0.3:443: connect: cannot assign requested address",
    "dial tcp 10.0.0.3:443: connect: resource temporarily unavailable",
    "dial tcp 10.0.0.3:443: socket: no buffer space available",
    "dial tcp 10.0.0.3:443: socket: too many open files in system",
    "dial tcp 10.0.0.3:443: i/o timeout",
    "dial tcp 10.0.0.3:443: operation was canceled: context canceled",
    "read tcp 10.0.0.2:5000->10.0.0.3:443: read: connection reset by peer",
    "read tcp 10.0.0.2:5000->10.0.0.3:443: read: software caused connection abort",
    "read tcp 10.0.0.2:5000->10.0.0.3:443: read: network dropped connection on reset",
    "read tcp 10.0.0.2:5000->10.0.0.3:443: use of closed network connection",
    "write tcp 10.0.0.2:5000->10.0.0.3:443: write: broken pipe",
    "write tcp 10.0.0.2:5000->10.0.0.3:443: write: cannot send after transport endpoint shutdown",
    "write tcp 10.0.0.2:5000->10.0.0.3:443: write: transport endpoint is not connected",
    "socks connect tcp 10.0.0.9:1080->HOST:443: unknown error host unreachable",
    "socks connect tcp 10.0.0.9:1080->HOST:443: unknown error general SOCKS server failure",
  ],
  "io and context": ["EOF", "unexpected EOF", "context deadline exceeded", "io: read/write on closed pipe"],
  "crypto/tls": [
    "local error: tls: bad record MAC",
    "remote error: tls: bad record MAC",
    "remote error: tls: internal error",
    "remote error: tls: error decoding message",
    "remote error: tls: error decrypting message",
    "remote error: tls: decryption failed",
    "local error: tls: unexpected message",
    "local error: tls: record overflow",
    "remote error: tls: illegal parameter",
    "remote error: tls: user canceled",
    "tls: oversized record received with length 20527",
    "tls: received record with version 3031 when expecting version 303",
    "tls: received unexpected handshake message of type *tls.helloRequestMsg when waiting for *tls.serverHelloMsg",
    "tls: too many ignored records",
    "tls: invalid server finished hash",
    "tls: server's Finished message was incorrect",
    "tls: protocol is shutdown",
  ],
  "net/http": [
    "net/http: TLS handshake timeout",
    "net/http: timeout awaiting response headers",
    "net/http: request canceled while waiting for connection (Client.Timeout exceeded while awaiting headers)",
    "net/http: request canceled (Client.Timeout exceeded while awaiting headers)",
    "context deadline exceeded (Client.Timeout or context cancellation while reading body)",
    "net/http: HTTP/1.x transport connection broken: unexpected EOF",
    'net/http: HTTP/1.x transport connection broken: malformed HTTP response "\\x00\\x00\\x12\\x04"',
    'malformed HTTP status code "2OO"',
    "net/http: cannot rewind body after connection loss",
    "http: server closed idle connection",
    "http: idle connection timeout",
    "http: persistConn.readLoop exiting",
    "http: unexpected EOF reading trailer",
    "http: ContentLength=4096 with Body length 17",
    "invalid byte in chunk length",
    "chunked line ends with bare LF",
    "malformed chunked encoding",
    "proxyconnect tcp: dial tcp 10.0.0.9:3128: connect: connection refused",
    "Bad Gateway",
    "Service Unavailable",
    "Gateway Time-out",
  ],
  "net/http, HTTP/2": [
    "stream error: stream ID 7; INTERNAL_ERROR; received from peer",
    "stream error: stream ID 7; REFUSED_STREAM",
    "stream error: stream ID 7; ENHANCE_YOUR_CALM; received from peer",
    "connection error: PROTOCOL_ERROR",
    "http2: connection error: COMPRESSION_ERROR: hpack",
    'http2: server sent GOAWAY and closed the connection; LastStreamID=1, ErrCode=NO_ERROR, debug=""',
    "http2: Transport received Server's graceful shutdown GOAWAY",
    "http2: Transport: cannot retry err [stream error: stream ID 3; REFUSED_STREAM] after Request.Body was written; define Request.GetBody to avoid this error",
    "http2: client connection lost",
    "http2: client connection force closed via ClientConn.Close",
    "http2: timeout awaiting response headers",
    "http2: response body closed",
    "http2: frame too large, note that the frame header looked like an HTTP/1.1 header",
    "malformed response from server: missing status pseudo header",
    "net/http: server replied with more than declared Content-Length; truncated",
  ],
  "the registry's status": [
    "Requesting bearer token: received unexpected HTTP status: 504 Gateway Timeout",
    "received unexpected HTTP status: 503 Service Unavailable",
    "received unexpected HTTP status: 504 Gateway Timeout",
    "received unexpected HTTP status: 520 unknown",
    "received unexpected HTTP status: 520 <none>",
    "received unexpected HTTP status: 520 ",
    "received unexpected HTTP status: 530",
    "received unexpected HTTP status: 408 Request Timeout",
    "received unexpected HTTP status: 429 Too Many Requests",
    "invalid status code from registry 503 (Service Unavailable)",
    "invalid status code from registry 524 ()",
    "invalid status code returned when fetching blob 503 (Service Unavailable)",
    "failed to read from destination repository HOST/REPOSITORY: 503 (Service Unavailable)",
    'StatusCode: 522, "<html>\\r\\n<head><title>unauthorized: x509..."',
    "error parsing HTTP 429 response body: invalid character '<' looking for beginning of value: \"<html>\\r\\n\"",
    "login attempt to https://HOST/v2/ failed with status: 503 Service Unavailable",
    "unexpected status from HEAD request to https://HOST/v2/REPOSITORY/manifests/1: 521 ",
    "unexpected status code 503 Service Unavailable: Head",
    "too many requests to registry",
    "toomanyrequests: rate limit exceeded",
    "toomanyrequests: <html>\r\n<head><title>429 Too Many Requests</title></head>\r\n<body>\r\n</body>\r\n</html>\r\n",
    "unavailable: service unavailable",
    "blob upload unknown to registry",
    "blob upload invalid",
    "digest invalid: provided digest did not match uploaded content",
  ],
};

const crashed = [
  "invalid status code from registry 500 (Internal Server Error)",
  "received unexpected HTTP status: 500 Internal Server Error",
  "received unexpected HTTP status: 500 ",
  'StatusCode: 500, "<html>..."',
];

const refused = [
  'invalid username/password: unauthorized: Could not find robot with specified username "acme+ci"',
  "unauthorized: authentication required",
  "unauthorized: access to the requested resource is not authorized",
  "authentication required",
  "login attempt to https://HOST/v2/ failed with status: 401 Unauthorized",
];

const untrusted = [
  "x509: certificate signed by unknown authority",
  'tls: failed to verify certificate: x509: certificate signed by unknown authority (possibly because of "crypto/rsa: verification error" while trying to verify candidate authority certificate "acme")',
  "x509: certificate is valid for a.example.com, not HOST",
  "x509: certificate has expired or is not yet valid: current time 2026-11-28T00:00:00Z is after 2026-11-27T00:00:00Z",
  "x509: cannot validate certificate for 10.0.0.3 because it doesn't contain any IP SANs",
  "remote error: tls: bad certificate",
  "remote error: tls: unknown certificate authority",
  "remote error: tls: certificate required",
];

const other = [
  "http: server gave HTTP response to HTTPS client",
  "tls: first record does not look like a TLS handshake",
  "remote error: tls: handshake failure",
  "remote error: tls: protocol version not supported",
  "received unexpected HTTP status: 403 Forbidden",
  "received unexpected HTTP status: 404 Not Found",
  "Proxy Authentication Required",
  "denied: requested access to the resource is denied",
  "manifest invalid: manifest invalid",
];

/** Places whose names look like an error, and one that does not. */
const places: readonly (readonly [host: string, repository: string])[] = [
  ["quay.example.com", "acme/app"],
  ["localhost:8443", "x509/unauthorized"],
  ["certificate.example.com", "unauthorized/certificate"],
  ["x509", "timeout/eof"],
  ["unauthorized", "certificate/no_such_host"],
  ["127.0.0.1:502", "connection-refused/no-such-host"],
  ["unauthorized.eof.example:429", "acme/x509/certificate/500"],
];

/** What a tool prints around an error. */
const clothes: Readonly<Record<string, (error: string, host: string, repository: string) => string>> = {
  "skopeo login": (error, host) =>
    fatal(
      `authenticating creds for "${host}": pinging container registry ${host}: Get "https://${host}/v2/": ${error}`,
    ),
  "skopeo login, an organization": (error, host, repository) =>
    fatal(
      `logging into "${host}/${repository.split("/")[0]}": Get "https://${host}/v2/auth?account=a%2Bx509": ${error}`,
    ),
  "podman login": (error, host) => `Error: authenticating creds for "${host}": Requesting bearer token: ${error}\n`,
  "skopeo copy, reading": (error, host, repository) =>
    `Getting image source signatures\nCopying blob ${digest}\ntime="2026-01-01T00:00:00Z" level=warning msg="x509: unauthorized"\n${fatal(
      `initializing source docker://${host}/${repository}@${digest}: reading manifest ${digest} in ${host}/${repository}: ${error}`,
    )}`,
  "skopeo copy, writing": (error, host, repository) =>
    fatal(
      `copying image 1/2 from manifest list: writing blob: initiating layer upload to /v2/${repository}/blobs/uploads/ in ${host}: ${error}`,
    ),
  "skopeo copy, sending": (error, host, repository) =>
    fatal(
      `writing blob: Patch "https://${host}/v2/${repository}/blobs/uploads/1?_state=${"eof.x509/".repeat(200)}": ${error}`,
    ),
  "skopeo copy, mirrors": (error, host, repository) =>
    fatal(
      `(Mirrors also failed: [mirror.${host}/${repository}@${digest}: ${error}]): ${host}/${repository}@${digest}: ${error}`,
    ),
  docker: (error, host) => `Error response from daemon: Get "https://${host}/v2/": ${error}`,
  "docker of old": (error, host) =>
    `WARNING! x509 unauthorized\nError response from daemon: Get https://${host}/v2/: ${error}`,
};

const fatal = (message: string): string =>
  `time="2026-01-01T00:00:00Z" level=fatal msg="${message.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n")}"\n`;

function means(expected: ToolFailure, errors: readonly string[]): void {
  const wrong: string[] = [];
  for (const error of errors) {
    for (const [host, repository] of places) {
      const said = error.replaceAll("HOST", host).replaceAll("REPOSITORY", repository);
      for (const [who, dress] of Object.entries(clothes)) {
        const { kind } = readToolFailure(dress(said, host, repository));
        if (kind !== expected) {
          wrong.push(`${kind}, ${who}, ${host}, ${repository}: ${said}`);
        }
      }
    }
  }
  expect(wrong).toEqual([]);
}

describe("what a tool's words mean, in each tool's log format, for any name of host and repository", () => {
  test.each(Object.entries(passing))("a passing failure: %s", (_, errors) => means("passing", errors));
  test("a crash", () => means("crashed", crashed));
  test("a refusal", () => means("refused", refused));
  test("a certificate", () => means("untrusted", untrusted));
  test("none of these", () => means("other", other));

  test.each<[string, ToolFailure]>([
    ["pinging container registry localhost:8443: can't talk to a V1 container registry", "not-up"],
    ['pinging container registry localhost:8443: StatusCode: 502, "<html>..."', "not-up"],
    ["pinging container registry x509.example.com: received unexpected HTTP status: 502 Bad Gateway", "not-up"],
    ["pinging container registry localhost:8443: received unexpected HTTP status: 503 Service Unavailable", "passing"],
    ["connection timed out: no data for 10 s", "passing"],
    [`time="2026-01-01T00:00:00Z" level=fatal msg="Get "https://x509/v2/": EOF"`, "passing"],
    ["skopeo: command not found", "other"],
    ["a port like 5029 or 15030 is no status", "other"],
    ["", "other"],
  ])("%j: %s", (output, expected) => {
    expect(readToolFailure(output).kind).toBe(expected);
  });
});

describe("the tool's words that are shown", () => {
  test.each<[string, string]>([
    [`Copying blob ${digest}\n${fatal('Get "https://q/v2/": EOF')}`, 'Get "https://q/v2/": EOF'],
    [fatal('Patch "https://q/v2/a/blobs/uploads/1?_state=long": EOF'), 'Patch "https://q/v2/a/blobs/uploads/1": EOF'],
    [
      "WARNING! hello\nError response from daemon: toomanyrequests: <html>\r\n<head><title>429 Too Many Requests</title></head>\r\n</html>\r\n",
      "Error response from daemon: toomanyrequests: 429 Too Many Requests",
    ],
    ["first\nnot today\n", "not today"],
    ["", ""],
    ["x".repeat(900), "x".repeat(500)],
  ])("%j", (output, expected) => {
    expect(readToolFailure(output).words).toBe(expected);
  });
});

test.each([":", "a", "a.", "/", '"', "<", "->", "in a", "timeout"])("reads a long answer of %j fast", (part) => {
  const began = performance.now();
  readToolFailure(`Error: ${part.repeat(65_536 / part.length)}`);
  expect(performance.now() - began).toBeLessThan(1000);
});
