/**
 * The expected answers, recorded on a running Quay (docs/quay.md). They are deliberately not taken from the stand-in, which has its
 * own copy: an error in one of them shows.
 */
import { expect } from "vitest";
import type { Answer } from "./ask.ts";

export interface Expected {
  status: number;
  type: string | undefined;
  /** The exact text, or a piece of it, or its JSON. */
  body: string | RegExp | { json: unknown };
  headers?: Record<string, string | RegExp>;
}

export function expectAnswer(answer: Answer, expected: Expected): void {
  const { status, type, body } = answer;
  expect({ status, type, body: matches(expected.body, body) || body }).toEqual({
    status: expected.status,
    type: expected.type,
    body: true,
  });
  for (const [name, value] of Object.entries(expected.headers ?? {})) {
    const received = String(answer.headers[name]);
    // A set in Quay, with its words in another order after each start.
    if (name === "allow") expect(setOf(received)).toEqual(setOf(value));
    else if (typeof value === "string") expect(received).toBe(value);
    else expect(received).toMatch(value);
  }
}

const setOf = (value: string | RegExp) => new Set(String(value).split(", "));

function matches(expected: Expected["body"], body: string): boolean {
  if (typeof expected === "string") return body === expected;
  if (expected instanceof RegExp) return expected.test(body);
  expect(JSON.parse(body)).toEqual(expected.json);
  return true;
}

const JSON_TYPE = "application/json";
const FLASK = "text/html; charset=utf-8";

/** `{"token":"eyJ…"}` plus a line feed, nothing else, and the two headers that nginx adds. */
export const token: Expected = {
  status: 200,
  type: JSON_TYPE,
  body: /^\{"token":"eyJ[\w-]+\.eyJ[\w-]+\.[\w-]+"\}\n$/,
  headers: { "x-frame-options": "DENY", "strict-transport-security": "max-age=63072000; preload" },
};
export const error = (text: string): Expected => ({ status: 401, type: JSON_TYPE, body: `{"error":"${text}"}\n` });
export const message = (text: string): Expected => ({
  status: 400,
  type: JSON_TYPE,
  body: `{"message":${JSON.stringify(text)}}\n`,
});
export const unknownRobot = message("Could not find robot with specified username");

export const internalError: Expected = {
  status: 500,
  type: "text/html",
  body: "<html>\n  <head>\n    <title>Internal Server Error</title>\n  </head>\n  <body>\n    <h1><p>Internal Server Error</p></h1>\n    \n  </body>\n</html>\n",
};
export const loading: Expected = {
  status: 502,
  type: "text/html",
  body: '<html>\n  <head>\n    <title>Quay Loading</title>\n    <style type="text/css">\n      .information {\n         padding: 30px;\n         text-align: center;\n      }\n\n      .information h3 {\n         margin-bottom: 20px;\n      }\n    </style>\n  </head>\n  <body>\n    <div class="information">\n      <h3>Quay is currently loading</h3>\n      <h4>\n        <p>Please wait and refresh the page shortly to try again.</p>\n      </h4>\n    </div>\n  </body>\n</html>\n',
};
export const gatewayTimeout: Expected = {
  status: 504,
  type: "text/html",
  body: "<html>\r\n<head><title>504 Gateway Time-out</title></head>\r\n<body>\r\n<center><h1>504 Gateway Time-out</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n",
};
export const headersTooLarge: Expected = {
  status: 431,
  type: "text/html",
  body: "<html>\n  <head>\n    <title>Request Header Fields Too Large</title>\n  </head>\n  <body>\n    <h1><p>Request Header Fields Too Large</p></h1>\n    Error parsing headers: &#x27;limit request headers fields size&#x27;\n  </body>\n</html>\n",
};
export const cookieTooLarge: Expected = {
  status: 400,
  type: "text/html",
  body: "<html>\r\n<head><title>400 Request Header Or Cookie Too Large</title></head>\r\n<body>\r\n<center><h1>400 Bad Request</h1></center>\r\n<center>Request Header Or Cookie Too Large</center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n",
};
export const plainHttp: Expected = {
  status: 400,
  type: "text/html",
  body: "<html>\r\n<head><title>400 The plain HTTP request was sent to HTTPS port</title></head>\r\n<body>\r\n<center><h1>400 Bad Request</h1></center>\r\n<center>The plain HTTP request was sent to HTTPS port</center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n",
};
export const notAllowed: Expected = {
  status: 405,
  type: FLASK,
  body: "<!doctype html>\n<html lang=en>\n<title>405 Method Not Allowed</title>\n<h1>Method Not Allowed</h1>\n<p>The method is not allowed for the requested URL.</p>\n",
  headers: { allow: "GET, OPTIONS, HEAD" },
};
export const nginxNotAllowed: Expected = {
  status: 405,
  type: "text/html",
  body: "<html>\r\n<head><title>405 Not Allowed</title></head>\r\n<body>\r\n<center><h1>405 Not Allowed</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n",
};
export const tooManyRequests: Expected = {
  status: 429,
  type: "text/html",
  body: "<html>\r\n<head><title>429 Too Many Requests</title></head>\r\n<body>\r\n<center><h1>429 Too Many Requests</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n",
};
export const slashAdded = (url: string): Expected => ({
  status: 308,
  type: FLASK,
  body: `<!doctype html>\n<html lang=en>\n<title>Redirecting...</title>\n<h1>Redirecting...</h1>\n<p>You should be redirected automatically to the target URL: <a href="${url}/">${url}/</a>. If not, click the link.\n`,
  headers: { location: `${url}/` },
});
export const uiNotFound: Expected = {
  status: 404,
  type: FLASK,
  body: /^<!DOCTYPE html>\n<html ng-app="quay" class="onprem">\n[\s\S]{60000}/,
  headers: { "cache-control": "no-cache, no-store, must-revalidate", "set-cookie": /^_csrf_token=/ },
};
export const empty = (status: number, type: string): Expected => ({ status, type, body: "" });

/** Management: the long error, in Python's notation. */
export const apiError = (host: string, status: number, kind: string, text: string): Expected => {
  const quoted = JSON.stringify(text);
  return {
    status,
    type: JSON_TYPE,
    body: `{"detail": ${quoted}, "error_message": ${quoted}, "error_type": "${kind}", "title": "${kind}", "type": "https://${host}/api/v1/error/${kind}", "status": ${status}}\n`,
  };
};
export const csrf: Expected = {
  status: 403,
  type: FLASK,
  body: '{"error": "CSRF token was invalid or missing."}',
};
export const spaced = (status: number, text: string): Expected => ({ status, type: JSON_TYPE, body: `${text}\n` });

/** Registry. */
export const challenged = (host: string, scope?: string): Record<string, string> => ({
  "www-authenticate": `Bearer realm="https://${host}/v2/auth",service="${host}"${scope ? `,scope="${scope}"` : ""}`,
  "docker-distribution-api-version": "registry/2.0",
});
export const unauthorized = (host: string, text: string, scope?: string): Expected => ({
  status: 401,
  type: JSON_TYPE,
  body: `{"errors":[{"code":"UNAUTHORIZED","detail":{},"message":"${text}"}]}\n`,
  headers: challenged(host, scope),
});
export const bearerRefused = (host: string, text: string, scope?: string): Expected => ({
  status: 401,
  type: FLASK,
  body: `{"error": "${text}"}`,
  headers: challenged(host, scope),
});
export const notAuthorized = "access to the requested resource is not authorized";
