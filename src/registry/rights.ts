/** What a login may do with a repository, and with its tags. */

import { parseObject } from "../platform/json.ts";
import { lacksAccess } from "./bearer.ts";
import type { RepositoryClient } from "./client.ts";
import { granted, limitsOf } from "./transport.ts";
import type { Action } from "./types.ts";

/** Whether the repository is there to be read; Quay does not tell one that is missing from one that is closed. Makes none. */
export async function isThere({ transport, repository }: RepositoryClient): Promise<boolean> {
  return (await granted(transport, repository, ["pull"]))?.includes("pull") ?? true;
}

/**
 * What Quay will allow is found out before anything is copied; a missing repository is made by that, where the robot may.
 * @throws ExplainedError `access-missing`
 */
export async function assertMayPush({ transport, repository }: RepositoryClient): Promise<void> {
  const actions: readonly Action[] = ["pull", "push"];
  const found = (await granted(transport, repository, actions)) ?? actions;
  if (!actions.every((action) => found.includes(action))) {
    throw lacksAccess(transport.options, repository, actions, found);
  }
}

/**
 * Whether Quay says that nothing may be pushed over this tag. Its own API is asked, as anybody may: of a private repository
 * it says nothing (a robot can't open that API), nor where the feature is off. `GET /api/v1/repository/<name>/tag/`.
 */
export async function isImmutable(
  { registry, repository, transport }: RepositoryClient,
  tag: string,
): Promise<boolean> {
  const { http, signal } = transport.platform;
  const url = new URL(`https://${registry}/api/v1/repository/${repository}/tag/`);
  url.searchParams.set("specificTag", tag);
  try {
    const { status, body } = await http.open(url, { ...limitsOf(transport), timeoutMs: 5_000 }).send();
    const tags: unknown = status === 200 ? parseObject(body)?.tags : undefined;
    return Array.isArray(tags) && tags.some((each) => each?.name === tag && each.immutable === true);
  } catch {
    signal.throwIfAborted();
    return false;
  }
}
