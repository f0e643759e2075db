// The narrating part of script/demo. It checks each outcome before it describes it: if one differs, it stops and fails.

import { writeFile } from "node:fs/promises";
import { type Peers, startPeers } from "../test/quay-stand-in/peers.ts";
import { removeJobs } from "../test/support/action.ts";
import { kindsIn, type Secret, watch } from "../test/support/leaks.ts";
import { writeAll } from "./draw/pictures.ts";
import { showJob } from "./show/job.ts";
import { showPod, startPod } from "./show/pod.ts";
import { showPromotion } from "./show/promotion.ts";
import { columns, fix, toCast } from "./show/recording.ts";
import { act, expect, isInterrupted, quote, say, screen, settle, Unexpected, untilInterrupted } from "./show/screen.ts";
import { hours, inviteToStay } from "./show/stay.ts";
import { showTrust } from "./show/trust.ts";

const [mode, file] = process.argv.slice(2);
const recording = "docs/pictures/demo.cast";

async function tell(peers: Peers): Promise<void> {
  const handedOut = watch(peers);
  act("Act 1. A job on GitHub logs in to Quay, and no password is stored anywhere");
  say(`All of it happens on this machine. ${peers.registryHost} plays Quay in front of a real image registry, and another server
    plays GitHub. The Action is the one in dist/, run as GitHub's runner runs it. skopeo is the real one.`);
  const pushed = await showJob(peers);

  const pod = await startPod(peers, mode === "--stay" ? hours : 1);
  try {
    act("Act 2. Robots get to trust a pod in Kubernetes, from a file");
    const unused = await showTrust(pod, peers);

    act("Act 3. The pod logs in as one of them");
    await showPod(pod, peers.registryHost, pushed.digest);

    act("Act 4. The tested image becomes the release");
    await showPromotion(pod, peers.registryHost, pushed);

    const check = (...more: readonly string[]) => {
      const handed = [...handedOut.robot, ...handedOut.registry, ...peers.github.issued];
      expectNoSecrets([pod.token, ...unused, peers.oauthToken, ...pushed.masks, ...handed, ...more]);
    };
    check();
    conclude();
    if (mode === "--stay") {
      check(await inviteToStay(pod, peers));
      await untilInterrupted();
    }
  } finally {
    await pod.remove();
  }
}

function conclude(): void {
  act("What next");
  say("No secret has been printed: this demo has searched all that you see above for each of them.");
  quote(`./script/demo --stay    the same, and the servers stay up for you
README.md               how to use it, and which page is for what
docs/trust.md           how to set trust up, for one robot or an organization
docs/promotion.md       how to promote images
docs/architecture.md    how it works
./script/test           the same and much more, as tests`);
}

function expectNoSecrets(values: readonly string[]): void {
  const secrets = values.map((value): Secret => ({ kind: "robot", value }));
  const all = screen().map(({ text }) => text);
  expect("no secret is printed", values.length > 0 && kindsIn(all.join(""), secrets).size === 0);
}

let peers: Peers | undefined;
try {
  peers = await startPeers();
  if (mode === "--record") settle(columns, fix(peers, Date.now()));
  await tell(peers);
  if (mode === "--record") {
    await writeFile(file ?? recording, toCast(screen()));
    if (file === undefined) await writeAll();
  }
} catch (error) {
  process.exitCode = isInterrupted() ? 130 : 1;
  if (error instanceof Unexpected) console.error(`\nThe demo failed. ${error.message}`);
  else if (!isInterrupted()) console.error(error);
} finally {
  await peers?.close();
  await removeJobs();
}
process.exit();
