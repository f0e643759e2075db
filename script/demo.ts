// The telling part of script/demo. What it says about an outcome has been checked before: where something goes another
// way than told, it stops and fails.
import { join } from "node:path";
import { isDeepStrictEqual, styleText } from "node:util";
import { createJob, type Job, removeJobs, type Step } from "../test/support/action.ts";
import { writeImage } from "../test/support/image.ts";
import { SUBJECT } from "../test/support/issuer.ts";
import { kindsIn, type Secret } from "../test/support/leaks.ts";
import { type Peers, startPeers } from "../test/support/peers.ts";
import type { Finished } from "../test/support/runner.ts";

const width = Math.min(process.stdout.columns || 100, 100);
const action = "OWNER/quay-keyless-login@v1";
let printed = "";

async function tell(peers: Peers, job: Job): Promise<void> {
  const { registryHost: registry, issuer } = peers;
  const image = `docker://${registry}/acme/app:1.2.3`;
  const pushed = await writeImage(join(job.workspace, "image"), { tag: "1.2.3" });
  await job.write(join(job.workspace, "ca/ca.crt"), peers.authority.ca);
  const before = await job.snapshot();
  const trusted = `issuer    ${issuer.url}\nsubject   ${SUBJECT}\naudience  quay`;

  say(`All of it happens on this machine: ${registry} plays Quay in front of a real image registry, another server plays
    GitHub. The Action is the one in dist/, run as GitHub's runner runs it. skopeo is the real one.`);

  chapter("The workflow");
  say("This is what you write. Note what is missing: a secret.");
  quote(`permissions:
  id-token: write
steps:
  - uses: ${action}
    with:
      registry: ${registry}
      robot: acme+ci
      ca-file: root.pem        # only where Quay has a private certificate authority, as here
  - run: skopeo copy oci:image:1.2.3 ${image}`);
  say("And this is what somebody has entered in Quay, once, as the identity that robot acme+ci trusts:");
  quote(trusted);

  chapter("The job signs in");
  const login = await job.run({ robot: "acme+ci" });
  log(login, `Run ${action}`);
  expect("the Action signs in", login.code === 0 && login.outputs["logged-in"] === "true", login);
  expect("the Action masks its secrets", login.masks.length > 0, login);
  say(`GitHub's token for this job was traded for one of the robot, which lives an hour, and skopeo has tried it. The
    ${new Set(login.masks).size} secrets on the way were masked before anything was done with them.`);

  chapter("Later steps push and pull");
  const push = await run(job, "skopeo", "copy", "--quiet", "oci:image:1.2.3", image);
  expect("the push succeeds", push.code === 0, push);
  const pull = await run(job, "skopeo", "copy", "--quiet", image, "oci:pulled:1.2.3");
  expect("the pull succeeds", pull.code === 0, pull);
  const inspect = await run(job, "skopeo", "inspect", "--format", "{{.Digest}}", "oci:pulled:1.2.3");
  expect(`the image that comes back is ${pushed.digest}`, inspect.stdout.trim() === pushed.digest, inspect);
  say(
    "The digest is that of the image that was pushed. These steps were given no password: REGISTRY_AUTH_FILE, which the Action sets, leads skopeo to the login.",
  );

  chapter("A robot that does not trust this job");
  say(
    "The next step asks for the robot that publishes releases. It trusts the environment production, not this branch.",
  );
  quote(`- uses: ${action}
  with:
    registry: ${registry}
    robot: acme+release
    ca-file: root.pem`);
  const refused = await job.run({ robot: "acme+release" });
  log(refused, `Run ${action}`);
  expect("the step for acme+release fails", refused.code === 1, refused);
  const wanted = trusted.split("\n");
  expect(
    "the error says what to enter",
    wanted.every((line) => refused.shown.includes(line)),
    refused,
  );
  say("The step fails. Should this job be trusted after all, the three lines are what to enter in Quay.");

  chapter("The job ends");
  say("GitHub runs the Action's post step, whether the job has succeeded, failed or was cancelled.");
  expect("the post step of a failed login succeeds", (await refused.post()).code === 0, refused);
  const post = await login.post();
  log(post, `Post ${action}`);
  expect("the post step logs out", post.code === 0, post);
  expectAllAsBefore(job, before, await job.snapshot());
  say("A push now, with the private root named since that is gone as well:");
  const late = await run(job, "skopeo", "copy", "--quiet", "--dest-cert-dir=ca", "oci:image:1.2.3", image);
  expect(
    "a push after the end is refused",
    late.code !== 0 && /unauthorized|authentication required/.test(late.stderr),
    late,
  );
  say("Refused, as it should be: the login is gone, and every file is as it was before the job.");

  expectNoSecrets(peers, [login, refused, post]);
  chapter("What next");
  say("No secret has been printed: this demo has looked for each of them in all that you see above.");
  quote(`README.md               use it: set Quay up, write the workflow, all options
docs/architecture.md    how it works
./script/test           the same and much more, as tests`);
}

/** Runs a command of a later step, and shows it. */
async function run(job: Job, command: string, ...args: string[]): Promise<Finished> {
  const words = [command, ...args].map((word) => (/[{}]/.test(word) ? `'${word}'` : word));
  quote(`${styleText("bold", "$")} ${words.join(" ")}`);
  const finished = await job.later(command, args);
  const output = `${finished.stdout}${finished.stderr}`.trim();
  if (output !== "")
    for (const line of output.split("\n")) print(...fold(line, finished.code === 0 ? undefined : "red"));
  return finished;
}

/** A step's log as people see it on GitHub: commands carried out, not shown; debug lines left out. */
function log(step: Step, title: string): void {
  space("log");
  print(...fold(title, "bold"));
  const show = (text: string, style?: Style) => {
    for (const line of text.split("\n")) if (line !== "" && !line.startsWith("debug:")) print(...fold(line, style));
  };
  let rest = step.shown;
  for (const { level, title, message } of step.annotations) {
    const [before = "", ...after] = rest.split(`${level}: ${title ? `${title}: ` : ""}${message}`);
    show(before);
    show(`${level[0]?.toUpperCase()}${level.slice(1)}: ${message}`, level === "error" ? "red" : "yellow");
    rest = after.join("");
  }
  show(rest);
}

/** Whatever the steps have put into HOME and RUNNER_TEMP is gone, and what stood there is unchanged. */
function expectAllAsBefore(job: Job, before: Snapshot, after: Snapshot): void {
  const changed = [...new Set([...before.keys(), ...after.keys()])]
    .filter((path) => path.startsWith(job.home) || path.startsWith(job.temp))
    .filter((path) => !path.includes("/.local/share/containers/cache")) // skopeo's own, made by the push
    .filter((path) => !isDeepStrictEqual(before.get(path), after.get(path)));
  expect(`all files are as before (${changed.join(", ")})`, changed.length === 0);
}

function expectNoSecrets(peers: Peers, steps: readonly Step[]): void {
  const values = [...peers.github.issued, ...steps.flatMap(({ masks }) => masks)];
  const found = kindsIn(
    printed,
    values.map((value): Secret => ({ kind: "robot", value })),
  );
  expect("no secret is printed", values.length > 0 && found.size === 0);
}

class Unexpected extends Error {}

function expect(what: string, holds: boolean, told?: Step | Finished): void {
  if (holds) return;
  if (interrupted) throw new Interrupted(); // the signal reached the step too
  const output = told && ("shown" in told ? told.shown + told.raw.stderr : told.stdout + told.stderr);
  const code = told ? ` (exit code ${told.code})` : "";
  throw new Unexpected(`This is not so: ${what}${code}.\n${output ?? ""}`);
}

type Snapshot = Awaited<ReturnType<Job["snapshot"]>>;
type Style = "bold" | "red" | "yellow";

/** A line of a log between margins, broken between words where it is too long. */
function fold(line: string, style?: Style): string[] {
  const margin = `  ${styleText("dim", "|")} `;
  return wrap(line, width - 4).map((part) => margin + (style ? styleText(style, part) : part));
}

/** Continues a line that is too long below the beginning of its text. */
function wrap(line: string, columns: number): string[] {
  const indent = /^ */.exec(line)?.[0] ?? "";
  const lines: string[] = [];
  let rest = line;
  while (rest.length > columns) {
    const blank = rest.lastIndexOf(" ", columns);
    const end = blank > indent.length ? blank : columns;
    lines.push(rest.slice(0, end));
    rest = indent + rest.slice(end).trimStart();
  }
  return [...lines, rest];
}

let chapters = 0;

function chapter(title: string): void {
  space("chapter");
  print(styleText(["bold", "cyan"], `${++chapters}. ${title}`));
}

function say(text: string): void {
  space("text");
  print(...wrap(text.replaceAll(/\s+/g, " "), width));
}

function quote(text: string): void {
  space("quote");
  print(...text.split("\n").map((line) => `  ${line}`));
}

type Kind = "chapter" | "text" | "quote" | "log";
let latest: Kind = "chapter";

/** A line left out between two things that don't belong together. */
function space(next: Kind): void {
  if (next === "chapter" || next === "log" || (next !== latest && latest !== "chapter")) print("");
  latest = next;
}

function print(...lines: string[]): void {
  if (interrupted) throw new Interrupted();
  printed += lines.map((line) => `${line}\n`).join("");
  process.stdout.write(lines.map((line) => `${line}\n`).join(""));
}

class Interrupted extends Error {}

// The step that is running ends first, and nothing more is told: so everything can be cleaned up behind it.
let interrupted = false;
const interrupt = () => {
  interrupted = true;
};
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, interrupt);
process.stdout.on("error", interrupt); // nobody reads on

let peers: Peers | undefined;
try {
  print(styleText("bold", "A job signs in to Quay, and no password is stored anywhere"));
  peers = await startPeers();
  await tell(peers, await createJob({ peers }));
} catch (error) {
  process.exitCode = interrupted ? 130 : 1;
  if (error instanceof Unexpected) console.error(`\nThe demo did not go as it should. ${error.message}`);
  else if (!interrupted) console.error(error);
} finally {
  await peers?.close();
  await removeJobs();
}
process.exit();
