/** The identity token during a login: fetched once for all robots, told once, replaced when it is about to end. */

import { fetchIdentity, type IdentityChoice } from "../identity/index.ts";
import { assertUsable, audienceWarning, bindingOf, type Identity } from "../identity/token.ts";
import { formatBinding } from "../platform/errors.ts";
import type { PendingRequest } from "../platform/http.ts";
import type { Platform } from "../platform/platform.ts";
import type { LoginRequest } from "./request.ts";

export interface Identities {
  /** The one that the log and the results speak of. */
  readonly first: Promise<Identity>;
  readonly current: () => Promise<Identity>;
}

/**
 * One token serves all robots; one that is about to end is replaced before it is used again.
 * @param opened from `openIdentity`, for the first token
 */
export function cacheIdentity(
  request: LoginRequest,
  choice: IdentityChoice,
  opened: PendingRequest | undefined,
  platform: Platform,
): Identities {
  const robots = request.robots.map(({ robot }) => robot);
  const enoughSeconds = 10;
  const fetch = async (connection?: PendingRequest) => {
    const identity = await fetchIdentity(choice, request.audience, platform, connection);
    assertUsable(identity, robots, platform.clock.now());
    return identity;
  };
  const first = fetch(opened).then((identity) => {
    announce(identity, platform);
    return identity;
  });
  first.catch(() => {}); // every robot that waits for it gets the error
  let latest = first;
  const current = async () => {
    const seen = latest;
    const identity = await seen;
    // Of several robots that find it so, one fetches for all.
    if (latest === seen && identity.expiresAt - enoughSeconds <= platform.clock.now() / 1000) {
      latest = fetch();
    }
    return latest;
  };
  return { first, current };
}

function announce(identity: Identity, { reporter }: Platform): void {
  for (const line of formatBinding({ ...bindingOf(identity), audience: identity.audience.join(" ") || "(none)" })) {
    reporter.info(`  ${line}`);
  }
  const warning = audienceWarning(identity);
  if (warning !== undefined) {
    reporter.warning(warning);
  }
}
