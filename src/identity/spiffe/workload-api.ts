/** A JWT-SVID from the SPIFFE Workload API. explain-call.ts explains the failures. */
import type { Platform } from "../../platform/platform.ts";
import { type Attempt, retry } from "../../platform/retry.ts";
import { callWorkloadApi } from "./call.ts";
import type { SvidRequest } from "./endpoint.ts";
import { decodeResponse, encodeRequest } from "./wire.ts";

/**
 * Fetches one. Retries temporary failures for some 20 seconds: a new registration entry takes some seconds to reach the agent, and
 * an agent that starts refuses connections. The SVID may have only half of its life left.
 * @returns the JWT: a secret
 * @throws ExplainedError `spiffe-socket-unusable`, `spiffe-no-identity`, `spiffe-several-identities`, `spiffe-refused`,
 *   `spiffe-unavailable`, `spiffe-answer-unusable`
 */
export function fetchJwtSvid(request: SvidRequest, audience: string, platform: Platform): Promise<string> {
  const { endpoint, id } = request;
  const isSpiffeId = id?.startsWith("spiffe://");
  const message = encodeRequest(audience, isSpiffeId ? id : "");
  return retry(platform, "the Workload API", async (): Promise<Attempt<string>> => {
    const answer = await callWorkloadApi(endpoint, message, platform.signal);
    if ("code" in answer) {
      return (await explanations()).explainNoAnswer(answer, request);
    }
    const svids = answer.fields["grpc-status"] === "0" ? decodeResponse(answer.body) : [];
    if (!Array.isArray(svids) || svids.length === 0) {
      return (await explanations()).explainAnswer(answer, request);
    }
    const fitting = svids.filter((svid) => id === undefined || (isSpiffeId ? svid.id : svid.hint) === id);
    const [svid] = fitting;
    return svid && fitting.length === 1
      ? { value: svid.token }
      : (await explanations()).explainChoice(svids, fitting.length, request);
  });
}

const explanations = () => import(/* webpackMode: "eager" */ "./explain-call.ts");
