/** Why the credential helper's file can't be used, and what to type for each reason. Pure. */
import { ExplainedError } from "../platform/errors.ts";
import { shellWord } from "../platform/text.ts";
import type { Distrust } from "../platform/trusted-file.ts";

/** A file of a user, or of a job, which a wrapper names. */
export interface ConfigurationFile {
  readonly kind: "file" | "job";
  readonly path: string;
}

export const again = "quay-keyless-login configure --robot organization+name";

/** The way out where the helper can't run. */
export const loginInstead =
  "For such a command log in instead: a step without credential-helper, and sudo --preserve-env=REGISTRY_AUTH_FILE podman pull …";

/** @param problem it can follow the file's name */
export const unusable = (path: string, problem: string, ...remedy: readonly string[]): ExplainedError =>
  new ExplainedError("configuration-unusable", `The credential helper's configuration ${path} ${problem}.`, { remedy });

/** A file of another form than this program's. */
export const malformed = ({ kind, path }: ConfigurationFile, problem: string): ExplainedError =>
  unusable(path, problem, kind === "job" ? changed : moveAway(path));

/** A file whose content others decide, or that can't be read. */
export const untrusted = (file: ConfigurationFile, distrust: Distrust): ExplainedError =>
  unusable(
    file.path,
    distrust.problem,
    ...(file.kind === "job" ? remedyOfJob(distrust) : [remedyOfUser(file, distrust)]),
  );

const changed = "A later step has changed it. Run the job again, without that change.";

const remedyOfJob = ({ reason }: Distrust): readonly string[] =>
  reason === "owner"
    ? [
        "The helper works for the user of the job alone: not with sudo, nor as another user in a container.",
        loginInstead,
      ]
    : [changed];

const moveAway = (path: string): string =>
  `Move it away, and type the command configure again for all registries: mv ${shellWord(path)} ${shellWord(`${path}.old`)}`;

function remedyOfUser({ path }: ConfigurationFile, { reason, at }: Distrust): string {
  const word = shellWord(at);
  switch (reason) {
    case "link":
      return `Put the file itself there: cp --remove-destination "$(readlink --canonicalize ${word})" ${word}`;
    case "writable":
      return `Let its owner alone write there: chmod go-w ${word}`;
    case "unreadable":
      return `Let this user read it: chmod u+r ${word}`;
    case "owner":
      return at === path
        ? `If you know what is in it, make it this user's: sudo chown ${process.geteuid?.()} ${word}`
        : "Set XDG_CONFIG_HOME to a folder of this user, for the tools and for the command configure, and type that again.";
    case "broken":
      return `Find out why: ls -ld ${word}`;
    default:
      return moveAway(path);
  }
}
