/** The fault matrix, second half: clocks, files, tools, signals. */
import { atOnce, byLogout, byPost, elsewhere, type Group, row } from "./row.ts";

const phases = ["while GitHub's endpoint is asked", "during the exchange", "while the tool logs in"] as const;

const cancellations = (["SIGINT", "SIGTERM"] as const).flatMap((signal, index) =>
  phases.map((phase, number) =>
    elsewhere(
      row(`F${201 + 3 * index + number}`, `Action: ${signal} ${phase}`, "cancelled", "within two seconds; post cleans"),
      "e2e/cancel.test.ts",
      `cancelled > by ${signal} ${phase}`,
    ),
  ),
);

const kills = [
  ...phases,
  "when the lock appears: leaves the old file or the new one; post restores it; the next login works",
  "when the new content appears: leaves the old file or the new one; post restores it; the next login works",
  "when the renamed file appears: leaves the old file or the new one; post restores it; the next login works",
  "between writing and renaming the new content: post removes it",
].map((moment, number) =>
  elsewhere(
    row(`F${210 + number}`, `Action: SIGKILL ${moment.replace(/:.*/, "")}`, "undone", byPost),
    "e2e/cancel.test.ts",
    `killed > ${moment}`,
  ),
);

export const machineRows: readonly Group[] = [
  {
    title: "Tokens and clocks",
    about: "Quay allows a difference of 30 s. An error shows both times, which show the wrong clock.",
    file: "time.test.ts",
    rows: [
      elsewhere(row("F131", "token file: expired", "token-expired"), "e2e/tokens.test.ts", "a token > expired"),
      elsewhere(
        row("F132", "token not yet valid by Quay's clock", "token-from-the-future"),
        "e2e/refusals.test.ts",
        "Quay refuses: > the token is from the future by Quay's clock",
      ),
      row("F133", "this machine's clock is 5 min ahead (GitHub's token)", "recovered"),
      row("F134", "this machine's clock is 5 min behind (GitHub's token)", "recovered"),
      row("F135", "this machine's clock is 6 min ahead (token file)", "token-expired", "says so"),
      row("F136", "this machine's clock is 5 min behind (token file)", "recovered"),
      row("F137", "Quay's clock is 5 min ahead", "token-expired", "says so"),
      row("F138", "Quay's clock is 5 min behind", "token-from-the-future", "says so"),
      row(
        "F139",
        "token file rotated between reading and use, the old token about to expire",
        "recovered",
        "with the new token",
      ),
      row("F140", "token file deleted between reading and use", "recovered"),
    ],
  },
  {
    title: "Files and disks",
    about: "What other programs keep in the auth file stays in every case.",
    file: "files.test.ts",
    rows: [
      row("F141", "auth file: disk full", "auth-file-unusable", "the file stays as it was"),
      row("F142", "auth file: file system read-only", "auth-file-unusable", "before anything is sent"),
      row("F143", "temporary folder: disk full", "auth-file-unusable", "before anything is sent"),
      row("F144", "temporary folder: file system read-only", "auth-file-unusable", "before anything is sent"),
      row("F145", "session folder: disk full", "invalid-input", "before anything is sent"),
      row("F146", "the auth file's folder is deleted during the login", "recovered", "it is created again"),
      row("F147", "the temporary folder is emptied during the login", "auth-file-unusable"),
      row(
        "F148",
        "another program writes to the auth file during the login",
        "recovered",
        "the file holds both logins",
      ),
      row("F149", "the auth file becomes garbage during the login", "auth-file-unusable", "the file stays as it is"),
      row("F150", "the lock of a login that was killed", "recovered", "after four seconds"),
      row("F151", "the lock of a login that does not end", "timeout"),
      row("F152", "auth file replaced between reading and renaming", "recovered", "the file holds both logins"),
      elsewhere(
        row("F153", "standard output: disk full", "unforeseen"),
        "e2e/cli/output.test.ts",
        "standard output that > has no room is reported in one line",
      ),
      elsewhere(
        row("F154", "a result file: its folder is deleted during the login", "invalid-input", "the login is removed"),
        "e2e/cli/login.test.ts",
        "login > a result that can't be written at the end removes the login",
      ),
      row(
        "F155",
        "another program's lock or folder at the lock's place",
        "auth-file-locked",
        "after four seconds; it stays",
      ),
      row("F156", "auth file mounted by itself", "auth-file-unusable", "before anything is sent"),
      row(
        "F157",
        "auth file of another owner or group, which can't be kept",
        "auth-file-unusable",
        "before anything is sent",
      ),
      row(
        "F158",
        "auth file whose content would not survive a new version",
        "auth-file-unusable",
        "before anything is sent",
      ),
      row(
        "F159",
        "session folder with a record that another user wrote",
        "logout-incomplete",
        "before anything is sent",
      ),
      row("F255", "token file: a pipe that nobody writes to", "token-file-unusable", "at once"),
      row("F256", "token file: an endless device", "token-file-unusable", "at once"),
      row("F257", "auth file: a pipe that nobody writes to", "auth-file-unusable", "at once"),
      row("F258", "auth file: an endless device", "auth-file-unusable", "at once"),
      row("F259", "ca-file: a pipe that nobody writes to", "invalid-input", "at once"),
      row("F260", "ca-file: an endless device", "invalid-input", "at once"),
      row("F261", "a result: a pipe that nobody reads", "invalid-input", "at once"),
    ],
  },
  {
    title: "The tool",
    about: "This is skopeo, buildah, podman or docker, or what has taken its place on PATH.",
    file: "tools.test.ts",
    rows: [
      row("F161", "killed", "tool-failed"),
      row("F162", "hangs", "timeout", "it is stopped"),
      row("F163", "hangs in a process of its own", "timeout", "both are stopped"),
      row("F164", "exits with 0 and has written nothing", "tool-failed"),
      row("F165", "exits with 0 and has written garbage", "tool-failed"),
      row("F166", "exits with 0 and has written another login", "tool-failed"),
      row("F167", "asks for a password on the terminal, again and again", "timeout", "it is stopped"),
      row("F168", "fails for lack of a terminal", "tool-failed", "its last words are shown"),
      row("F169", "prints the password and fails", "tool-failed", "its last words are shown without it"),
      row("F170", "prints endlessly", "timeout", "no more than 64 KiB are kept"),
      row("F171", "closes its input unread", "tool-failed"),
      row("F172", "can't be started", "tool-failed"),
      elsewhere(
        row(
          "F173",
          "keeps logins in a credential helper alone (registries.conf)",
          "credential-helper",
          "the helper gets nothing",
        ),
        "e2e/cli/helpers.test.ts",
        "skopeo > keeps logins in a helper alone: an error names the file, the helper gets nothing, and the advice helps",
      ),
      elsewhere(
        row("F174", "keeps logins in a credential helper before the file", "recovered", "the helper gets nothing"),
        "e2e/cli/helpers.test.ts",
        "skopeo > keeps them in a helper first: writes the file instead, with a warning",
      ),
      elsewhere(
        row(
          "F175",
          "would ask a credential helper, and no program may run in the temporary folder (noexec)",
          "credential-helper",
          "the helper gets nothing",
        ),
        "e2e/cli/helpers.test.ts",
        "a temporary folder where no program can be run (needs root) > skopeo gets no token that it would hand to a helper, and the advice helps",
      ),
    ],
  },
  {
    title: "Signals and kills",
    about: "The job is cancelled, the pod is stopped, memory runs out.",
    file: "signals.test.ts",
    rows: [
      row("F181", "command line: SIGTERM while GitHub's endpoint is asked", "cancelled", atOnce),
      row("F182", "command line: SIGTERM while the Workload API is asked", "cancelled", atOnce),
      row("F183", "command line: SIGTERM during the exchange", "cancelled", atOnce),
      row("F184", "command line: SIGTERM while it waits for another attempt", "cancelled", atOnce),
      row("F185", "command line: SIGTERM while the tool logs in", "cancelled", atOnce),
      row("F186", "command line: SIGTERM while it waits for the lock", "cancelled", atOnce),
      row("F187", "command line: SIGINT while the tool logs in", "cancelled", atOnce),
      elsewhere(
        row("F188", "command line: SIGHUP during the exchange", "cancelled", atOnce),
        "e2e/cli/output.test.ts",
        "interrupted by > SIGHUP, login leaves nothing",
      ),
      row("F191", "command line: SIGKILL while GitHub's endpoint is asked", "undone", byLogout),
      row("F192", "command line: SIGKILL while the Workload API is asked", "undone", byLogout),
      row("F193", "command line: SIGKILL during the exchange", "undone", byLogout),
      row("F194", "command line: SIGKILL while it waits for another attempt", "undone", byLogout),
      row("F195", "command line: SIGKILL while it waits for the lock", "undone", byLogout),
      ...cancellations,
      elsewhere(
        row("F207", "Action: cancelled as the runner does it, SIGINT and then SIGTERM", "cancelled", atOnce),
        "e2e/cancel.test.ts",
        "cancelled > by SIGINT and then SIGTERM, as by the runner",
      ),
      ...kills,
      elsewhere(
        row("F217", "Action: main has failed between one file and the next", "undone", byPost),
        "e2e/post.test.ts",
        "post > undoes a main that failed between one file and the next (needs root)",
      ),
    ],
  },
  {
    title: "The same in the Action",
    about: "One core serves both; these are the faults that were tested with the Action.",
    file: "action.test.ts",
    rows: [
      row("F221", "Quay: 503, reset, 429 and half an answer, one after the other", "recovered"),
      row("F222", "Quay: no answer", "timeout", "post has nothing to do"),
      row("F225", "GitHub's endpoint: 503, then a reset", "recovered"),
      row("F226", "GitHub's endpoint: 403", "identity-endpoint-refused", "once"),
      elsewhere(
        row("F228", "the issuer is too slow for Quay, not for us", "quay-unavailable"),
        "e2e/issuer.test.ts",
        "otherwise > the issuer is too slow for Quay, but not for us",
      ),
      elsewhere(
        row("F229", "a proxy refuses its password", "quay-unreachable", "the password is not shown"),
        "e2e/network.test.ts",
        "a proxy > that refuses the password: the error does not show it",
      ),
      elsewhere(
        row("F230", "before post, the files are gone", "undone"),
        "e2e/post.test.ts",
        "post > has nothing to do if the files are gone",
      ),
      elsewhere(
        row("F231", "before post, even RUNNER_TEMP was emptied", "undone"),
        "e2e/post.test.ts",
        "post > removes what is ours if RUNNER_TEMP was emptied",
      ),
      elsewhere(
        row("F232", "before post, another login has replaced ours", "undone", "the other login stays"),
        "e2e/post.test.ts",
        "post > keeps a login that has replaced ours meanwhile",
      ),
      elsewhere(
        row("F233", "post can't write to the file", "auth-file-unusable", "the rest is removed; it can be run again"),
        "e2e/post.test.ts",
        "post > fails if it can't remove a login, removes the rest, and can be run again",
      ),
      elsewhere(
        row("F271", "Action: SIGKILL as soon as its folder exists", "undone", "by the post step"),
        "e2e/cancel.test.ts",
        "killed > as soon as its folder exists, or before: post removes the folder, ten times of ten",
      ),
      elsewhere(
        row(
          "F272",
          "before post, RUNNER_TEMP was emptied, and ours had replaced another login",
          "logout-incomplete",
          "ours is removed; the other is named",
        ),
        "e2e/post.test.ts",
        "post > fails if another login can't be restored any more, and names it",
      ),
      elsewhere(
        row(
          "F273",
          "before post, the record of the login was damaged",
          "logout-incomplete",
          "ours is removed all the same",
        ),
        "e2e/post.test.ts",
        "post > says that the record is damaged, and removes what is ours",
      ),
      elsewhere(
        row("F234", "the job's summary can't be written", "recovered", "a warning says so"),
        "e2e/runner-files.test.ts",
        "the job's summary > a login works, with a warning",
      ),
      elsewhere(
        row("F235", "an output can't be written", "invalid-input", "the login is removed"),
        "e2e/runner-files.test.ts",
        "GITHUB_OUTPUT > a login is an error that names it, and nothing stays",
      ),
      elsewhere(
        row(
          "F318",
          "the runner has not set GITHUB_OUTPUT",
          "invalid-input",
          "nothing is printed; the login is removed",
        ),
        "e2e/runner-files.test.ts",
        "GITHUB_OUTPUT > if it is not set, a login is an error that names it, and nothing is printed or stays",
      ),
      elsewhere(
        row("F236", "post can't restore REGISTRY_AUTH_FILE", "invalid-input", "the login is removed"),
        "e2e/runner-files.test.ts",
        "GITHUB_ENV, in the post step: the login is removed, and the error names it",
      ),
    ],
  },
];
