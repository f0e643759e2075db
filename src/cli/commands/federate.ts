import { type Words, written } from "../../platform/wording.ts";
import { readRoots } from "../../tools/certificates.ts";
import { writeTrustFile } from "../../trust/export.ts";
import { federate as apply, readOrganization } from "../../trust/federate.ts";
import { effectOf, objectOf, reportOf } from "../../trust/report.ts";
import { parseFederateRequest } from "../../trust/request.ts";
import { type Call, interruption, type Outcome, withPlatform } from "../command.ts";

export async function federate(call: Call): Promise<Outcome> {
  const request = parseFederateRequest(call.values);
  const { timeoutSeconds, caFile } = request;
  const roots = await readRoots(caFile);
  interruption("Run the same again: what was done is kept.");
  return withPlatform(call, { timeoutSeconds, roots, work: "The command" }, async (platform): Promise<Outcome> => {
    if (request.kind === "export") {
      const found = await readOrganization(request, platform);
      const { registry, organization } = found;
      const file = writeTrustFile(found);
      return { lines: [file.trimEnd()], object: { registry, organization, file } };
    }
    const federation = await apply(request, platform);
    const say = (words: Words) => written(words, call.terminal.syntax);
    return {
      lines: reportOf(federation, say),
      object: objectOf(federation, say),
      failure: federation.failure,
      effect: effectOf(federation),
    };
  });
}
