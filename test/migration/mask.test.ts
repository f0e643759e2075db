// biome-ignore-all lint/suspicious/noTemplateCurlyInString: expressions of GitHub and of shells
import { describe, expect, test } from "vitest";
import { createMask, maskAll } from "../../src/migration/mask.ts";
import { shownDiff } from "../../src/migration/plan.ts";
import { planFor, script, withSteps, workflow } from "./planning.ts";

/** All that is shown of a workflow's change. */
function shown(text: string): string {
  const plan = planFor({ [workflow]: text });
  const diffs = plan.files.map((file) => shownDiff(file, plan));
  return JSON.stringify([diffs, maskAll(plan.findings, plan.mask)]);
}

const password = "Tr0ub4dor&3";

describe("a literal password is hidden in all that is shown", () => {
  test.each<[string, string]>([
    [
      "an input",
      withSteps(
        `uses: docker/login-action@v3\nwith:\n  registry: quay.io\n  username: acme+ci\n  password: ${password}`,
      ),
    ],
    [
      "an input in quotes",
      withSteps(
        `uses: docker/login-action@v3\nwith:\n  registry: quay.io\n  username: acme+ci\n  password: "${password}"`,
      ),
    ],
    ["an option", withSteps(script(`docker login -u acme+ci -p '${password}' quay.io`))],
    ["an attached option", withSteps(script(`docker login -u acme+ci --password="${password}" quay.io`, "make"))],
    ["a pipe", withSteps(script(`echo '${password}' | docker login -u acme+ci --password-stdin quay.io`))],
    ["a here-document", withSteps(script("docker login -u acme+ci --password-stdin quay.io <<EOF", password, "EOF"))],
    ["a here-document of cat", withSteps(script("cat <<EOF | docker login -u acme+ci --password-stdin quay.io", password, "EOF"))],
    ["a filter of a pipe", withSteps(script(`echo '${password}' | tr -d x | docker login -u acme+ci --password-stdin quay.io`))],
    ["a command's output", withSteps(script(`docker login -u acme+ci -p "$(echo '${password}' | rev)" quay.io`))],
    ["credentials of a push", withSteps(script(`podman push --creds='acme+ci:${password}' app quay.io/acme/app`))],
    ["an auth file in the script", withSteps(script(`echo '{"auths": {"quay.io": {"auth": "${password}"}}}' > auth.json`, "sudo docker login -u a+b -p x1y quay.io"))],
    ["a here-string", withSteps(script(`podman login -u acme+ci --password-stdin quay.io <<< '${password}'`))],
    ["a variable of the step", withSteps(`env:\n  PW: ${password}\nrun: docker login -u acme+ci -p "$PW" quay.io`)],
    ["a variable of the script", withSteps(script(`PW='${password}'`, 'docker login -u acme+ci -p "$PW" quay.io'))],
    [
      "a variable of the workflow",
      withSteps('run: docker login -u acme+ci -p "$X" quay.io').replace("jobs:", `env: {X: "${password}"}\njobs:`),
    ],
    [
      "the context of a change, and another registry's",
      withSteps(
        "uses: docker/login-action@v3\nwith:\n  registry: quay.io\n  username: acme+ci\n  password: ${{ secrets.T }}",
        script(`docker login -u x -p '${password}' ghcr.io # ${password}`),
      ),
    ],
    ["a login that is listed", withSteps(script(`sudo docker login -u acme+ci -p '${password}' quay.io`))],
    [
      "curl",
      withSteps(
        "uses: docker/login-action@v3\nwith:\n  registry: quay.io\n  username: acme+ci\n  password: ${{ secrets.T }}",
        `run: curl -u 'bob:${password}' https://example.com`,
      ),
    ],
  ])("%s", (_, text) => {
    const result = shown(text);
    expect(result).not.toContain(password);
    expect(planFor({ [workflow]: text }).passwords).toContain(password);
    expect(planFor({ [workflow]: text }).findings).toHaveLength(1);
  });
});

test("a secret's name, an expression and an empty value are no passwords", () => {
  const text = withSteps(
    "uses: docker/login-action@v3\nwith:\n  registry: quay.io\n  username: a+b\n  password: ${{ secrets.T }}",
    script('docker login -u a+b -p "" x'),
    "uses: a/b@v1\nwith:\n  token: ''",
  );
  expect(planFor({ [workflow]: text }).passwords).toEqual([]);
});

test("a short password does not hide parts of words", () => {
  const mask = createMask(["ab1"]);
  expect(mask("ab1 xab1 ab12 'ab1'")).toBe("*** xab1 ab12 '***'");
});

test("the forms that quotes give it", () => {
  const mask = createMask([`it's "x"`]);
  for (const form of ["it''s \"x\"", `it'\\''s "x"`, 'it\'s \\"x\\"']) {
    expect(mask(`p: ${form}`)).toBe("p: ***");
  }
});

test("a token of a known form, in a line that is no login", () => {
  const mask = createMask([]);
  expect(mask(`-  x: ghp_${"a1B2".repeat(9)}\n+ y`)).toBe("-  x: …\n+ y");
  expect(mask("git clone https://x:${TOKEN}@github.com/a/b")).toContain("${TOKEN}");
});

const other = "uses: docker/login-action@v3\nwith:\n  registry: quay.io\n  username: acme+ci\n  password: ${{ secrets.T }}";
const [part, first, last] = ["S3CRETpart", "S3CRETpart", "OTHERpart"];
const ours = (...lines: readonly string[]) => withSteps(script(...lines), other);
const encoded = (text: string) => Buffer.from(text).toString("base64");

describe("whatever is written where a password is taken", () => {
  test.each<[string, string]>([
    ["--dest-creds", ours(`skopeo copy --dest-creds acme+ci:${part} a docker://quay.io/acme/app`)],
    ["--dest-creds=", ours(`skopeo copy --src-creds="$U:${part}" a b`)],
    ["--dest-password", ours(`skopeo copy --dest-username acme+ci --dest-password ${part} a b`)],
    ["--docker-password", ours(`oc create secret docker-registry x --docker-password=${part}`)],
    ["an option in quotes", ours(`docker login "--password=${part}" quay.io`)],
    ["another tool", ours(`helm registry login quay.io -u acme+ci -p ${part}`)],
    ["pieces", ours(`docker login -u acme+ci -p S3CRET"part"x quay.io`)],
    ["pieces around a variable", ours(`docker login -u acme+ci -p ${first}"$X"${last} quay.io`)],
    ["a broken line", ours("docker login -u acme+ci -p S3CRET\\", `${last} quay.io`)],
    ["YAML's folding", withSteps(other.replace("${{ secrets.T }}", `"S3CRET\\\n    ${last}"`), "run: docker login x")],
    ["YAML's folding with an escape", withSteps(`run: "docker login -p S3CR\\\n  ET\\x70art quay.io"`, other)],
    ["YAML's block", withSteps(other.replace("${{ secrets.T }}", `>-\n    ${part}`))],
    ["a default of the shell", ours(`docker login -u acme+ci -p "\${QP:-${part}}" quay.io`)],
    ["a default of an expression", ours(`docker login -u acme+ci -p \${{ secrets.P || '${part}' }} quay.io`)],
    ["a default of an input", withSteps(other.replace("secrets.T", `secrets.T || '${part}'`))],
    ["a variable in two steps", ours(`P=${first}`, `P="\${P}${last}"`, 'docker login -u acme+ci -p "$P" quay.io')],
    ["a variable of a variable", ours(`Q=${part}`, 'P="x$Q"', 'docker login -u acme+ci -p "$P" quay.io')],
    ["a variable by its name", ours(`QUAY_PASSWORD=${part} ./login.sh`)],
    ["export", ours(`export QUAY_PASSWORD="${part}"`)],
    ["a file", ours(`echo ${part} > pw`, "docker login -u acme+ci --password-stdin quay.io < pw")],
    ["a file of another step", withSteps(script(`printf '%s' ${part} > ./pw`), script("cat pw | docker login --password-stdin quay.io"), other)],
    ["a file of a here-document", ours("cat > pw <<'EOF'", part, "EOF", 'docker login -p "$(cat pw)" quay.io')],
    ["a process substitution", ours(`docker login --password-stdin quay.io < <(echo ${part})`)],
    ["backticks", ours(`docker login -p \`echo ${part}\` quay.io`)],
    ["a comment of the shell", ours(`# docker login -u acme+ci -p ${part} quay.io`, "docker login x")],
    ["a comment of YAML", withSteps(other).replace("    steps:", `    # - run: docker login -p ${part}\n    steps:`)],
    ["a comment over lines", withSteps(other).replace("    steps:", `    # docker login \\\n    #   -p ${part}\n    steps:`)],
    ["a commented key", withSteps(other).replace("    steps:", `    #   password: ${part}\n    steps:`)],
    ["a comment at a line's end", ours(`make # docker login -p ${part}`)],
    ["quotes", ours(`ssh host "docker login -u acme+ci -p ${part} quay.io"`)],
    ["sh -c", ours(`sudo sh -c 'echo ${part} | docker login --password-stdin quay.io'`)],
    ["a command's output", ours(`X=$(docker login -u acme+ci -p ${part} quay.io)`)],
    ["a command before it", ours(`timeout 5 env A=b docker login -p ${part} quay.io`)],
    ["a script in a here-document", ours("cat > login.sh <<'EOF'", `docker login -p ${part} quay.io`, "EOF")],
    ["a function's argument", ours('login() { docker login -p "$1" quay.io; }', `login ${part}`)],
    ["a list of the shell", ours(`X=(${part} x)`, 'docker login -p "${X[0]}" quay.io')],
    ["an option over lines", ours("docker login --password\\", `=${part} quay.io`)],
    ["letters together", ours(`docker login -vp ${part} quay.io`)],
    ["the user", ours(`docker login -u acme+ci:${part} quay.io`)],
    ["read", ours(`read X <<< ${part}`, 'docker login -p "$X" quay.io')],
    ["a filter", ours(`sed 's/x/${part}/' f | docker login --password-stdin quay.io`)],
    ["a mask", ours(`echo "::add-mask::${part}"`)],
    ["a comparison", ours(`[ "$PASSWORD" = "${part}" ]`)],
    ["a variable's default", ours(`: "\${PASSWORD:=${part}}"`)],
    ["a header of a token", ours(`curl -H 'X-Api-Token: ${part}' x`)],
    ["a list of words", withSteps(`uses: a/b@v1\nwith:\n  command: [docker, login, -p, ${part}, quay.io]`, other)],
    ["credentials", withSteps(`uses: a/b@v1\nwith:\n  creds: user:${part}`, other)],
    ["curl's form", ours(`curl -d password=${part} https://quay.io`, `curl -d 'a=b&password=${part}' x`)],
    ["curl's JSON", ours(`curl -d '{"password": "${part}"}' https://quay.io`)],
    ["curl's attached user", ours(`curl -uacme+ci:${part} https://quay.io`, `curl -su x:${part} y`)],
    ["an address", ours(`curl https://acme+ci:${part}@quay.io/v2/auth`)],
    ["an expression of a matrix", withSteps(other.replace("secrets.T", "matrix.key")).replace("    steps:", `    strategy: {matrix: {key: [${part}, b]}}\n    steps:`)],
    ["an input's default", ours("make").replace("on:", "on:\n  workflow_call: {inputs: {password: {default: S3CRETpart}}}\nx-on:")],
    ["an input that is a variable", withSteps(`uses: a/b@v1\nenv:\n  X: ${part}\nwith:\n  password: $X`, other)],
    ["a variable in brackets", withSteps(`uses: a/b@v1\nenv:\n  X: ${part}\nwith:\n  password: \${{ env['X'] }}`, other)],
    ["a here-string of a command", ours(`docker login -u acme+ci --password-stdin quay.io <<< "$(echo ${part})"`)],
    ["read, also from a file", ours("read Y < file", `read X <<< ${part}`, 'docker login -p "$X" quay.io')],
    ["env of another Action", withSteps(`uses: a/b@v1\nenv:\n  QUAY_PASSWORD: ${part}`, other)],
  ])("%s", (_, text) => {
    const result = shown(text);
    for (const each of [first, last, 'S3CRET"part"', "S3CR\\", "ET\\x70art"]) {
      expect(result).not.toContain(each);
    }
    expect(planFor({ [workflow]: text }).passwords).not.toEqual([]);
  });

  test.each<[string, string, string]>([
    ["an auth file", ours(`echo '{"auths":{"quay.io":{"auth":"${encoded(`acme+ci:${part}`)}"}}}' > x`), encoded(`acme+ci:${part}`)],
    ["a header", ours(`curl -H "Authorization: Basic ${encoded(`a:${part}`)}" x`), encoded(`a:${part}`)],
    ["base64 in a pipe", ours(`echo ${encoded(part)} | base64 -d | docker login --password-stdin quay.io`), encoded(part)],
    ["base64 elsewhere", ours(`docker login -p ${part} quay.io`, `echo ${encoded(`x:${part}`)}`), encoded(`x:${part}`)],
    ["a sign that no address has", ours("docker login -p 'S3CRET%part' quay.io", "echo S3CRET%part"), "S3CRET%part"],
    ["an address's form", ours(`docker login -p 'S3/CRET+part' quay.io`, "curl x?y=S3%2FCRET%2Bpart"), "S3%2FCRET%2Bpart"],
    ["a static token as the user", ours(`docker login -u ${"A1B2".repeat(16)} -p x quay.io`), "A1B2A1B2"],
  ])("%s", (_, text, form) => {
    expect(shown(text)).not.toContain(form);
  });
});

test.each([
  ["a matrix", "pw: [QUAY_PW]", "secrets[matrix.pw]"],
  ["a name that is used elsewhere", "token: [T]", "matrix.token"],
])("the name of a secret is no password: %s", (_, matrix, expression) => {
  const text = withSteps(other.replace("secrets.T", expression), other).replace("    steps:", `    strategy: {matrix: {${matrix}}}\n    steps:`);
  expect(planFor({ [workflow]: text }).passwords).toEqual([]);
  expect(shown(text)).not.toContain("***");
});

test.each([
  ["an input", `name: |\n  x\n${other.replace("${{ secrets.T }}", "x")}`],
  ["an option", script("echo y", "docker login -u acme+ci -p x quay.io")],
])("a short password is hidden in its place only: %s", (_, step) => {
  const text = withSteps(step, "run: case x in x) echo /tmp/x;; esac");
  const result = shown(text);
  expect(result).toMatch(/password: \*\*\*|-p \*\*\*/);
  expect(result).toContain("case x in x) echo /tmp/x;; esac");
});

test("what an expression compares is no password", () => {
  const text = ours("docker login -p ${{ github.ref == 'refs/heads/main' && secrets.A || secrets.B }} quay.io");
  expect(planFor({ [workflow]: text }).passwords).toEqual([]);
});

test("the scheme of a header is no password", () => {
  const text = ours('curl -H "Authorization: bearer $ACTIONS_ID_TOKEN_REQUEST_TOKEN" x', "curl -H 'Authorization: Bearer ${X}' x");
  expect(planFor({ [workflow]: text }).passwords).toEqual([]);
});
