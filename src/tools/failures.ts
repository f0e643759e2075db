/**
 * What a tool's failure means, from what it printed: its exit code only says that it failed. All tools are Go programs,
 * so the words are those of Go's net, net/http, crypto/tls and syscall, and of the containers libraries. Pure.
 */

export type ToolFailure =
  /** The registry does not accept the credential. */
  | "refused"
  | "untrusted"
  /** Quay's web process is up, its registry process is not: nginx itself answers Docker's first protocol. */
  | "not-up"
  /** A passing failure of the registry or of the way to it. */
  | "passing"
  /** The registry answered 500, which mostly lasts: it is also Quay's answer to a robot token that has expired. */
  | "crashed"
  | "other";

export interface ToolWords {
  readonly kind: ToolFailure;
  /** The tool's last message in one line, to be shown; empty if it printed nothing. */
  readonly words: string;
}

/** @param output what the tool printed, without secrets */
export function readToolFailure(output: string): ToolWords {
  const message = lastMessage(output);
  return { kind: kindOf(message), words: shown(message) };
}

/**
 * The last message in one line: without the log's own fields, and without earlier lines such as warnings.
 * docker quotes a whole page in many lines.
 */
function lastMessage(output: string): string {
  const lines = output.trim().split("\n");
  const begin = lines.findLastIndex((line) => /^(?:time=|error\b|fatal\b)/i.test(line));
  const text = lines.slice(begin < 0 ? -1 : begin).join(" ");
  const message = messageField(text)?.replaceAll(/\\(["\\])/g, "$1") ?? text;
  // An upload's state, in its address, is long and helps no reader.
  return message.replaceAll(/\?[^\s"]+/g, "");
}

/** The last field of a log's line; its text may hold quotes that are not escaped. */
function messageField(text: string): string | undefined {
  const lastField = [...text.matchAll(/(?<!\\)" \w+=/g)].at(-1)?.index ?? 0;
  const start = text.indexOf('msg="', lastField);
  return start >= 0 && text.endsWith('"') ? text.slice(start + 'msg="'.length, -1) : undefined;
}

/** Without a page's tags. */
const shown = (message: string): string =>
  message
    .replaceAll(/<[^<>]*>/g, " ")
    .replaceAll(/\s+/g, " ")
    .trim()
    .slice(0, 500);

/** Names to leave out: a host, an organization or a repository may be named like an error. */
const names: readonly RegExp[] = [
  // Names and foreign text are in quotes (Go's %q).
  /"(?:[^"\\]|\\.)*(?:"|$)/g,
  // https://host/path, docker://host/repository, host/repository:tag, /v2/repository/blobs/uploads/, host:443, 127.0.0.1:443->127.0.0.1:50000
  /[^\s(]*(?:\/\/|->)\S*?(?=[:,)]*(?:\s|$))/g,
  /(?<=^|[\s([])(?=[^\s]*[.:@]\w)[^\s/]+\/\S*?(?=[:,)\]]*(?:\s|$))/g,
  /(?<=^|\s)\/\S+?(?=[:,)]*(?:\s|$))/g,
  /(?<=^|\s)\S+:\d+(?=[:,)\]]*(?:\s|$))/g,
  // Go and the libraries say what kind of name comes.
  /(?<=\blookup )\S+?(?=:?(?:\s|$))(?: on \S+?(?=:?(?:\s|$)))?/g,
  /(?<=\b(?:registry|repository|host|in|from|to|for) )\S+(?=:(?:\s|$))/g,
  /(?<=^|\s)(?:[a-z0-9-]+\.)+[a-z0-9-]+(?=[:,)]*(?:\s|$))/g,
];

const passing: readonly RegExp[] = [
  // A registry's own codes (errcode of the distribution project), by name.
  /\btoo ?many ?requests\b|\bunavailable: |\bblob upload (?:unknown|invalid)\b/i,
  // The bytes were damaged on the way, or two uploads met: the tool itself checks what the source gives.
  /\bdid not match uploaded content\b/,
  // A status, not a size: the libraries put it after each of these words.
  /(?:[:=] ?|\b(?:registry|code|status|blob|HTTP) )(?:408|425|429|5(?!00)\d\d)(?=$|[\s,.;:)])(?! (?:bytes?|[KMG]?i?B)\b)/,
  // A proxy's refusal of a tunnel has no number.
  /\b(?:bad gateway|service (?:temporarily )?unavailable|gateway time-?out)\b/i,
  // net: names; with cgo, the C library's words.
  /no such host|server misbehaving|lame referral|DNS (?:message|response|server)|failure in name resolution|name or service not known|no address associated/i,
  // syscall, and a SOCKS proxy's words for the same.
  /connection re(?:fused|set)|(?:network|host) (?:is )?(?:unreachable|down)\b|no route to host|network dropped connection|connection abort|broken pipe|cannot assign requested address|no buffer space|resource temporarily unavailable|endpoint is not connected|endpoint shutdown|too many open files in system|interrupted system call|TTL expired|SOCKS server failure/i,
  // io, os, context; each kind of "timeout".
  /\bEOF\b|closed (?:network connection|pipe|response body)|\btime(?:d )?-?out\b|deadline exceeded|(?:request|context) canceled/i,
  // net/http over HTTP/1.
  /closed idle connection|idle connection|persistConn|connection (?:broken|lost|closed)|connection loss|malformed (?:HTTP|MIME|chunked)|\bchunk (?:length|extension)|chunked line|declared Content-Length|with Body length/i,
  // net/http over HTTP/2.
  /\bhttp2: |stream error: |connection error: |\bGOAWAY\b|malformed response\b/,
  // crypto/tls: a record or a handshake damaged on its way, or a failure of the peer; not what the two cannot agree on.
  /\btls: (?:bad record MAC|decryption failed|decompression failure|(?:record overflow|oversized record)|unexpected message|received (?:unexpected|record|malformed)|error (?:de|en)\w+ message|internal error|user canceled|close notify|illegal parameter|too many|protocol is shutdown|inva?lid (?:server finished|signature)|server's Finished)/i,
];

const kinds: readonly (readonly [ToolFailure, readonly RegExp[]])[] = [
  ["untrusted", [/\bx509: |\bcertificate\b/i]],
  [
    "refused",
    [/invalid username\/password|incorrect username or password|\bunauthorized\b|(?<!proxy )authentication required/i],
  ],
  ["not-up", [/\bV1 container registry\b|\bpinging container registry\b.*(?:[:=] ?|\bstatus )502\b/]],
  ["passing", passing],
  ["crashed", [/(?:[:=] ?|\b(?:registry|code|status|blob|HTTP) )500(?=$|[\s,.;:)])(?! (?:bytes?|[KMG]?i?B)\b)/]],
];

/** Characters: what a registry says may be of any length. */
const maxRead = 4_000;

function kindOf(message: string): ToolFailure {
  // The cause is at the end.
  const text = names.reduce((rest, name) => rest.replaceAll(name, "…"), message.slice(-maxRead));
  return kinds.find(([, patterns]) => patterns.some((pattern) => pattern.test(text)))?.[0] ?? "other";
}
