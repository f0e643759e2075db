/** Pipelines that people have broken, and hostile ones: whatever is in a checkout, migrate ends, and what it writes can be read. */
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: expressions of GitHub
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { unifiedDiff } from "../../src/migration/diff.ts";
import { maskAll } from "../../src/migration/mask.ts";
import { shownDiff } from "../../src/migration/plan.ts";
import { parseTrees } from "../../src/migration/yaml-tree.ts";
import { changed, planFor, script, withSteps, workflow } from "../migration/planning.ts";
import { forAll } from "./property.ts";

const folder = join(import.meta.dirname, "../migration");
const texts = globSync("{workflows,listed}/*.yml", { cwd: folder })
  .filter((name) => !name.endsWith(".after.yml"))
  .toSorted()
  .map((name) => readFileSync(join(folder, name), "utf8"));

const signs = fc.constantFrom(
  ..."'\"{}[]&*|>#\\\t`()<;$!",
  "${{ ",
  " }}",
  "$(",
  "<<EOF\n",
  "&a ",
  "*a ",
  "\n",
  "\r\n",
  "\ufeff",
  "\u00a0",
  "\f",
  "\u2028",
  "\n\n---\n",
);
const change = fc.tuple(fc.nat(), fc.nat({ max: 30 }), signs);

/** A workflow, with a few characters lost, added or moved. */
const broken = fc.tuple(fc.constantFrom(...texts), fc.array(change, { maxLength: 4 })).map(([text, changes]) =>
  changes.reduce((now, [at, length, sign], index) => {
    const start = at % (now.length + 1);
    return now.slice(0, start) + (index % 2 === 0 ? sign : "") + now.slice(start + (index % 3 === 0 ? 0 : length));
  }, text),
);

test("a broken workflow: the result is YAML, and a second run changes nothing", () => {
  forAll(broken, (text) => {
    const plan = planFor({ [workflow]: text });
    for (const { path, text: old, edits } of plan.files) {
      expect(unifiedDiff(path, old, edits)).toMatch(/^diff --git/);
      const after = changed(plan)[path] ?? "";
      expect(parseTrees(path, after)).toBeDefined();
      expect(planFor({ [workflow]: after }).files).toEqual([]);
    }
  });
});

/** Where a script takes a password. Its argument is in single quotes. */
const places: readonly ((password: string) => string)[] = [
  (password) => `docker login -u a+b -p ${password} quay.io`,
  (password) => `docker login -u a+b -p"$X"${password} quay.io`,
  (password) => `podman login --password=${password} quay.io && make`,
  (password) => `skopeo copy --dest-creds a+b:${password} a docker://quay.io/a/b`,
  (password) => `P=${password}; docker login -p "$P" quay.io`,
  (password) => `echo ${password} | tee pw; docker login --password-stdin quay.io < pw`,
  (password) => `docker login --password-stdin quay.io <<< ${password}`,
  (password) => `X=$(printf '%s' ${password} | docker login --password-stdin quay.io)`,
  (password) => `# docker login -p ${password} quay.io`,
  (password) => `if x; then curl -u a:${password} https://quay.io; fi`,
];
const steps: readonly ((line: string) => string)[] = [
  (line) => script(line, "make"),
  (line) => `run: ${JSON.stringify(line)}`,
  (line) => `run: >\n  ${line}\n  && make`,
  (line) => `run: '${line.replaceAll("'", "''")}'`,
];
const other = "uses: docker/login-action@v3\nwith:\n  registry: quay.io\n  username: a+b\n  password: ${{ secrets.T }}";

test("a literal password appears in no output", () => {
  const password = fc.stringMatching(/^[a-zA-Z0-9%^*@!&;|<>"$\\+=~-]{2,12}$/).map((text) => `Q7${text}Z9`);
  const samples = fc.tuple(password, fc.constantFrom(...places), fc.constantFrom(...steps));
  forAll(samples, ([text, place, step]) => {
    const plan = planFor({ [workflow]: withSteps(other, step(place(`'${text}'`)), other) });
    const shown = [
      ...plan.files.map((file) => shownDiff(file, plan)),
      JSON.stringify(maskAll(plan.findings, plan.mask)),
    ];
    for (const form of [text, JSON.stringify(text).slice(1, -1)]) {
      expect(shown.join("\n")).not.toContain(form);
    }
  });
});

test("long lines, deep nesting and many aliases end soon", () => {
  const login = (script: string) =>
    `on: push\npermissions: {}\njobs:\n  a:\n    runs-on: x\n    steps:\n      - run: ${JSON.stringify(`docker login quay.io ${script}`)}\n`;
  const run = (sign: string) =>
    planFor({ [workflow]: login(sign.repeat(60_000)), ".gitlab-ci.yml": sign.repeat(60_000) });
  for (const sign of [
    "[",
    "{",
    "- ",
    "a: ",
    "&a ",
    "'",
    '"',
    "$(",
    "`",
    "\\\n",
    "<<EOF\n",
    " -u",
    "podman ",
    "secrets.",
    "${{ ",
    "a=",
    "(",
    "if x; then ",
    "; ",
  ]) {
    const start = performance.now();
    run(sign);
    expect(performance.now() - start, sign).toBeLessThan(10_000);
  }
});
