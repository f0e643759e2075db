/** Every refusal of docs/quay.md that can reach the Action: its code, its explanation, the identity as it is. */
import { describe, test } from "vitest";
import { type Issuer, SUBJECT } from "../quay-stand-in/issuer.ts";
import { HEADERS_TOO_LARGE, READ_ONLY, REQUEST_TOO_LARGE, type Reply } from "../quay-stand-in/quay/pages.ts";
import type { Binding } from "../quay-stand-in/quay/store.ts";
import { answer, type Scripted } from "../quay-stand-in/scripted.ts";
import { createJob } from "../support/action.ts";
import { differences } from "../support/leaks.ts";
import { asking, failure, newRobot, of, usePeers } from "./world.ts";

const peers = usePeers({ registry: false });

interface Refusal {
  /** GitHub's token; default one that the robot's binding fits. */
  token?: (issuer: Issuer) => Promise<string>;
  /** How the issuer misbehaves. */
  issuer?: Parameters<Issuer["behave"]>[0];
  /** The robot's bindings; `null`: there is no such robot. */
  bindings?: ((issuer: Issuer) => Binding[]) | null;
  /** What Quay answers, where the stand-in does not do so by itself. */
  quay?: Scripted;
  code: string;
  says: RegExp;
}

const seconds = () => Math.floor(Date.now() / 1000);
const bound = (issuer: Issuer, more: Partial<Binding> = {}) => [{ issuer: issuer.url, subject: SUBJECT, ...more }];
const refused = (message: string) => answer(400, { message });
const page = ({ status, body, type = "" }: Reply) => answer(status, body, { "content-type": type });
const quoted = (words: string) => new RegExp(`"${words.replaceAll(/[.*+?^${"$"}{}()|[\]\\]/g, "\\$&")}"`);

const refusals: Record<string, Refusal> = {
  "no Authorization arrives (a proxy took it)": {
    quay: answer(401, { error: "No auth header" }),
    code: "quay-refused",
    says: quoted("No auth header"),
  },
  "the robot's name is none": {
    quay: answer(401, { error: "Invalid robot" }),
    code: "robot-not-found",
    says: /"Invalid robot"[\s\S]*There is no robot acme\+s\d+ on localhost:\d+/,
  },
  "the robot doesn't exist": {
    bindings: null,
    code: "robot-not-found",
    says: /"Could not find robot with specified username"[\s\S]*There is no robot acme\+s\d+ on localhost:\d+/,
  },
  "the robot has no binding": {
    bindings: () => [],
    code: "robot-not-federated",
    says: /"Robot does not have federated login configured"[\s\S]*has no binding at all[\s\S]*Robot accounts > acme\+s\d+ > Set robot federation:/,
  },
  "the issuer isn't bound": {
    bindings: () => [{ issuer: "https://elsewhere.example.com", subject: SUBJECT }],
    code: "issuer-not-bound",
    says: /"issuer https:\S+ not configured for this robot"[\s\S]*letter by letter[\s\S]*Set robot federation:/,
  },
  "the issuer is bound with a slash at its end": {
    bindings: (issuer) => bound(issuer, { issuer: `${issuer.url}/` }),
    code: "issuer-not-bound",
    says: /a slash at the end included/,
  },
  "the subject isn't bound": {
    bindings: (issuer) => bound(issuer, { subject: "repo:acme/app:environment:production" }),
    code: "subject-not-bound",
    says: /"Token does not match robot"[\s\S]*has a binding for this issuer, but for another subject[\s\S]*Add to it, under Robot accounts/,
  },
  "the subject is bound in another case": {
    bindings: (issuer) => bound(issuer, { subject: SUBJECT.toUpperCase() }),
    code: "subject-not-bound",
    says: /another subject/,
  },
  "the token has ended by Quay's clock": {
    token: (issuer) => issuer.sign({ iat: seconds() - 900, exp: seconds() - 600 }),
    code: "token-expired",
    says: /"Invalid token: Signature has expired"[\s\S]*ended at \d{4}-\S+Z; this machine's clock says \d{4}-\S+Z[\s\S]*Quay's clock is ahead/,
  },
  "the token is from the future by Quay's clock": {
    token: (issuer) => issuer.sign({ iat: seconds() + 600, exp: seconds() + 900 }),
    code: "token-from-the-future",
    says: /"Invalid token: Issued At claim \(iat\) cannot be in the future\."[\s\S]*30 s apart/,
  },
  "the signature is wrong": {
    token: (issuer) => issuer.sign({}, { spoiled: true }),
    code: "signature-refused",
    says: /"Invalid token: Signature verification failed"[\s\S]*publishes as rsa1 is not the one that signed/,
  },
  "another key signed under this name": {
    token: (issuer) => issuer.sign({}, { foreign: true }),
    code: "signature-refused",
    says: /a twin \(another cluster, a restored copy\)/,
  },
  "the audience is another": {
    bindings: (issuer) => bound(issuer, { audiences: ["elsewhere"] }),
    code: "audience-refused",
    says: /"Invalid token: Audience doesn't match"[\s\S]*Set the option audience to what the binding in Quay says/,
  },
  "there is no audience": {
    token: (issuer) => issuer.sign({ aud: undefined }),
    bindings: (issuer) => bound(issuer, { audiences: ["quay"] }),
    code: "audience-refused",
    says: /"Invalid token: Token is missing the "aud" claim"/,
  },
  "the audience is another (newer)": {
    quay: refused("Token audience is not allowed for this robot"),
    code: "audience-refused",
    says: quoted("Token audience is not allowed for this robot"),
  },
  "two bindings fit (newer)": {
    quay: refused("Ambiguous federation binding for this robot"),
    code: "binding-ambiguous",
    says: /"Ambiguous federation binding for this robot"[\s\S]*more than one binding[\s\S]*Leave only this one/,
  },
  "discovery names another issuer": {
    issuer: { discovery: "other-issuer" },
    code: "issuer-mismatch",
    says: /"Invalid token: Issuer '\S+' not in configured issuers: \['\S+\/elsewhere'\]"[\s\S]*names another issuer/,
  },
  "discovery names another issuer (3.17)": {
    quay: refused("Invalid token: Invalid issuer"),
    code: "issuer-mismatch",
    says: /"Invalid token: Invalid issuer"[\s\S]*also minds a slash/,
  },
  "no issuer": {
    quay: refused("Token does not contain issuer"),
    code: "token-incomplete",
    says: quoted("Token does not contain issuer"),
  },
  "no exp": {
    quay: refused('Invalid token: Token is missing the "exp" claim'),
    code: "token-incomplete",
    says: /requires kid, iss, sub, iat and exp/,
  },
  "no kid": {
    quay: refused("Invalid token: Missing `kid` header"),
    code: "token-incomplete",
    says: quoted("Invalid token: Missing `kid` header"),
  },
  "the algorithm": {
    quay: refused("Invalid token: The specified alg value is not allowed"),
    code: "token-algorithm",
    says: /signed with RS256; Quay takes RS256 and RS384/,
  },
  "robots are turned off": {
    quay: refused("Robot accounts have been disabled. Please contact your administrator."),
    code: "robots-disabled",
    says: /ROBOTS_DISALLOW/,
  },
  "something new": {
    quay: refused("The moon is in the wrong phase"),
    code: "quay-refused",
    says: /"The moon is in the wrong phase"[\s\S]*Compare this identity with the bindings/,
  },
  "the header is too large (gunicorn)": {
    quay: page(HEADERS_TOO_LARGE),
    code: "token-too-big",
    says: /refused the identity token's size: \d+ characters[\s\S]*6 kB/,
  },
  "the header is too large (nginx)": {
    quay: page(REQUEST_TOO_LARGE),
    code: "token-too-big",
    says: /size: \d+ characters/,
  },
  "read-only": { quay: page(READ_ONLY), code: "quay-read-only", says: /read-only mode[\s\S]*maintenance/ },
};

/** Refusals of the identity, whose remedy needs to know it. */
const aboutQuay = ["token-too-big", "quay-read-only"];

describe.concurrent("Quay refuses:", () => {
  test.for(Object.entries(refusals))("%s", async ([, refusal], { expect }) => {
    const { quay, github, issuer: server } = peers();
    const robot = newRobot(peers(), []);
    // Each has an issuer of its own, since some misbehave.
    const issuer = server.at(robot.audience);
    issuer.behave(refusal.issuer ?? {});
    const stored = quay.store.robots.get(robot.name);
    if (refusal.bindings === null) quay.store.robots.delete(robot.name);
    else stored?.bindings.push(...(refusal.bindings?.(issuer) ?? bound(issuer)));
    const token = await (refusal.token?.(issuer) ?? issuer.sign({ aud: robot.audience }));
    github.issued.push(token);
    github.script.always(answer(200, { value: token }), asking(robot));
    if (refusal.quay) quay.exchangeScript.always(refusal.quay, of(robot));

    const job = await createJob({ peers: peers() });
    const before = await job.snapshot();
    const main = await job.run({ robot: robot.name, audience: robot.audience });
    const message = failure(expect, main, refusal.code);
    expect(message).toMatch(refusal.says);
    expect(decode(main.summary)).toContain(message);
    const { iss, sub, aud = "(none)" } = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString());
    const identity = new RegExp(["issuer", "subject", "audience"].map((name) => `${name} +(\\S+)`).join("\\s+"));
    const shown = aboutQuay.includes(refusal.code) ? [main.shown] : [main.shown, message, decode(main.summary)];
    for (const text of shown) expect(identity.exec(text)?.slice(1)).toEqual([iss, sub, aud]);
    // A refusal is final.
    const exchanges = quay.requests.filter(({ user, path }) => user === robot.name && path.startsWith("/oauth2"));
    expect(exchanges).toHaveLength(1);
    expect(differences(before, await job.snapshot())).toEqual([]);
  });
});

const decode = (text: string): string => text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");
