/** The command that an error or `identity` offers: a shell reads it as it is meant, and it names only what is not the default. */
import { execFileSync } from "node:child_process";
import { expect, test } from "vitest";
import { parseArguments } from "../../src/cli/arguments.ts";
import { type BindingToAdd, federateCommand } from "../../src/quay/federate-command.ts";

const binding: BindingToAdd = { robot: "acme+ci", issuer: "https://i.example", subject: "s", audience: "quay" };

test.each<[Partial<BindingToAdd>, string]>([
  [{}, ""],
  [{ registry: "quay.io" }, ""],
  [{ registry: "quay.example.com:8443" }, " --registry quay.example.com:8443"],
  [{ audience: "(none)" }, ""],
  [{ audience: "other" }, " --audience other"],
])("with %j", (more, options) => {
  expect(federateCommand({ ...binding, ...more })).toBe(
    `quay-keyless-login federate --robot acme+ci --issuer https://i.example --subject s${options}`,
  );
});

test("gives the program what the identity token says, through a shell", () => {
  const subject = 'repo:acme/app:environment:it\'s $(id) `id` "now"';
  const command = federateCommand({ ...binding, subject, audience: "a b" });
  const line = command.replace("quay-keyless-login", "printf '%s\\0'");
  const words = execFileSync("sh", ["-c", line], { encoding: "utf8" }).split("\0").slice(0, -1);
  expect(parseArguments(words)).toMatchObject({
    values: { robot: "acme+ci", issuer: "https://i.example", subject, audience: "a b" },
  });
});
