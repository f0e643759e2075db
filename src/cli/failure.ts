/** The exit code of a failure. Pure. */

import { type ExplainedError, errorCodes, type Severity } from "../platform/errors.ts";

/** sysexits.h: EX_TEMPFAIL for what may pass by itself. */
const exitCodes: Readonly<Record<Severity, number>> = { refused: 1, "wrong-use": 2, temporary: 75 };

/** Of several failures: what may pass by itself must be all of them, else trying again is of no use. */
export function exitCodeOf(error: ExplainedError): number {
  const severities = severitiesOf(error);
  return exitCodes[severities.find((severity) => severity !== "temporary") ?? "temporary"];
}

const severitiesOf = ({ code, also }: ExplainedError): readonly Severity[] => [
  errorCodes[code],
  ...also.flatMap(severitiesOf),
];
