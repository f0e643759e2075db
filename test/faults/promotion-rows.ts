/** The fault matrix: what else a promotion meets. */
import { elsewhere, type Group, row } from "./row.ts";

const states = "e2e/promote/states.test.ts";
const wholeQuay = (state: string) =>
  `of all of Quay, or an organization > ${state}: before the copy, and when only a tag is to be set`;
const within = "promote --with-signatures > within one repository, gone with the image's last tag: sig";

export const promotionRows: readonly Group[] = [
  {
    title: "Promotions",
    about:
      "Quay does not accept it whatever the robot may do, or something changes during the promotion. `e2e/promote/network.test.ts` has the network's faults, `e2e/promote/kills.test.ts` the kills.",
    rows: [
      elsewhere(
        row("F301", "Quay in read-only mode", "quay-read-only", "once; no tag is set"),
        states,
        wholeQuay("in read-only mode"),
      ),
      elsewhere(
        row("F302", "the quota is used up", "quota-exceeded", "once; no tag is set"),
        states,
        wholeQuay("over its quota"),
      ),
      elsewhere(
        row("F303", "a tag is immutable", "tag-immutable", "the message says which tags were set before it"),
        states,
        "of a tag > immutable, found out when it is set: the error says which were set before",
      ),
      elsewhere(
        row(
          "F304",
          "the repository is read-only, the robot has Write",
          "access-missing",
          "nothing is written; the state is named",
        ),
        states,
        "of a repository > READ_ONLY: Quay grants pull only, and the message says why that may be",
      ),
      elsewhere(
        row(
          "F305",
          "the source's last tag moves during the copy, so that Quay deletes it",
          "source-not-found",
          "no tag is set",
        ),
        "e2e/promote/forms.test.ts",
        "promote > a source whose last tag moves during the copy, so that Quay deletes it: named",
      ),
      elsewhere(
        row(
          "F306",
          "within one repository, a signature vanishes with the image's last tag",
          "signatures-missing",
          "no tag is set",
        ),
        "e2e/promote/signatures.test.ts",
        `${within} > before the tags are set`,
      ),
      elsewhere(
        row("F307", "the same, while the tags are set", "signatures-missing", "says that they are set"),
        "e2e/promote/signatures.test.ts",
        `${within} > while they are set`,
      ),
      elsewhere(
        row(
          "F308",
          "a request for a tag fails, beside one for a blob that is retried",
          "copy-failed",
          "both end; nothing is logged afterwards",
        ),
        "e2e/promote/network.test.ts",
        "promote, and the network > the look at a tag fails beside one at a blob that is retried: both end, and nothing is logged afterwards",
      ),
      elsewhere(
        row("F309", "docker-registry rewrites a layer's link while a manifest is put", "recovered", "retried twice"),
        "registry/transport.test.ts",
        "a manifest > is pushed again, twice, while docker-registry writes a layer's link",
      ),
    ],
  },
];
