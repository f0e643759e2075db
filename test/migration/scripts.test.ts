/** Scripts as people write them: which logins are found, as whom, and what becomes of the rest. */
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: expressions of GitHub and of shells
import { describe, expect, test } from "vitest";
import { changed, commands, outcome, planFor, script, withSteps, workflow } from "./planning.ts";

const secret = "${{ secrets.QUAY_TOKEN }}";
const result = (plan: ReturnType<typeof planFor>) => changed(plan)[workflow] ?? "";
const robots = (plan: ReturnType<typeof planFor>) =>
  plan.findings.map(({ robot }) => ("name" in robot ? robot.name : robot.from));

describe("a script that only logs in becomes the Action", () => {
  test.each<[string, readonly string[], string?]>([
    ["-u and -p", [`docker login -u acme+ci -p ${secret} quay.io`]],
    ["attached letters", [`podman login -uacme+ci -p${secret} quay.io`]],
    ["letters with an equals sign", [`podman login -u=acme+ci -p=${secret} quay.io`]],
    ["long options", [`skopeo login --username acme+ci --password ${secret} quay.io`]],
    ["long options with an equals sign", [`buildah login --username=acme+ci --password="${secret}" quay.io`]],
    ["the registry first", [`docker login quay.io --username acme+ci --password ${secret}`]],
    ["an address as registry", [`docker login https://quay.io/v2/ -u acme+ci -p ${secret}`]],
    ["capitals and a port", [`docker login Quay.IO:443 -u acme+ci -p ${secret}`]],
    ["quotes", [`docker login -u 'acme+ci' -p '${secret}' "quay.io"`]],
    ["a pipe", [`echo "${secret}" | docker login -u acme+ci --password-stdin quay.io`]],
    ["printf and two lines", [`printf '%s' '${secret}' |`, "  docker login quay.io -u acme+ci --password-stdin"]],
    ["a here-string", [`podman login -u acme+ci --password-stdin quay.io <<< "${secret}"`]],
    ["a here-document", ["podman login -u acme+ci --password-stdin quay.io <<EOF", secret, "EOF"]],
    ["continuation lines", ["podman login \\", "  --username acme+ci \\", `  --password ${secret} \\`, "  quay.io"]],
    ["variables of the script", ["HOST=quay.io", 'USER="acme+ci"', `docker login "$HOST" -u "\${USER}" -p ${secret}`]],
    ["export", ["export ROBOT=acme+ci", `docker login quay.io -u $ROBOT -p ${secret}`]],
    ["a path to the tool", [`/usr/bin/podman login -u acme+ci -p ${secret} quay.io`]],
    [
      "set, comments and echo",
      [
        "#!/bin/bash",
        "set -euo pipefail",
        "# log in",
        "echo 'Logging in'",
        `docker login -u acme+ci -p ${secret} quay.io >/dev/null 2>&1`,
      ],
    ],
    ["a tab after it", [`docker login -u acme+ci -p ${secret} quay.io\t# tab`]],
  ])("%s", (_, lines) => {
    const plan = planFor({ [workflow]: withSteps(script(...lines), "run: make push") });
    expect(robots(plan)).toEqual(["acme+ci"]);
    expect(plan.findings.map(outcome)).toEqual(["rewritten"]);
    expect(result(plan)).toContain(
      "      - uses: acme/quay-keyless-login@v1\n        with:\n          registry: quay.io\n          robot: acme+ci\n      - run: make push\n",
    );
    expect(result(plan)).not.toMatch(/login -|login quay|secrets/);
  });
});

describe("a login among other commands goes into a step of its own, and the others stay", () => {
  const login = `podman login -u acme+ci -p ${secret} quay.io`;

  test.each<[string, readonly string[], readonly string[]]>([
    ["a line", ["make", login, "make push"], ["make", "make push"]],
    ["behind a semicolon", [`make; ${login}`, "make push"], ["make", "make push"]],
    ["between semicolons", [`make; ${login}; make push`], ["make; make push"]],
    ["before a semicolon", [`${login}; make push`], ["make push"]],
    [
      "a pipe over lines",
      [`echo "${secret}" |`, "  podman login -u acme+ci --password-stdin quay.io", "make push"],
      ["make push"],
    ],
    [
      "a here-document",
      ["podman login -u acme+ci --password-stdin quay.io <<EOF", secret, "EOF", "make push"],
      ["make push"],
    ],
    [
      "blank lines and comments",
      ["make", "", "# log in", `${login} # quietly`, "", "make push"],
      ["make", "", "# log in", "", "make push"],
    ],
    ["tabs", [login, "if true; then", "\tmake push", "fi"], ["if true; then", "\tmake push", "fi"]],
    [
      "a here-document of another command",
      ["cat > f <<'EOF'", "x $( \" ' `", "EOF", login],
      ["cat > f <<'EOF'", "x $( \" ' `", "EOF"],
    ],
    ["a here-document with tabs", ["cat > f <<-EOF", "\tx", "\tEOF", login, "make push"], ["cat > f <<-EOF", "\tx", "\tEOF", "make push"]],
    ["blanks that are none for a shell", ["echo a\u00a0b \u2028", login, "make"], ["echo a\u00a0b \u2028", "make"]],
    ["a function before it", ["f() { echo 1; }", login, "f"], ["f() { echo 1; }", "f"]],
    [
      "a case before it",
      ["case $A in", "  a) make a ;;", "  (b) make b ;;", "esac", login],
      ["case $A in", "  a) make a ;;", "  (b) make b ;;", "esac"],
    ],
    ["an array before it", ["tags=(a b)", login, "make"], ["tags=(a b)", "make"]],
  ])("%s", (_, lines, rest) => {
    const plan = planFor({ [workflow]: withSteps(script(...lines), "run: true") });
    expect(plan.findings.map(outcome)).toEqual(["rewritten"]);
    const step = (each: string) => `      - ${each.replaceAll("\n", "\n        ")}\n`;
    const added =
      "name: Log in to quay.io\nuses: acme/quay-keyless-login@v1\nwith:\n  registry: quay.io\n  robot: acme+ci";
    const expected = step(added) + step(script(...rest)) + step("run: true");
    expect(result(plan).split("    steps:\n")[1]?.replaceAll(/^ +$/gm, "")).toBe(expected.replaceAll(/^ +$/gm, ""));
  });
});

describe("no login to this registry", () => {
  test.each([
    ["Docker Hub", `docker login -u acme -p ${secret}`],
    ["another registry", `docker login -u acme -p ${secret} ghcr.io`],
    ["a registry whose name begins alike", `docker login -u acme -p ${secret} quay.io.example.com`],
    ["a comment", "# docker login quay.io"],
    ["a message", 'echo "first run: docker login quay.io"'],
    ["a logout", "docker logout quay.io"],
    ["a question", "podman login --get-login quay.io"],
    ["help", "podman login --help"],
    ["another program's login", `az login -u acme+ci -p ${secret} quay.io`],
    ["a here-document that is a text", "cat > notes <<EOF\n  podman push quay.io/acme/app\n  EOF"],
  ])("%s", (_, line) => {
    expect(planFor({ [workflow]: withSteps(script(line)) }).findings).toEqual([]);
  });
});

describe("another registry", () => {
  const quay = { registry: "quay.example.com:8443" };

  test("a self-managed one by its host and port", () => {
    const line = `podman login -u acme+ci -p ${secret} quay.example.com:8443`;
    const plan = planFor({ [workflow]: withSteps(script(line)) }, quay);
    expect(result(plan)).toContain("registry: quay.example.com:8443\n          robot: acme+ci");
    expect(commands(plan)).toEqual([
      "--registry quay.example.com:8443 --robot acme+ci --github acme/app --branch main",
    ]);
  });

  test("quay.io is none of it then", () => {
    expect(
      planFor({ [workflow]: withSteps(script(`podman login -u a+b -p ${secret} quay.io`)) }, quay).findings,
    ).toEqual([]);
  });
});

test("a user who is no robot is not taken over", () => {
  const plan = planFor({ [workflow]: withSteps(script(`docker login -u bob -p ${secret} quay.io`)) });
  expect(result(plan)).toContain(
    "robot: ORGANIZATION+ROBOT # write the robot's name; it was the user bob, who is no robot\n",
  );
});

test("what is no robot's name can't become YAML of another meaning", () => {
  const plan = planFor({ [workflow]: withSteps(script(`docker login -u '&a+b' -p ${secret} quay.io`)) });
  expect(result(plan)).toContain("robot: ORGANIZATION+ROBOT # write the robot's name; it was the user &a+b, who is no robot\n");
});

test("a variable that a step has changed is not known", () => {
  const steps = ['run: echo "HOST=ghcr.io" >> "$GITHUB_ENV"', script(`docker login -u acme+ci -p ${secret} "$HOST"`)];
  const text = withSteps(...steps).replace("jobs:", "env: {HOST: quay.io}\njobs:");
  expect(planFor({ [workflow]: text }).findings.map(outcome)).toEqual([
    "whether it logs in to quay.io can't be seen here, since its registry is $HOST",
  ]);
});
