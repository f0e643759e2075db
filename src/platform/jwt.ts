/** What makes a text a JWT, and a number a time in one (RFC 7519; RFC 7515, 7.1). Pure. */

/** Three nonempty parts of base64url with dots between them: nothing that a terminal, a header or a log could interpret. */
export const isJwt = (text: string): boolean => /^[\w-]+\.[\w-]+\.[\w-]+$/.test(text);

/** Seconds since 1970 in a year of four digits: what a calendar, a session's record and a timer can hold. */
export const isTime = (value: unknown): value is number =>
  typeof value === "number" && value > 0 && value < Date.UTC(10_000, 0) / 1000;
