import { readOptions } from "../../options/reader.ts";
import { systemClock } from "../../platform/clock.ts";
import { readRoots } from "../../tools/certificates.ts";
import { audit as readAudit } from "../../trust/audit.ts";
import { failureOf, markdownOf, objectOf, reportOf } from "../../trust/audit-report.ts";
import { parseAuditRequest } from "../../trust/audit-request.ts";
import { aligned, type Call, interruption, type Outcome, withPlatform } from "../command.ts";
import { watchLog } from "../log-progress.ts";

export async function audit(call: Call): Promise<Outcome> {
  const request = parseAuditRequest(call.values);
  const { timeoutSeconds, caFile, failOn } = request;
  const roots = await readRoots(caFile);
  interruption("Run it again: an audit changes nothing.");
  const progress = watchLog(call.terminal, systemClock);
  const found = await withPlatform(call, { timeoutSeconds, roots, work: "The audit" }, (platform) =>
    readAudit(request, platform, progress.show),
  ).finally(progress.end);
  const { pairs, conclusion } = reportOf(found);
  const isMarkdown = readOptions(call.values).text("output").toLowerCase() === "markdown";
  return {
    lines: isMarkdown ? markdownOf(found) : [...aligned(pairs), "", conclusion],
    object: objectOf(found),
    failure: failureOf(found, failOn),
  };
}
