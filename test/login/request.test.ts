import { describe, expect, test } from "vitest";
import { parseRequest } from "../../src/login/request.ts";
import { type OptionValues, toolNames } from "../../src/options/table.ts";
import { robotFor } from "../../src/quay/scope.ts";
import { failure } from "../fixtures.ts";

const robot = "acme+ci";

test("needs only one robot: everything else has its default", () => {
  expect(parseRequest({ robot })).toEqual({
    registry: "quay.io",
    robots: [{ robot: "acme+ci", scope: "quay.io" }],
    identity: { wanted: { source: "auto" }, spiffeId: undefined, audience: "quay", workflowRef: undefined },
    tool: "auto",
    store: { authFile: undefined, authFileMode: undefined, dockerConfig: "auto" },
    access: [],
  });
});

test("treats a blank option as absent: a runner passes it so", () => {
  const blank: OptionValues = {
    registry: "",
    identity: " ",
    audience: "\n",
    "token-file": "",
    "token-env": "",
    "spiffe-socket": "",
    "spiffe-id": " ",
    tool: "",
    "auth-file": "  ",
    "docker-config": "",
    "auth-file-mode": "",
    access: "\n\n",
    "workflow-ref": "",
  };
  expect(parseRequest({ ...blank, robot })).toEqual(parseRequest({ robot }));
});

test.each<[OptionValues, object]>([
  [{ registry: "Quay.Example.COM:8443" }, { registry: "quay.example.com:8443" }],
  [{ registry: "localhost" }, { registry: "localhost" }],
  [{ registry: "10.0.0.1:8443" }, { registry: "10.0.0.1:8443" }],
  [{ registry: "[::1]:8443" }, { registry: "[::1]:8443" }],
  [{ identity: "github" }, { identity: { wanted: { source: "github" } } }],
  [{ identity: "file" }, { identity: { wanted: { source: "file", path: "/var/run/secrets/tokens/quay-token" } } }],
  [{ identity: "file", "token-file": "/t" }, { identity: { wanted: { source: "file", path: "/t" } } }],
  [{ "token-file": "/t" }, { identity: { wanted: { source: "file", path: "/t" } } }],
  [{ "token-env": "QUAY_ID_TOKEN" }, { identity: { wanted: { source: "environment", variable: "QUAY_ID_TOKEN" } } }],
  [
    { identity: "environment", "token-env": "_t1" },
    { identity: { wanted: { source: "environment", variable: "_t1" } } },
  ],
  [{ identity: " GitHub " }, { identity: { wanted: { source: "github" } } }],
  [{ audience: "https://quay.example.com" }, { identity: { audience: "https://quay.example.com" } }],
  [{ tool: "buildah" }, { tool: "buildah" }],
  [{ tool: "docker" }, { tool: "docker", store: { dockerConfig: "auto" } }],
  [{ "auth-file": "/home/ci/auth.json" }, { store: { authFile: "/home/ci/auth.json" } }],
  [{ "docker-config": "true" }, { store: { dockerConfig: true } }],
  [{ "docker-config": "false" }, { store: { dockerConfig: false } }],
  [{ "auth-file-mode": "0640" }, { store: { authFileMode: 0o640 } }],
  [{ "auth-file-mode": "644" }, { store: { authFileMode: 0o644 } }],
  [{ "auth-file-mode": "0o600" }, { store: { authFileMode: 0o600 } }],
  [{ "token-host": "Auth.example.com:8443" }, { tokenHost: "auth.example.com:8443" }],
  [
    { "workflow-ref": "acme/app/.github/workflows/b.yml@r" },
    { identity: { workflowRef: "acme/app/.github/workflows/b.yml@r" } },
  ],
  [
    { access: "acme/app:pull,push\nquay.io/acme/base/go: pull" },
    {
      access: [
        { repository: "acme/app", actions: ["pull", "push"] },
        { repository: "acme/base/go", actions: ["pull"] },
      ],
    },
  ],
])("accepts %j", (values, expected) => {
  expect(parseRequest({ robot, ...values })).toMatchObject(expected);
});

test.each([
  ["https://auth.example.com", "it must be a host, without a scheme such as https://"],
  ["auth.example.com/v2", "it must be a host, without a path"],
  ["me:secret@auth.example.com", "it must be a host, without a user or password"],
  ["auth example", "it is not a host with an optional port"],
])("rejects the token-host %s", (value, problem) => {
  const refuse = () => parseRequest({ robot, "token-host": value });
  expect(refuse).toThrow(problem);
  expect(refuse).toThrow('The option "token-host"');
  expect(refuse).not.toThrow("secret");
});

describe("robots and scopes", () => {
  test.each<[string, string, [robot: string, scope: string][]]>([
    ["its host may be in capitals", "QUAY.io/acme/app=acme+ci", [["acme+ci", "quay.io/acme/app"]]],
    ["a robot alone gets the host", "acme+ci", [["acme+ci", "quay.io"]]],
    ["its scope can be named", "quay.io/acme = acme+ci", [["acme+ci", "quay.io/acme"]]],
    ["a scope may be one repository", "quay.io/acme/app=acme+ci", [["acme+ci", "quay.io/acme/app"]]],
    ["the host itself may be named", "quay.io=acme+ci", [["acme+ci", "quay.io"]]],
    [
      "several get their organizations",
      "acme+ci\r\n\n  other+deploy-1.x_y  ",
      [
        ["acme+ci", "quay.io/acme"],
        ["other+deploy-1.x_y", "quay.io/other"],
      ],
    ],
    [
      "docker's builder knows a pull from a push, in any order",
      "quay.io/acme/app=acme+read\nQUAY.io/acme/app@push,pull,push=acme+ci\nquay.io@push=acme+all",
      [
        ["acme+read", "quay.io/acme/app"],
        ["acme+ci", "quay.io/acme/app@pull,push"],
        ["acme+all", "quay.io@push"],
      ],
    ],
    [
      "two of one organization differ by a scope",
      "acme+ci\nquay.io/acme/app=acme+release",
      [
        ["acme+ci", "quay.io/acme"],
        ["acme+release", "quay.io/acme/app"],
      ],
    ],
    [
      "beside one for docker's builder, which knows no organization, it is for all",
      "acme+ci\nquay.io/acme/app@push=acme+release",
      [
        ["acme+ci", "quay.io"],
        ["acme+release", "quay.io/acme/app@push"],
      ],
    ],
  ])("%s", (_, value, expected) => {
    expect(parseRequest({ robot: value }).robots).toEqual(expected.map(([name, scope]) => ({ robot: name, scope })));
  });

  test("uses the most specific scope for a repository", () => {
    const { robots } = parseRequest({ robot: "quay.io=acme+all\nacme+ci\nquay.io/acme/app=acme+app" });
    const name = (repository: string) => robotFor(repository, robots, ["pull"])?.robot;
    expect(name("acme/app")).toBe("acme+app");
    expect(name("acme/app/sub")).toBe("acme+app");
    expect(name("acme/application")).toBe("acme+ci");
    expect(name("acmeco/app")).toBe("acme+all");
    expect(robotFor("acmeco/app", robots.slice(1), ["pull"])).toBeUndefined();
  });
});

test("asks each robot for the access that docker's builder uses it for", () => {
  const robot = "quay.io=acme+all\nquay.io@push=acme+any\nquay.io/acme/app=acme+read\nquay.io/acme/app@push=acme+ci";
  const { robots, access } = parseRequest({ robot, access: "acme/app:pull,push\nother/x:push" });
  expect(
    access.map(({ repository, actions }) => [repository, actions, robotFor(repository, robots, actions)?.robot]),
  ).toEqual([
    ["acme/app", ["pull"], "acme+read"],
    ["acme/app", ["push"], "acme+ci"],
    ["other/x", ["push"], "acme+any"],
  ]);
});

const longName = "a".repeat(256);
const noHost = "it is not a host with an optional port";
const registryExample = "registry: quay.example.com:8443";
const name = "organization and name are 2 to 255 lower-case letters and digits, with single . _ - between them";
const blank = "a name contains no space, comma or semicolon; write one robot per line";
const scope = "a scope is a host, host/organization or host/organization/repository";
const action =
  "with @pull or @push, a scope is a host or host/organization/repository, since docker's builder knows no organization";
const mode = "it must be octal, let the owner read and write, and let no user execute";

const pushExample = "robot: quay.io/acme/app@push=acme+ci";
const oneOfTwo = "Set only one of the two.";

test("requires a robot", async () => {
  for (const robot of [undefined, "", " \n "]) {
    const error = await failure(() => parseRequest({ robot }));
    expect([error.code, error.message, error.remedy]).toEqual([
      "invalid-input",
      "Missing required option robot.",
      ["Write, for example, robot: acme+ci"],
    ]);
  }
});

type Bad = [values: OptionValues, option: string, shown: string, problem: string, example: string];

test.each<Bad>([
  [{ robot: "acme" }, "robot", "acme", "a robot's full name has a +: organization+name", "robot: acme+ci"],
  [{ robot: "other" }, "robot", "other", "a robot's full name has a +: organization+name", "robot: other+ci"],
  [{ robot: "A/b" }, "robot", "A/b", "a robot's full name has a +: organization+name", "robot: acme+ci"],
  [{ robot: "acme + ci" }, "robot", "acme + ci", blank, "robot: acme+ci"],
  [{ robot: "acme+ci,acme+cd" }, "robot", "acme+ci,acme+cd", blank, "robot: acme+ci"],
  [{ robot: "acme+ci; acme+cd" }, "robot", "acme+ci; acme+cd", blank, "robot: acme+ci"],
  [{ robot: "Acme+CI" }, "robot", "Acme+CI", "names in Quay are lower case", "robot: acme+ci"],
  [{ robot: "acme+ci+x" }, "robot", "acme+ci+x", name, "robot: acme+ci"],
  [{ robot: "+ci" }, "robot", "+ci", name, "robot: acme+ci"],
  [{ robot: "acme+" }, "robot", "acme+", name, "robot: acme+ci"],
  [{ robot: "acme+x" }, "robot", "acme+x", name, "robot: acme+ci"],
  [{ robot: "acme+c--i" }, "robot", "acme+c--i", name, "robot: acme+ci"],
  [{ robot: "-acme+ci" }, "robot", "-acme+ci", name, "robot: acme+ci"],
  [{ robot: `acme+${longName}` }, "robot", `acme+${"a".repeat(115)}…`, name, "robot: acme+ci"],
  [
    { robot: "acme+ci\nacme+cd" },
    "robot",
    "acme+cd",
    "acme+ci logs in for quay.io/acme already, and a scope has one login",
    "a scope of its own: quay.io/acme/app=acme+cd",
  ],
  [
    { robot: "quay.io=acme+ci\nquay.io=acme+ci" },
    "robot",
    "acme+ci",
    "acme+ci logs in for quay.io already, and a scope has one login",
    "a scope of its own: quay.io/acme/app=acme+ci",
  ],
  [
    { robot: "ghcr.io/acme=acme+ci" },
    "robot",
    "ghcr.io/acme=acme+ci",
    "the scope is on another host than registry (quay.io)",
    "robot: quay.io/acme=acme+ci",
  ],
  [
    { robot: "quay.io.example/acme=acme+ci" },
    "robot",
    "quay.io.example/acme=acme+ci",
    "the scope is on another host than registry (quay.io)",
    "robot: quay.io/acme=acme+ci",
  ],
  [
    { robot: "me:secret@quay.io=acme+ci" },
    "robot",
    "…@quay.io=acme+ci",
    "the scope is on another host than registry (quay.io)",
    "robot: quay.io/acme=acme+ci",
  ],
  [{ robot: "quay.io/acme/=acme+ci" }, "robot", "quay.io/acme/=acme+ci", scope, "robot: quay.io/acme=acme+ci"],
  [{ robot: "quay.io/Acme=acme+ci" }, "robot", "quay.io/Acme=acme+ci", scope, "robot: quay.io/acme=acme+ci"],
  [
    { registry: "https://quay.io" },
    "registry",
    "https://quay.io",
    "it must be a host, without a scheme such as https://",
    "registry: quay.io",
  ],
  [
    { registry: "https://me:secret@quay.io/x" },
    "registry",
    "https://…@quay.io/x",
    "it must be a host, without a scheme such as https://",
    "registry: quay.io",
  ],
  [
    { registry: "me:secret@quay.io" },
    "registry",
    "…@quay.io",
    "it must be a host, without a user or password",
    "registry: quay.io",
  ],
  [
    { registry: "quay.io/acme" },
    "registry",
    "quay.io/acme",
    "it must be a host, without a path; organizations go into robot",
    "registry: quay.io",
  ],
  [{ registry: "quay io" }, "registry", "quay io", noHost, registryExample],
  [{ registry: "quay.io:https" }, "registry", "quay.io:…", noHost, registryExample],
  [{ registry: "quay.io:99999" }, "registry", "quay.io:99999", noHost, registryExample],
  [{ registry: "-quay.io" }, "registry", "-quay.io", noHost, registryExample],
  [{ registry: "[::1" }, "registry", "[::1", noHost, registryExample],
  [
    { identity: "gitlab" },
    "identity",
    "gitlab",
    "it must be one of auto, github, file, spiffe, environment, command",
    "identity: auto",
  ],
  [{ identity: "environment" }, "token-env", "", "identity: environment needs it", "token-env: QUAY_ID_TOKEN"],
  [{ "token-file": "/t", "token-env": "T" }, "token-env", "T", 'token-file is set too ("/t")', oneOfTwo],
  [
    { identity: "github", "token-file": "/t" },
    "token-file",
    "/t",
    "identity is github, which does not use it",
    "identity: auto",
  ],
  [
    { identity: "github", "token-env": "T" },
    "token-env",
    "T",
    "identity is github, which does not use it",
    "identity: auto",
  ],
  [
    { identity: "file", "token-env": "T" },
    "token-env",
    "T",
    "identity is file, which does not use it",
    "identity: auto",
  ],
  [
    { identity: "environment", "token-file": "/t" },
    "token-file",
    "/t",
    "identity is environment, which does not use it",
    "identity: auto",
  ],
  // A token pasted where its variable's name belongs must not reach a log.
  [
    { "token-env": "eyJhbGciOi.eyJpc3Mi.c2ln" },
    "token-env",
    "…",
    "it must be the name of a variable, not the token",
    "token-env: QUAY_ID_TOKEN",
  ],
  [{ audience: "quay staging" }, "audience", "quay staging", "an audience contains no spaces", "audience: quay"],
  [{ tool: "nerdctl" }, "tool", "nerdctl", `it must be one of auto, ${toolNames.join(", ")}`, "tool: auto"],
  [
    { tool: "docker", robot: "quay.io/acme=acme+ci" },
    "tool",
    "docker",
    "docker knows logins for a host, and its builder for a repository, but none for an organization, quay.io/acme",
    "tool: skopeo, or robot: quay.io=acme+ci, or robot: quay.io/acme/app=acme+ci",
  ],
  [
    { "docker-config": "true", robot: "acme+ci\nother+ci" },
    "docker-config",
    "true",
    "docker would send the login for quay.io/acme to every repository of quay.io",
    "docker-config: false, or robot: quay.io=acme+ci, or robot: quay.io/acme/app=acme+ci",
  ],
  [
    { tool: "buildah", robot: "quay.io/acme/app@push=acme+ci" },
    "tool",
    "buildah",
    "the login for quay.io/acme/app@push is one that docker's builder alone reads",
    "tool: docker, or tool: none",
  ],
  [
    { robot: "quay.io/acme/app@push=acme+ci", "docker-config": "false" },
    "docker-config",
    "false",
    "the login for quay.io/acme/app@push goes to docker's builder, which alone reads it",
    "docker-config: auto",
  ],
  [
    { robot: "quay.io/acme/app@push=acme+ci\nacme+read\nother+read" },
    "robot",
    "other+read",
    "acme+read logs in for quay.io already, and a scope has one login",
    "a scope of its own: quay.io/other/app=other+read",
  ],
  [
    { robot: "quay.io/acme/app@push=acme+ci\nquay.io/acme=acme+read\nquay.io=acme+all" },
    "robot",
    "quay.io/acme=acme+read",
    "docker's builder, which alone reads the login for quay.io/acme/app@push, knows no login for an organization",
    "robot: quay.io/acme/app=acme+read",
  ],
  [
    { robot: "quay.io/acme/app@push=acme+ci\nquay.io/acme=acme+read" },
    "robot",
    "quay.io/acme=acme+read",
    "docker's builder, which alone reads the login for quay.io/acme/app@push, knows no login for an organization",
    "robot: quay.io=acme+read, or robot: quay.io/acme/app=acme+read",
  ],
  [
    { robot: "quay.io/acme/app@push=acme+ci", "auth-file": "/a.json" },
    "auth-file",
    "/a.json",
    "the login for quay.io/acme/app@push goes to docker's builder, which reads no other file than its own",
    "tool: auto, without auth-file",
  ],
  ...[
    ["quay.io/acme/app", "quay.io/acme/app@pull"],
    ["quay.io/acme/app@pull", "quay.io/acme/app@push"],
    ["quay.io/acme/app@push", "quay.io/acme/app@push,pull"],
    ["quay.io", "quay.io@pull"],
  ].map(
    ([hidden = "", hiding = ""]): Bad => [
      { robot: `${hidden}=acme+one\n${hiding}=acme+two` },
      "robot",
      `${hiding.replace("push,pull", "pull,push")}=acme+two`,
      `docker's builder asks for pull and push when it pushes, and would not use the login for ${hidden}`,
      `a scope for all, and one for push: ${hidden.split("@")[0]}=acme+read and ${hidden.split("@")[0]}@push=acme+ci`,
    ],
  ),
  [{ robot: "quay.io/acme@push=acme+ci" }, "robot", "quay.io/acme@push=acme+ci", action, pushExample],
  ...["", "psuh", "PUSH", "push,", "pushpush", "delete", "push@push"].map(
    (actions): Bad => [
      { robot: `quay.io/acme/app@${actions}=acme+ci` },
      "robot",
      `quay.io/acme/app@${actions}=acme+ci`,
      actions === "push@push" ? scope : "the action of a scope, behind the @, is pull, push or both (push,pull)",
      pushExample,
    ],
  ),
  ...["quay.io/../../etc", "quay.io/acme/..", "quay.io/./app", "quay.io/acme//app", "quay.io/acme/.app"].map(
    (place): Bad => [{ robot: `${place}@push=acme+ci` }, "robot", `${place}@push=acme+ci`, scope, pushExample],
  ),
  [{ "docker-config": "yes" }, "docker-config", "yes", "it must be one of auto, true, false", "docker-config: auto"],
  ...["rw", "0700", "0444", "0666x", "1640", "66", "0688"].map(
    (value): Bad => [{ "auth-file-mode": value }, "auth-file-mode", value, mode, 'auth-file-mode: "0640"'],
  ),
  [{ access: "app:pull" }, "access", "app:pull", '"app" is not organization/repository', "access: acme/app:pull,push"],
  [
    { access: "Acme/App:pull" },
    "access",
    "Acme/App:pull",
    '"Acme/App" is not organization/repository',
    "access: acme/app:pull,push",
  ],
  [
    { access: "ghcr.io/Acme/app:pull" },
    "access",
    "ghcr.io/Acme/app:pull",
    '"ghcr.io/Acme/app" is not organization/repository',
    "access: acme/app:pull,push",
  ],
  [{ access: ":pull" }, "access", ":pull", '"" is not organization/repository', "access: acme/app:pull,push"],
  [{ access: "acme/app" }, "access", "acme/app", '"" is neither pull nor push', "access: acme/app:pull,push"],
  [
    { access: "acme/app:pull,delete" },
    "access",
    "acme/app:pull,delete",
    '"delete" is neither pull nor push',
    "access: acme/app:pull,push",
  ],
  [
    { access: "third/app:pull", robot: "acme+ci\nother+ci" },
    "access",
    "third/app:pull",
    "none of the robots logs in for this repository",
    "a robot with the scope quay.io/third/app",
  ],
])("rejects %j", async (values, option, shown, problem, example) => {
  const error = await failure(() => parseRequest({ robot, ...values }));
  expect(error.code).toBe("invalid-input");
  expect(error.message).toBe(`The option "${option}" is ${JSON.stringify(shown)}: ${problem}.`);
  expect(error.remedy).toEqual([example === oneOfTwo ? oneOfTwo : `Write, for example, ${example}`]);
});

test("gives an example that works for a rejected value", async () => {
  const { remedy } = await failure(() => parseRequest({ robot: "Acme+CI" }));
  expect(parseRequest({ robot: remedy[0]?.split("robot: ")[1] }).robots[0]?.robot).toBe("acme+ci");
});
