/** The first act: a job on GitHub, with the Action. */
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { SUBJECT } from "../../test/quay-stand-in/issuer.ts";
import type { Peers } from "../../test/quay-stand-in/peers.ts";
import { createJob, type Job, type Step } from "../../test/support/action.ts";
import { writeImage } from "../../test/support/image.ts";
import { uses } from "../../test/support/project.ts";
import type { Finished } from "../../test/support/runner.ts";
import { chapter, expect, heading, output, prompt, quote, say, type Told } from "./screen.ts";

const action = uses();

export interface Pushed {
  /** Digest of the image that the job has pushed as acme/app:1.2.3. */
  readonly digest: string;
  /** Of another build, acme/app:1.2.4. */
  readonly rebuilt: string;
  /** What the job's steps have masked. */
  readonly masks: readonly string[];
}

export async function showJob(peers: Peers): Promise<Pushed> {
  const { registryHost: registry, issuer } = peers;
  const job = await createJob({ peers });
  const image = `docker://${registry}/acme/app:1.2.3`;
  const build = (name: string, tag: string) =>
    writeImage(join(job.workspace, name), { tag, content: Buffer.from(`acme/app:${tag}`) });
  const pushed = await build("image", "1.2.3");
  const rebuilt = await build("rebuilt", "1.2.4");
  await job.write(join(job.workspace, "ca/ca.crt"), peers.authority.ca);
  const before = await job.snapshot();
  const trusted = `issuer    ${issuer.url}\nsubject   ${SUBJECT}\naudience  quay`;

  chapter("The workflow");
  say("This is what you write. Note what is missing: a secret.");
  quote(`permissions:
  id-token: write
steps:
  - uses: ${action}
    with:
      registry: ${registry}
      robot: acme+ci
      ca-file: root.pem        # only if Quay has a private certificate authority, as here
  - run: skopeo copy oci:image:1.2.3 ${image}`);
  say("This is what you enter in Quay, once, as the identity that robot acme+ci trusts:");
  quote(trusted);

  chapter("The job logs in, later steps push and pull");
  const login = await job.run({ robot: "acme+ci" });
  log(login, `Run ${action}`);
  expect("the Action logs in", login.code === 0 && login.outputs["logged-in"] === "true", told(login));
  expect("the Action masks its secrets", login.masks.length > 0, told(login));
  say(`Quay has traded GitHub's token for a robot token that lives one hour, and skopeo has verified it. All
    ${new Set(login.masks).size} secrets were masked before their first use.`);
  const push = await run(job, "skopeo", "copy", "--quiet", "oci:image:1.2.3", image);
  expect("the push succeeds", push.code === 0, told(push));
  const pull = await run(job, "skopeo", "copy", "--quiet", image, "oci:pulled:1.2.3");
  expect("the pull succeeds", pull.code === 0, told(pull));
  const another = await job.later("skopeo", ["copy", "oci:rebuilt:1.2.4", image.replace("1.2.3", "1.2.4")]);
  expect("another push succeeds", another.code === 0, told(another));
  const inspect = await job.later("skopeo", ["inspect", "--format", "{{.Digest}}", "oci:pulled:1.2.3"]);
  expect(`the image that comes back is ${pushed.digest}`, inspect.stdout.trim() === pushed.digest, told(inspect));
  say("The pulled image is the pushed one. These steps got no password: REGISTRY_AUTH_FILE leads skopeo to the login.");

  chapter("A robot that does not trust this job");
  say("Another step asks for acme+release. That robot trusts the environment production, not this branch.");
  const refused = await job.run({ robot: "acme+release" });
  log({ ...refused, shown: refused.shown.slice(refused.shown.indexOf("error:")) }, `Run ${action}`);
  expect("the step for acme+release fails", refused.code === 1, told(refused));
  const named = trusted.split("\n").every((line) => refused.shown.includes(line));
  expect("the error says what to enter", named, told(refused));

  chapter("The job ends");
  say("GitHub runs the Action's post step, whether the job succeeds, fails or is cancelled.");
  const nothing = await refused.post();
  expect("the post step of a failed login succeeds", nothing.code === 0, told(nothing));
  const post = await login.post();
  log(post, `Post ${action}`);
  expect("the post step logs out", post.code === 0, told(post));
  expectAllAsBefore(job, before, await job.snapshot());
  const late = await run(job, "skopeo", "inspect", "--cert-dir=ca", image);
  const unauthorized = late.code !== 0 && /unauthorized|authentication required/.test(late.stderr);
  expect("after the end nothing is allowed", unauthorized, told(late));
  say("Refused, as it should be: the login is gone, and every file is as it was before the job.");
  const masks = [login, refused, post].flatMap((step) => step.masks);
  return { digest: pushed.digest, rebuilt: rebuilt.digest, masks };
}

const told = (done: Step | Finished): Told => ({
  code: done.code,
  output: "shown" in done ? done.shown + done.raw.stderr : done.stdout + done.stderr,
});

/** Runs a command of a later step, and shows it. */
async function run(job: Job, command: string, ...args: string[]): Promise<Finished> {
  prompt([command, ...args].join(" "));
  const finished = await job.later(command, args);
  output(`${finished.stdout}${finished.stderr}`, finished.code === 0 ? undefined : "red");
  return finished;
}

/** A step's log as GitHub shows it: commands are carried out, not shown; debug lines are left out. */
function log(step: Step, title: string): void {
  heading(title);
  const show = (text: string) => output(text.replaceAll(/^debug:.*\n?/gm, ""));
  let rest = step.shown;
  for (const { level, title, message } of step.annotations) {
    const [before = "", ...after] = rest.split(`${level}: ${title ? `${title}: ` : ""}${message}`);
    show(before);
    output(`${level[0]?.toUpperCase()}${level.slice(1)}: ${message}`, level === "error" ? "red" : "yellow");
    rest = after.join("");
  }
  show(rest);
}

type Snapshot = Awaited<ReturnType<Job["snapshot"]>>;

/** What the steps have put into HOME and RUNNER_TEMP is gone, and what was there before is unchanged. */
function expectAllAsBefore(job: Job, before: Snapshot, after: Snapshot): void {
  const changed = [...new Set([...before.keys(), ...after.keys()])]
    .filter((path) => path.startsWith(job.home) || path.startsWith(job.temp))
    .filter((path) => !isDeepStrictEqual(before.get(path), after.get(path)));
  expect(`all files are as before (${changed.join(", ")})`, changed.length === 0);
}
