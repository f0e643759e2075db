/** What is not rewritten, and why: nothing is guessed. */
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: expressions of GitHub and of shells
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { outcome, outcomes, planFor, script, withSteps, workflow } from "./planning.ts";

const read = (name: string) => readFileSync(join(import.meta.dirname, "listed", name), "utf8");

test("a job without a permissions block, which would lose its defaults", () => {
  const plan = planFor({ [workflow]: read("no-permissions.yml") });
  expect(outcomes(plan)).toEqual([
    `6 docker/login-action: ${workflow}, job push has no permissions block, nor has the workflow, and adding one would remove its defaults: write one that names all that the job needs, with id-token: write and mostly contents: read`,
  ]);
  expect(plan.files).toEqual([]);
});

test("each with its line", () => {
  const text = read("unsafe.yml");
  const plan = planFor({ [workflow]: text });
  expect(plan.files).toEqual([]);
  const lines = text.split("\n");
  const nameAbove = (line: number) => {
    const above = lines.slice(0, line).findLast((each) => /name: |^ {2}\w+:$|- \{name/.test(each)) ?? "";
    return above.replace(/^\W*(?:name: )?/, "").replace(/[:,].*$/, "");
  };
  expect(plan.findings.map((each) => `${nameAbove(each.line)} -> ${outcome(each)}`)).toEqual([
    "by input -> whether it logs in to quay.io can't be seen here, since its registry is ${{ inputs.registry }}",
    "by matrix -> whether it logs in to quay.io can't be seen here, since its registry is ${{ matrix.registry }} (quay.io, ghcr.io)",
    "part -> it is a login for quay.io/acme alone: in the Action, its robot is quay.io/acme=acme+ci",
    "condition -> it is inside a condition, a loop, a function or a group",
    "or -> it is in a list with ||, where one command depends on another",
    "sudo -> sudo makes it a login of root",
    "tls -> it turns TLS verification off: name the root certificate in ca-file",
    "file -> it writes to a file of its own (--authfile): name that file in auth-file",
    "remote -> it is inside quotes, a here-document or another command",
    "folded -> its script is folded, quoted or an alias: take the login out by hand, and write the step before it",
    "powershell -> its shell is pwsh",
    "install -> an earlier command of the same script may prepare it",
    "another action -> it takes the password in its input password: put a step with this login before it, and leave its user and password out if it can do without",
    "exchange with more -> its script writes to a file, such as GITHUB_OUTPUT: replace what reads it too",
    "made before -> its password comes from the step or job exchange: replace both together",
    "braces -> the step is written in braces, or as a part of another list",
    "loop -> whether it logs in to quay.io can't be seen here, since its registry is $host",
    "windows -> the Action runs on Linux only",
    "username -> GitHub pulls this image before any step runs, with a stored password: make the image public, or run it by podman in a step after the login",
  ]);
});

describe("permissions that leave the token out", () => {
  const login =
    "uses: docker/login-action@v3\nwith:\n  registry: quay.io\n  username: acme+ci\n  password: ${{ secrets.T }}";

  test.each([
    [
      "permissions: read-all",
      "permissions: read-all (line 2) leaves out id-token: name each permission that the job needs",
    ],
    ["permissions: write-all", "rewritten"],
    ["permissions: {id-token: read}", "rewritten"],
    ["permissions:\n  id-token: write", "rewritten"],
  ])("%s", (block, expected) => {
    const text = withSteps(login).replace("permissions:\n  contents: read", block);
    expect(planFor({ [workflow]: text }).findings.map(outcome)).toEqual([expected]);
  });
});

describe("parts that other places use", () => {
  const inputs = "  registry: quay.io\n  username: acme+ci\n  password: ${{ secrets.T }}";
  const reason = "a part of the step has an anchor that other places use";

  test.each([
    [
      "inputs by alias",
      [`uses: docker/login-action@v3\nwith: &in\n${inputs}`, "uses: other/action@v1\nwith: *in"],
      [reason, expect.stringMatching(/^it takes the password in its input password/)],
    ],
    [
      "a value by alias",
      [`name: &n quay.io\nuses: docker/login-action@v3\nwith:\n${inputs.replace("quay.io", "*n")}`],
      [reason],
    ],
    ["a script by alias", [`env: {S: &s "docker login -u a+b -p x quay.io"}\nrun: *s`], [reason]],
    [
      "an input without a counterpart",
      [`uses: docker/login-action@v3\nwith:\n${inputs}\n  ecr: true`],
      ["its input ecr has no counterpart"],
    ],
    ["a push with credentials of its own", [script("make", "skopeo copy --dest-creds acme+ci:$PW oci:a docker://quay.io/acme/app")], ["this command brings its own user and password: log in by a step before it, and leave them out"]],
    [
      "two logins in one script",
      [script("podman login -u a+b -p x quay.io", "make", "podman login -u a+c -p y quay.io")],
      Array(2).fill("the script logs in several times"),
    ],
    [
      "a variable for one command",
      [script("DOCKER_CONFIG=/x docker login -u a+b -p x quay.io", "make")],
      ["the variable DOCKER_CONFIG is set for this command alone"],
    ],
    [
      "a folder for the tool's settings",
      [script("docker --config /x login -u a+b -p x quay.io")],
      ["it has the option --config"],
    ],
    [
      "output that is read",
      [script("docker login -u a+b -p x quay.io | tee log", "make")],
      ["another command reads its output"],
    ],
    [
      "several registries in one input",
      ["uses: docker/login-action@v3\nwith:\n  registry-auth: |\n    - registry: quay.io\n      username: a+b"],
      ["its input registry-auth names several registries: take this one out of it, and log in by a step of its own"],
    ],
  ])("%s", (_, steps, reasons) => {
    const plan = planFor({ [workflow]: withSteps(...steps) });
    expect(plan.findings.map(outcome)).toEqual(reasons);
    expect(plan.files).toEqual([]);
  });
});

test("a step that two jobs share changes only if both can ask for a token", () => {
  const text = withSteps(
    "&login\nuses: docker/login-action@v3\nwith:\n  registry: quay.io\n  username: acme+ci\n  password: ${{ secrets.T }}",
  );
  const other = "  other:\n    runs-on: windows-latest\n    steps:\n      - *login\n";
  const plan = planFor({
    [workflow]: text.replace("- &login\n        uses", "- &login\n        name: L\n        uses") + other,
  });
  expect(plan.findings.map(outcome)).toEqual(Array(2).fill("the Action runs on Linux only"));
  expect(plan.files).toEqual([]);
});

test("a job whose registry is not known asks for no trust", () => {
  const steps = [script('docker login -u acme+ci -p x "$HOST"'), "uses: docker/login-action@v3\nwith:\n  registry: ${{ inputs.r }}"];
  expect(planFor({ [workflow]: withSteps(...steps) }).findings.map(({ federate }) => federate)).toEqual([[], []]);
});

test("a workflow that is no YAML is named", () => {
  expect(planFor({ [workflow]: "jobs: [" }).unread).toEqual([workflow]);
  expect(planFor({ [workflow]: "[".repeat(100_000) }).unread).toEqual([workflow]);
});

describe("a login that is more than a plain command of the script's top level stays where it is", () => {
  const login = "docker login -u acme+ci -p ${{ secrets.T }} quay.io";
  const list = (sign: string) => `it is in a list with ${sign}, where one command depends on another`;
  const group = "it is inside a condition, a loop, a function or a group";

  test.each<[reason: string, ...lines: readonly string[]]>([
    [list("&&"), `[ -n "$X" ] && ${login}`],
    [list("&&"), `[ -n "$X" ] &&`, "# comment", `  ${login}`],
    [list("&&"), `make && ${login} && make push`],
    [list("&&"), `${login} && make push`],
    [list("&&"), `${login} && \\`, "  make push"],
    [list("&&"), `make; test -n "$X" && echo "\${{ secrets.T }}" | ${login}`],
    [list("||"), `${login} || true`],
    [list("||"), `make || ${login}`],
    [list("&"), `${login} & wait`],
    [list("&"), `make & ${login}`],
    [group, `if [ -n "$X" ]; then ${login}; fi`],
    [group, `if ${login}; then echo; fi`],
    [group, "while true; do", `  ${login}`, "done"],
    [group, "for i in 1 2 3; do", `  ${login}`, "done"],
    [group, `case "$X" in`, `  x) ${login} ;;`, "esac"],
    [group, "f() {", `  ${login}`, "}", "f"],
    [group, "function f {", `  ${login}`, "}", "f"],
    [group, "function f() {", `  ${login}`, "}", "f"],
    [group, `(${login})`],
    [group, `{ ${login}; }`],
    [group, `[ -n "$X" ] && { ${login}; }`],
    ["! is in front of it", `! ${login}`],
    ["! is in front of it", `! echo x | ${login}`],
    ["time is in front of it", `time ${login}`],
    ["another command reads its output", `${login} | tee log`],
    ["the next command reads its exit code ($?)", login, "echo $?"],
    ["the next command reads its exit code ($?)", login, "if [ $? -ne 0 ]; then make; fi"],
    ["an earlier command may end the script before it", `[ -n "$X" ] || exit 0`, login],
    ["an earlier command may end the script before it", `if [ -z "$X" ]; then`, "  exit", "fi", login],
    ["an earlier command may end the script before it", `exec make`, login],
    [
      "an earlier command of the same script uses quay.io, maybe as another user",
      "docker push quay.io/acme/one",
      login,
    ],
    [
      "a later command of the same script reads the file that it writes",
      login,
      "kubectl create secret generic x --from-file=$HOME/.docker/config.json",
    ],
  ])("%s: %s %s", (reason, ...lines) => {
    for (const more of [[], ["make push"]]) {
      const plan = planFor({ [workflow]: withSteps(script(...lines, ...more)) });
      expect(plan.findings.map(outcome)).toEqual([reason]);
      expect(plan.files).toEqual([]);
    }
  });

  test("a command that fails the step ends the login too", () => {
    const plan = planFor({ [workflow]: withSteps(script(`[ -n "$X" ] || exit 1`, login)) });
    expect(plan.findings.map(outcome)).toEqual(["rewritten"]);
  });
});

test.each([
  ["a list", "{os: [ubuntu-latest, macos-latest]}"],
  ["include", "{include: [{os: ubuntu-latest}, {os: windows-2025}]}"],
])("a runner that the matrix names: %s", (_, matrix) => {
  const text = withSteps(script("docker login -u acme+ci -p ${{ secrets.T }} quay.io"))
    .replace("ubuntu-latest", "${{ matrix.os }}")
    .replace("    steps:", `    strategy: {matrix: ${matrix}}\n    steps:`);
  expect(planFor({ [workflow]: text }).findings.map(outcome)).toEqual(["the Action runs on Linux only"]);
});

test("files that are not looked at", () => {
  const text = withSteps(script("docker login -u acme+ci -p ${{ secrets.T }} quay.io"));
  const skipped = new Map([
    [".github/workflows/locked.yml", undefined],
    ["big.sh", undefined],
    ["latin.sh", "echo $OTHER"],
  ]);
  const plan = planFor({ [workflow]: text }, { skipped });
  expect(plan.unread).toEqual([".github/workflows/locked.yml"]);
  expect(plan.unsearched).toEqual([".github/workflows/locked.yml", "big.sh"]);
  expect(plan.secrets).toEqual([{ name: "T", usedIn: undefined }]);
  const used = planFor({ [workflow]: text }, { skipped: new Map([["latin.sh", "echo $T"]]) });
  expect(used.secrets).toEqual([{ name: "T", usedIn: "latin.sh:1" }]);
});
