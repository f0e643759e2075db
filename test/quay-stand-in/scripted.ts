/**
 * Answers that a test scripts in advance, to see how a client handles them: refusals, hangs, cut connections,
 * endless bodies. Shared by the GitHub endpoint and the Quay stand-in.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";

export type Scripted =
  | { kind: "answer"; status: number; body: string; headers: Record<string, string> }
  /** Does what is asked, and drops the connection instead of answering. */
  | { kind: "lost" }
  /** Accepts the request and never answers. */
  | { kind: "hang" }
  /** Drops the connection before an answer (the client sees a reset). */
  | { kind: "reset" }
  /** 101: the connection no longer speaks HTTP, and stays open. */
  | { kind: "switch" }
  /** Announces a body, sends the half of it, drops the connection. */
  | { kind: "cut" }
  /** A body of so many bytes of JSON-looking text. */
  | { kind: "huge"; bytes: number }
  /** Waits, then lets the request proceed as usual. */
  | { kind: "slow"; ms: number }
  /** Proceeds as usual: fills a place in the queue, as in "fail the second time". */
  | { kind: "pass" };

export const answer = (status: number, body: string | object = "", headers: Record<string, string> = {}): Scripted => ({
  kind: "answer",
  status,
  body: typeof body === "string" ? body : JSON.stringify(body),
  headers: { "content-type": typeof body === "string" ? "text/html" : "application/json", ...headers },
});
/** One of Quay's own answers (quay/pages.ts), such as `page(TOO_MANY_REQUESTS)`. */
export const page = (reply: {
  status: number;
  type?: string;
  body: string;
  headers?: Record<string, string>;
}): Scripted =>
  answer(reply.status, reply.body, { ...(reply.type && { "content-type": reply.type }), ...reply.headers });
export const redirect = (to: string, status = 302): Scripted => answer(status, "", { location: to });
export const notJson = (): Scripted => answer(200, "<html>hello</html>");
export const hang = (): Scripted => ({ kind: "hang" });
export const lost = (): Scripted => ({ kind: "lost" });
export const reset = (): Scripted => ({ kind: "reset" });
export const switching = (): Scripted => ({ kind: "switch" });
export const cut = (): Scripted => ({ kind: "cut" });
export const huge = (bytes = 10 * 1024 * 1024): Scripted => ({ kind: "huge", bytes });
export const slow = (ms: number): Scripted => ({ kind: "slow", ms });
export const pass = (): Scripted => ({ kind: "pass" });

/** Scripted answers of one endpoint: a queue for the next requests, and standing rules. */
export interface Script<More = never> {
  /** For the next requests, one each, before any rule. */
  next(...answers: (Scripted | More)[]): void;
  /**
   * For every request that the predicate accepts (default: all), until `clear`.
   * @returns a function that removes only this rule: tests that run concurrently cannot use `clear`.
   */
  always(answer: Scripted | More, predicate?: (request: IncomingMessage) => boolean): () => void;
  clear(): void;
  /** The scripted answer to this request, if any. */
  take(request: IncomingMessage): Scripted | More | undefined;
}

export function createScript<More = never>(): Script<More> {
  let queue: (Scripted | More)[] = [];
  let rules: { answer: Scripted | More; predicate: (request: IncomingMessage) => boolean }[] = [];
  return {
    next: (...answers) => void queue.push(...answers),
    always(answer, predicate = () => true) {
      const rule = { answer, predicate };
      rules.push(rule);
      return () => {
        rules = rules.filter((other) => other !== rule);
      };
    },
    clear() {
      queue = [];
      rules = [];
    },
    take: (request) => queue.shift() ?? rules.find((rule) => rule.predicate(request))?.answer,
  };
}

/**
 * Plays a scripted answer.
 * @returns whether the request is answered; if not, it proceeds as usual.
 */
export async function play(scripted: Scripted, response: ServerResponse): Promise<boolean> {
  switch (scripted.kind) {
    case "answer":
      response.writeHead(scripted.status, scripted.headers).end(scripted.body);
      return true;
    case "hang":
      return true;
    case "reset":
      response.socket?.destroy();
      return true;
    case "lost":
      response.socket?.destroy();
      return false;
    case "switch":
      response.socket?.write("HTTP/1.1 101 x\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n");
      return true;
    case "cut":
      response.writeHead(200, { "content-type": "application/json", "content-length": 1000 });
      response.write('{"token":"eyJhbGciOi', () => response.socket?.destroy());
      return true;
    case "huge":
      response.writeHead(200, { "content-type": "application/json" });
      await writeHuge(response, scripted.bytes);
      return true;
    case "slow":
      await new Promise((resolve) => setTimeout(resolve, scripted.ms));
      return false;
    case "pass":
      return false;
    default:
      return scripted satisfies never;
  }
}

async function writeHuge(response: ServerResponse, bytes: number): Promise<void> {
  const chunk = "x".repeat(64 * 1024);
  const chunks = Array.from({ length: Math.ceil(bytes / chunk.length) }, () => chunk);
  // The client closes the connection at its limit, which is the purpose.
  await pipeline(Readable.from(['{"token":"', ...chunks, '"}']), response).catch(() => {});
}
