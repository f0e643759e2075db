/** A registry's HTTP API: tokens, retries, and digests that are checked wherever bytes come in. */
import { createHash } from "node:crypto";
import { createLimit } from "../platform/concurrency.ts";
import { ExplainedError } from "../platform/errors.ts";
import { type HttpAnswer, HttpFailure } from "../platform/http.ts";
import type { Platform } from "../platform/platform.ts";
import { type Attempt, retry } from "../platform/retry.ts";
import { explainState } from "../quay/states.ts";
import { accessMissing, grantIn, registryReason } from "./access.ts";
import {
  type Asker,
  authorizationOf,
  type Bearer,
  type Bearers,
  createBearers,
  explainUnreachable,
  notPublic,
  unavailable,
} from "./bearer.ts";
import { isDigest, isMediaType, parseObject } from "./manifest.ts";
import { addToFallback, readReferrers } from "./referrers.ts";
import type { Action, Ask, Manifest, PathTo, Question, RegistryClient } from "./types.ts";

export type { Descriptor } from "./manifest.ts";
export type { Manifest, RegistryClient } from "./types.ts";

export interface ClientOptions extends Asker {
  /** For each question, retries included. */
  readonly timeoutSeconds: number;
}

interface Sent {
  readonly answer: HttpAnswer;
  /** Whether a redirect has led to another host. */
  readonly elsewhere: boolean;
}

/** As large as a manifest may be (OCI distribution specification, "Pushing manifests"). */
const maxManifestBytes = 4 * 1024 * 1024;

const manifestTypes = [
  "application/vnd.oci.image.index.v1+json",
  "application/vnd.oci.image.manifest.v1+json",
  "application/vnd.docker.distribution.manifest.list.v2+json",
  "application/vnd.docker.distribution.manifest.v2+json",
].join(", ");

/** Requests at the same time, as many as images may be copied: each is a connection, and an answer in memory. */
const maxConcurrentQuestions = 32;

/**
 * Said to a manifest. The distribution project's registry empties a link before it writes it anew, and so finds no digest where
 * somebody else uploads the same layer to the same repository at this moment (2.8.2: 243 of 3,000 times in a loop).
 */
const linkBeingWritten = "provided digest did not match uploaded content";

const redirects = [301, 302, 303, 307, 308];

export function createRegistryClient(options: ClientOptions, platform: Platform): RegistryClient {
  const shared = {
    bearers: createBearers(options, platform),
    adding: new Map(),
    gate: createLimit(maxConcurrentQuestions),
  };
  return clientWith(shared, options, platform);
}

/** What the clients of one side of one registry have in common. */
interface Shared {
  readonly bearers: Bearers;
  /** To the lists under fallback tags. */
  readonly adding: Map<string, Promise<void>>;
  readonly gate: ReturnType<typeof createLimit>;
}

function clientWith(shared: Shared, options: ClientOptions, platform: Platform): RegistryClient {
  const { bearers, adding, gate } = shared;
  const { registry, side, robot, timeoutSeconds } = options;
  // Docker's own registry is not where its name says, and its official images have a folder that nobody writes.
  const isDocker = registry === "docker.io" || registry === "index.docker.io";
  const base = new URL(`https://${isDocker ? "registry-1.docker.io" : registry}/v2/`);
  const nameOf = (repository: string) => (isDocker && !repository.includes("/") ? `library/${repository}` : repository);
  const { signal } = platform;
  const limits = { timeoutMs: Math.min(30, timeoutSeconds) * 1000, maxBytes: maxManifestBytes, signal };

  function patiently<T>(what: string, work: () => Promise<Attempt<T>>): Promise<T> {
    const deadline = Math.min(platform.deadline, platform.clock.now() + timeoutSeconds * 1000);
    return retry({ ...platform, deadline }, what, () =>
      work().catch((failure) => tooBig(failure, what) ?? explainUnreachable(failure, options)),
    );
  }

  const ask: Ask = (question) => patiently(question.what, () => attempt(question));

  async function attempt(question: Question): Promise<Attempt<HttpAnswer>> {
    const { repository, actions = ["pull"], statuses = [] } = question;
    let accepts = (_: Bearer) => true;
    for (;;) {
      signal.throwIfAborted();
      const bearer = await bearers.get(nameOf(repository), actions, accepts);
      if (!("value" in bearer)) {
        return bearer;
      }
      const { answer, elsewhere } = await send(question, bearer.value);
      const { status } = answer;
      if ((status >= 200 && status <= 206) || statuses.includes(status)) {
        return { value: answer };
      }
      const state = elsewhere ? undefined : explainState(answer.body, { registry, what: question.what });
      if (state !== undefined) {
        return { retry: "no", error: state };
      }
      if (status === 429 || status >= 500) {
        return { retry: "patient", error: unavailable(options, status), answer };
      }
      if (status === 400 && question.method === "PUT" && registryReason(answer.body) === linkBeingWritten) {
        return { retry: "quick", error: unforeseen(question, answer) };
      }
      if (elsewhere || (status !== 401 && status !== 403)) {
        return { retry: "no", error: unforeseen(question, answer) };
      }
      // A token that was kept may have ended meanwhile; without a login, the first refusal says where one is to be had.
      if (bearer.value === undefined ? !bearers.learn(answer) : bearer.isNew) {
        return { retry: "no", error: denied(question, actions, answer, bearer.value) };
      }
      accepts = (kept) => kept !== bearer.value;
    }
  }

  /** A redirect of what is read leads to the registry's storage, which gets no token: the address is the permission. */
  async function send({ path, method = "GET", headers, body }: Question, bearer: Bearer): Promise<Sent> {
    let url = new URL(path, base);
    for (let hops = 0; ; hops++) {
      const isHere = url.origin === base.origin;
      const authorization = isHere && bearer !== undefined && { authorization: authorizationOf(bearer) };
      const at = url;
      const answer = await gate(() =>
        platform.http.open(at, limits, method).send({ ...headers, ...authorization }, body),
      );
      const location = String(answer.headers.location ?? "");
      const next = URL.canParse(location, url.href) ? new URL(location, url) : undefined;
      const follows = method === "GET" && redirects.includes(answer.status) && next?.protocol === "https:" && hops < 3;
      if (!follows) {
        return { answer, elsewhere: !isHere };
      }
      url = next;
    }
  }

  const place = (repository: string) => `${registry}/${repository}`;
  const pathTo: PathTo = (repository, what, reference) =>
    [...nameOf(repository).split("/"), what, reference].map(segment).join("/");
  const naming = (repository: string, reference: string) =>
    `${place(repository)}${reference.includes(":") ? "@" : ":"}${reference}`;

  function unforeseen({ what }: Question, { status, body }: HttpAnswer): ExplainedError {
    const words = registryReason(body);
    const said = words === undefined ? "" : ` It said: ${JSON.stringify(words)}`;
    return new ExplainedError("copy-failed", `${registry}, the ${side}, answered ${status} for ${what}.${said}`, {
      remedy: [`Check that ${registry} is a registry, without a login portal or a proxy in front of it.`],
    });
  }

  function tooBig(failure: unknown, what: string): Attempt<never> | undefined {
    return failure instanceof HttpFailure && failure.kind === "too-big"
      ? {
          retry: "no",
          error: new ExplainedError("copy-failed", `${capital(what)} is not usable: ${failure.message}.`, {
            remedy: ["A registry should take manifests of up to 4 MiB. Look at how the image was built."],
            cause: failure,
          }),
        }
      : undefined;
  }

  function denied(question: Question, actions: readonly Action[], answer: HttpAnswer, bearer: Bearer): ExplainedError {
    const { repository } = question;
    const granted = bearer === undefined ? [] : (grantIn(bearer, nameOf(repository)) ?? []);
    // With all that was asked for, it is something else.
    return robot !== undefined && actions.every((action) => granted.includes(action))
      ? unforeseen(question, answer)
      : lacksAccess(repository, actions, granted);
  }

  function lacksAccess(repository: string, actions: readonly Action[], granted: readonly string[]): ExplainedError {
    const lacking = actions.filter((action) => !granted.includes(action));
    return robot === undefined
      ? notPublic(options, repository)
      : accessMissing({ registry, robot, repository, lacking, granted, side });
  }

  /** @param stated what the bytes must make; undefined: nobody has said */
  function digestFrom(text: string, stated: string | undefined, what: string): string {
    const algorithm = stated?.startsWith("sha512:") ? "sha512" : "sha256";
    const digest = `${algorithm}:${createHash(algorithm).update(text, "utf8").digest("hex")}`;
    if (stated !== undefined && stated !== digest) {
      throw new ExplainedError(
        "digest-differs",
        `${capital(what)} has other bytes than ${stated}: they make ${digest}.`,
        {
          remedy: [
            `Something on the way to ${registry} changes what it gives, or its storage is damaged. Nothing was promoted.`,
          ],
        },
      );
    }
    return digest;
  }

  const manifestQuestion = (repository: string, reference: string): Question => ({
    repository,
    what: `the manifest ${naming(repository, reference)}`,
    path: pathTo(repository, "manifests", reference),
    headers: { accept: manifestTypes },
    statuses: [404],
  });

  const blobQuestion = (repository: string, digest: string): Question => ({
    repository,
    what: `the blob ${naming(repository, digest)}`,
    path: pathTo(repository, "blobs", digest),
    statuses: [404],
  });

  async function manifest(repository: string, reference: string): Promise<Manifest | undefined> {
    const question = manifestQuestion(repository, reference);
    const answer = await ask(question);
    if (answer.status === 404) {
      return undefined;
    }
    const { headers, body: text } = answer;
    const stated = reference.includes(":") ? reference : digestIn(headers);
    const type = (String(headers["content-type"] ?? "").split(";")[0] ?? "").trim();
    if (/^application\/vnd\.docker\.distribution\.manifest\.v1\+/.test(type)) {
      // The digest of Docker's first format leaves its signatures out.
      return { digest: stated ?? digestFrom(text, undefined, question.what), mediaType: type, text };
    }
    const digest = digestFrom(text, stated, question.what);
    const content = parseObject(text);
    if (content === undefined) {
      throw unforeseen(question, answer);
    }
    const { mediaType } = content;
    // It becomes a header when the manifest is put somewhere.
    return { digest, mediaType: isMediaType(mediaType) ? mediaType : type, text };
  }

  async function putManifest(repository: string, reference: string, { digest, mediaType, text }: Manifest) {
    const what = `the manifest ${naming(repository, reference)}`;
    const { headers } = await ask({
      repository,
      what,
      path: pathTo(repository, "manifests", reference),
      method: "PUT",
      actions: ["pull", "push"],
      headers: { "content-type": mediaType },
      body: text,
    });
    const stored = digestIn(headers) ?? digest;
    if (stored !== digest) {
      throw new ExplainedError(
        "digest-differs",
        `${capital(what)} was sent as ${digest}, and is stored as ${stored}.`,
        {
          remedy: [`Something on the way to ${registry} changes what it gets. Run the same again from elsewhere.`],
        },
      );
    }
    return { indexesSubject: headers["oci-subject"] !== undefined };
  }

  function granted(repository: string, actions: readonly Action[]): Promise<readonly string[] | undefined> {
    const what = `the permissions for ${place(repository)}`;
    return patiently(what, async () => {
      if (robot === undefined) {
        bearers.learn((await send({ repository, what, path: "" }, undefined)).answer);
      }
      // What is kept and grants less may be from before the repository was there.
      const grants = (kept: Bearer) => {
        const found = kept === undefined ? [] : (grantIn(kept, nameOf(repository)) ?? []);
        return actions.every((action) => found.includes(action));
      };
      const bearer = await bearers.get(nameOf(repository), actions, grants);
      if (!("value" in bearer)) {
        return bearer;
      }
      return { value: bearer.value === undefined ? undefined : grantIn(bearer.value, nameOf(repository)) };
    });
  }

  return {
    async digestOf(repository, reference) {
      const question = manifestQuestion(repository, reference);
      // Where a HEAD has no use, a GET is asked instead, and says what is wrong.
      const answer = await ask({ ...question, method: "HEAD", statuses: [404, 400, 405, ...redirects] });
      if (answer.status === 404) {
        return undefined;
      }
      const digest = answer.status < 300 ? digestIn(answer.headers) : undefined;
      return digest ?? (await manifest(repository, reference))?.digest;
    },
    manifest,
    async blob(repository, digest) {
      const question = blobQuestion(repository, digest);
      const { status, body } = await ask(question);
      if (status === 404) {
        return undefined;
      }
      digestFrom(body, digest, question.what);
      return body;
    },
    async hasBlob(repository, digest) {
      const question = blobQuestion(repository, digest);
      const { status } = await ask({ ...question, method: "HEAD", statuses: [404, ...redirects] });
      return status !== 404;
    },
    putManifest,
    referrers: (repository, digest) => readReferrers({ ask, manifest, base, pathTo, place }, repository, digest),
    addFallbackReferrers(repository, digest, descriptors) {
      // One after the other: promotions that run at the same time may share an image.
      const add = () => addToFallback({ manifest, putManifest, place }, repository, digest, descriptors);
      const added = (adding.get(`${repository}@${digest}`) ?? Promise.resolve()).then(add, add);
      adding.set(`${repository}@${digest}`, added);
      return added;
    },
    async isImmutable(repository, tag) {
      const url = new URL(`https://${registry}/api/v1/repository/${repository}/tag/`);
      url.searchParams.set("specificTag", tag);
      try {
        const { status, body } = await platform.http.open(url, { ...limits, timeoutMs: 5_000 }).send();
        const tags: unknown = status === 200 ? parseObject(body)?.tags : undefined;
        return Array.isArray(tags) && tags.some((each) => each?.name === tag && each.immutable === true);
      } catch {
        signal.throwIfAborted();
        return false;
      }
    },
    granted,
    until: (ended) => clientWith(shared, options, { ...platform, signal: AbortSignal.any([signal, ended]) }),
    async assertGranted(repository, actions) {
      const found = (await granted(repository, actions)) ?? actions;
      if (!actions.every((action) => found.includes(action))) {
        throw lacksAccess(repository, actions, found);
      }
    },
  };
}

/**
 * What Quay will allow is found out before anything is copied; a missing repository is made by that, where the robot may.
 * @throws ExplainedError `access-missing`
 */
export const assertMayPush = (client: RegistryClient, repository: string): Promise<void> =>
  client.assertGranted(repository, ["pull", "push"]);

/** Whether the repository is there to be read; Quay does not tell one that is missing from one that is closed. Makes none. */
export async function isThere(client: RegistryClient, repository: string): Promise<boolean> {
  return (await client.granted(repository, ["pull"]))?.includes("pull") ?? true;
}

/** A digest's colon stays as it is: so it stands in the specification. */
const segment = (text: string): string => encodeURIComponent(text).replaceAll("%3A", ":");

const capital = (text: string): string => `${text.charAt(0).toUpperCase()}${text.slice(1)}`;

function digestIn(headers: HttpAnswer["headers"]): string | undefined {
  const digest = headers["docker-content-digest"];
  return isDigest(digest) ? digest : undefined;
}
