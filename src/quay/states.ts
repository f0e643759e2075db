/** Explains why Quay refuses a push regardless of the robot's permissions. Pure. */
import { type ErrorCode, ExplainedError } from "../platform/errors.ts";

type State = Extract<ErrorCode, "quay-read-only" | "tag-immutable" | "quota-exceeded">;

/** Quay's wordings, as recorded on a running Quay: 405 (in other versions 503), 409, 403. */
const wordings: readonly (readonly [RegExp, State])[] = [
  [/System is currently read-only/i, "quay-read-only"],
  [/\btag\b.{0,200}\bis immutable/i, "tag-immutable"],
  [/Quota has been exceed/i, "quota-exceeded"],
];

export interface Refused {
  readonly registry: string;
  /** For messages: what was refused, as in `the manifest quay.io/acme/app:1.0`. */
  readonly what: string;
}

/**
 * @param words of an answer that is a failure, or of a tool that has failed
 * @returns undefined if they name none of these states
 */
export function explainState(words: string, { registry, what }: Refused): ExplainedError | undefined {
  const state = wordings.find(([pattern]) => pattern.test(words))?.[1];
  switch (state) {
    case undefined:
      return undefined;
    case "quay-read-only":
      return new ExplainedError("quay-read-only", `${registry} is in read-only mode and did not accept ${what}.`, {
        remedy: ["Run it again when its administrators have ended the maintenance. What was copied is kept."],
      });
    case "tag-immutable":
      return tagImmutable(`${registry} did not accept ${what}`);
    case "quota-exceeded":
      return new ExplainedError(
        "quota-exceeded",
        `${registry} did not accept ${what}: the quota of the organization is used up.`,
        {
          remedy: [
            "Delete what the organization no longer needs, or have its administrator raise the quota (Organization settings > Quota).",
          ],
        },
      );
  }
}

/** @param what what happened, or would happen */
export const tagImmutable = (what: string): ExplainedError =>
  new ExplainedError("tag-immutable", `${what}: the tag is immutable.`, {
    remedy: [
      "Give the image a tag of its own: an immutable one points to the same image forever.",
      "If the tag was made immutable by mistake, a user with Admin on the repository can undo that in Quay.",
    ],
  });
