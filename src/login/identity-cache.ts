/** The identity token during a login: fetched once for all robots, logged once, replaced when it is about to expire. */

import { fetchIdentity, type IdentityChoice } from "../identity/index.ts";
import { assertUsable, audienceWarning, bindingOf, type Identity } from "../identity/token.ts";
import { formatBinding } from "../platform/errors.ts";
import type { PendingRequest } from "../platform/http.ts";
import type { Platform } from "../platform/platform.ts";

export interface Identities {
  /** The one that the log and the results show. */
  readonly first: Promise<Identity>;
  readonly current: () => Promise<Identity>;
}

export interface CacheOptions {
  readonly choice: IdentityChoice;
  readonly audience: string;
  /** From `openIdentity`, for the first token. */
  readonly opened: PendingRequest | undefined;
  /** Full names of the robots that log in with the token. */
  readonly robots: readonly string[];
}

/**
 * One token logs in all robots; a token that is about to expire is replaced before it is used again.
 * @param log gets issuer, subject and audience, a line each
 */
export function cacheIdentity(
  { choice, audience, opened, robots }: CacheOptions,
  platform: Platform,
  log = platform.reporter.info,
): Identities {
  const enoughSeconds = 10;
  const fetch = async (connection?: PendingRequest) => {
    const identity = await fetchIdentity(choice, audience, platform, connection);
    assertUsable(identity, robots, platform.clock.now());
    return identity;
  };
  const first = fetch(opened).then((identity) => {
    for (const line of formatBinding({ ...bindingOf(identity), audience: identity.audience.join(" ") || "(none)" })) {
      log(`  ${line}`);
    }
    const warning = audienceWarning(identity);
    if (warning !== undefined) {
      platform.reporter.warning(warning);
    }
    return identity;
  });
  first.catch(() => {}); // every robot that waits for it gets the error
  let latest = first;
  const current = async () => {
    const seen = latest;
    const identity = await seen;
    // If several robots find it expiring, one fetches for all.
    if (latest === seen && identity.expiresAt - enoughSeconds <= platform.clock.now() / 1000) {
      latest = fetch();
    }
    return latest;
  };
  return { first, current };
}
