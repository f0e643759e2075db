/** Logs in all robots at the same time: exchange -> tool login, each with a tool process of its own, or without any. */
import { join } from "node:path";
import type { AuthEntry } from "../authfile/read.ts";
import { basicCredentials, type Identity } from "../identity/token.ts";
import { mapLimit } from "../platform/concurrency.ts";
import type { PendingRequest } from "../platform/http.ts";
import type { Platform } from "../platform/platform.ts";
import type { Timeline } from "../platform/timeline.ts";
import { connect, exchange, type RobotToken } from "../quay/exchange.ts";
import type { RobotLogin } from "../quay/scope.ts";
import type { Realm } from "../registry/realm.ts";
import { verifyRobotToken } from "../registry/verify.ts";
import { offerRoots } from "../tools/certificates.ts";
import { askedFirst, besideHelpers, helpersWarning } from "../tools/helpers.ts";
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
  /** What the tool has written; without one, the same. */
  readonly entry: AuthEntry;
}

/**
 * How many robots log in at the same time. Measured with 20 robots: with a tool, the CPU decides. Without one, fewer connections that are
 * kept alive save 5 % of it, and the waits for round trips cost more (docs/performance.md).
 */
const maxConcurrentLogins = 20;

/** @throws ExplainedError as `exchange` and `startToolLogin` do; those of further robots in `also` */
export async function signInAll(
  robots: readonly RobotLogin[],
  options: SignInOptions,
  platform: Platform,
): Promise<readonly SignedIn[]> {
  const { tool, registry, folder, roots, opened } = options;
  const openedFor = (index: number) => (index === 0 ? opened : connect(registry, platform));
  if (tool.name === "none") {
    const start = async (login: RobotLogin) => withoutTool(registry, login, options.realm, platform);
    const warning = helpersWarning(registry, platform.env);
    const result = await mapLimit(robots, maxConcurrentLogins, (robot, index) =>
      signIn(robot, { ...options, opened: openedFor(index), start }, platform),
    );
    warn(await warning, platform);
    return result;
  }
  const certificates = roots && (await offerRoots(roots, join(folder, "certificates")));
  const { result, asked } = await besideHelpers(platform.env, join(folder, "helpers"), (helpers) =>
    mapLimit(robots, maxConcurrentLogins, (robot, index) =>
      signIn(
        robot,
        {
          ...options,
          opened: openedFor(index),
          start: (login) =>
            startToolLogin(
              { ...options, tool, login, folder: join(folder, `tool-${index}`), certificates, helpers },
              platform,
            ),
        },
        platform,
      ),
    ),
  );
  warn(asked.length > 0 ? askedFirst(asked, registry) : undefined, platform);
  return result;
}

function warn(warning: string | undefined, { reporter }: Platform): void {
  if (warning !== undefined) {
    reporter.warning(warning);
  }
}

interface OneSignIn extends SignInOptions {
  readonly start: (login: RobotLogin) => Promise<ToolLogin>;
}

/** The login that a tool would make: the same check, and an entry of the same form. */
function withoutTool(
  registry: string,
  { robot }: RobotLogin,
  realm: () => Promise<Realm>,
  platform: Platform,
): ToolLogin {
  return {
    async abandon() {},
    async finish(token) {
      const auth = basicCredentials(robot, token.token);
      platform.reporter.secret(auth);
      await verifyRobotToken({ registry, token, realm: await realm() }, platform);
      return { auth };
    },
  };
}

/** One robot. Its tool starts while Quay answers, and waits for the robot token. */
async function signIn(login: RobotLogin, options: OneSignIn, platform: Platform): Promise<SignedIn> {
  const { registry, tool, opened, currentIdentity, start, timeline } = options;
  let toolLogin: ToolLogin | undefined;
  try {
    // Starting a process blocks this one for milliseconds: during the exchange nothing else waits for it.
    await currentIdentity();
    const exchanging = timeline.time(`exchange for ${login.robot}`, () =>
      exchange({ registry, robot: login.robot, currentIdentity, opened }, platform),
    );
    exchanging.catch(() => {}); // awaited below
    const started = await start(login);
    toolLogin = started;
    const token = await exchanging;
    const what = tool.name === "none" ? `check of ${login.robot}` : `${tool.name} login ${login.scope}`;
    const entry = await timeline.time(what, () => started.finish(token));
    return { robot: login, token, entry };
  } finally {
    opened.abandon();
    await toolLogin?.abandon();
  }
}
