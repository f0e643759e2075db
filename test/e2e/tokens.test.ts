/** Identity tokens that Quay could never accept: explained, and never sent. */
import { join } from "node:path";
import { describe, test } from "vitest";
import type { Issuer } from "../quay-stand-in/issuer.ts";
import { createJob } from "../support/action.ts";
import type { Job, JobOptions } from "../support/job.ts";
import { differences, secretsIn } from "../support/leaks.ts";
import { isRoot, needsRoot } from "../support/root.ts";
import { failure, newRobot, usePeers } from "./world.ts";

const peers = usePeers({ registry: false });

interface Case {
  /** Content of the token file; undefined: no such file. */
  token: (issuer: Issuer) => Promise<string> | string | undefined;
  code: string;
  says: RegExp;
}

const seconds = () => Math.floor(Date.now() / 1000);
const expired = () => ({ iat: seconds() - 900, exp: seconds() - 600 });
const kubernetes = "https://kubernetes.default.svc";

const cases: Record<string, Case> = {
  missing: { token: () => undefined, code: "token-file-unusable", says: /does not exist[\s\S]*token-file: \/path/ },
  empty: { token: () => " \n", code: "token-file-unusable", says: /is empty/ },
  "of two lines": {
    token: async (issuer) => `${await issuer.sign()}\n${await issuer.sign()}`,
    code: "token-file-unusable",
    says: /more than one word or line/,
  },
  "not a JWT": {
    token: () => "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    code: "token-not-a-jwt",
    says: /is not a JWT[\s\S]*three parts/,
  },
  "a JWT whose payload is none": {
    token: () => "eyJhbGciOiJSUzI1NiJ9.bm90IGpzb24.c2lnbmF0dXJl",
    code: "token-not-a-jwt",
    says: /is not a JWT/,
  },
  "a JWT whose payload is a list": {
    token: (issuer) => issuer.sign(["a"]),
    code: "token-not-a-jwt",
    says: /is not a JWT/,
  },
  expired: {
    token: (issuer) => issuer.sign(expired()),
    code: "token-expired",
    says: /expired at \d{4}-.*Z; this machine's clock says \d{4}-.*Z[\s\S]*fresh token[\s\S]*clock/,
  },
  "signed with ES256": {
    token: (issuer) => issuer.sign({}, { alg: "ES256" }),
    code: "token-algorithm",
    says: /signed with ES256, which Quay refuses[\s\S]*RS256 and RS384[\s\S]*rsa-2048/,
  },
  "signed with HS256": { token: (issuer) => issuer.sign({}, { alg: "HS256" }), code: "token-algorithm", says: /HS256/ },
  "signed with RS512": { token: (issuer) => issuer.sign({}, { alg: "RS512" }), code: "token-algorithm", says: /RS512/ },
  "not signed at all": { token: (issuer) => issuer.sign({}, { alg: "none" }), code: "token-algorithm", says: /none/ },
  "without kid": {
    token: (issuer) => issuer.sign({}, { kid: null }),
    code: "token-incomplete",
    says: /lacks kid \(in the header\)/,
  },
  "without iss": {
    token: (issuer) => issuer.sign({ iss: undefined }),
    code: "token-incomplete",
    says: /lacks iss[\s\S]*jwt_issuer/,
  },
  "without sub": { token: (issuer) => issuer.sign({ sub: undefined }), code: "token-incomplete", says: /lacks sub/ },
  "without iat and exp": {
    token: (issuer) => issuer.sign({ iat: undefined, exp: undefined }),
    code: "token-incomplete",
    says: /lacks iat, exp/,
  },
  "of a cluster without an issuer of its own": {
    token: (issuer) => issuer.sign({ iss: kubernetes }),
    code: "issuer-cluster-internal",
    says: /kubernetes\.default\.svc, which exists only inside its cluster[\s\S]*--service-account-issuer/,
  },
  "of such a cluster, by its long name": {
    token: (issuer) => issuer.sign({ iss: `${kubernetes}.cluster.local` }),
    code: "issuer-cluster-internal",
    says: /kubernetes\.default\.svc\.cluster\.local/,
  },
  "of an issuer without TLS": {
    token: (issuer) => issuer.sign({ iss: "http://issuer.example.com" }),
    code: "issuer-not-https",
    says: /http:\/\/issuer\.example\.com, which is not an https address/,
  },
  "of an issuer that is a name": {
    token: (issuer) => issuer.sign({ iss: "spire" }),
    code: "issuer-not-https",
    says: /issuer spire/,
  },
  "over 6 kB": {
    token: (issuer) => issuer.sign({ groups: Array.from({ length: 600 }, (_, index) => `group-${index}`) }),
    code: "token-too-big",
    says: /\d{4} characters: too many[\s\S]*8170 \(a token of about 6 kB\)[\s\S]*groups/,
  },
};

async function refuse(options: JobOptions, token: string | undefined, inputs: (job: Job) => Record<string, string>) {
  const robot = newRobot(peers());
  const job = await createJob({ peers: peers(), idToken: false, secrets: secretsIn(token ?? ""), ...options });
  if (token !== undefined) await job.write(join(job.scratch, "token"), token);
  const before = await job.snapshot();
  const main = await job.run({ robot: robot.name, ...inputs(job) });
  return { robot, main, changes: differences(before, await job.snapshot()) };
}

describe.concurrent("a token", () => {
  test.for(Object.entries(cases))("%s", async ([, { token, code, says }], { expect }) => {
    const content = await token(peers().issuer);
    const { robot, main, changes } = await refuse({}, content, (job) => ({ "token-file": join(job.scratch, "token") }));
    const message = failure(expect, main, code);
    expect(message).toMatch(says);
    expect(message).toMatch(/file \S+\/token/);
    expect(peers().quay.requests.filter(({ user }) => user === robot.name)).toEqual([]);
    expect(changes).toEqual([]);
    expect(await main.post()).toMatchObject({ code: 0, annotations: [] });
  });

  test("in a file that is a folder", async ({ expect }) => {
    const { main } = await refuse({}, undefined, ({ temp }) => ({ "token-file": temp }));
    expect(failure(expect, main, "token-file-unusable")).toContain("is a folder");
  });

  test.skipIf(!isRoot)(`in a file that this user may not read ${needsRoot}`, async ({ expect }) => {
    const { main } = await refuse({ uid: 1234 }, await peers().issuer.sign(), (job) => ({
      "token-file": join(job.scratch, "token"),
      "ca-file": "",
    }));
    expect(failure(expect, main, "token-file-unusable")).toContain("is not readable by this user");
  });

  test.for([
    ["is not set", undefined, /QUAY_TOKEN.*is not set[\s\S]*id_tokens: \{QUAY_TOKEN: \{aud: quay\}\}/],
    ["is empty", " ", /QUAY_TOKEN.*is empty/],
    ["holds two words", "a.b.c d.e.f", /QUAY_TOKEN.*more than one word/],
  ] as const)("in a variable that %s", async ([, value, says], { expect }) => {
    const { main, changes } = await refuse({ env: { QUAY_TOKEN: value } }, undefined, () => ({
      "token-env": "QUAY_TOKEN",
    }));
    expect(failure(expect, main, "token-variable-unusable")).toMatch(says);
    expect(changes).toEqual([]);
  });
});
