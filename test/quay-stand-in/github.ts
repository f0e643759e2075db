/**
 * GitHub's token endpoint: `GET $ACTIONS_ID_TOKEN_REQUEST_URL&audience=<aud>` with the request token as bearer gives
 * `{"value": "<JWT>"}`. The address has a query of its own already, as on GitHub.
 */
import { randomBytes } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:https";
import type { Issuer } from "./issuer.ts";
import { listen } from "./listen.ts";
import { createScript, play, type Script } from "./scripted.ts";
import type { Authority, Certificate } from "./tls.ts";

/** The default audience: the address of the repository's owner. */
const ownerUrl = "https://github.com/acme";

export interface GithubRequest {
  audience: string | null;
  /** Whether the request token was the right one. */
  authorized: boolean;
}

export interface Github {
  /** The two variables that the runner sets for a job with `id-token: write`. */
  env: { ACTIONS_ID_TOKEN_REQUEST_URL: string; ACTIONS_ID_TOKEN_REQUEST_TOKEN: string };
  /** Every issued JWT, to search for leaks. */
  issued: string[];
  requests: GithubRequest[];
  /** Answers for the next requests (scripted.ts); then the ordinary one. */
  script: Script;
  /** Claims of further tokens, over the issuer's defaults. */
  claim(claims: Record<string, unknown>): void;
  close(): Promise<void>;
}

export interface GithubOptions {
  certificate?: Certificate;
  /** Claims over the issuer's defaults. */
  claims?: Record<string, unknown>;
  /** The address as Forgejo 15 has it: another path, and another query of its own. */
  isForgejo?: boolean;
}

export async function startGithub(authority: Authority, issuer: Issuer, options: GithubOptions = {}): Promise<Github> {
  const secret = `${randomBytes(24).toString("base64url")}.${randomBytes(48).toString("base64url")}`;
  const requests: GithubRequest[] = [];
  const issued: string[] = [];
  const script = createScript();
  let claims = options.claims ?? {};

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "/", "https://localhost");
    const [scheme = "", token = ""] = (request.headers.authorization ?? "").split(" ");
    const authorized = scheme.toLowerCase() === "bearer" && token === secret;
    const audience = url.searchParams.get("audience");
    requests.push({ audience, authorized });
    const scripted = script.take(request);
    if (scripted !== undefined && (await play(scripted, response))) return;
    if (url.pathname !== own.pathname) return json(response, 404, { message: "Not found" });
    for (const [name, value] of own.searchParams)
      if (url.searchParams.get(name) !== value) return json(response, 400, { message: `${name} is required` });
    if (!authorized) return json(response, 401, { message: "Not authorized" });
    const value = await issuer.sign({ aud: audience || ownerUrl, ...claims });
    issued.push(value);
    json(response, 200, { count: value.length, value });
  }

  const path = options.isForgejo
    ? "/api/actions/_apis/pipelines/workflows/7/idtoken?placeholder=true"
    : "/token?api-version=2.0";
  const own = new URL(path, "https://localhost");
  const certificate = options.certificate ?? (await authority.issue());
  const server = await listen(createServer(certificate, (request, response) => void handle(request, response)));
  return {
    env: {
      ACTIONS_ID_TOKEN_REQUEST_URL: `https://localhost:${server.port}${path}`,
      ACTIONS_ID_TOKEN_REQUEST_TOKEN: secret,
    },
    issued,
    requests,
    script,
    claim: (next) => {
      claims = next;
    },
    close: server.close,
  };
}

function json(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { "content-type": "application/json; charset=utf-8" }).end(JSON.stringify(body));
}
