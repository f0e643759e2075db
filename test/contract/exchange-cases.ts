/** The exchange, row by row, as recorded on a running Quay. */
import { type SignOptions, SUBJECT } from "../quay-stand-in/issuer.ts";
import { basic } from "./ask.ts";
import type { World } from "./target.ts";
import { type Expected, error, internalError, loading, message, token, unknownRobot } from "./wording.ts";

export interface Case {
  name: string;
  /** The Authorization header, undefined for none. */
  authorization(world: World): Promise<string | undefined> | string | undefined;
  expected: Expected | ((world: World) => Expected);
}

/** A header written out. */
const header = (name: string, authorization: Case["authorization"], expected: Case["expected"]): Case => {
  return { name, authorization, expected };
};
/** A valid identity token under another robot's name. */
const named = (name: string, user: string | ((world: World) => string), expected: Expected): Case => ({
  name,
  authorization: async (world) => basic(typeof user === "string" ? user : user(world), await world.issuer.sign()),
  expected,
});
/** Another password for the robot. */
const password = (
  name: string,
  text: string | ((world: World) => string | Promise<string>),
  expected: Case["expected"],
): Case => ({
  name,
  authorization: async (world) => basic(world.robot, typeof text === "string" ? text : await text(world)),
  expected,
});
/** An identity token with other claims, or another signature. */
const jwt = (
  name: string,
  claims: Record<string, unknown> | unknown[] | ((world: World, now: number) => Record<string, unknown>),
  expected: Case["expected"],
  options: SignOptions = {},
): Case => ({
  name,
  async authorization(world) {
    const now = Math.floor(Date.now() / 1000);
    const given = typeof claims === "function" ? claims(world, now) : claims;
    return basic(world.robot, await world.issuer.sign(given, options));
  },
  expected,
});
/** A token of an issuer of the robot `misled`. */
const misled = (name: string, issuer: string, expected: Case["expected"]): Case => ({
  name,
  authorization: async (world) => basic(world.misled, await world.issuer.at(issuer).sign()),
  expected,
});
const misledBy = (name: string, iss: (world: World) => string, expected: Case["expected"]): Case => ({
  name,
  authorization: async (world) => basic(world.misled, await world.issuer.sign({ iss: iss(world) })),
  expected,
});
const invalid = (text: string): Expected => message(`Invalid token: ${text}`);
const notParsable = error("Could not parse basic auth header");
const notBasic = error("Invalid basic auth header");
const algorithm = invalid("The specified alg value is not allowed");
const badSignature = invalid("Signature verification failed");
const notBound = (iss: string): Expected => message(`issuer ${iss} not configured for this robot`);
const mismatch = message("Token does not match robot");
const noFederation = message("Robot does not have federated login configured");

export const headerCases: Case[] = [
  header("no Authorization header", () => undefined, error("No auth header")),
  header("empty", () => "", error("No auth header")),
  header("Basic with nothing after it", () => "Basic", notBasic),
  header("not base64", () => "Basic !!!not-base64!!", notParsable),
  header("a single base64 letter", () => "Basic A", notParsable),
  header(
    "no colon",
    () => `Basic ${btoa("nothing")}`,
    error("Unexpected number of credentials found in basic auth header"),
  ),
  header("not UTF-8", () => `Basic ${Buffer.from([0xff, 0xfe, 0x3a, 0xff]).toString("base64")}`, notParsable),
  header("Bearer instead of Basic", async ({ issuer }) => `Bearer ${await issuer.sign()}`, notBasic),
  header("three words", () => "Basic one two", notBasic),
  header("wrapped by a blank", async (world) => (await world.identity()).replace(/(.{50})/, "$1 "), notBasic),
  header("Digest", () => 'Digest username="x"', notBasic),
  header("scheme in lower case", async (world) => (await world.identity()).replace("Basic", "basic"), token),
];

export const robotCases: Case[] = [
  named("not a robot", "admin", error("Invalid robot")),
  named("$oauthtoken", "$oauthtoken", error("Invalid robot")),
  named("empty", "", error("Invalid robot")),
  named("no robot name", ({ org }) => `${org}+`, unknownRobot),
  named("no namespace", ({ prefix }) => `+${prefix}ci`, unknownRobot),
  named("two plus signs", ({ robot }) => `${robot}+x`, unknownRobot),
  named("robot that doesn't exist", ({ robot }) => `${robot}x`, unknownRobot),
  named("organization that doesn't exist", ({ prefix }) => `${prefix}+ci`, unknownRobot),
  named("in capitals", ({ robot }) => robot.toUpperCase(), unknownRobot),
  named("not ASCII", ({ robot }) => `${robot}é`, unknownRobot),
  named("never had a binding", ({ bare }) => bare, noFederation),
  named("binding deleted", ({ cleared }) => cleared, noFederation),
];

export const passwordCases: Case[] = [
  password("empty", "", internalError),
  password("the robot's static token", ({ staticToken }) => staticToken, internalError),
  password("a robot token", (world) => world.robotToken(), notBound("quay")),
  password("garbage", "garbage", internalError),
  password("garbage with two dots", "gar.ba.ge", internalError),
  password("broken claims", async ({ issuer }) => (await issuer.sign()).replace(/\..*\./, ".e30x."), internalError),
  jwt("a list for claims", [1, 2], internalError),
];

export const claimCases: Case[] = [
  jwt("success", {}, token),
  jwt(
    "issuer not bound",
    ({ issuer }) => ({ iss: issuer.at("unbound").url }),
    ({ issuer }) => notBound(issuer.at("unbound").url),
  ),
  jwt("no iss", { iss: undefined }, message("Token does not contain issuer")),
  jwt("iss empty", { iss: "" }, message("Token does not contain issuer")),
  jwt("iss a number", { iss: 5 }, notBound("5")),
  jwt(
    "iss with a slash more",
    ({ issuer }) => ({ iss: `${issuer.url}/` }),
    ({ issuer }) => notBound(`${issuer.url}/`),
  ),
  jwt("expired 10 min ago", (_, now) => ({ exp: now - 600, iat: now - 900 }), invalid("Signature has expired")),
  jwt("expired 20 s ago", (_, now) => ({ exp: now - 20, iat: now - 300 }), token),
  jwt("expired 35 s ago", (_, now) => ({ exp: now - 35, iat: now - 300 }), invalid("Signature has expired")),
  jwt(
    "iat 10 min ahead",
    (_, now) => ({ iat: now + 600, exp: now + 900 }),
    invalid("Issued At claim (iat) cannot be in the future."),
  ),
  jwt("iat 20 s ahead", (_, now) => ({ iat: now + 20 }), token),
  jwt("valid for ten years", (_, now) => ({ exp: now + 315_360_000 }), token),
  jwt("no exp", { exp: undefined }, invalid('Token is missing the "exp" claim')),
  jwt("no iat", { iat: undefined }, invalid('Token is missing the "iat" claim')),
  jwt("exp a string", { exp: "soon" }, invalid("Expiration Time claim (exp) must be an integer.")),
  jwt("iat a string", { iat: "now" }, invalid("Issued At claim (iat) must be an integer.")),
  jwt("another subject", { sub: `${SUBJECT}x` }, mismatch),
  jwt("subject in another case", { sub: SUBJECT.toUpperCase() }, mismatch),
  jwt("no sub", { sub: undefined }, mismatch),
  jwt("sub a list", { sub: [SUBJECT] }, invalid("Subject must be a string")),
  jwt("the second binding's subject", { sub: "second" }, token),
];

/** Answers of a Quay without the newer audience rules (release main and older). */
export const laxCases: Case[] = [
  jwt("no aud", { aud: undefined }, token),
  jwt("any aud", { aud: "elsewhere" }, token),
  jwt("nbf 10 min ahead", (_, now) => ({ nbf: now + 600 }), token),
];

export const algorithmCases: Case[] = [
  jwt("no kid", {}, invalid("Missing `kid` header"), { kid: null }),
  jwt("unknown kid", {}, internalError, { kid: "unknown" }),
  jwt("ES256 with its kid", {}, internalError, { alg: "ES256" }),
  jwt("ES256 with the RSA key's kid", {}, algorithm, { alg: "ES256", kid: "rsa1" }),
  jwt("RS384", {}, token, { alg: "RS384" }),
  jwt("RS512", {}, algorithm, { alg: "RS512" }),
  jwt("PS256", {}, algorithm, { alg: "PS256" }),
  jwt("HS256", {}, algorithm, { alg: "HS256" }),
  jwt("none", {}, algorithm, { alg: "none" }),
  jwt("typ absent", {}, token, { typ: null }),
  jwt("typ at+jwt", {}, token, { typ: "at+jwt" }),
  jwt("signature spoiled", {}, badSignature, { spoiled: true }),
  jwt("signed with another key", {}, badSignature, { foreign: true }),
];

const names = (iss: string, other: string) => invalid(`Issuer '${iss}' not in configured issuers: ['${other}']`);

export const issuerCases: Case[] = [
  misledBy("nothing listens there", () => "https://localhost:1/closed", loading),
  header(
    "name doesn't resolve",
    async ({ robot, issuer }) => basic(robot, await issuer.sign({ iss: "https://nothing.invalid/x" })),
    loading,
  ),
  misledBy("bound as http://", ({ issuer }) => issuer.url.replace("https:", "http:"), internalError),
  misled("discovery 404", "discovery-404", internalError),
  misled("discovery 500", "discovery-500", internalError),
  misled("discovery not JSON", "discovery-text", internalError),
  misled("no jwks_uri", "no-jwks-uri", internalError),
  misled("redirects to another's", "redirect", ({ issuer }) => names(issuer.at("redirect").url, issuer.url)),
  misled("names another issuer", "mismatch", ({ issuer }) =>
    names(issuer.at("mismatch").url, issuer.at("elsewhere").url),
  ),
  misled("discovery too late", "late", loading),
  misled("keys 404", "keys-404", internalError),
  misled("keys 500", "keys-500", internalError),
  misled("keys empty", "keys-empty", internalError),
  misled("keys late", "keys-late", token),
  misled("discovery's name with a slash more", "slash", token),
  misledBy(
    "discovery's name and iss with a slash more",
    ({ issuer }) => `${issuer.at("slash").url}/`,
    ({ issuer }) => notBound(`${issuer.at("slash").url}/`),
  ),
  misledBy(
    "binding and iss with a slash, discovery without",
    ({ issuer }) => `${issuer.at("bound-slash").url}/`,
    token,
  ),
  misledBy(
    "binding with a slash, iss without",
    ({ issuer }) => issuer.at("bound-slash").url,
    ({ issuer }) => notBound(issuer.at("bound-slash").url),
  ),
];
