/** The signals that a step of a cancelled job gets. */
import { ExplainedError } from "../platform/errors.ts";

/** The runner sends SIGINT to a cancelled job's step, SIGTERM 7.5 s later, and kills it 2.5 s after that. */
export function cancellation(during: string, remedy: string): AbortSignal {
  const controller = new AbortController();
  const cancel = () =>
    controller.abort(new ExplainedError("cancelled", `The job was cancelled during ${during}.`, { remedy: [remedy] }));
  process.once("SIGINT", cancel);
  process.once("SIGTERM", cancel);
  return controller.signal;
}
