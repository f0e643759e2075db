/** Copies one image by its digest with `skopeo copy`: no tag changes. */
import { dirname } from "node:path";
import { isoTime } from "../identity/token.ts";
import { toolEnvironment } from "../platform/child-environment.ts";
import { ExplainedError, privateAuthority, unreachable } from "../platform/errors.ts";
import { type Command, start } from "../platform/exec.ts";
import type { Platform } from "../platform/platform.ts";
import { type Attempt, type Persistence, retry } from "../platform/retry.ts";
import type { Words } from "../platform/wording.ts";
import { remedies } from "../quay/explain.ts";
import { explainState } from "../quay/states.ts";
import { readToolFailure, type ToolWords } from "../tools/failures.ts";
import { withStandIns } from "../tools/helpers.ts";
import type { Program } from "../tools/tools.ts";
import type { EndpointLogin, Endpoints } from "./logins.ts";
import { byDigest, type Repository } from "./reference.ts";

export interface Copy {
  readonly from: Repository;
  readonly to: Repository;
  readonly digest: string;
  /** An artifact of an image that the machine's policy has accepted. The policy does not apply to the artifact itself. */
  readonly isArtifact?: true;
  /** Called twice a second with the number of blobs begun and the bytes sent (0 if the system does not say). */
  readonly onProgress: (blobs: number, sent: number) => void;
}

/** Copies as soon as the limit of parallel copies allows. */
export type Copier = (copy: Copy) => Promise<void>;

/** What all copies of a promotion have in common. */
export interface CopyTools {
  readonly tool: Program;
  readonly endpoints: Endpoints;
  /** Milliseconds without data in either direction after which an attempt is killed, on systems that count the bytes. */
  readonly idleMs: number;
}

/**
 * Copies all platforms and recompresses nothing, which keeps the digest. skopeo skips blobs that the destination has: a retry
 * continues where the last attempt ended.
 * @throws ExplainedError `copy-failed`, `registry-unavailable`, `tls-untrusted`
 */
export function copyByDigest(copy: Copy, tools: CopyTools, platform: Platform): Promise<void> {
  const { tool, endpoints, idleMs } = tools;
  const [source, destination] = [byDigest(copy.from, copy.digest), byDigest(copy.to, copy.digest)];
  const logins = [endpoints.source.login, endpoints.destination.login];
  const command = commandFor(copy, tools, platform);
  return retry(platform, `copying ${source}`, async (): Promise<Attempt<void>> => {
    const before = logins.map(tokenOf);
    const begun = new Set<string>();
    const running = start(command, platform.signal, {
      idleMs,
      onSent: (sent) => copy.onProgress(begun.size, sent),
      onOutput(text) {
        for (const [blob] of text.matchAll(/(?<=Copying (?:blob|config) )\S+/g)) {
          begun.add(blob);
        }
      },
    });
    const { exitCode, output, wasIdle } = await running.finish("");
    if (exitCode === 0) {
      return { value: undefined };
    }
    const words = readToolFailure(
      wasIdle ? `connection timed out: no data for ${idleMs / 1000} s` : platform.reporter.hide(output),
    );
    // An expired robot token gives 500 at Quay's `/v2/auth`, and "authentication required" once the bearer token has expired.
    const expired = logins.find((login) => login && login.credential().expiresAt * 1000 <= platform.clock.now());
    if (expired && (words.kind === "refused" || words.kind === "crashed")) {
      return { retry: "copying", error: loginExpired(expired) };
    }
    // skopeo reads its password once: the next attempt has the new one.
    const isRenewed = logins.some((login, index) => tokenOf(login) !== before[index]);
    return explain(words, exitCode, isRenewed, { source, destination, file: tool.file });
  });
}

function commandFor(
  { from, to, digest, isArtifact }: Copy,
  { tool, endpoints }: CopyTools,
  platform: Platform,
): Command {
  const [readFrom, writeTo] = [endpoints.source.authFile, endpoints.destination.authFile];
  const { env, reporter } = platform;
  return {
    file: tool.file,
    args: [
      "copy",
      "--all",
      "--preserve-digests",
      // registries.conf may say `insecure = true`.
      "--src-tls-verify=true",
      "--dest-tls-verify=true",
      // The machine's configuration (registries.d) decides what skopeo copies as signatures and from where. This program decides it
      // instead, and copies each signature as an artifact.
      "--remove-signatures",
      ...(isArtifact ? ["--insecure-policy"] : []),
      ...(readFrom === undefined ? ["--src-no-creds"] : ["--src-authfile", readFrom]),
      ...(writeTo === undefined ? ["--dest-no-creds"] : ["--dest-authfile", writeTo]),
      `docker://${byDigest(from, digest)}`,
      `docker://${byDigest(to, digest)}`,
    ],
    // Without this, skopeo 1.9 asks the helpers of docker's configuration, which may have another login.
    env: {
      ...withStandIns(toolEnvironment(env, reporter.holdsSecret, endpoints.certificates), endpoints.helpers),
      ...(writeTo && { DOCKER_CONFIG: dirname(writeTo) }),
    },
  };
}

const tokenOf = (login: EndpointLogin | undefined): string | undefined => login?.credential().token;

function loginExpired({ registry, robot, credential }: EndpointLogin): ExplainedError {
  const end = isoTime(credential().expiresAt);
  return new ExplainedError(
    "login-lapsed",
    `The login of ${robot} to ${registry} expired at ${end}, during the copy.`,
    {
      remedy: [remedies.notRenewed],
    },
  );
}

function explain(
  { kind, words }: ToolWords,
  exitCode: number | undefined,
  isRenewed: boolean,
  { source, destination, file }: { readonly source: string; readonly destination: string; readonly file: string },
): Attempt<void> {
  const quoted = `skopeo copy: ${words || (exitCode === undefined ? "it was killed" : "no output")}.`;
  const fail = (
    retry: Persistence,
    code: "copy-failed" | "registry-unavailable" | "tls-untrusted",
    ...remedy: Words[]
  ) => ({
    retry,
    error: new ExplainedError(code, `${source} could not be copied to ${destination}. ${quoted}`, { remedy }),
  });
  const state = explainState(words, { registry: destination.replace(/\/.*/, ""), what: destination });
  if (state !== undefined) {
    return { retry: "no", error: state };
  }
  switch (kind) {
    case "refused":
      return fail(
        isRenewed ? "copying" : "no",
        "copy-failed",
        "Both logins work: check the permissions of both robots for these two repositories.",
      );
    case "untrusted":
      return fail("no", "tls-untrusted", privateAuthority);
    case "not-up":
      return fail(
        "copying",
        "registry-unavailable",
        "If this is a Quay, its web part is up, but its registry part is not.",
        remedies.registryPart,
      );
    case "passing":
    case "crashed":
      return fail("copying", "registry-unavailable", "Run the same again: what was copied is skipped.");
    case "other":
      return fail("no", "copy-failed", otherRemedy(words, file, source, destination));
    default:
      return unreachable(kind);
  }
}

function otherRemedy(words: string, file: string, source: string, destination: string): string {
  if (/Source image rejected|trust policy/.test(words)) {
    return "The policy for images on this machine rejects this image: check ~/.config/containers/policy.json, or else /etc/containers/policy.json.";
  }
  return /unknown flag/.test(words)
    ? `${file} is older than 1.6 and has no --preserve-digests: install a newer one.`
    : `Try the same by hand: skopeo copy --all --preserve-digests docker://${source} docker://${destination}`;
}
