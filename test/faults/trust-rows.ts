/** The fault matrix, last part: what changes the trust of an organization, and reads its usage log. */
import { elsewhere, type Group, row } from "./row.ts";

const federate = "e2e/federate.test.ts";
const audit = "e2e/cli/audit.test.ts";
const retire = "e2e/cli/retire.test.ts";
const explains = (name: string) => `explains, and writes nothing > ${name}`;
const unchanged = "nothing is written";

export const trustRows: readonly Group[] = [
  {
    title: "Trust",
    about: "`federate`, `audit` and `retire-static-token`, between them and Quay's management API.",
    rows: [
      elsewhere(
        row("F401", "federate: an answer that is cut", "quay-answer-unusable", unchanged),
        federate,
        explains("an answer that is cut"),
      ),
      elsewhere(
        row("F402", "federate: an answer that is not JSON", "quay-answer-unusable", unchanged),
        federate,
        explains("one that is not JSON"),
      ),
      elsewhere(
        row("F403", "federate: an answer of 10 MB", "quay-answer-unusable", unchanged),
        federate,
        explains("one of 10 MB"),
      ),
      elsewhere(
        row("F404", "federate: 429 for longer than the timeout", "rate-limited", unchanged),
        federate,
        explains("429 for longer than the timeout"),
      ),
      elsewhere(
        row("F405", "federate: SIGKILL between the write and its read-back", "recovered", "running it again finds all"),
        federate,
        "killed between the write and its read-back > running it again finds all of it",
      ),
      elsewhere(
        row("F406", "federate: SIGTERM between the write and its read-back", "cancelled", "what was done is kept"),
        federate,
        "killed between the write and its read-back > interrupted, it says that what was done is kept",
      ),
      elsewhere(
        row("F407", "federate: the timeout passes after the write", "timeout", "the output says what was changed"),
        federate,
        "federate > ended by the timeout after a write: the output says what was changed, and what not",
      ),
      elsewhere(
        row("F408", "federate: two at the same time on one robot", "recovered", "both entries are there"),
        federate,
        "two at the same time: both entries are there in the end",
      ),
      elsewhere(
        row("F411", "audit: Quay does not send the log", "timeout", "says how far it got"),
        audit,
        "answers of Quay > that do not come end it at the timeout, which says what to type",
      ),
      elsewhere(
        row("F412", "audit: 429 with Retry-After", "recovered", "asked again after that time"),
        audit,
        "answers of Quay > 429 is asked again after Retry-After",
      ),
      elsewhere(
        row("F413", "audit: a log that can't be searched", "usage-log-unavailable"),
        audit,
        "answers of Quay > that can't be searched are an error",
      ),
      elsewhere(
        row("F421", "retire-static-token: the answer to the replacement is lost", "quay-unreachable", "says so"),
        retire,
        "retire-static-token > may have replaced the token if the answer is lost, and can be run again",
      ),
    ],
  },
];
