/** quay-trust.yaml, good and bad: for the reader and for the schema. */

const inRobot = (text: string): string => `organization: acme\nrobots:\n  ci: ${text}\n`;
const bindings = (...entries: readonly string[]): string =>
  `organization: acme\nrobots:\n  ci:\n    bindings:\n${entries.map((entry) => `      - ${entry}\n`).join("")}`;

const github = "https://token.actions.githubusercontent.com";
const sa = "service-account";

export interface GoodBinding {
  readonly entry: string;
  readonly issuer: string;
  readonly subject: string;
  /** It is not what an export writes. */
  readonly isOther?: true;
}

const good = (entry: string, subject: string, issuer = github): GoodBinding => ({ entry, issuer, subject });
const other = (entry: string, subject: string, issuer = github): GoodBinding => ({
  ...good(entry, subject, issuer),
  isOther: true,
});

/** Entries of bindings, and what Quay gets. */
export const goodBindings: readonly GoodBinding[] = [
  good("{ github: acme/app, environment: release }", "repo:acme/app:environment:release"),
  good("{ github: acme/app, branch: main }", "repo:acme/app:ref:refs/heads/main"),
  good("{ github: acme/app, branch: release/1.x }", "repo:acme/app:ref:refs/heads/release/1.x"),
  good("{ github: acme/app, tag: v1.0 }", "repo:acme/app:ref:refs/tags/v1.0"),
  good("{ github: acme/app, pull-request: true }", "repo:acme/app:pull_request"),
  good("{ github: acme@1/app@2, environment: release }", "repo:acme@1/app@2:environment:release"),
  good("{ github: acme@1/app@2, pull-request: true }", "repo:acme@1/app@2:pull_request"),
  good("{ github: Jane_acme/.github, branch: main }", "repo:Jane_acme/.github:ref:refs/heads/main"),
  // A colon within a value is %3A in GitHub's subject; blanks and slashes stay.
  good('{ github: acme/app, environment: "Production:V1" }', "repo:acme/app:environment:Production%3AV1"),
  good('{ github: acme/app, environment: "EU / production" }', "repo:acme/app:environment:EU / production"),
  good('{ github: acme/app, environment: "Größe 50%" }', "repo:acme/app:environment:Größe 50%"),
  good(
    "{ github: acme/app, environment: release, issuer: https://github.example.com/_services/token }",
    "repo:acme/app:environment:release",
    "https://github.example.com/_services/token",
  ),
  good(
    "{ github: acme/app, environment: release, issuer: https://token.actions.githubusercontent.com/acme }",
    "repo:acme/app:environment:release",
    `${github}/acme`,
  ),
  good(
    "{ github: acme/app, branch: main, issuer: https://token.actions.acme.ghe.com }",
    "repo:acme/app:ref:refs/heads/main",
    "https://token.actions.acme.ghe.com",
  ),
  good(
    "{ github: acme/app, branch: main, issuer: https://codeberg.org/api/actions }",
    "repo:acme/app:ref:refs/heads/main",
    "https://codeberg.org/api/actions",
  ),
  other(`{ github: acme/app, branch: main, issuer: ${github} }`, "repo:acme/app:ref:refs/heads/main"),
  other(
    "{ issuer: https://token.actions.githubusercontent.com, subject: repo:acme/app:pull_request }",
    "repo:acme/app:pull_request",
  ),
  // A number's text, as in release.yaml.
  other("{ github: acme/app, branch: 1.10 }", "repo:acme/app:ref:refs/heads/1.10"),
  other("{ github: acme/app, environment: 2026 }", "repo:acme/app:environment:2026"),
  good(
    "{ gitlab: group/project, branch: main }",
    "project_path:group/project:ref_type:branch:ref:main",
    "https://gitlab.com",
  ),
  good(
    "{ gitlab: group/sub.group/the_project, tag: v1 }",
    "project_path:group/sub.group/the_project:ref_type:tag:ref:v1",
    "https://gitlab.com",
  ),
  good(
    "{ gitlab: group/project, branch: main, issuer: https://gitlab.example.com:8443 }",
    "project_path:group/project:ref_type:branch:ref:main",
    "https://gitlab.example.com:8443",
  ),
  good(
    `{ ${sa}: team/deployer, issuer: https://oidc.example.com/cluster }`,
    "system:serviceaccount:team:deployer",
    "https://oidc.example.com/cluster",
  ),
  good(
    `{ ${sa}: 1-a/a.b-c.2, issuer: https://oidc.example.com/cluster/ }`,
    "system:serviceaccount:1-a:a.b-c.2",
    "https://oidc.example.com/cluster/",
  ),
  good(
    "{ subject: spiffe://example.com/ci, issuer: https://spire.example.com }",
    "spiffe://example.com/ci",
    "https://spire.example.com",
  ),
  other(
    "{ issuer: https://accounts.google.com, subject: 112233445566778899001 }",
    "112233445566778899001",
    "https://accounts.google.com",
  ),
  // What Quay may hold; the lint finds these.
  good('{ subject: "ci ", issuer: "https://a.example " }', "ci ", "https://a.example "),
  good('{ subject: "repo:acme/*", issuer: "http://a" }', "repo:acme/*", "http://a"),
];

/** Whole files that are right, with `prune`. */
export const goodFiles: readonly string[] = [
  ...goodBindings.map(({ entry }) => bindings(entry)),
  bindings("{ github: a/b, branch: x, audience: other }", "{ github: a/b, branch: y, audience: [quay, other] }"),
  inRobot("{}"),
  inRobot("{ bindings: [] }"),
  inRobot("{ permissions: {} }"),
  "organization: acme\nrobots: {}\n",
  `organization: acme\nrobots: { ${"x".repeat(250)}: {} }\n`,
  inRobot("{ description: Builds of acme/app, create: true, promotes: False }"),
  inRobot('{ description: "", create: false }'),
  inRobot("{ description: 2026 }"),
  inRobot(
    "{ permissions: { app: write, other: { role: read, create: true }, a/b.c__d: admin, third: { role: admin } } }",
  ),
  "registry: Quay.example.com:8443\norganization: acme-1\nrobots: { 1a: {}, a.b_c-d: {} }\n",
  'registry: "[::1]:8443"\norganization: acme\nrobots: { ci: {} }\n',
  "# yaml-language-server: $schema=x\r\n---\r\norganization: acme\r\nrobots:\r\n  ci: {}\r\n...\r\n",
  `organization: acme
robots:
  ci: &ci
    permissions: &all { app: write }
    bindings:
      - &release { github: acme/app, environment: release }
  other:
    permissions: *all
    bindings: [ *release ]
`,
  '{"organization": "acme", "robots": {"ci": {"create": true}}}',
];

export interface BadFile {
  readonly file: string;
  /** What stands before the problem: line and key. */
  readonly at: string;
  readonly problem: string;
  readonly remedy: string;
  /** The schema can't say it. */
  readonly onlyReader?: true;
}

const write = (text: string): string => `Write, for example, ${text}`;
const whole = write("- { github: acme/app, environment: release }");
const file = "the file";

const bad = (text: string, at: string, problem: string, remedy: string): BadFile => ({
  file: text,
  at,
  problem,
  remedy,
});
const onlyReader = (text: string, at: string, problem: string, remedy: string): BadFile => ({
  ...bad(text, at, problem, remedy),
  onlyReader: true,
});
const badRobot = (text: string, key: string, problem: string, remedy: string): BadFile =>
  bad(inRobot(text), `3: robots.ci${key}`, problem, remedy);
const badBinding = (entry: string, key: string, problem: string, remedy: string): BadFile =>
  bad(bindings(entry), `5: robots.ci.bindings[0]${key && `.${key}`}`, problem, remedy);

const wildcard = "it has a wildcard; Quay compares subjects letter by letter, and has none";

export const badFiles: readonly BadFile[] = [
  bad("", `1: ${file}`, "is empty", "Write in the file a mapping with organization, and robots by name."),
  bad("- a\n", `1: ${file}`, "is a list", "Write in the file a mapping with organization, and robots by name."),
  bad("acme\n", `1: ${file}`, "is not a mapping", "Write in the file a mapping with organization, and robots by name."),
  bad("robots: { ci: {} }\n", `1: ${file}`, "has no organization", write("organization: acme")),
  bad("organization: acme\n", `1: ${file}`, "has no robots", write("robots: { ci: { permissions: { app: write } } }")),
  bad(
    "organization: acme\nrobots:\n",
    "2: robots",
    "is empty",
    write("robots: { ci: { permissions: { app: write } } }"),
  ),
  bad(
    "organization: acme\nrobots: [ci]\n",
    "2: robots",
    "is a list",
    write("robots: { ci: { permissions: { app: write } } }"),
  ),
  bad("organisation: acme\nrobots: { ci: {} }\n", "1: organisation", "is an unknown key", "Did you mean: organization"),
  bad(
    "organization: acme\nrobots: { ci: {} }\nversion: 1\n",
    "3: version",
    "is an unknown key",
    "The keys here are registry, organization, robots.",
  ),
  bad(
    "organization: ACME\nrobots: { ci: {} }\n",
    "1: organization",
    'is "ACME": it is not the name of an organization or a user in Quay',
    write("organization: acme"),
  ),
  bad(
    "organization: acme+ci\nrobots: { ci: {} }\n",
    "1: organization",
    'is "acme+ci": it is not the name of an organization or a user in Quay',
    write("organization: acme"),
  ),
  bad("organization: [acme]\nrobots: { ci: {} }\n", "1: organization", "is not text", write("organization: acme")),
  bad("organization:\nrobots: { ci: {} }\n", "1: organization", "is empty", write("organization: acme")),
  bad(
    "organization: null\nrobots: { ci: {} }\n",
    "1: organization",
    "is null, which is not text in YAML",
    'Write it in quotes: "null"',
  ),
  bad(
    "registry: https://quay.io\norganization: acme\nrobots: { ci: {} }\n",
    "1: registry",
    'is "https://quay.io": it is not a host with an optional port',
    write("registry: quay.io"),
  ),
  bad(
    "organization: acme\nrobots: { acme+ci: {} }\n",
    "2: robots.acme+ci",
    "has an organization in front; the key organization names it (acme)",
    write("ci:"),
  ),
  bad("organization: acme\nrobots: { CI: {} }\n", "2: robots.CI", "is not lower case; names in Quay are", write("ci:")),
  bad(
    "organization: acme\nrobots: { a--b: {} }\n",
    "2: robots.a--b",
    "is not a robot's name: 2 to 255 lower-case letters and digits with single . _ - between them, the organization included",
    write("ci:"),
  ),
  onlyReader(
    "organization: acme\nrobots:\n  ci: {}\n  ci: {}\n",
    "4: robots.ci",
    "is already in line 3",
    "Leave one of the two out.",
  ),
  onlyReader(
    "organization: acme\norganization: other\nrobots: {}\n",
    "2: organization",
    "is already in line 1",
    "Leave one of the two out.",
  ),
  bad(
    "organization: acme\nrobots:\n  ? [a]\n  : {}\n",
    "3: robots",
    "has a key that is not text",
    write("robots: { ci: { permissions: { app: write } } }"),
  ),

  onlyReader(
    `organization: acme\nrobots: { ${"x".repeat(251)}: {} }\n`,
    `2: robots.${"x".repeat(100)}…`,
    "is not a robot's name: 2 to 255 lower-case letters and digits with single . _ - between them, the organization included",
    write(`${"x".repeat(251)}:`),
  ),
  badRobot(
    "",
    "",
    "is empty",
    "A robot has description, create, promotes, permissions, bindings, each of which can be left out. For none of them: { }",
  ),
  badRobot(
    "{ <<: { create: true } }",
    ".<<",
    "is an unknown key",
    "The keys here are description, create, promotes, permissions, bindings.",
  ),
  badRobot("{ permission: { app: write } }", ".permission", "is an unknown key", "Did you mean: permissions"),
  badRobot("{ create: yes }", ".create", "is neither true nor false", write("create: true")),
  badRobot('{ create: "true" }', ".create", "is neither true nor false", write("create: true")),
  badRobot("{ promotes: 1 }", ".promotes", "is neither true nor false", write("promotes: true")),
  badRobot("{ description: true }", ".description", "is true, which is not text in YAML", 'Write it in quotes: "true"'),
  badRobot(
    `{ description: ${"x".repeat(256)} }`,
    ".description",
    "has more than 255 characters, Quay's limit",
    write('description: "Builds for acme"'),
  ),
  badRobot("{ permissions: [app] }", ".permissions", "is a list", write("permissions: { app: write }")),
  badRobot(
    "{ permissions: { app: owner } }",
    ".permissions.app",
    'is "owner": a role is one of read, write, admin',
    write("write"),
  ),
  badRobot(
    "{ permissions: { app: Write } }",
    ".permissions.app",
    'is "Write": a role is one of read, write, admin',
    "Did you mean: write",
  ),
  badRobot("{ permissions: { app: { create: true } } }", ".permissions.app", "has no role", write("role: write")),
  badRobot(
    "{ permissions: { app: { role: write, make: true } } }",
    ".permissions.app.make",
    "is an unknown key",
    "The keys here are role, create.",
  ),
  badRobot(
    "{ permissions: { App: write } }",
    ".permissions.App",
    "is not the name of a repository in Quay",
    write("permissions: { app: write }"),
  ),
  badRobot("{ permissions: { app: [write] } }", ".permissions.app", "is not text", write("app: write")),
  {
    ...badRobot(
      "{ permissions: { app: read, acme/app: write } }",
      ".permissions.acme/app",
      "is acme/app, as in line 3",
      "Leave one of the two out.",
    ),
    onlyReader: true,
  },

  badRobot(
    "{ bindings: { github: acme/app } }",
    ".bindings",
    "is not a list; each entry begins with a dash",
    write("bindings: [{ github: acme/app, environment: release }]"),
  ),
  badBinding("acme/app", "", "is not a mapping", whole),
  badBinding("{}", "", "says nothing about who is trusted", whole),
  badBinding("{ audience: quay }", "", "says nothing about who is trusted", whole),
  badBinding("{ githib: acme/app, branch: x }", "githib", "is an unknown key", "Did you mean: github"),
  badBinding(
    "{ github: acme/app }",
    "github",
    'is "acme/app": it needs environment, branch, tag or pull-request',
    whole,
  ),
  badBinding(
    "{ github: acme/app, environment: a, branch: b }",
    "branch",
    "is \"b\": it can't be combined with environment: GitHub's subject then names the environment alone, and its settings say which branches and tags may use it",
    write("- { github: acme/app, environment: a }"),
  ),
  badBinding(
    "{ github: acme/app, branch: a, tag: b }",
    "tag",
    'is "b": it can\'t be combined with branch: a subject names one of them',
    write("- { github: acme/app, branch: a }"),
  ),
  badBinding(
    "{ github: acme/app, tag: b, pull-request: true }",
    "pull-request",
    "is true: it can't be combined with tag: a subject names one of them",
    write("- { github: acme/app, tag: b }"),
  ),
  badBinding(
    "{ pull-request: true }",
    "pull-request",
    "is true: it needs github",
    write("- { github: acme/app, pull-request: true }"),
  ),
  badBinding(
    "{ github: acme/app, pull-request: false, branch: a }",
    "pull-request",
    "is false",
    "Write true, or leave it out.",
  ),
  badBinding(
    "{ github: acme/app, pull-request: 12 }",
    "pull-request",
    "is neither true nor false",
    write("pull-request: true"),
  ),
  badBinding(
    "{ github: acme/app, issuer: https://a.example, subject: x }",
    "subject",
    'is "x": it can\'t be combined with github: both say who is trusted',
    write("- { subject: spiffe://example.com/ci, issuer: https://spire.example.com }"),
  ),
  badBinding(
    "{ github: acme/app, gitlab: a/b, branch: x }",
    "gitlab",
    'is "a/b": it can\'t be combined with github: both say who is trusted',
    write("- { gitlab: group/project, branch: main }"),
  ),
  badBinding(
    "{ github: acme/app, branch: x, issuer: https://spire.example.com }",
    "issuer",
    'is "https://spire.example.com": with github it is the address of a GitHub Enterprise; others go with subject',
    write("issuer: https://github.example.com/_services/token"),
  ),
  badBinding(
    "{ environment: x }",
    "environment",
    'is "x": it needs github',
    write("- { github: acme/app, environment: x }"),
  ),
  badBinding("{ tag: x }", "tag", 'is "x": it needs github or gitlab', write("- { github: acme/app, tag: x }")),
  badBinding(
    "{ gitlab: a/b, environment: x }",
    "environment",
    'is "x": it goes with github, not with gitlab',
    write("- { gitlab: a/b, branch: main }"),
  ),
  badBinding("{ gitlab: a/b }", "gitlab", 'is "a/b": it needs branch or tag', write("- { gitlab: a/b, branch: main }")),
  badBinding(
    `{ ${sa}: a/b }`,
    sa,
    'is "a/b": it needs issuer, the cluster\'s',
    write(`- { ${sa}: a/b, issuer: https://oidc.example.com/cluster }`),
  ),
  badBinding(
    `{ ${sa}: a/b, issuer: https://a.example, branch: x }`,
    "branch",
    `is "x": it goes with github or gitlab, not with ${sa}`,
    write("- { github: acme/app, branch: x }"),
  ),
  badBinding(
    "{ subject: a, issuer: https://a.example, environment: x }",
    "environment",
    'is "x": it goes with github, not with subject',
    write("- { github: acme/app, environment: x }"),
  ),
  badBinding(
    "{ issuer: https://a.example }",
    "issuer",
    'is "https://a.example": it needs subject, letter by letter',
    write("- { subject: spiffe://example.com/ci, issuer: https://a.example }"),
  ),
  badBinding(
    "{ subject: spiffe://example.com/ci }",
    "subject",
    'is "spiffe://example.com/ci": it needs issuer, the address of the tokens\' issuer',
    write("- { subject: spiffe://example.com/ci, issuer: https://spire.example.com }"),
  ),
  badBinding(
    "{ issuer: gitlab.example.com, subject: a }",
    "issuer",
    'is "gitlab.example.com": it is not an address that begins with https://',
    write("issuer: https://gitlab.example.com"),
  ),
  badBinding(
    "{ issuer: ftp://a, subject: a }",
    "issuer",
    'is "ftp://a": it is not an address that begins with https://',
    write("issuer: https://spire.example.com"),
  ),
  badBinding(
    "{ issuer: 'https://me:secret@a.example', subject: a }",
    "issuer",
    'is "https://…@a.example": it has a user or password',
    write("issuer: https://spire.example.com"),
  ),
  badBinding(
    '{ issuer: https://a.example, subject: "" }',
    "subject",
    "is empty",
    write("subject: spiffe://example.com/ci"),
  ),
  badBinding("{ issuer: , subject: a }", "issuer", "is empty", write("issuer: https://spire.example.com")),

  badBinding(
    "{ github: https://github.com/acme/app, branch: x }",
    "github",
    'is "https://github.com/acme/app": it is an address, not OWNER/REPO',
    write("github: acme/app"),
  ),
  badBinding(
    "{ github: 'git@github.com:acme/app.git', branch: x }",
    "github",
    'is "git@github.com:acme/app.git": it is an address, not OWNER/REPO',
    write("github: acme/app"),
  ),
  badBinding(
    "{ github: acme, branch: x }",
    "github",
    'is "acme": it is not OWNER/REPO of GitHub',
    write("github: acme/app"),
  ),
  badBinding(
    "{ github: acme/app/x, branch: x }",
    "github",
    'is "acme/app/x": it is not OWNER/REPO of GitHub',
    write("github: acme/app"),
  ),
  badBinding(
    "{ github: /acme/app, branch: x }",
    "github",
    'is "/acme/app": it begins with a slash',
    write("github: acme/app"),
  ),
  badBinding(
    '{ github: " acme/app", branch: x }',
    "github",
    'is " acme/app": it has blanks',
    write("github: acme/app"),
  ),
  badBinding("{ github: acme/*, branch: x }", "github", `is "acme/*": ${wildcard}`, write("github: acme/app")),
  badBinding(
    "{ github: acme@1/app, branch: x }",
    "github",
    'is "acme@1/app": both the owner and the repository have GitHub\'s numeric id, or neither has it',
    write("github: acme@1/app@2"),
  ),
  badBinding(
    "{ github: acme/app@2, branch: x }",
    "github",
    'is "acme/app@2": both the owner and the repository have GitHub\'s numeric id, or neither has it',
    write("github: acme@1/app@2"),
  ),
  badBinding(
    "{ github: acme/app.git, branch: x }",
    "github",
    'is "acme/app.git": a repository\'s name has no .git at its end',
    write("github: acme/app"),
  ),
  badBinding(
    "{ github: acme/.., branch: x }",
    "github",
    'is "acme/..": it is not OWNER/REPO of GitHub',
    write("github: acme/app"),
  ),
  badBinding(
    '{ github: acme/app, environment: "release " }',
    "environment",
    'is "release ": it has blanks at an end',
    write("environment: release"),
  ),
  badBinding(
    "{ github: acme/app, environment: rel* }",
    "environment",
    `is "rel*": ${wildcard}`,
    write("environment: release"),
  ),
  badBinding(
    '{ github: acme/app, environment: "a\\u200bb" }',
    "environment",
    'is "a�b": it has characters that can\'t be printed',
    write("environment: release"),
  ),
  badBinding(
    "{ github: acme/app, environment: 'environment:release' }",
    "environment",
    'is "environment:release": it is a part of a subject, not an environment\'s name',
    write("environment: release"),
  ),
  badBinding(
    "{ github: acme/app, branch: refs/heads/main }",
    "branch",
    'is "refs/heads/main": it is a ref; a branch has its name alone, without refs/heads/',
    write("branch: main"),
  ),
  badBinding(
    "{ gitlab: a/b, tag: refs/tags/v1 }",
    "tag",
    'is "refs/tags/v1": it is a ref; a tag has its name alone, without refs/tags/',
    write("tag: v1"),
  ),
  badBinding(
    "{ github: acme/app, branch: 'release/*' }",
    "branch",
    `is "release/*": ${wildcard}`,
    write("branch: main"),
  ),
  badBinding('{ github: acme/app, branch: "a b" }', "branch", 'is "a b": it has blanks', write("branch: main")),
  badBinding(
    "{ github: acme/app, branch: /main }",
    "branch",
    'is "/main": git allows no branch of that name',
    write("branch: main"),
  ),
  badBinding("{ github: acme/app, tag: a..b }", "tag", 'is "a..b": git allows no tag of that name', write("tag: v1.0")),
  badBinding(
    "{ github: acme/app, branch: x.lock }",
    "branch",
    'is "x.lock": git allows no branch of that name',
    write("branch: main"),
  ),
  badBinding(
    '{ gitlab: a/b, branch: "a\\u0085b" }',
    "branch",
    'is "a b": it has characters that can\'t be printed',
    write("branch: main"),
  ),
  badBinding(
    "{ gitlab: project, branch: x }",
    "gitlab",
    'is "project": it is not GROUP/PROJECT or GROUP/SUBGROUP/PROJECT of GitLab',
    write("gitlab: group/project"),
  ),
  badBinding(
    "{ gitlab: https://gitlab.com/a/b, branch: x }",
    "gitlab",
    'is "https://gitlab.com/a/b": it is an address, not GROUP/PROJECT',
    write("gitlab: a/b"),
  ),
  badBinding(
    `{ ${sa}: team, issuer: https://a.example }`,
    sa,
    'is "team": it is not NAMESPACE/NAME of a service account',
    write(`${sa}: team/deployer`),
  ),
  badBinding(
    `{ ${sa}: "system:serviceaccount:a:b", issuer: https://a.example }`,
    sa,
    'is "system:serviceaccount:a:b": it is not NAMESPACE/NAME of a service account',
    write(`${sa}: a/b`),
  ),
  badBinding(
    `{ ${sa}: Team/Deployer, issuer: https://a.example }`,
    sa,
    'is "Team/Deployer": it is not NAMESPACE/NAME of a service account',
    write(`${sa}: team/deployer`),
  ),

  badBinding("{ github: a/b, branch: x, audience: [] }", "audience", "is empty", write("audience: quay")),
  badBinding(
    '{ github: a/b, branch: x, audience: " quay" }',
    "audience",
    "has blanks at an end",
    write("audience: quay"),
  ),
  badBinding('{ github: a/b, branch: x, audience: "" }', "audience", "is empty", write("audience: quay")),
  badBinding(
    "{ github: a/b, branch: x, audience: [a, a] }",
    "audience",
    "has an audience twice",
    "Leave one of the two out.",
  ),
  badBinding("{ github: a/b, branch: x, audience: { a: b } }", "audience", "is not text", write("audience: quay")),
  onlyReader(
    bindings(
      "{ github: acme/app, branch: x }",
      "{ issuer: https://token.actions.githubusercontent.com, subject: repo:acme/app:ref:refs/heads/x }",
    ),
    "6: robots.ci.bindings[1]",
    "repeats the binding in line 5: issuer and subject are the same",
    "Leave one of the two out.",
  ),
  onlyReader(
    bindings("{ github: acme/app, branch: x }", "{ github: acme/app, branch: x, audience: other }"),
    "6: robots.ci.bindings[1]",
    "repeats the binding in line 5: issuer and subject are the same",
    "Leave one of the two out.",
  ),
];
