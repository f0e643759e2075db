/** What follows the acts with --stay: the servers stay up, and the reader plays with them. */
import { join } from "node:path";
import type { Peers } from "../../test/quay-stand-in/peers.ts";
import { writeImage } from "../../test/support/image.ts";
import type { Pod } from "./pod.ts";
import { act, quote, say } from "./screen.ts";

/** How long the identity tokens of a shell last that is opened after the acts. */
export const hours = 24;

/**
 * Prints what to type. The secrets are in files that only this user can read, not on the screen.
 * @returns a further secret
 */
export async function inviteToStay(pod: Pod, { registryHost, oauthToken, issuer, caFile }: Peers): Promise<string> {
  const jobToken = await issuer.sign({ exp: Math.floor(Date.now() / 1000) + hours * 3600 });
  await pod.write("tokens/job-token", jobToken);
  await writeImage(join(pod.work, "image"), { tag: "mine" });
  const variables = {
    ...pod.env,
    REGISTRY: registryHost,
    REGISTRY_AUTH_FILE: join(pod.work, "auth.json"),
    QUAY_API_TOKEN: oauthToken,
    // Quay's root certificate, for Node and for programs in Go.
    NODE_EXTRA_CA_CERTS: caFile,
    SSL_CERT_FILE: caFile,
  };
  const exports = Object.entries(variables).map(([name, value]) => `export ${name}='${value}'`);
  await pod.write("shell", [...exports, `cd '${pod.work}'`, ""].join("\n"));

  act("The servers stay up");
  say("Open a shell in another terminal. It has the command line, and knows where Quay is:");
  quote(`bash --rcfile ${join(pod.work, "shell")}`);
  say("In it, type what you like. These work, in this order:");
  const identity = "--token-file tokens/job-token";
  quote(`quay-keyless-login login --registry $REGISTRY --robot acme+ci ${identity}
skopeo copy oci:image:mine docker://$REGISTRY/acme/app:mine
quay-keyless-login promote --registry $REGISTRY --source acme/app:mine --tag mine \\
  --destination acme/release --token-file tokens/quay-token \\
  --source-robot acme+deploy --destination-robot acme+promote
quay-keyless-login federate --registry $REGISTRY --robot acme+bare ${identity}
quay-keyless-login logout --registry $REGISTRY`);
  say("Or change quay-trust.yaml, and let Quay follow:");
  quote("quay-keyless-login federate --file quay-trust.yaml --dry-run");
  say("Ctrl-C ends the servers here and removes all files.");
  return jobToken;
}
