/** The exit code of a failure. Pure. */

import { type ExplainedError, errorCodes, type Severity } from "../platform/errors.ts";

/** 75 is EX_TEMPFAIL of sysexits.h: a retry later may succeed. */
const exitCodes: Readonly<Record<Severity, number>> = { refused: 1, "wrong-use": 2, drift: 3, temporary: 75 };

/** Several failures are temporary only if each of them is: otherwise a retry is of no use. */
export function exitCodeOf(error: ExplainedError): number {
  const severities = severitiesOf(error);
  return exitCodes[severities.find((severity) => severity !== "temporary") ?? "temporary"];
}

const severitiesOf = ({ code, also }: ExplainedError): readonly Severity[] => [
  errorCodes[code],
  ...also.flatMap(severitiesOf),
];
