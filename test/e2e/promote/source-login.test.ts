/** `promote` from a registry without a robot, with a login from an auth file. */
import { describe, test } from "vitest";
import { cosignTag, makeCosign, makeTwoPlatforms } from "../../support/images.ts";
import { addPlace } from "../../support/promotion.ts";
import { arrived, fileOf, newScenario, refused, type Scenario, succeeded, usePromotionWorld } from "./world.ts";

const world = usePromotionWorld();
const made = makeTwoPlatforms("source login");
const password = "a password of somebody else";
const authOf = (user: string) => ({ auth: Buffer.from(`${user}:${password}`).toString("base64") });

/** A private source, a user with pull permission, a file with that user's login among others, and arguments that name it. */
async function withFile(
  auths: (scenario: Scenario) => object = ({ from }) => ({ [from.side.host]: authOf("reader") }),
) {
  const scenario = await newScenario(world());
  const { from, machine } = scenario;
  await from.side.push(from.repository, made);
  await from.side.push(from.repository, makeCosign(made, "sig"), [cosignTag(made, "sig")]);
  from.side.quay.store.users.set("reader", password);
  from.side.quay.store.organizations.get("acme")?.admins.add("reader");
  const file = await machine.write(fileOf(machine, "auth.json"), JSON.stringify({ auths: auths(scenario) }));
  const args = scenario.args(made, "1.0");
  const at = args.indexOf("--source-robot");
  return { scenario, file, args: args.toSpliced(at, 2), named: args.toSpliced(at, 2, "--source-auth-file", file) };
}

const usersOf = ({ side }: Scenario["from"]) => new Set(side.quay.requests.map(({ user }) => user));

describe.concurrent("a user's login", { timeout: 60_000 }, () => {
  test("reads the source and its signatures, and is used for nothing else", async ({ expect }) => {
    const { scenario, named } = await withFile(({ from, to }) => ({
      [`${from.side.host}/acme`]: authOf("reader"),
      [from.side.host]: authOf("bystander"),
      [to.side.host]: authOf("intruder"),
    }));
    const { from, to } = scenario;
    const seen = 'jq -c ".auths | keys" "$REGISTRY_AUTH_FILE" "$DOCKER_CONFIG/config.json" >&2; true';
    const more = ["--with-signatures", "--verify-command", seen, "--verbose"];
    const ran = succeeded(expect, await scenario.promote([...named, ...more]));
    await arrived(expect, to, made, "1.0");
    expect(ran.promotions[0]?.artifacts).toMatchObject([{ kind: "signature", copied: true }]);
    expect(usersOf(from).has("reader")).toBe(true);
    for (const user of ["bystander", "intruder"]) expect(usersOf(from).has(user)).toBe(false);
    for (const user of ["reader", "intruder"]) expect(usersOf(to).has(user)).toBe(false);
    // The private file of that endpoint has only this entry, under both of its names.
    expect(ran.stderr.split(JSON.stringify([`${from.side.host}/acme`])).length - 1).toBe(2);
    expect(ran.stderr + ran.stdout).not.toContain(password);
  });

  test("works in a dry run, and if source and destination are one host", async ({ expect }) => {
    const { scenario, named } = await withFile();
    const { from, to } = scenario;
    succeeded(expect, await scenario.promote([...named, "--dry-run"]));
    const there = `${from.side.host}/${from.repository}-released`;
    addPlace(world(), from.side, `${from.repository}-released`, { robots: { [to.robot]: "write" } });
    succeeded(expect, await scenario.promote(named.map((each) => (each === to.path ? there : each))));
    await arrived(expect, { ...from, repository: `${from.repository}-released` }, made, "1.0");
  });

  test("is suggested by the error without it, with the line to type", async ({ expect }) => {
    const { scenario, args } = await withFile();
    const message = refused(expect, await scenario.promote(args), "access-missing");
    expect(message).toContain('--source-auth-file "$REGISTRY_AUTH_FILE"');
    expect(message).toContain("--source-robot");
  });

  test.for([
    [
      "a wrong password",
      ({ from }: Scenario) => ({ [from.side.host]: authOf("nobody") }),
      "login-refused",
      "does not accept the login",
    ],
    ["an entry for another host", () => ({ "ghcr.io": authOf("reader") }), "not-logged-in", "has no login for"],
  ] as const)("%s", async ([, auths, code, words], { expect }) => {
    const { scenario, named } = await withFile(auths);
    const message = refused(expect, await scenario.promote(named), code);
    expect(message).toContain(words);
    expect(message).toContain("skopeo login --authfile source.json");
    expect(message).not.toContain(password);
  });

  test("is rejected without pull permission", async ({ expect }) => {
    const { scenario, named } = await withFile(({ from }) => ({ [from.side.host]: authOf("stranger") }));
    scenario.from.side.quay.store.users.set("stranger", password);
    const message = refused(expect, await scenario.promote(named), "access-missing");
    scenario.from.side.quay.store.users.delete("stranger");
    expect(message).toContain("with the login of the option --source-auth-file, or it does not exist");
  });

  test("is rejected beside a robot for the source", async ({ expect }) => {
    const { scenario, named } = await withFile();
    const ran = await scenario.promote([...named, "--source-robot", scenario.from.robot]);
    refused(expect, ran, "invalid-input", 2);
  });
});
