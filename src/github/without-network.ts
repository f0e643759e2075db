/**
 * The bundler uses this in place of @actions/http-client and @actions/exec (`paths` of tsconfig.json). @actions/core imports both for
 * functions that this project does not call. Why: docs/decisions/0002-actions-core-without-its-network.md.
 */
export class HttpClient {}
export class BearerCredentialHandler {}
export function getExecOutput(): never {
  throw new Error("@actions/exec is not part of this program.");
}
