/** Requests to a registry over HTTP, with its bearer tokens, redirects and retries. */
import { createLimit } from "../platform/concurrency.ts";
import { ExplainedError } from "../platform/errors.ts";
import { type HttpAnswer, HttpFailure, type Limits, type Method } from "../platform/http.ts";
import type { Platform } from "../platform/platform.ts";
import { type Attempt, retry } from "../platform/retry.ts";
import { explainState } from "../quay/states.ts";
import { grantIn, registryReason } from "./access.ts";
import {
  type Asker,
  authorizationOf,
  type Bearer,
  type Bearers,
  createBearers,
  explainUnreachable,
  lacksAccess,
  unavailable,
} from "./bearer.ts";
import type { Action } from "./types.ts";

export interface TransportOptions extends Asker {
  /** For each request, retries included. */
  readonly timeoutSeconds: number;
}

/** The connection of one login to one registry. */
export interface Transport {
  readonly options: TransportOptions;
  /** Its signal ends each request. */
  readonly platform: Platform;
  /** The API's own address, `https://host/v2/`. */
  readonly base: URL;
  readonly bearers: Bearers;
  /** Limits the requests that run at the same time. */
  readonly limit: ReturnType<typeof createLimit>;
  /** The last change of each tag that several promotions may change: the next one waits for it. */
  readonly changes: Map<string, Promise<void>>;
}

export interface Question {
  readonly repository: string;
  /** For messages: `the manifest v1 of quay.io/acme/app`. */
  readonly what: string;
  /** Relative to `/v2/`, or the address of the next page. */
  readonly path: string;
  readonly method?: Method;
  readonly actions?: readonly Action[];
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Statuses that the caller handles, besides 200 to 206. */
  readonly statuses?: readonly number[];
}

interface Sent {
  readonly answer: HttpAnswer;
  /** Whether a redirect led to another host. */
  readonly elsewhere: boolean;
}

/** The largest manifest (OCI distribution specification, "Pushing manifests"). */
const maxManifestBytes = 4 * 1024 * 1024;

/** As many as images can be copied at the same time: each is a connection, and an answer in memory. */
const maxConcurrentRequests = 32;

const maxRedirects = 3;

export const redirects = [301, 302, 303, 307, 308];

/**
 * An answer to a pushed manifest. The distribution project's registry empties a layer's link before it rewrites it, and finds no digest
 * if another client uploads the same layer to the same repository at this moment (2.8.2: 243 of 3,000 times in a loop).
 */
const linkBeingWritten = "provided digest did not match uploaded content";

// Docker's own registry has another address than its name, and its official images an implied folder.
const isDocker = ({ registry }: Asker): boolean => registry === "docker.io" || registry === "index.docker.io";

/** The registry's name for a repository. */
const nameAt = ({ options }: Transport, repository: string): string =>
  isDocker(options) && !repository.includes("/") ? `library/${repository}` : repository;

export function createTransport(options: TransportOptions, platform: Platform): Transport {
  return {
    ...{ options, platform },
    base: new URL(`https://${isDocker(options) ? "registry-1.docker.io" : options.registry}/v2/`),
    bearers: createBearers(options, platform),
    limit: createLimit(maxConcurrentRequests),
    changes: new Map(),
  };
}

/** The same transport, whose requests also end with this signal; it shares the tokens. */
export function transportUntil(transport: Transport, ended: AbortSignal): Transport {
  const { platform } = transport;
  return { ...transport, platform: { ...platform, signal: AbortSignal.any([platform.signal, ended]) } };
}

/** The path below `/v2/` of something in a repository, encoded. */
export const pathTo = (
  transport: Transport,
  repository: string,
  what: "manifests" | "blobs" | "referrers",
  reference: string,
): string => [...nameAt(transport, repository).split("/"), what, reference].map(segment).join("/");

/** A digest's colon is not encoded, as in the specification. */
const segment = (text: string): string => encodeURIComponent(text).replaceAll("%3A", ":");

/** The limits of each request. */
export const limitsOf = ({ options, platform }: Transport): Limits => ({
  timeoutMs: Math.min(30, options.timeoutSeconds) * 1000,
  maxBytes: maxManifestBytes,
  signal: platform.signal,
});

/**
 * @throws ExplainedError `access-missing`, `registry-unavailable`, `tls-untrusted`, `login-lapsed`, `login-refused`,
 *   `robots-disabled`; `copy-failed` for an unexpected answer
 */
export const ask = (transport: Transport, question: Question): Promise<HttpAnswer> =>
  patiently(transport, question.what, () => attempt(transport, question));

function patiently<T>(transport: Transport, what: string, work: () => Promise<Attempt<T>>): Promise<T> {
  const { options, platform } = transport;
  const deadline = Math.min(platform.deadline, platform.clock.now() + options.timeoutSeconds * 1000);
  return retry({ ...platform, deadline }, what, () =>
    work().catch((failure) => tooBig(failure, what) ?? explainUnreachable(failure, options)),
  );
}

/** Sends once, and again with a new token if the registry refuses the cached one. */
async function attempt(transport: Transport, question: Question): Promise<Attempt<HttpAnswer>> {
  const { bearers, platform } = transport;
  const { repository, actions = ["pull"] } = question;
  let accepts = (_: Bearer) => true;
  for (;;) {
    platform.signal.throwIfAborted();
    const bearer = await bearers.get(nameAt(transport, repository), actions, accepts);
    if (!("value" in bearer)) {
      return bearer;
    }
    const sent = await send(transport, question, bearer.value);
    const judged = judge(transport, question, sent);
    if (judged !== "unauthorized") {
      return judged;
    }
    // A cached token may have expired meanwhile. Without a login, the first refusal says where to request one.
    if (bearer.value === undefined ? !bearers.learn(sent.answer) : bearer.isNew) {
      return { retry: "no", error: denied(transport, question, sent.answer, bearer.value) };
    }
    accepts = (kept) => kept !== bearer.value;
  }
}

/** A redirected GET leads to the registry's storage, which gets no token: its address is the permission. */
async function send(
  transport: Transport,
  question: Pick<Question, "path" | "method" | "headers" | "body">,
  bearer: Bearer,
): Promise<Sent> {
  const { base, limit, platform } = transport;
  const { path, method = "GET", headers, body } = question;
  const limits = limitsOf(transport);
  let url = new URL(path, base);
  for (let hops = 0; ; hops++) {
    const isHere = url.origin === base.origin;
    const authorization = isHere && bearer !== undefined && { authorization: authorizationOf(bearer) };
    const at = url;
    const answer = await limit(() =>
      platform.http.open(at, limits, method).send({ ...headers, ...authorization }, body),
    );
    const location = String(answer.headers.location ?? "");
    const next = URL.canParse(location, url.href) ? new URL(location, url) : undefined;
    const follows =
      method === "GET" && redirects.includes(answer.status) && next?.protocol === "https:" && hops < maxRedirects;
    if (!follows) {
      return { answer, elsewhere: !isHere };
    }
    url = next;
  }
}

function judge(transport: Transport, question: Question, sent: Sent): Attempt<HttpAnswer> | "unauthorized" {
  const { options } = transport;
  const { what, method, statuses = [] } = question;
  const { answer, elsewhere } = sent;
  const { status, body } = answer;
  if ((status >= 200 && status <= 206) || statuses.includes(status)) {
    return { value: answer };
  }
  const state = elsewhere ? undefined : explainState(body, { registry: options.registry, what });
  if (state !== undefined) {
    return { retry: "no", error: state };
  }
  if (status === 429 || status >= 500) {
    return { retry: "patient", error: unavailable(options, status), answer };
  }
  if (status === 400 && method === "PUT" && registryReason(body) === linkBeingWritten) {
    return { retry: "quick", error: unforeseen(transport, what, answer) };
  }
  if (elsewhere || (status !== 401 && status !== 403)) {
    return { retry: "no", error: unforeseen(transport, what, answer) };
  }
  return "unauthorized";
}

/** The error for an unexpected answer. @param what what was requested */
export function unforeseen({ options }: Transport, what: string, { status, body }: HttpAnswer): ExplainedError {
  const { registry, endpoint } = options;
  const words = registryReason(body);
  const reason = words === undefined ? "" : ` It said: ${JSON.stringify(words)}`;
  return new ExplainedError("copy-failed", `${registry}, the ${endpoint}, answered ${status} for ${what}.${reason}`, {
    remedy: [`Check that ${registry} is a registry, without a login portal or a proxy in front of it.`],
  });
}

function tooBig(failure: unknown, what: string): Attempt<never> | undefined {
  return failure instanceof HttpFailure && failure.kind === "too-big"
    ? {
        retry: "no",
        error: new ExplainedError("copy-failed", `${capital(what)} is not usable: ${failure.message}.`, {
          remedy: ["Registries accept manifests of up to 4 MiB. Check how the image was built."],
          cause: failure,
        }),
      }
    : undefined;
}

function denied(transport: Transport, question: Question, answer: HttpAnswer, bearer: Bearer): ExplainedError {
  const { options } = transport;
  const { repository, actions = ["pull"] } = question;
  const granted = grantsOf(transport, repository, bearer) ?? [];
  // With all actions granted, the refusal has another reason.
  return options.robot !== undefined && actions.every((action) => granted.includes(action))
    ? unforeseen(transport, question.what, answer)
    : lacksAccess(options, repository, actions, granted);
}

const grantsOf = (transport: Transport, repository: string, bearer: Bearer): readonly string[] | undefined =>
  bearer === undefined ? undefined : grantIn(bearer, nameAt(transport, repository));

/**
 * Which of these actions the registry's token grants. A request for `push` makes Quay create a missing repository.
 * @returns undefined if the token doesn't say
 * @throws ExplainedError as `ask` does
 */
export function granted(
  transport: Transport,
  repository: string,
  actions: readonly Action[],
): Promise<readonly string[] | undefined> {
  const { options, bearers } = transport;
  return patiently(transport, `the permissions for ${options.registry}/${repository}`, async () => {
    if (options.robot === undefined) {
      bearers.learn((await send(transport, { path: "" }, undefined)).answer);
    }
    // A cached token that grants less may be older than the repository.
    const grants = (kept: Bearer) => {
      const found = grantsOf(transport, repository, kept) ?? [];
      return actions.every((action) => found.includes(action));
    };
    const bearer = await bearers.get(nameAt(transport, repository), actions, grants);
    return "value" in bearer ? { value: grantsOf(transport, repository, bearer.value) } : bearer;
  });
}

export const capital = (text: string): string => `${text.charAt(0).toUpperCase()}${text.slice(1)}`;
