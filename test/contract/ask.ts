/** One request over HTTP/1.1, with the answer as text: without a client library between the suite and the wire. */
import { request as httpRequest, type IncomingHttpHeaders, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";

export interface Question {
  method?: string;
  path: string;
  headers?: Record<string, string>;
  body?: string;
}

export interface Answer {
  status: number;
  type: string | undefined;
  body: string;
  headers: IncomingHttpHeaders;
}

/** @param base scheme, host and port. Redirects are not followed. */
export function ask(base: string, ca: string | undefined, question: Question): Promise<Answer> {
  const { method = "GET", path, headers = {}, body } = question;
  return new Promise((resolve, reject) => {
    const send = base.startsWith("https:") ? httpsRequest : httpRequest;
    const length = body === undefined ? {} : { "content-length": String(Buffer.byteLength(body)) };
    const trust = ca === undefined ? {} : { ca };
    const request = send(`${base}${path}`, { method, headers: { ...length, ...headers }, agent: false, ...trust });
    request.on("error", reject);
    request.on("response", (response) => {
      const { statusCode: status = 0, headers: received } = response;
      const type = received["content-type"];
      readText(response).then((text) => resolve({ status, type, body: text, headers: received }), reject);
    });
    request.end(body);
  });
}

async function readText(response: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of response.setEncoding("utf8")) text += chunk;
  return text;
}

export function basic(user: string, password: string): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
}
