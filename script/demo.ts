// The narrating part of script/demo. It checks each outcome before it describes it: if one differs, it stops and fails.

import { type Peers, startPeers } from "../test/quay-stand-in/peers.ts";
import { removeJobs } from "../test/support/action.ts";
import { kindsIn, type Secret, watch } from "../test/support/leaks.ts";
import { showJob } from "./show/job.ts";
import { showPod, startPod } from "./show/pod.ts";
import { act, chapter, expect, isInterrupted, quote, say, screen, Unexpected } from "./show/screen.ts";
import { showTrust } from "./show/trust.ts";

async function tell(peers: Peers): Promise<void> {
  const handedOut = watch(peers);
  act("Act 1. A job on GitHub logs in to Quay, and no password is stored anywhere");
  say(`All of it happens on this machine. ${peers.registryHost} plays Quay in front of a real image registry, and another server
    plays GitHub. The Action is the one in dist/, run as GitHub's runner runs it. skopeo is the real one.`);
  const { digest, masks } = await showJob(peers);

  const pod = await startPod(peers);
  try {
    act("Act 2. A robot gets to trust a pod in Kubernetes, with one command");
    const unused = await showTrust(pod, peers);

    act("Act 3. The pod logs in as that robot");
    await showPod(pod, peers.registryHost, digest);
    const { issued } = peers.github;
    const handed = [...handedOut.robot, ...handedOut.registry];
    expectNoSecrets([pod.token, unused, peers.oauthToken, ...masks, ...issued, ...handed]);
  } finally {
    await pod.remove();
  }
  chapter("What next");
  say("No secret has been printed: this demo has searched all that you see above for each of them.");
  quote(`README.md               how to use it: set up Quay, write the workflow, all options
docs/trust.md           how to set trust up, for one robot or an organization
docs/architecture.md    how it works
./script/test           the same and much more, as tests`);
}

function expectNoSecrets(values: readonly string[]): void {
  const secrets = values.map((value): Secret => ({ kind: "robot", value }));
  expect("no secret is printed", values.length > 0 && kindsIn(screen(), secrets).size === 0);
}

let peers: Peers | undefined;
try {
  peers = await startPeers();
  await tell(peers);
} catch (error) {
  process.exitCode = isInterrupted() ? 130 : 1;
  if (error instanceof Unexpected) console.error(`\nThe demo failed. ${error.message}`);
  else if (!isInterrupted()) console.error(error);
} finally {
  await peers?.close();
  await removeJobs();
}
process.exit();
