/**
 * What the Action shows of a refusal: its code, its explanation, the identity as it is. The refusals themselves:
 * test/quay/answers.test.ts (Quay's words), explain.test.ts (remedies), exchange.test.ts (as the stand-in gives them).
 */
import { describe, test } from "vitest";
import { SUBJECT } from "../quay-stand-in/issuer.ts";
import { HEADERS_TOO_LARGE } from "../quay-stand-in/quay/pages.ts";
import type { Binding } from "../quay-stand-in/quay/store.ts";
import { answer, page, type Scripted } from "../quay-stand-in/scripted.ts";
import { createJob } from "../support/action.ts";
import { differences } from "../support/leaks.ts";
import { asking, failure, newRobot, of, usePeers } from "./world.ts";

const peers = usePeers({ registry: false });

interface Refusal {
  /** GitHub's token; default one that fits the robot's binding. */
  token?: () => Promise<string>;
  /** The robot's binding; default one that fits. */
  binding?: Partial<Binding>;
  /** What Quay answers, if the stand-in does not answer so by default. */
  quay?: Scripted;
  code: string;
  says: RegExp;
}

const seconds = () => Math.floor(Date.now() / 1000);

const refusals: Record<string, Refusal> = {
  "the subject isn't bound": {
    binding: { subject: "repo:acme/app:environment:production" },
    code: "subject-not-bound",
    says: /"Token does not match robot"[\s\S]*has a binding for this issuer, but for another subject[\s\S]*quay-keyless-login federate [\s\S]*Or add to \S+, under Robot accounts/,
  },
  "the token is from the future by Quay's clock": {
    token: () => peers().issuer.sign({ iat: seconds() + 600, exp: seconds() + 900 }),
    code: "token-from-the-future",
    says: /"Invalid token: Issued At claim \(iat\) cannot be in the future\."[\s\S]*30 s apart/,
  },
  "there is no audience": {
    token: () => peers().issuer.sign({ aud: undefined }),
    binding: { audiences: ["quay"] },
    code: "audience-refused",
    says: /"Invalid token: Token is missing the "aud" claim"/,
  },
  "the header is too large (gunicorn)": {
    quay: page(HEADERS_TOO_LARGE),
    code: "token-too-big",
    says: /refused the identity token's size: \d+ characters[\s\S]*6 kB/,
  },
};

describe.concurrent("Quay refuses:", () => {
  test.for(Object.entries(refusals))("%s", async ([, { token, binding, quay: answers, code, says }], { expect }) => {
    const { quay, github, issuer } = peers();
    const robot = newRobot(peers(), [{ issuer: issuer.url, subject: SUBJECT, ...binding }]);
    const identityToken = await (token?.() ?? issuer.sign({ aud: robot.audience }));
    github.issued.push(identityToken);
    github.script.always(answer(200, { value: identityToken }), asking(robot));
    if (answers) quay.exchangeScript.always(answers, of(robot));

    const job = await createJob({ peers: peers() });
    const before = await job.snapshot();
    const main = await job.run({ robot: robot.name, audience: robot.audience });
    const message = failure(expect, main, code);
    expect(message).toMatch(says);
    expect(decode(main.summary)).toContain(message);
    const {
      iss,
      sub,
      aud = "(none)",
    } = JSON.parse(Buffer.from(identityToken.split(".")[1] ?? "", "base64url").toString());
    const identity = new RegExp(["issuer", "subject", "audience"].map((name) => `${name} +(\\S+)`).join("\\s+"));
    // The remedy of a token that is too big needs no binding.
    const shown = code === "token-too-big" ? [main.shown] : [main.shown, message, decode(main.summary)];
    for (const text of shown) expect(identity.exec(text)?.slice(1)).toEqual([iss, sub, aud]);
    // A refusal is final.
    const exchanges = quay.requests.filter(({ user, path }) => user === robot.name && path.startsWith("/oauth2"));
    expect(exchanges).toHaveLength(1);
    expect(differences(before, await job.snapshot())).toEqual([]);
  });
});

const decode = (text: string): string => text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");
