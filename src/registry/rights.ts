/** A login's permissions on a repository and its tags. */

import { parseObject } from "../platform/json.ts";
import { lacksAccess } from "./bearer.ts";
import type { RepositoryClient } from "./client.ts";
import { granted, limitsOf } from "./transport.ts";
import type { Action } from "./types.ts";

/** Whether the repository can be read. Quay's answer is the same for a missing one and a private one. Creates none. */
export async function canPull({ transport, repository }: RepositoryClient): Promise<boolean> {
  return (await granted(transport, repository, ["pull"]))?.includes("pull") ?? true;
}

/**
 * Checks the permission to push before anything is copied. Quay thereby creates a missing repository, if the robot may.
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
 * Whether Quay says that the tag is immutable. Asks Quay's own API without a login (a robot can't use it). The API says nothing
 * about a private repository, nor if the feature is off. `GET /api/v1/repository/<name>/tag/`.
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
