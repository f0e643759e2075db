/** A program that reports three promotions for a second, with messages in between. commands/promote.test.ts runs it on a terminal. */
import { createLiveProgress } from "../../src/cli/live-progress.ts";
import { createTerminal } from "../../src/cli/terminal.ts";

const secret = "c2VjcmV0LW9mLXVz";
const terminal = createTerminal();
terminal.secret(secret);
if (!terminal.isWatched) {
  terminal.info("not watched");
  terminal.live(["nothing"]);
  process.exit();
}
const clock = { elapsed: () => performance.now() };
const progress = createLiveProgress(["acme/app", `acme/${secret}`, "acme/web"], terminal.live, clock);
for (let step = 0; step <= 20; step++) {
  for (const index of [0, 1, 2]) {
    const blobs = { begun: step, all: 20 };
    progress.show(index, { phase: "copying", blobs, bytes: { sent: step * 1e6, all: 20e6 } });
  }
  if (step % 5 === 0) terminal.info(`word ${step}`);
  if (step === 7) terminal.print("result on standard output");
  if (step === 8) terminal.warning("careful");
  await new Promise((resolve) => setTimeout(resolve, 40));
}
progress.end();
terminal.print("the end");
progress.show(0, { phase: "done" });
