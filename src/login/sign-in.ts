/** Logs in all robots at the same time: exchange -> tool login, each with a tool process of its own. */
import { join } from "node:path";
import type { AuthEntry } from "../authfile/read.ts";
import type { Identity } from "../identity/token.ts";
import { mapLimit } from "../platform/concurrency.ts";
import type { PendingRequest } from "../platform/http.ts";
import type { Platform } from "../platform/platform.ts";
import type { Timeline } from "../platform/timeline.ts";
import { connect, exchange, type RobotToken } from "../quay/exchange.ts";
import type { RobotLogin } from "../quay/scope.ts";
import type { Realm } from "../registry/realm.ts";
import { offerRoots } from "../tools/certificates.ts";
import { besideHelpers } from "../tools/helpers.ts";
import { startToolLogin, type ToolLogin } from "../tools/tool-login.ts";
import type { Tool } from "../tools/tools.ts";

/** What all robots of a login have in common. */
export interface SignInOptions {
  readonly registry: string;
  readonly tool: Tool;
  /** Private: the tools' own folders are made in it, and removed afterwards. */
  readonly folder: string;
  /** PEM text of the option ca-file. */
  readonly roots: string | undefined;
  /** To Quay, from `connect`, for the first robot. */
  readonly opened: PendingRequest;
  readonly currentIdentity: () => Promise<Identity>;
  readonly realm: () => Promise<Realm>;
  readonly timeline: Timeline;
}

export interface SignedIn {
  readonly robot: RobotLogin;
  readonly token: RobotToken;
  /** What the tool has written. */
  readonly entry: AuthEntry;
}

/**
 * How many robots log in at the same time. Measured: 20 robots take 1.47 times as long as one with a round trip of 30 ms, and
 * 3.61 times without one, where the CPU decides (docs/performance.md).
 */
const maxConcurrentLogins = 20;

/** @throws ExplainedError as `exchange` and `startToolLogin` do; those of further robots in `also` */
export async function signInAll(
  robots: readonly RobotLogin[],
  options: SignInOptions,
  platform: Platform,
): Promise<readonly SignedIn[]> {
  const { registry, folder, roots, opened } = options;
  const certificates = roots && (await offerRoots(roots, join(folder, "certificates")));
  const { result, asked } = await besideHelpers(platform.env, join(folder, "helpers"), (helpers) =>
    mapLimit(robots, maxConcurrentLogins, (robot, index) =>
      signIn(
        robot,
        {
          ...options,
          folder: join(folder, `tool-${index}`),
          opened: index === 0 ? opened : connect(registry, platform),
          certificates,
          helpers,
        },
        platform,
      ),
    ),
  );
  if (asked.length > 0) {
    platform.reporter.warning(
      `registries.conf names the credential helper ${asked.join(", ")} before the file: where it holds another login for ${registry}, later steps use that one.`,
    );
  }
  return result;
}

interface OneSignIn extends Omit<SignInOptions, "roots"> {
  readonly certificates: string | undefined;
  readonly helpers: string | undefined;
}

/** One robot. Its tool starts while Quay answers, and waits for the robot token. */
async function signIn(login: RobotLogin, options: OneSignIn, platform: Platform): Promise<SignedIn> {
  const { registry, tool, opened, currentIdentity, timeline } = options;
  let toolLogin: ToolLogin | undefined;
  try {
    // Starting a process blocks this one for milliseconds: during the exchange nothing else waits for it.
    await currentIdentity();
    const exchanging = timeline.time(`exchange for ${login.robot}`, () =>
      exchange({ registry, robot: login.robot, currentIdentity, opened }, platform),
    );
    exchanging.catch(() => {}); // awaited below
    const started = await startToolLogin({ ...options, login }, platform);
    toolLogin = started;
    const token = await exchanging;
    const entry = await timeline.time(`${tool.name} login ${login.scope}`, () => started.finish(token));
    return { robot: login, token, entry };
  } finally {
    opened.abandon();
    await toolLogin?.abandon();
  }
}
