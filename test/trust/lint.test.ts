/** Each rule of the lint, where it speaks and where it does not; the look at issuers over real TLS. */
import { createServer } from "node:https";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Role } from "../../src/quay/management.ts";
import { type Finding, lintIssuers, lintTrust, type Rule } from "../../src/trust/lint.ts";
import { defaultAudience, type Trust, type WantedBinding, type WantedRobot } from "../../src/trust/trust.ts";
import { inWorkflow, testPlatform } from "../fixtures.ts";
import { type Behaviour, type IssuerServer, startIssuer } from "../quay-stand-in/issuer.ts";
import { listen } from "../quay-stand-in/listen.ts";
import { type Authority, createAuthority } from "../quay-stand-in/tls.ts";

const github = "https://token.actions.githubusercontent.com";
const release = "repo:acme/app:environment:release";

const bind = (subject: string, issuer = github): WantedBinding => ({
  ...{ issuer, subject, audiences: [defaultAudience] },
  from: `quay-trust.yaml: ${subject}`,
});

const robot = (name: string, bindings: readonly WantedBinding[], role?: Role, promotes = false): WantedRobot => ({
  ...{ name, create: false, promotes, bindings, from: `quay-trust.yaml: ${name}` },
  permissions: role ? [{ repository: "acme/app", role, create: false, from: `quay-trust.yaml: ${role}` }] : [],
});

const trust = (robots: readonly WantedRobot[], registry = "quay.io"): Trust => ({
  registry,
  organization: "acme",
  robots,
});

const rules = (found: readonly Finding[]) => found.map(({ rule, level }) => [rule, level]);
const lint = (robots: readonly WantedRobot[], registry?: string, strict = false) =>
  lintTrust(trust(robots, registry), { strict });

test("finds nothing in what is right", () => {
  const robots = [
    robot("acme+release", [bind(release)], "write", true),
    robot("acme+ci", [bind("repo:acme/app:ref:refs/heads/main")], "write"),
    robot("acme+pr", [bind("repo:acme/app:pull_request"), bind(release)], "read"),
    robot("acme+deploy", [bind("system:serviceaccount:team:deployer", "https://oidc.example.com/cluster")]),
  ];
  expect(lint(robots)).toEqual([]);
});

describe("an issuer", () => {
  test.each<[registry: string, issuer: string, rule: Rule | undefined]>([
    ["quay.io", "http://gitlab.example.com", "issuer-not-https"],
    ["quay.io", "HTTPS://gitlab.example.com", "issuer-not-https"],
    ["quay.io", "https://", "issuer-not-https"],
    ["quay.io", "https://issuer.example.com/?tenant=a", "issuer-with-query"],
    ["quay.io", "https://issuer.example.com#a", "issuer-with-query"],
    ["quay.io", "https://kubernetes.default.svc", "issuer-in-cluster"],
    ["quay.io", "https://kubernetes.default.svc.cluster.local", "issuer-in-cluster"],
    ["quay.io", "https://kubernetes.default.svc:6443/x", "issuer-in-cluster"],
    ["quay.registry.svc", "https://kubernetes.default", "issuer-in-cluster"],
    ["localhost:8443", "https://kubernetes.default.svc", "issuer-in-cluster"],
    ["quay.io", "https://spire-oidc.spire.svc", "issuer-in-cluster"],
    ["quay.example.com", "https://spire-oidc.spire.svc.cluster.local/", "issuer-in-cluster"],
    ["quay.registry.svc", "https://spire-oidc.spire.svc", undefined],
    ["quay.io", "https://localhost:8443", "issuer-in-cluster"],
    ["quay.example.com", "https://127.0.0.1", "issuer-in-cluster"],
    ["quay.example.com", "https://[::1]:8443", "issuer-in-cluster"],
    ["quay.example.com", "https://a.localhost", "issuer-in-cluster"],
    ["localhost:8443", "https://localhost:9443/main", undefined],
    ["[::1]:8443", "https://127.0.0.1", undefined],
    ["quay.io", "https://gitlab.corp.internal", "issuer-in-cluster"],
    ["quay.io", "https://gitlab", "issuer-in-cluster"],
    ["quay.io", "https://10.1.2.3", "issuer-in-cluster"],
    ["quay.io", "https://172.20.0.1", "issuer-in-cluster"],
    ["quay.io", "https://[fd00::1]", "issuer-in-cluster"],
    ["eu.quay.io:443", "https://192.168.1.1", "issuer-in-cluster"],
    // A Quay of your own may reach these.
    ["quay.example.com", "https://gitlab.corp.internal", undefined],
    ["quay.example.com", "https://10.1.2.3", undefined],
    ["quay.io", "https://172.32.0.1", undefined],
    ["quay.io", "https://svc.example.com", undefined],
    ["quay.io", "https://kubernetes.example.com", undefined],
    ["quay.io", "https://10.example.com", undefined],
  ])("of %s: %s", (registry, issuer, rule) => {
    const found = lint([robot("acme+ci", [bind("a", issuer)])], registry);
    expect(rules(found)).toEqual(rule ? [[rule, "error"]] : []);
    expect(found.every(({ robot: name, from }) => name === "acme+ci" && from === "quay-trust.yaml: a")).toBe(true);
  });

  test("that can't be reached is named with the reason", () => {
    const [found] = lint([robot("acme+ci", [bind("a", "https://kubernetes.default.svc")])]);
    expect(found?.says).toBe(
      "The issuer https://kubernetes.default.svc exists only inside its cluster: quay.io can't fetch its keys.",
    );
  });
});

describe("a subject", () => {
  test.each<[string, Rule | undefined, level?: "error" | "warning"]>([
    [" a", "blanks", "error"],
    ["a\n", "blanks", "error"],
    ["a\u200b", "blanks", "error"],
    ["a\tb", "blanks", "error"],
    ["repo:acme/app:environment:EU / production", undefined],
    ["repo:acme/app:environment:*", "wildcard", "warning"],
    ["repo:acme/app:ref:refs/pull/12/merge", "subject-changes", "error"],
    ["repo:acme/app:ref:refs/heads/gh-readonly-queue/main/pr-1-abc", "subject-changes", "error"],
    ["repo:acme/app:job_workflow_ref:acme/ci/.github/a.yml@refs/pull/7/merge", "subject-changes", "error"],
    ["repo:acme/app:job_workflow_ref:acme/ci/.github/a.yml@9f3b5c1de02a4c6b8d7e9f3b5c1de02a4c6b8d7e", undefined],
    ["repo:acme/app:run_id:12", "subject-changes", "error"],
    ["organization:a:pipeline:p:ref:refs/heads/main:commit:9f3b5c1:step:build", "subject-changes", "error"],
    ["{11111111-2222-3333-4444-555555555555}:{66666666-7777-8888-9999-000000000000}", "subject-changes", "error"],
    // An account and a project: they stay.
    ["org/11111111-2222-3333-4444-555555555555/project/66666666-7777-8888-9999-000000000000", undefined],
    ["org/11111111-2222/project/66666666-7777/user/88888888-9999", "subject-narrow", "warning"],
    ["org/1/project/2/user/3/vcs-origin/github.com/acme/app/vcs-ref/refs/heads/main", "subject-narrow", "warning"],
    ["project_path:a/b:ref_type:branch:ref:refs/merge-requests/7/head", "subject-changes", "error"],
    ["project_path:a/b:ref_type:branch:ref:renovate/node-24.x", "subject-matches-once", "warning"],
    ["org:acme:project:936a5312:repo:web:ref_type:pr:ref:refs/heads/main", "subject-changes", "error"],
    ["repo:acme/app:ref:refs/tags/v1.0", "subject-matches-once", "warning"],
    ["project_path:a/b:ref_type:tag:ref:v1.0", "subject-matches-once", "warning"],
    ["repo:acme/app:ref:refs/heads/renovate/node", "subject-matches-once", "warning"],
    ["repo:acme/app:ref:refs/heads/main", undefined],
  ])("%j", (subject, rule, level) => {
    expect(rules(lint([robot("acme+ci", [bind(subject)])]))).toEqual(rule ? [[rule, level]] : []);
  });

  test("of a machine of Fly's is narrow; the same of another issuer is not", () => {
    const of = (issuer: string) => rules(lint([robot("acme+ci", [bind("acme:app:fixture-1", issuer)])]));
    expect(of("https://oidc.fly.io/acme")).toEqual([["subject-narrow", "warning"]]);
    expect(of("https://oidc.example.com")).toEqual([]);
  });

  test("that changes comes with its platform's cure", () => {
    const remedyOf = (subject: string) => lint([robot("acme+ci", [bind(subject)])])[0]?.remedy.join("\n");
    expect(remedyOf("organization:a:pipeline:p:ref:refs/heads/main:commit:9f3b5c1:step:build")).toContain(
      "--subject-claim pipeline_id",
    );
    expect(remedyOf("repo:acme/app:ref:refs/pull/12/merge")).toContain("environment: release");
  });

  test("with a blank at the end of its issuer", () => {
    const [found, ...more] = lint([robot("acme+ci", [bind("a", "https://a.example ")])]);
    expect(more).toEqual([]);
    expect(found).toMatchObject({ rule: "blanks", level: "error" });
    expect(found?.says).toBe(
      'The issuer "https://a.example " begins or ends with a blank: Quay keeps them, and no token matches.',
    );
  });
});

test("an audience with a blank", () => {
  const found = lint([robot("acme+ci", [{ ...bind(release), audiences: ["quay", "a b"] }])]);
  expect(rules(found)).toEqual([["blanks", "error"]]);
  expect(found[0]?.says).toContain('"a b"');
});

describe("what a robot may do", () => {
  test.each<[Role | undefined, boolean]>([
    ["write", true],
    ["admin", true],
    ["read", false],
    [undefined, false],
  ])("pull requests with the role %s", (role, isFound) => {
    const found = lint([robot("acme+ci", [bind("repo:acme/app:pull_request")], role)]);
    expect(found.some(({ rule, level }) => rule === "pull-requests-write" && level === "warning")).toBe(isFound);
  });

  test("one subject of several robots that write is found at each but the first", () => {
    const found = lint([
      robot("acme+reads", [bind(release)], "read"),
      robot("acme+one", [bind(release)], "write"),
      robot("acme+two", [bind("b"), bind(release)], "write"),
      robot("acme+three", [bind(release, "https://a.example")], "write"),
      robot("acme+four", [bind(release)], "write"),
    ]);
    expect(found.map(({ rule, level, robot: name, says }) => [rule, level, name, says])).toEqual(
      ["acme+two", "acme+four"].map((name) => [
        ...["subject-shared", "warning", name],
        `${name} and acme+one trust the same subject, ${release}, and both can write.`,
      ]),
    );
  });

  test("admin is found at the permission", () => {
    expect(lint([robot("acme+ci", [bind(release)], "admin")])).toEqual([
      {
        ...{ rule: "role-admin", level: "warning", robot: "acme+ci", from: "quay-trust.yaml: admin" },
        says: "acme+ci gets admin on acme/app: it could delete the repository and change who may use it.",
        remedy: ["To push and pull, write is enough."],
      },
    ]);
  });

  test.each([
    ["repo:acme/app:ref:refs/heads/main", true, ["branch-promotes"]],
    ["project_path:a/b:ref_type:branch:ref:main", true, ["branch-promotes"]],
    ["repo:acme/app:ref:refs/heads/main", false, []],
    [release, true, []],
  ])("%s on a robot that promotes: %s", (subject, promotes, expected) => {
    const found = lint([robot("acme+release", [bind(subject)], "write", promotes)]);
    expect(found.map(({ rule }) => rule)).toEqual(expected);
  });

  test("strict makes each warning an error", () => {
    const robots = [
      robot("acme+ci", [bind("repo:acme/app:pull_request"), bind("repo:a/b:environment:*")], "admin", true),
    ];
    expect(rules(lint(robots, "quay.io", true))).toEqual([
      ["pull-requests-write", "error"],
      ["wildcard", "error"],
      ["role-admin", "error"],
    ]);
  });
});

describe("the look at issuers", () => {
  let authority: Authority;
  let issuer: IssuerServer;
  beforeAll(async () => {
    authority = await createAuthority();
    issuer = await startIssuer(authority);
  });
  afterAll(() => Promise.all([issuer.close(), authority.close()]));

  let count = 0;
  const issuerThat = (behaviour: Behaviour): string => {
    const one = issuer.at(`lint${count++}`);
    one.behave(behaviour);
    return one.url;
  };
  const look = (issuers: readonly string[], platform = testPlatform({ roots: authority.ca }), strict = false) =>
    lintIssuers(
      trust(
        [
          robot(
            "acme+ci",
            issuers.map((each) => bind("a", each)),
          ),
        ],
        "localhost:8443",
      ),
      { strict },
      platform,
    );

  test.each<[string, Behaviour, RegExp | undefined]>([
    ["is right", {}, undefined],
    ["answers 404", { discovery: "404" }, /gives an invalid answer: .*openid-configuration answers 404/],
    ["is not up", { discovery: "503" }, /cannot be reached: .*answers 503/],
    ["has another name", { discovery: "other-issuer" }, /calls itself https/],
    ["has no keys", { keys: "empty" }, /gives an invalid answer: .*contains no keys/],
  ])("one that %s", async (_, behaviour, says) => {
    const found = await look([issuerThat(behaviour)]);
    expect(rules(found)).toEqual(says ? [["issuer-look", "warning"]] : []);
    expect(inWorkflow(found[0]?.says ?? "")).toMatch(says ?? /^$/);
    expect(found[0]?.remedy ?? []).toHaveLength(says ? 1 : 0);
  });

  test("one that has keys for elliptic curves and encryption only", async () => {
    const keys = [
      { kty: "EC", kid: "a" },
      { kty: "RSA", kid: "b", use: "enc" },
    ];
    const server = createServer(await authority.issue(), ({ url }, response) => {
      response.end(JSON.stringify(url === "/keys" ? { keys } : { jwks_uri: `https://localhost:${port}/keys` }));
    });
    const { port, close } = await listen(server);
    const found = await look([`https://localhost:${port}`]).finally(close);
    expect(found.map(({ says }) => says)).toEqual([
      `The issuer https://localhost:${port} publishes no RSA key for signatures; Quay takes RS256 and RS384 only.`,
    ]);
  });

  test("one whose certificate is not trusted: names the option for it", async () => {
    const [found] = await look([issuerThat({})], testPlatform());
    expect(found?.remedy.map(inWorkflow)).toEqual([
      "Quay itself must reach the issuer; this look ran from here.",
      "For this look: ca-file: path/to/root.pem",
    ]);
  });

  test("one that nothing answers for, as an error with strict", async () => {
    const found = await look(["https://localhost:1/x"], testPlatform(), true);
    expect(rules(found)).toEqual([["issuer-look", "error"]]);
  });

  test("each once, at most 8 at the same time, and none that the lint refuses", async () => {
    const platform = testPlatform({ roots: authority.ca });
    let now = 0;
    let most = 0;
    const asked: string[] = [];
    const counting = {
      ...platform,
      http: {
        ...platform.http,
        open: (...parameters: Parameters<typeof platform.http.open>) => {
          const opened = platform.http.open(...parameters);
          asked.push(parameters[0].href);
          return {
            ...opened,
            send: async (...headers: Parameters<typeof opened.send>) => {
              now += 1;
              most = Math.max(most, now);
              return opened.send(...headers).finally(() => {
                now -= 1;
              });
            },
          };
        },
      },
    };
    const urls = Array.from({ length: 20 }, () => issuerThat({ discoverySlow: 50 }));
    const refused = ["http://localhost:1", "https://kubernetes.default.svc", `${urls[0]} `];
    expect(await look([...urls, ...urls, ...refused], counting)).toEqual([]);
    expect(most).toBe(8);
    expect(asked.filter((address) => address.endsWith("/openid-configuration"))).toHaveLength(20);
    expect(asked.every((address) => address.startsWith("https://localhost:"))).toBe(true);
  });

  test("a broken one is found at its first binding", async () => {
    const broken = issuerThat({ keys: "empty" });
    const robots = [robot("acme+one", [bind("a", broken), bind("b", broken)]), robot("acme+two", [bind("c", broken)])];
    const platform = testPlatform({ roots: authority.ca });
    const found = await lintIssuers(trust(robots, "localhost:8443"), { strict: false }, platform);
    expect(found.map(({ robot: name, from }) => [name, from])).toEqual([["acme+one", "quay-trust.yaml: a"]]);
  });

  test("ends with the signal", async () => {
    const stop = new AbortController();
    const over = new Error("over");
    const platform = testPlatform({ roots: authority.ca, signal: stop.signal });
    const running = look([issuerThat({ discoverySlow: 3_000 })], platform);
    setTimeout(() => stop.abort(over), 20);
    await expect(running).rejects.toBe(over);
  });
});
