/** The second act: Quay gets to trust a pod. */
import type { Peers } from "../../test/quay-stand-in/peers.ts";
import { type Pod, subject } from "./pod.ts";
import { chapter, expect, say } from "./screen.ts";

const robot = "acme+deploy";

/** @returns the robot's static token, which nothing may show */
export async function showTrust(
  { run }: Pod,
  { registryHost: registry, quay, issuer, oauthToken }: Peers,
): Promise<string> {
  const federate = `quay-keyless-login federate --registry ${registry} --robot ${robot} --create-robot --permission acme/app=read --token-file tokens/quay-token --ca-file root.pem`;
  const env = { QUAY_API_TOKEN: oauthToken };

  chapter("The plan");
  say(`Quay has no robot for this pod yet. In the pod itself, you need not know its issuer and subject: the command reads them
    from the pod's own token. Once, it needs a token of Quay's API, in QUAY_API_TOKEN.`);
  await run(`${federate} --dry-run`, ({ stdout }) => stdout.includes(`+   binding ${subject}`), env);
  expect("a dry run makes no robot", !quay.store.robots.has(robot));

  chapter("The robot, its permission, its binding");
  await run(federate, ({ stdout }) => stdout.includes("3 added"), env);
  const { bindings = [], token = "" } = quay.store.robots.get(robot) ?? {};
  const [binding, ...others] = bindings;
  const isBound = binding?.issuer === issuer.at("cluster").url && binding.subject === subject && others.length === 0;
  expect(`${robot} trusts this pod alone`, isBound);

  chapter("A second run");
  await run(federate, ({ stdout }) => stdout.includes("Nothing to change"), env);
  say("Nothing to change. From here on, the pod needs no token of Quay's API, and never had the robot's password.");
  return token;
}
