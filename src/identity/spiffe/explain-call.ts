/** Why there is no SVID, and whether a retry helps. Loaded only after a failure. */
import { stat } from "node:fs/promises";
import { dirname } from "node:path";
import { ExplainedError } from "../../platform/errors.ts";
import { isThere } from "../../platform/fs.ts";
import type { Attempt, Persistence } from "../../platform/retry.ts";
import { asGiven, oneLine } from "../../platform/text.ts";
import { mention, text, type Words } from "../../platform/wording.ts";
import { type Answer, maxCallMs, type NoAnswer } from "./call.ts";
import { type SvidRequest, usualSockets } from "./endpoint.ts";
import { decodeResponse, type JwtSvid } from "./wire.ts";

type Failed = Exclude<Attempt<never>, { value: never }>;

export async function explainNoAnswer(failure: NoAnswer, request: SvidRequest): Promise<Failed> {
  switch (failure.code) {
    case "ETIMEDOUT":
      return unavailable(request, "settling", `no answer within ${maxCallMs / 1000} s`, failure.cause);
    case "ECONNRESET":
    case "EPIPE":
      return unavailable(request, "settling", "the connection broke off", failure.cause);
    case "EMSGSIZE":
      return unusable(request, "its answer is larger than 1 MiB");
    case "EPROTO":
      return unusable(request, "the server there does not speak gRPC", failure.cause);
    default:
      return socketUnusable(failure, request);
  }
}

async function socketUnusable({ code, cause }: NoAnswer, { endpoint, address }: SvidRequest): Promise<Failed> {
  const fail = (retry: Persistence, problem: string, ...remedy: Words[]): Failed => ({
    retry,
    error: new ExplainedError("spiffe-socket-unusable", `The Workload API can't be reached: ${problem}.`, {
      remedy,
      cause,
    }),
  });
  switch (code) {
    case "ENOENT":
    case "ENOTDIR": {
      // An agent that restarts has removed its socket; a missing folder means a wrong path.
      const folderIsThere = endpoint.kind === "unix" && code === "ENOENT" && (await isThere(dirname(endpoint.path)));
      const ways = await waysToASocket();
      return fail(folderIsThere ? "settling" : "quick", `there is no socket at ${address}`, ...ways);
    }
    case "EACCES":
      return fail(
        "no",
        `this user (uid ${process.geteuid?.()}) has no permission for ${address}`,
        "Give the user search permission on the folders above the socket and write permission on it. On OpenShift, mount it by the CSI driver csi.spiffe.io:",
        "SELinux keeps pods from a socket of the host.",
      );
    case "ECONNREFUSED": {
      // Linux also answers this for a file that is not a socket.
      const found = endpoint.kind === "unix" ? await stat(endpoint.path).catch(() => undefined) : undefined;
      return found && !found.isSocket()
        ? fail(
            "no",
            `${address} is a ${found.isDirectory() ? "folder" : "file"}, not a socket`,
            text`Name the socket itself, as in ${mention("spiffe-socket", `unix://${usualSockets[0]}`)}`,
          )
        : fail(
            "settling",
            `no process listens at ${address}`,
            "Start the SPIRE agent of this node, or check its log for why it stopped.",
          );
    }
    default:
      return fail(
        "quick",
        `${address} fails with ${code || "an unknown error"}`,
        text`Check the option ${mention("spiffe-socket")}.`,
      );
  }
}

async function waysToASocket(): Promise<Words[]> {
  const there = await Promise.all(usualSockets.map(async (path) => ((await isThere(path)) ? [path] : [])));
  return [
    ...there
      .flat()
      .map((path) => text`A socket exists at the usual path: ${mention("spiffe-socket", `unix://${path}`)}`),
    "In a pod, mount a volume of the CSI driver csi.spiffe.io at /spiffe-workload-api; elsewhere, start the SPIRE agent.",
  ];
}

/** An answer without an SVID. The status is gRPC's; where there is none, HTTP's. */
export function explainAnswer({ fields, body }: Answer, request: SvidRequest): Failed {
  const status = fields["grpc-status"];
  if (status === undefined) {
    return explainHttp(fields, request);
  }
  const words = quoted(fields["grpc-message"]);
  switch (status) {
    case "0": {
      const read = decodeResponse(body);
      return "problem" in read ? unusable(request, read.problem) : noIdentity(request, "its answer is empty");
    }
    case "7": // PermissionDenied
      return noIdentity(request, words);
    case "8": // ResourceExhausted
    case "14": // Unavailable
      return unavailable(request, "settling", `${words} (gRPC status ${status})`);
    case "1": // Cancelled
    case "2": // Unknown
    case "4": // DeadlineExceeded
    case "10": // Aborted
    case "13": // Internal
    case "15": // DataLoss
      return unavailable(request, "quick", `${words} (gRPC status ${status})`);
    default:
      return /^\d{1,2}$/.test(String(status))
        ? refused(request, `${words} (gRPC status ${status})`)
        : unusable(request, `its gRPC status is ${quoted(status)}`);
  }
}

function explainHttp(fields: Answer["fields"], request: SvidRequest): Failed {
  const status = Number(fields[":status"] ?? 0);
  if (status === 0 || (status === 200 && String(fields["content-type"]).startsWith("application/grpc"))) {
    return unavailable(request, "settling", "the connection broke off");
  }
  // A proxy's answer for an agent that is not up (gRPC, "HTTP to gRPC Status Code Mapping").
  return [429, 502, 503, 504].includes(status)
    ? unavailable(request, "settling", `HTTP status ${status}`)
    : unusable(request, `it answers with HTTP status ${status} and not as gRPC does`);
}

/** @param fitting how many of them match the option spiffe-id */
export function explainChoice(svids: readonly JwtSvid[], fitting: number, { address, id }: SvidRequest): Failed {
  const remedy = [
    text`Choose one by its SPIFFE ID or hint, with the option ${mention("spiffe-id")}:`,
    ...svids
      .slice(0, 20)
      .map((svid) => `  ${oneLine(svid.id, 300)}${svid.hint && `  hint ${oneLine(svid.hint, 300)}`}`),
  ];
  const error =
    fitting === 0
      ? new ExplainedError(
          "spiffe-no-identity",
          `The Workload API at ${address} issues identities, but not ${asGiven(id ?? "")}.`,
          {
            remedy,
          },
        )
      : new ExplainedError(
          "spiffe-several-identities",
          `The Workload API at ${address} issues ${fitting} identities${id === undefined ? "" : ` for ${asGiven(id)}`}; the login needs exactly one.`,
          { remedy },
        );
  return { retry: "no", error };
}

function noIdentity({ endpoint, address, id }: SvidRequest, words: string): Failed {
  const user = endpoint.kind === "unix" ? ` (here unix:uid:${process.geteuid?.()})` : "";
  const error = new ExplainedError(
    "spiffe-no-identity",
    `The Workload API at ${address} issues no identity to this process: ${words}.`,
    {
      remedy: [
        "No registration entry has only selectors that match it. (A new entry takes some seconds to reach the agent.) Compare:",
        "in a pod, k8s:ns (namespace), k8s:sa (service account) and k8s:pod-label, which a ClusterSPIFFEID makes entries for;",
        `elsewhere, the user${user}.`,
        ...(id?.startsWith("spiffe://")
          ? [
              text`Or it has other identities than ${asGiven(id)}: leave the option ${mention("spiffe-id")} out to see them.`,
            ]
          : []),
      ],
    },
  );
  return { retry: "settling", error };
}

function refused({ address }: SvidRequest, words: string): Failed {
  const error = new ExplainedError("spiffe-refused", `The Workload API at ${address} refuses the request: ${words}.`, {
    remedy: [
      text`Check the option ${mention("audience")} and the option ${mention("spiffe-id")}, and that the option ${mention("spiffe-socket")} names the agent's socket for`,
      "workloads, not one for administrators. The agent's log says more.",
    ],
  });
  return { retry: "no", error };
}

function unavailable({ address }: SvidRequest, retry: Persistence, why: string, cause?: unknown): Failed {
  const error = new ExplainedError(
    "spiffe-unavailable",
    `The Workload API at ${address} issues no identity at the moment: ${why}.`,
    {
      remedy: [
        "Try again. If it keeps failing, check the log of this node's SPIRE agent: it may not reach its server.",
      ],
      cause,
    },
  );
  return { retry, error };
}

function unusable({ address }: SvidRequest, why: string, cause?: unknown): Failed {
  const error = new ExplainedError("spiffe-answer-unusable", `${address} is not a usable Workload API: ${why}.`, {
    remedy: [
      text`Check that the option ${mention("spiffe-socket")} names the socket of a SPIFFE Workload API, such as a SPIRE agent's.`,
    ],
    cause,
  });
  return { retry: "no", error };
}

/** The server's message in quotes. gRPC percent-encodes it. */
function quoted(words: string | readonly string[] | undefined): string {
  const text = String(words ?? "");
  try {
    return JSON.stringify(oneLine(decodeURIComponent(text), 300));
  } catch {
    return JSON.stringify(oneLine(text, 300));
  }
}
