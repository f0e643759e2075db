/**
 * A real Quay's answers, word for word (docs/quay.md): the pages of gunicorn, nginx, Flask and the browser
 * UI, and the two shapes of JSON errors. Pure: a `Reply` is data, `server.ts` sends it.
 */

export interface Reply {
  status: number;
  /** The content type exactly as Quay writes it, or none. */
  type?: string;
  body: string;
  headers?: Record<string, string>;
}

const FLASK_HTML = "text/html; charset=utf-8";

/** Python's `json.dumps`: blanks after `,` and `:`, everything but ASCII escaped. */
export function pythonJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(pythonJson).join(", ")}]`;
  if (value !== null && typeof value === "object") {
    const entries = Object.entries(value).filter(([, each]) => each !== undefined);
    return `{${entries.map(([key, each]) => `${pythonJson(key)}: ${pythonJson(each)}`).join(", ")}}`;
  }
  return JSON.stringify(value).replace(/[\u0080-\uffff]/g, (letter) => {
    return `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}

/** Flask's `jsonify`: compact, a line feed at the end. The exchange and the registry use it. */
export function compactJson(status: number, value: unknown, headers: Record<string, string> = {}): Reply {
  return { status, type: "application/json", body: `${JSON.stringify(value)}\n`, headers };
}

/** flask-restful's JSON, of the management API. */
export function spacedJson(status: number, value: unknown, headers: Record<string, string> = {}): Reply {
  return { status, type: "application/json", body: `${pythonJson(value)}\n`, headers };
}

/** The exchange's refusals: `{"error"}` for the header, 401; `{"message"}` for the rest, 400. Section B. */
export const headerRefused = (error: string): Reply => compactJson(401, { error });
export const refused = (message: string): Reply => compactJson(400, { message });
export const ROBOT_UNKNOWN = "Could not find robot with specified username";

/** The management API's long error. Section A. */
export function apiError(host: string, status: number, error_type: string, detail: string): Reply {
  const type = `https://${host}/api/v1/error/${error_type}`;
  return spacedJson(status, { detail, error_message: detail, error_type, title: error_type, type, status });
}

/** "Errors come in two shapes; content types can't be trusted": JSON as text/html. */
export const CSRF: Reply = { status: 403, type: FLASK_HTML, body: '{"error": "CSRF token was invalid or missing."}' };
export const NOT_JSON = spacedJson(400, {
  message: "The browser (or proxy) sent a request that this server could not understand.",
});
export const NOT_JSON_TYPE = spacedJson(415, {
  message: "Did not attempt to load JSON data because the request Content-Type was not 'application/json'.",
});
export const apiMethodNotAllowed = (allow: string): Reply =>
  spacedJson(405, { message: "The method is not allowed for the requested URL." }, { allow });
/** *Source*, not seen on the wire: endpoints' handler of ReadOnlyModeException. */
export const READ_ONLY = compactJson(503, {
  message: "System is currently read-only. Pulls will succeed but all write operations are currently suspended.",
  is_readonly: true,
});

/** gunicorn's own pages, for an exception and for headers over 8190 bytes. */
const gunicorn = (status: number, reason: string, text = ""): Reply => ({
  status,
  type: "text/html",
  body: `<html>\n  <head>\n    <title>${reason}</title>\n  </head>\n  <body>\n    <h1><p>${reason}</p></h1>\n    ${text}\n  </body>\n</html>\n`,
});
export const INTERNAL_ERROR = gunicorn(500, "Internal Server Error");
export const HEADERS_TOO_LARGE = gunicorn(
  431,
  "Request Header Fields Too Large",
  "Error parsing headers: &#x27;limit request headers fields size&#x27;",
);

/** Quay's page for a gunicorn that dropped the connection: starting, or an issuer that can't be reached. */
export const LOADING: Reply = {
  status: 502,
  type: "text/html",
  body:
    '<html>\n  <head>\n    <title>Quay Loading</title>\n    <style type="text/css">\n      .information {\n' +
    "         padding: 30px;\n         text-align: center;\n      }\n\n      .information h3 {\n" +
    "         margin-bottom: 20px;\n      }\n    </style>\n  </head>\n  <body>\n" +
    '    <div class="information">\n      <h3>Quay is currently loading</h3>\n      <h4>\n' +
    "        <p>Please wait and refresh the page shortly to try again.</p>\n      </h4>\n    </div>\n" +
    "  </body>\n</html>\n",
};

/** nginx's pages. Lines end with CR LF. */
const nginx = (status: number, title: string, lines: string[] = []): Reply => ({
  status,
  type: "text/html",
  body: ["<html>", `<head><title>${title}</title></head>`, "<body>", ...headings(title, lines), ...NGINX_END].join(
    "\r\n",
  ),
});
const headings = (title: string, lines: string[]) =>
  (lines.length > 0 ? lines : [`<h1>${title}</h1>`]).map((line) => `<center>${line}</center>`);
const NGINX_END = ["<hr><center>nginx</center>", "</body>", "</html>", ""];
export const GATEWAY_TIMEOUT = nginx(504, "504 Gateway Time-out");
export const TOO_MANY_REQUESTS = nginx(429, "429 Too Many Requests");
export const NGINX_METHOD_NOT_ALLOWED = nginx(405, "405 Not Allowed");
export const BODY_TOO_LARGE = nginx(413, "413 Request Entity Too Large");
export const MOVED = nginx(301, "301 Moved Permanently");
const REQUEST_TOO_LARGE_TITLE = "400 Request Header Or Cookie Too Large";
export const REQUEST_TOO_LARGE = nginx(400, REQUEST_TOO_LARGE_TITLE, [
  "<h1>400 Bad Request</h1>",
  "Request Header Or Cookie Too Large",
]);
export const PLAIN_HTTP = nginx(400, "400 The plain HTTP request was sent to HTTPS port", [
  "<h1>400 Bad Request</h1>",
  "The plain HTTP request was sent to HTTPS port",
]);

/** Flask's pages. */
export const methodNotAllowed = (allow: string): Reply => ({
  status: 405,
  type: FLASK_HTML,
  body:
    "<!doctype html>\n<html lang=en>\n<title>405 Method Not Allowed</title>\n<h1>Method Not Allowed</h1>\n" +
    "<p>The method is not allowed for the requested URL.</p>\n",
  headers: { allow },
});
export const options = (allow: string): Reply => ({ status: 200, type: FLASK_HTML, body: "", headers: { allow } });
export const slashRedirect = (url: string): Reply => ({
  status: 308,
  type: FLASK_HTML,
  body:
    "<!doctype html>\n<html lang=en>\n<title>Redirecting...</title>\n<h1>Redirecting...</h1>\n" +
    `<p>You should be redirected automatically to the target URL: <a href="${url}">${url}</a>. ` +
    "If not, click the link.\n",
  headers: { location: url },
});

const UI_START =
  '<!DOCTYPE html>\n<html ng-app="quay" class="onprem">\n  <head>\n  \n\n  \n\n    <base href="/">\n\n    \n' +
  '  <title ng-bind="title + \' · Quay\'">Quay</title>\n\n\n    \n  <base href="/">\n\n' +
  '  <meta id="descriptionTag" name="description" content="Quay is the best place to build, store, and distribute ' +
  'your containers. Public repositories are always free." />\n';
/** The browser UI's "not found": as large as the real page (its rest was not recorded), with a cookie. */
export const notFound = (size: number): Reply => ({
  status: 404,
  type: FLASK_HTML,
  body: `${UI_START.padEnd(size - 17)}</head>\n</html>\n`,
  headers: {
    "cache-control": "no-cache, no-store, must-revalidate",
    "set-cookie": "_csrf_token=eyJfY3NyZl90b2tlbiI6IngifQ.awU4Rw.x; Secure; HttpOnly; Path=/; SameSite=Lax",
  },
});
/** Any other page: the recorded Quay had a placeholder for its UI. */
export const UI: Reply = {
  status: 200,
  type: "text/html",
  body: "<!doctype html><title>UI placeholder</title>",
  headers: { "accept-ranges": "bytes" },
};
/** nginx's own, whether the registry behind it is up or not. */
export const V1_PING: Reply = { status: 200, type: "text/plain", body: "true" };

/** The registry's errors. Section C. */
export const registryError = (status: number, code: string, message: string): Reply =>
  compactJson(status, { errors: [{ code, detail: {}, message }] });
/** Quay's answers to a refused write, regardless of permissions (quay-management.md, section 6). */
export const REGISTRY_READ_ONLY = registryError(
  405,
  "DENIED",
  "System is currently read-only. Pulls will succeed but all write operations are currently suspended.",
);
export const QUOTA_EXCEEDED = registryError(403, "DENIED", "Quota has been exceeded on namespace");
export const tagImmutable = (tag: string): Reply =>
  compactJson(409, {
    errors: [
      {
        code: "TAG_IMMUTABLE",
        detail: { message: `tag '${tag}' is immutable` },
        message: "tag is immutable and cannot be overwritten",
      },
    ],
  });
export const NOT_AUTHORIZED = "access to the requested resource is not authorized";
/** `/v2/` and a bearer that Quay can't read: JSON as text/html. */
export const bearerRefused = (error: string): Reply => ({
  status: 401,
  type: FLASK_HTML,
  body: pythonJson({ error }),
});
export const pong = (status: number): Reply => ({
  status,
  type: FLASK_HTML,
  body: "true",
  headers: { "x-sparse-manifest-support": "false" },
});
export const TOO_MANY_LOGINS: Reply = {
  status: 429,
  type: FLASK_HTML,
  body: "Too many login attempts. \nPlease reset your Quay password and try again.",
  headers: { "retry-after": "1" },
};

/** The challenge of Quay's registry. `scope` only if the request named a repository. */
export function challenge(host: string, scope?: string): Record<string, string> {
  const realm = `Bearer realm="https://${host}/v2/auth",service="${host}"`;
  return {
    "www-authenticate": scope === undefined ? realm : `${realm},scope="${scope}"`,
    "docker-distribution-api-version": "registry/2.0",
  };
}
