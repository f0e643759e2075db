/** The second act: Quay gets to trust a pod. */
import type { Peers } from "../../test/quay-stand-in/peers.ts";
import { type Pod, subject } from "./pod.ts";
import { chapter, expect, quote, say } from "./screen.ts";

const robots = ["acme+deploy", "acme+promote"] as const;

/** @returns the static tokens of the robots that it makes, which nothing may show */
export async function showTrust(
  { run, write }: Pod,
  { registryHost: registry, quay, issuer, oauthToken }: Peers,
): Promise<string[]> {
  const cluster = issuer.at("cluster").url;
  const namespace = subject.split(":").slice(2).join("/");
  const binding = `{ service-account: ${namespace}, issuer: ${cluster} }`;
  const file = `organization: acme
registry: ${registry}
robots:
  deploy:
    create: true
    permissions: { app: read }
    bindings: [${binding}]
  promote:
    create: true
    permissions: { release: { role: write, create: true } }
    bindings: [${binding}]
`;
  const federate = "quay-keyless-login federate --file quay-trust.yaml --ca-file root.pem";

  chapter("The file");
  say(`Quay has no robot for this pod yet. quay-trust.yaml says what the organization trusts, and is reviewed like code. Once, the
    command needs a token of Quay's API, in QUAY_API_TOKEN.`);
  quote(file.trimEnd());
  await write("quay-trust.yaml", file);
  const env = { QUAY_API_TOKEN: oauthToken };

  chapter("The plan");
  await run(`${federate} --dry-run`, { env, ok: ({ stdout }) => stdout.includes(`+   binding ${subject}`) });
  expect("a dry run makes no robot", !robots.some((name) => quay.store.robots.has(name)));

  chapter("The robots, their permissions, their bindings");
  await run(federate, { env, ok: ({ stdout }) => stdout.includes("7 added") });
  const made = robots.flatMap((name) => quay.store.robots.get(name) ?? []);
  const areBound = made.every(
    ({ bindings: [first, ...others] }) => first?.issuer === cluster && first.subject === subject && others.length === 0,
  );
  expect("both robots trust this pod alone", made.length === robots.length && areBound);

  chapter("Does Quay still have what the file says?");
  await run(`${federate} --check`, { env, ok: ({ stdout }) => stdout.includes("Nothing to change") });
  say("No difference. From here on, the pod needs no token of Quay's API, and never had a robot's password.");
  return made.map(({ token }) => token);
}
