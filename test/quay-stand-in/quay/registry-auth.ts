/**
 * `/v2/auth`, where a registry client exchanges its password for a bearer token (endpoints/v2/v2auth.py; answers:
 * quay-answers.md section C and D). A robot's password is its static token or a robot token.
 */

import { parseBasic } from "./basic.ts";
import { addLogEntry, used } from "./log.ts";
import {
  challenge,
  compactJson,
  INTERNAL_ERROR,
  NOT_AUTHORIZED,
  type Reply,
  ROBOT_UNKNOWN,
  registryError,
  TOO_MANY_LOGINS,
} from "./pages.ts";
import { mayAdminister, mayCreate, mayPull, mayPush } from "./rights.ts";
import type { Settings } from "./settings.ts";
import { addRepository, type Store } from "./store.ts";
import type { Access, Tokens } from "./tokens.ts";

type Login = { ok: true; account: string | undefined } | { ok: false; reply: Reply };

export interface RegistryAuth {
  /** Answers a GET of `/v2/auth?service=…&scope=…`. */
  authorize(header: string | undefined, query: URLSearchParams, userAgent: string | undefined): Promise<Reply>;
}

export function createRegistryAuth(store: Store, tokens: Tokens, settings: Settings): RegistryAuth {
  /** Wrong passwords of users, by name: time of the last one (milliseconds). Robots are never delayed. */
  const failures = new Map<string, number>();
  const unauthorized = (message: string): Login => ({
    ok: false,
    reply: { ...registryError(401, "UNAUTHORIZED", message), headers: challenge(settings.host) },
  });

  async function logIn(header: string): Promise<Login> {
    const credentials = parseBasic(header);
    if (!credentials.ok) return unauthorized("Specified credentials are invalid");
    const { user, password } = credentials;
    if (user === "$oauthtoken") return logInByOauth(password);
    return user.includes("+") ? logInRobot(user, password) : logInUser(user, password);
  }

  function logInByOauth(password: string): Login {
    const token = store.oauthTokens.get(password);
    if (token !== undefined) return { ok: true, account: token.user };
    return unauthorized(looksLikeJwt(password) ? "Issuer quay not configured" : "Invalid Username or Password");
  }

  async function logInRobot(user: string, password: string): Promise<Login> {
    if (settings.robotsDisallowed) {
      return unauthorized("Robot account have been disabled. Please contact your administrator.");
    }
    const robot = store.robots.get(user);
    if (robot === undefined) return unauthorized(ROBOT_UNKNOWN);
    if (password === robot.token) return { ok: true, account: user };
    if (!looksLikeJwt(password)) {
      return unauthorized(`Could not find robot with username: ${user} and supplied password.`);
    }
    const verified = await tokens.verify(password, { offset: settings.clockOffset, leeway: settings.leeway });
    // Any invalid JWT is an uncaught exception, also one signed for too long a lifetime.
    if (!verified.ok) return { ok: false, reply: INTERNAL_ERROR };
    const { iat, exp, sub } = verified.claims as { iat: number; exp: number; sub?: string };
    if (exp - iat > Math.max(3600, settings.robotTokenLife)) return { ok: false, reply: INTERNAL_ERROR };
    return sub === user ? { ok: true, account: user } : unauthorized("Token does not match robot");
  }

  function logInUser(user: string, password: string): Login {
    const expected = store.users.get(user);
    if (expected === undefined) return unauthorized("Invalid Username or Password");
    if (Date.now() - (failures.get(user) ?? 0) < 1000) return { ok: false, reply: TOO_MANY_LOGINS };
    if (expected === password) return { ok: true, account: user };
    failures.set(user, Date.now());
    return unauthorized("Invalid Username or Password");
  }

  /** The granted actions of a scope: never an error, only fewer actions. Push comes first, as recorded. */
  function grant(scope: string, account: string | undefined): Access | undefined {
    const match = scopePattern(settings.host).exec(scope);
    if (match === null) return undefined;
    const [, name = "", repository = "", asked = ""] = match;
    const wanted = asked.split(",");
    const actions: string[] = [];
    if (wanted.includes("push") && account !== undefined && (mayPush(store, account, repository) || create(account))) {
      actions.push("push");
    }
    if (wanted.includes("pull") && mayPull(store, account, repository)) actions.push("pull");
    if (wanted.includes("*") && account !== undefined && mayAdminister(store, account, repository)) actions.push("*");
    return { type: "repository", name, actions };

    /** Quay creates the repository here, before the push itself; its creator administers it. */
    function create(maker: string): boolean {
      const namespace = repository.split("/")[0] ?? "";
      if (store.repositories.has(repository) || !mayCreate(store, maker, namespace)) return false;
      addRepository(store, repository, { [maker]: "admin" });
      return true;
    }
  }

  /** "last_accessed is set at most once in 60 s; login_success only without a scope." */
  function noteUse(account: string | undefined, isLogin: boolean, userAgent: string): void {
    const robot = store.robots.get(account ?? "");
    if (robot === undefined) return;
    const now = new Date();
    if (now.getTime() - (robot.lastAccessed?.getTime() ?? 0) >= 60_000) robot.lastAccessed = now;
    if (isLogin) addLogEntry(store, used.login(robot.name, userAgent));
  }

  return {
    async authorize(header, query, userAgent = "") {
      const login: Login = header ? await logIn(header) : { ok: true, account: undefined };
      if (!login.ok) return login.reply;
      const { account } = login;
      const scopes = query.getAll("scope").filter((scope) => scope !== "");
      if (account === undefined && scopes.length === 0) {
        return { ...registryError(401, "UNAUTHORIZED", NOT_AUTHORIZED), headers: challenge(settings.host) };
      }
      const access: Access[] = [];
      for (const scope of scopes) {
        const granted = grant(scope, account);
        if (granted === undefined) {
          return registryError(400, "INVALID_REQUEST", `Unable to decode repository and actions: ${scope}`);
        }
        access.push(granted);
      }
      noteUse(account, scopes.length === 0, userAgent);
      const token = await tokens.bearerToken(account, access, query.get("service"));
      return compactJson(200, { token }, { "cache-control": "no-cache, no-store, must-revalidate" });
    },
  };
}

function scopePattern(host: string): RegExp {
  const hostPattern = host.replace(/[.]/g, "\\.");
  return new RegExp(
    `^repository:((?:${hostPattern}/)?((?:[.a-zA-Z0-9_-]+/)*[.a-zA-Z0-9_-]+)):((?:push|pull|\\*)(?:,(?:push|pull|\\*))*)$`,
  );
}

/** Quay treats a password as a JWT if it has three parts, and the first one is a JSON header. */
export function looksLikeJwt(text: string): boolean {
  const parts = text.split(".");
  try {
    const header: unknown = JSON.parse(Buffer.from(parts[0] ?? "", "base64url").toString());
    return parts.length === 3 && typeof header === "object" && header !== null;
  } catch {
    return false;
  }
}
