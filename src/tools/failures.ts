/**
 * What a tool's failure means, from what it printed: its exit code only says that it failed. All the tools are Go programs,
 * so the words are those of Go's net, net/http, crypto/tls and syscall, and of the containers libraries. Pure.
 */

export type ToolFailure =
  /** The registry does not accept the credential. */
  | "refused"
  | "untrusted"
  /** Of Quay's two processes, the one for the registry is not up: nginx answers Docker's first protocol by itself. */
  | "not-up"
  /** Something between the tool and the registry, or the registry in passing; it goes by itself. */
  | "passing"
  /** The registry answered 500, which mostly stays so: it is also Quay's answer to a robot token that has ended. */
  | "crashed"
  | "other";

export interface ToolWords {
  readonly kind: ToolFailure;
  /** Its last message in one line, to be shown; empty where it said nothing. */
  readonly words: string;
}

/** @param output what it printed, without secrets */
export function readToolFailure(output: string): ToolWords {
  const message = lastMessage(output);
  return { kind: kindOf(message), words: shown(message) };
}

/**
 * Its message in the end, in one line: without the clothes of its log, and without what came before, such as warnings.
 * docker quotes a whole page over many lines.
 */
function lastMessage(output: string): string {
  const lines = output.trim().split("\n");
  const begin = lines.findLastIndex((line) => /^(?:time=|error\b|fatal\b)/i.test(line));
  const text = lines.slice(begin < 0 ? -1 : begin).join(" ");
  const message = loggedIn(text)?.replaceAll(/\\(["\\])/g, "$1") ?? text;
  // The state of an upload, in its address, is long and of no use to anybody.
  return message.replaceAll(/\?[^\s"]+/g, "");
}

/** The last field of a log's line; what it says may hold quotes that nobody has escaped. */
function loggedIn(text: string): string | undefined {
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

/** Whose names are these? Hosts, organizations and repositories may be called like an error. */
const names: readonly RegExp[] = [
  // Names and foreign text stand in quotes (Go's %q).
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
  // The bytes were damaged between here and there, or two uploads met: what the source gives is checked by the tool itself.
  /\bdid not match uploaded content\b/,
  // A status, and no size: the libraries put it behind each of these words.
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
  // crypto/tls: a record or a handshake spoiled on its way, or the other side in trouble; not what the two cannot agree on.
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
  // The cause stands at the end.
  const text = names.reduce((rest, name) => rest.replaceAll(name, "…"), message.slice(-maxRead));
  return kinds.find(([, patterns]) => patterns.some((pattern) => pattern.test(text)))?.[0] ?? "other";
}
