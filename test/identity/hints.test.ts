/** The hints can be pasted, whatever the audience is. */
import { expect, test } from "vitest";
import { hintFor } from "../../src/identity/hints.ts";
import { plainly } from "../../src/platform/wording.ts";

test.each<[variable: string, audience: string, shown: string]>([
  ["GITLAB_CI", "quay", "{aud: quay}"],
  ["GITLAB_CI", "https://quay.io", "{aud: https://quay.io}"],
  ["GITLAB_CI", "a,b}", '{aud: "a,b}"}'],
  ["BUILDKITE", "quay", "--audience quay --subject-claim"],
  ["BUILDKITE", "a;b$c'd", "--audience 'a;b$c'\\''d' --subject-claim"],
  ["CIRCLECI", "quay", `--claims '{"aud":"quay"}'`],
  ["CIRCLECI", "a'b\"c", `--claims '{"aud":"a'\\''b\\"c"}'`],
  ["AWS_EXECUTION_ENV", "a&b", "--audience 'a&b' --signing-algorithm"],
])("%s with the audience %s", (variable, audience, shown) => {
  expect(plainly(hintFor({ [variable]: "1" }, audience) ?? "")).toContain(shown);
});
