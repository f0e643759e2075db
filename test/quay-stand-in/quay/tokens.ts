/**
 * Quay's own signing key and the two kinds of token it makes: the robot token (the exchange's answer, a robot's
 * password) and the registry's bearer token (the answer of /v2/auth). Claims exactly as recorded, sections B and C.
 */
import { createHash, generateKeyPair, type KeyObject } from "node:crypto";
import { promisify } from "node:util";
import { exportJWK, type JWK, jwtVerify, SignJWT } from "jose";
import type { Settings } from "./settings.ts";

const generate = promisify(generateKeyPair);

export interface Access {
  type: "repository";
  name: string;
  actions: string[];
}

export interface Tokens {
  /** The kid in every token's header. */
  kid: string;
  /** PKCS#8, PEM: for the certificate by which the registry finds the key. */
  privateKey: string;
  /** Answer of /keys/services/quay/keys. */
  publicKeys: { keys: JWK[] };
  /** A robot token. The given claims replace the default ones; `undefined` leaves a claim out. */
  robotToken(robot: string, claims?: Record<string, unknown>, header?: Record<string, unknown>): Promise<string>;
  /** A bearer token for the registry. `account` undefined: anonymous. */
  bearerToken(account: string | undefined, access: Access[], audience: string | null): Promise<string>;
  /** The claims of one of these tokens, if it is valid (signature, issuer, audience, times). */
  verify(token: string, clock: Clock): Promise<Verified>;
}

export type Verified = { ok: true; claims: Record<string, unknown> } | { ok: false; reason: "expired" | "invalid" };

/** Seconds. */
export interface Clock {
  /** Quay's time minus ours. */
  offset: number;
  leeway: number;
}

/** @param settings may change while the stand-in runs: they are read for each token. */
export async function createTokens(settings: Settings): Promise<Tokens> {
  const { host } = settings;
  const { privateKey, publicKey } = await generate("rsa", { modulusLength: 2048 });
  const kid = fingerprint(publicKey);
  const now = () => Math.floor(Date.now() / 1000);

  async function sign(claims: Record<string, unknown>, header: Record<string, unknown> = {}): Promise<string> {
    return new SignJWT(claims).setProtectedHeader({ alg: "RS256", kid, typ: "JWT", ...header }).sign(privateKey);
  }

  function claimsOf(account: string | undefined, at: number, seconds: number, roots: object | null) {
    const kind = account?.includes("+") ? "robot" : "user";
    const who =
      account === undefined
        ? { entity_kind: "anonymous", entity_reference: null, kind: "anonymous" }
        : { entity_kind: kind, entity_reference: account, kind: "user", user: account };
    const apostille = { "com.apostille.roots": roots, "com.apostille.root": "$disabled" };
    const sub = account ?? "(anonymous)";
    return { iss: "quay", nbf: at, iat: at, exp: at + seconds, sub, context: { version: 2, ...who, ...apostille } };
  }

  return {
    kid,
    privateKey: privateKey.export({ type: "pkcs8", format: "pem" }) as string,
    publicKeys: { keys: [{ ...(await exportJWK(publicKey)), kid }] },
    robotToken: (robot, claims = {}, header) =>
      sign(
        {
          ...claimsOf(robot, now() + settings.clockOffset, settings.robotTokenLife, null),
          aud: host,
          access: {},
          ...claims,
        },
        header,
      ),
    // In real time, without the offset: the registry behind checks them too, by its own clock.
    bearerToken(account, access, audience) {
      const roots = Object.fromEntries(access.map((each) => [each.name, "$disabled"]));
      return sign({ ...claimsOf(account, now(), 3600, roots), aud: audience, access });
    },
    async verify(token, clock) {
      const options = { issuer: "quay", audience: host, algorithms: ["RS256"], clockTolerance: clock.leeway };
      const currentDate = new Date(Date.now() + clock.offset * 1000);
      try {
        const { payload, protectedHeader } = await jwtVerify(token, publicKey, { ...options, currentDate });
        const known = protectedHeader.kid === kid && payload.exp !== undefined && payload.iat !== undefined;
        return known ? { ok: true, claims: payload } : { ok: false, reason: "invalid" };
      } catch (error) {
        const expired = (error as { code?: string }).code === "ERR_JWT_EXPIRED";
        return { ok: false, reason: expired ? "expired" : "invalid" };
      }
    },
  };
}

/**
 * The key's name by libtrust's rule (first 30 bytes of the SHA-256 of its SPKI, base32 in groups of four), by which
 * distribution 2.8.2 finds the key of a token among those of its `rootcertbundle`, without an `x5c` header. Quay's
 * own kids are JWK thumbprints; nothing else uses them.
 */
function fingerprint(key: KeyObject): string {
  const spki = key.export({ type: "spki", format: "der" });
  const bytes = createHash("sha256").update(spki).digest().subarray(0, 30);
  const bits = Array.from(bytes, (byte) => byte.toString(2).padStart(8, "0")).join("");
  const letters = bits.match(/.{5}/g)?.map((five) => "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[Number.parseInt(five, 2)]);
  return letters?.join("").match(/.{4}/g)?.join(":") ?? "";
}
