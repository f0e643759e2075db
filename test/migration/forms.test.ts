/** Rarer forms of YAML, of shells and of manifests: each with what becomes of its login. */
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: expressions of GitHub and of shells
import { describe, expect, test } from "vitest";
import { changed, commands, outcome, planFor, script, withSteps, workflow } from "./planning.ts";

const secret = "${{ secrets.T }}";
const inputs = `  registry: quay.io\n  username: acme+ci\n  password: ${secret}`;
const login = `uses: docker/login-action@v3\nwith:\n${inputs}`;
const command = `docker login -u acme+ci -p ${secret} quay.io`;
const anchor = "a part of the step has an anchor that other places use";
const braces = "the step is written in braces, or as a part of another list";

const plan = (text: string) => planFor({ [workflow]: text });
const reasons = (text: string) => plan(text).findings.map(outcome);
const result = (text: string) => changed(plan(text))[workflow] ?? "";
const robot = (text: string) => plan(text).findings.map((each) => ("name" in each.robot ? each.robot.name : each.robot.from));

describe("a step that can't be changed in its place", () => {
  const anchors = (extra: string, step: string) => withSteps(step).replace("jobs:", `x:\n  y: &a ${extra}\njobs:`);
  test.each<[string, string, string]>([
    ["its address is an alias", anchors("docker/login-action@v3", login.replace("docker/login-action@v3", "*a")), anchor],
    ["its script is an alias", anchors(command.replace(secret, "$T"), "run: *a"), anchor],
    ["all of its keys are merged", anchors("{if: always()}", `${login}\n<<: *a`), anchor],
    ["its script has more to do, and it is shared", `${withSteps(`&s\nname: x\n${script(command, "make")}`).replace("- &s\n        name", "- &s\n        name")}  b:\n    runs-on: ubuntu-latest\n    steps: [*s]\n`, anchor],
    ["it begins below its dash", withSteps(`\n${script(command, "make")}`), "the step does not begin beside its dash"],
    ["an input with a question mark", withSteps(`uses: docker/login-action@v3\nwith:\n  registry: quay.io\n  username: acme+ci\n  ? password\n  : ${secret}`), braces],
    ["its script has an indentation of its own", withSteps(`run: |2\n    ${command}\n  make`), "its script is folded, quoted or an alias: take the login out by hand, and write the step before it"],
    ["its script ends a condition in the same line", withSteps(script(`if true; then make; fi; ${command}`, "make push")), "it is one of several commands in a line"],
    ["an input without a value", withSteps(`${login}\n  ecr:`), "its input ecr has no counterpart"],
    ["a password that is one of several variables in braces", withSteps(`env: {A: x, PW: "${secret}"}\nrun: docker login -u acme+ci -p $PW quay.io`), braces],
  ])("%s", (_, text, reason) => {
    expect(new Set(reasons(text))).toEqual(new Set([reason]));
    expect(plan(text).files).toEqual([]);
  });
});

test("a step that jobs share stays in both if they need different inputs", () => {
  const text = withSteps(`name: x\nrun: ${command}`)
    .replace("    steps:", "    permissions: {contents: read}\n    steps: &s")
    .concat("  other:\n    runs-on: self-hosted\n    permissions: {contents: read}\n    steps: *s\n");
  expect(new Set(reasons(text))).toEqual(
    new Set([expect.stringMatching(/^the change of another login, or of another job with this step, touches the same lines/)]),
  );
  expect(plan(text).findings).toHaveLength(2);
  expect(plan(text).files).toEqual([]);
});

describe("a step that becomes the Action", () => {
  test("keeps the variables that its script does not read", () => {
    const text = withSteps(`env:\n  A: x\n  PW: ${secret}\nrun: docker login -u acme+ci -p $PW quay.io`);
    expect(result(text)).toContain("      - env:\n          A: x\n        uses: acme/quay-keyless-login@v1\n");
    expect(result(text)).not.toContain("PW");
  });

  test("without a user, gets a placeholder where the password was", () => {
    const text = withSteps(login.replace("  username: acme+ci\n", ""));
    expect(result(text)).toContain("robot: ORGANIZATION+ROBOT # write the robot's name; it was no user name\n");
  });

  test("keeps the name of its auth file", () => {
    const text = withSteps(login.replace("docker/login-action@v3", "redhat-actions/podman-login@v1").concat("\n  auth_file_path: /x/auth.json"));
    expect(result(text)).toContain("          auth-file: /x/auth.json\n");
  });
});

describe("whose login it is", () => {
  const long = "x".repeat(130);
  test.each([
    ["a name that is no robot's", "bob", "the user bob, who is no robot"],
    ["a long name", long, "a user with a long name, who is no robot"],
    ["a part that is secret", "acme+${{ secrets.NAME }}", "the secrets NAME"],
    ["a name in brackets", "${{ secrets['NAME'] }}x", "the secrets NAME"],
    ["a variable", "${{ vars.NAME }}", "${{ vars.NAME }}"],
    ["a long expression", `\${{ ${long} }}`, "a long expression"],
    ["a text in an expression", "${{ 'acme+ci' }}", "acme+ci"],
    ["a variable without a value", "${{ env.NONE }}", "${{ env.NONE }}"],
  ])("%s", (_, username, expected) => {
    const text = withSteps(login.replace("acme+ci", username)).replace("jobs:", "env: {NONE: , OTHER: x}\njobs:");
    expect(robot(text)).toEqual([expected]);
  });
});

describe("permissions", () => {
  const two = (block: string, job = "  other:\n    runs-on: ubuntu-latest\n    steps: []\n") =>
    withSteps(login).replace("permissions:\n  contents: read", block) + job;
  const lines = (text: string) => result(text).match(/permissions:.*\n(?: +[a-z-]+: ?\w*\n)*/g);

  test.each<[string, string, string]>([
    ["none are named", "permissions:", "permissions:  (line 2) leaves out id-token: name each permission that the job needs"],
    ["they have an anchor", "x: &p {contents: read}\npermissions: *p", "the permissions (line 3) have an anchor that other places use: add id-token: write by hand"],
  ])("%s", (_, block, reason) => {
    expect(reasons(two(block, ""))).toEqual([reason]);
  });

  test("in braces", () => {
    expect(result(two("permissions: {contents: read}", ""))).toContain("permissions: {contents: read, id-token: write}\n");
    expect(result(two("permissions: {}", ""))).toContain("permissions: { id-token: write }\n");
    expect(result(two("permissions: {contents}", ""))).toContain("permissions: {contents, id-token: write}\n");
  });

  test("with id-token that has no value", () => {
    expect(result(two("permissions:\n  id-token:\n  contents: read", ""))).toContain("permissions:\n  id-token: write\n  contents: read\n");
  });

  test("of a job among others", () => {
    expect(lines(two("permissions:\n  contents: read\n  id-token: none"))).toEqual([
      "permissions:\n  contents: read\n  id-token: none\n",
      "permissions:\n      contents: read\n      id-token: write\n",
    ]);
  });

  test("of a job in braces among others", () => {
    const jobs = `  a: {runs-on: ubuntu-latest, steps: [{uses: docker/login-action@v3, with: {registry: quay.io, username: a+b, password: x}}]}\n`;
    expect(reasons(`on: push\npermissions: {contents: read}\njobs:\n${jobs}  b: {runs-on: x}\n`)).toEqual([braces]);
  });

  test("of workflows that call each other", () => {
    const call = (other: string) => `  call:\n    uses: ./.github/workflows/${other}.yml\n`;
    const a = `on: [push, workflow_call]\npermissions:\n  contents: read\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n      - ${login.replaceAll("\n", "\n        ")}\n${call("b")}`;
    const b = `on: workflow_call\npermissions:\n  contents: read\njobs:\n${call("a")}`;
    const both = planFor({ ".github/workflows/a.yml": a, ".github/workflows/b.yml": b });
    expect(both.findings.map(outcome)).toEqual(["rewritten"]);
    expect(Object.keys(changed(both))).toEqual([".github/workflows/a.yml", ".github/workflows/b.yml"]);
  });

  test("of the jobs that use an action at the checkout's root", () => {
    const action = `runs:\n  using: composite\n  steps:\n    - ${login.replaceAll("\n", "\n      ")}\n`;
    const both = planFor({ "action.yml": action, [workflow]: withSteps("uses: ./") });
    expect(changed(both)[workflow]).toContain("  id-token: write\n");
    expect(both.findings.map(({ line, change }) => [line, change.kind])).toEqual([[4, "rewritten"]]);
    expect(commands(planFor({ "action.yml": action }, { defaultBranch: undefined }))).toEqual([
      "--robot acme+ci --github acme/app --branch BRANCH",
    ]);
    expect(planFor({ "action.yml": action }).findings[0]?.notes).toContain(
      "action.yml runs where it is called from: the branch is the caller's.",
    );
  });
});

describe("events", () => {
  test.each([
    ["{push, pull_request}", "--branch main|--pull-request"],
    ["[push, {}]", "--branch main"],
    ["merge_group", ""],
  ])("%s", (on, expected) => {
    const text = withSteps(login).replace("{push: {branches: [main]}}", on);
    const found = commands(plan(text)).map((each) => each.replace("--robot acme+ci --github acme/app ", ""));
    expect(found.join("|")).toBe(expected);
  });

  test("jobs without content, keys that are lists, and aliases that lead nowhere are passed over", () => {
    const text = `${withSteps(login, "*nowhere", "uses: a/b@v1\nwith:\n  password: *nowhere")}  empty:\n  ? [a]\n  : b\n`;
    expect(reasons(text)).toEqual(["rewritten"]);
  });
});

describe("words of a shell", () => {
  test.each<[string, string, string]>([
    ["a quoted backslash", 'docker login -u "acme\\+ci" -p x quay.io', "the user acme\\+ci, who is no robot"],
    ["an escaped quote", 'docker login -u "a\\"b" -p x quay.io', 'the user a"b, who is no robot'],
    ["a line that goes on inside quotes", 'docker login -u "acme\\\n+ci" -p x quay.io', "acme+ci"],
    ["a line that goes on in a word", "docker login -u acme\\\n+ci -p x quay.io", "acme+ci"],
    ["an escaped letter", "docker login -u acme\\+ci -p x quay.io", "acme+ci"],
    ["ANSI-C quotes", "docker login -u $'acme+ci' -p x quay.io", "acme+ci"],
    ["a dollar sign alone", "docker login -u a$ -p x quay.io", "the user a$, who is no robot"],
    ["an argument of the script", "docker login -u $1 -p x quay.io", "$1"],
    ["a default", "docker login -u ${U:-x} -p x quay.io", "${U:-x}"],
    ["a command in a command", "docker login -u $(echo $(id -u)) -p x quay.io", "$(echo $(id -u))"],
    ["backquotes", "docker login -u `id -u` -p x quay.io", "`id -u`"],
    ["quotes that do not end", "docker login quay.io -p x -u 'acme+ci", "the user acme+ci , who is no robot"],
    ["the end of the text in a word", "docker login quay.io -p x -u acme+ci", "acme+ci"],
    ["no value at the end", "docker login quay.io -p x -u", "no user name"],
    ["declared without a value", "export A B=acme+ci\ndocker login -u $B -p x quay.io", "acme+ci"],
    ["a test before it", "[[ -n $X ]]\ndocker login -u acme+ci -p x quay.io", "acme+ci"],
    ["a pipe with errors", "cat pw |& docker login -u acme+ci --password-stdin quay.io", "acme+ci"],
    ["a file that the pipe begins with", "< pw | docker login -u acme+ci --password-stdin quay.io", "acme+ci"],
    ["a log of another command", "docker login -u acme+ci -p x quay.io > >(tee log)", "acme+ci"],
    ["env with a variable", "sudo -E docker login -u acme+ci -p x quay.io", "acme+ci"],
  ])("%s", (_, text, expected) => {
    expect(robot(withSteps(script(...text.split("\n"))))).toEqual([expected]);
  });

  test.each<[string, string, string]>([
    ["a file that is written before", `echo x | tee pw | docker login -u acme+ci --password-stdin quay.io`, "a command before it in the pipeline writes a file"],
    ["an option that is not known", `docker login -u acme+ci -p x --later y quay.io`, "it has the option --later"],
    ["a letter that is not known", `docker login -u acme+ci -p x -z y quay.io`, "it has the option -z"],
    ["an option of the tool alone", `docker --debug login -u acme+ci -p x quay.io`, "it has the option --debug"],
    ["an option with a value", `docker --log-level=debug login -u acme+ci -p x quay.io`, "it has the option --log-level"],
    ["sudo with an option", `sudo -E docker login -u acme+ci -p x quay.io`, "sudo makes it a login of root"],
  ])("%s", (_, text, expected) => {
    expect(reasons(withSteps(script(text)))).toEqual([expected]);
  });

  test.each([
    ["[[ without an end", `${command}\n[[ -n $X`],
    ["a comment at the end", `${command}\n# ${"x"}`],
    ["a here-document without an end", `${command}\ncat <<EOF\nx`],
    ["a here-document whose end is a variable", `${command}\ncat <<$X\nx`],
  ])("after a login: %s", (_, text) => {
    expect(robot(withSteps(script(...text.split("\n"))))).toEqual(["acme+ci"]);
    expect(robot(withSteps(`run: ${JSON.stringify(text)}`))).toEqual(["acme+ci"]);
  });
});

describe("an exchange by hand", () => {
  const url = "https://quay.io/oauth2/federation/robot/token";
  const get = (user: string, address = url) => `T=$(curl -s ${user} ${address} | jq -r .token)`;
  const use = "docker login -u acme+ci -p $T quay.io";
  test.each<[string, readonly string[], string | undefined]>([
    ["of another registry", [get("-u a+b:$J", url.replace("quay.io", "quay.example.com")), use], undefined],
    ["of a registry that is not known", [get("-u a+b:$J", url.replace("quay.io", "$HOST")), use], "whether it logs in to quay.io can't be seen here, since its registry is https://$HOST/oauth2/federation/robot/token"],
    ["without a user", [get(""), use], "rewritten"],
    ["with a user that is a variable", [get('-u "$U:$J"'), use], "rewritten"],
    ["without a login", [get("-u acme+ci:$J")], "it has not exactly one login with the token that it gets"],
    ["with another command", [get("-u acme+ci:$J"), use, "make push"], "its script does more than the exchange and the login: make"],
    ["with a header that is secret, and a user that is left out", [get(`-H ${secret}`, `${url} -u`), use], "rewritten"],
    ["with a redirection alone", [get("-u acme+ci:$J"), use, "< x"], "its script does more than the exchange and the login: a redirection"],
    ["in another program", [`python3 -c 'get("${url}")'`], "its script does more than the exchange and the login: python3"],
    ["in a text", [`cat > x.py <<EOF`, `get("${url}")`, "EOF"], "whether it logs in to quay.io can't be seen here, since its registry is in a text that another command gets"],
  ])("%s", (_, lines, expected) => {
    const [found] = reasons(withSteps(script(...lines)));
    expect(found === undefined ? undefined : found.slice(0, expected?.length)).toBe(expected);
  });
});

test("findings are in the order of their files; a file without content has none", () => {
  const task = "apiVersion: tekton.dev/v1\nkind: Task\nspec:\n  volumes: [{name: creds, secret: {secretName: quay-push}}]\n";
  const files = { [workflow]: withSteps(login, login), ".gitlab-ci.yml": "# none\n", "z.yaml": task, ".a.yaml": task };
  expect(planFor(files).findings.map(({ path, line }) => `${path}:${line}`)).toEqual([
    ".a.yaml:4",
    `${workflow}:8`,
    `${workflow}:13`,
    "z.yaml:4",
  ]);
});

describe("GitLab", () => {
  const gitlab = (text: string, more: Parameters<typeof planFor>[1] = {}) => planFor({ ".gitlab-ci.yml": text }, more);

  test("variables with a description, scripts that are no text or folded", () => {
    const text = `variables:\n  HOST: {value: quay.io, description: x}\n  NONE:\na:\n  script: 5\nb:\n  script:\n    - >-\n      docker login -u acme+ci\n      -p $P $HOST\n`;
    expect(gitlab(text).findings.map(({ line, robot: who }) => [line, who])).toEqual([[8, { name: "acme+ci" }]]);
  });

  test("a registry that is not known asks for no trust", () => {
    const [found] = gitlab("a:\n  script: docker login -u acme+ci -p $P $HOST\n").findings;
    expect(found && outcome(found)).toMatch(/^Whether it logs in to quay\.io can't be seen here, since its registry is \$HOST\. the job's image/);
    expect(found?.federate).toEqual([]);
  });

  test("another registry, and a branch that git does not know", () => {
    const text = "a:\n  script: docker login -u acme+ci -p $P quay.example.com\n";
    const found = gitlab(text, { registry: "quay.example.com", defaultBranch: undefined, remote: { host: "gitlab.com", path: "group/app" } });
    expect(found.findings.map(outcome)[0]).toContain("quay-keyless-login login --registry quay.example.com --robot acme+ci");
    expect(commands(found)).toEqual(["--registry quay.example.com --robot acme+ci --gitlab group/app --branch BRANCH"]);
  });
});

describe("Tekton", () => {
  const task = (spec: string, kind = "Task") =>
    `apiVersion: tekton.dev/v1\nkind: ${kind}\nmetadata: {name: t}\nspec:\n  ${spec.replaceAll("\n", "\n  ")}\n`;
  const found = (text: string) =>
    planFor({ "t.yaml": text }).findings.map((each) => `${each.line} ${each.what}: ${outcome(each)}`);
  const before = "put the StepAction quay-keyless-login before this step, and take the login out of the script";

  test.each<[string, string, readonly string[]]>([
    ["an exchange", "steps:\n- script: curl -u a+b:$J https://quay.io/oauth2/federation/robot/token", [`6 exchange by hand: ${before}`]],
    ["an exchange with another registry", "steps:\n- script: curl -u a+b:$J https://x.example/oauth2/federation/robot/token", []],
    ["a login to another registry", "steps:\n- script: |\n    docker login -u a+b -p $P ghcr.io\n    docker login -u a+b -p $P", []],
    [
      "a login to a registry that is not known",
      "steps:\n- script: |\n    docker login -u a+b -p x $HOST",
      [`7 docker login: its registry is $HOST, which can't be seen here; if it is quay.io, ${before}`],
    ],
    ["a login with a variable of the step", "steps:\n- env: [{name: HOST, value: quay.io}, {value: x}]\n  script: |\n    docker login -u a+b -p $P $HOST", [`8 docker login: ${before}`]],
    ["a volume that is no login", "volumes:\n- {name: db, secret: {secretName: database}}\n- {name: tmp, emptyDir: {}}\nsteps: [{image: x, volumeMounts: [{name: db}]}]", []],
    [
      "a volume that nothing mounts",
      "volumes:\n- {name: creds, secret: {secretName: quay-push}}",
      [expect.stringContaining("with its param auth-file set to PATH/config.json")],
    ],
    ["a workspace that is no login", "workspaces:\n- {name: db, secret: {secretName: database}}", []],
  ])("%s", (_, spec, expected) => {
    expect(found(task(spec))).toEqual(expected);
  });

  test("a template of other resources, and kinds without a login", () => {
    expect(found("apiVersion: triggers.tekton.dev/v1\nkind: TriggerTemplate\nspec:\n  resourcetemplates:\n  - {apiVersion: v1, kind: Pod}\n")).toEqual([]);
    expect(found("apiVersion: triggers.tekton.dev/v1\nkind: EventListener\nspec: {}\n")).toEqual([]);
  });

  test("a Secret without logins says nothing", () => {
    const empty = 'apiVersion: v1\nkind: Secret\nmetadata: {name: quay-push}\nstringData: {.dockerconfigjson: "{}"}\n';
    const text = task("volumes:\n- {name: creds, secret: {secretName: quay-push}}");
    expect(planFor({ "t.yaml": text, "s.yaml": empty }).findings.map(outcome)[0]).toMatch(/^no file of this checkout says/);
  });
});
