/** The options of `federate`, validated before anything is sent. Pure. */
import { type IdentityRequest, parseIdentityRequest } from "../identity/source.ts";
import { type OptionReader, parseTimeout, readOptions } from "../options/reader.ts";
import type { OptionName, OptionValues } from "../options/table.ts";
import { invalidInput, oneOfTheTwo } from "../platform/errors.ts";
import { asGiven } from "../platform/text.ts";
import { mention, text, type Words } from "../platform/wording.ts";
import { type ApiTokenSource, parseApiTokenSource } from "../quay/api-token.ts";
import { parseOrganization, parseRegistry } from "../quay/scope.ts";
import { formKeys } from "./binding-forms.ts";
import type { Trust } from "./trust.ts";
import type { TrustFileWanted } from "./trust-file.ts";
import { bindingsOfOptions, trustOfOptions } from "./trust-of-options.ts";

/** What is done with the plan. */
export type Mode = "apply" | "dry-run" | "check";

/** Where the trust comes from. */
export type TrustSource =
  | ({ readonly kind: "file"; readonly path: string } & TrustFileWanted)
  | { readonly kind: "options"; readonly trust: Trust }
  /** No option names a binding: this place's own identity is bound to the robots of `trust`. */
  | { readonly kind: "place"; readonly trust: Trust; readonly identity: IdentityRequest };

type FileSource = Extract<TrustSource, { readonly kind: "file" }>;

interface Common {
  readonly apiToken: ApiTokenSource;
  readonly caFile: string | undefined;
  readonly timeoutSeconds: number;
}

export type FederateRequest = FederationRequest | ExportRequest;

export interface FederationRequest extends Common {
  readonly kind: "federation";
  readonly source: TrustSource;
  readonly mode: Mode;
  readonly prune: boolean;
  readonly strict: boolean;
  readonly offline: boolean;
}

/** With the option `file`. */
export interface FileRequest extends FederationRequest {
  readonly source: FileSource;
}

export const isOfFile = (request: FederateRequest): request is FileRequest =>
  request.kind === "federation" && request.source.kind === "file";

export interface ExportRequest extends Common {
  readonly kind: "export";
  readonly registry: string;
  readonly organization: string;
}

const ofIdentity = ["identity", "token-file", "token-env", "token-command", "spiffe-socket", "spiffe-id"] as const;
const ofOptions = ["robot", "description", "permission", ...formKeys, "audience", ...ofIdentity] as const;
const ofPlans = ["prune", "create-robot", "create-repository", "check", "dry-run", "strict", "offline"] as const;

/** @throws ExplainedError `invalid-input`, naming the option, the value and an example that works */
export function parseFederateRequest(values: OptionValues): FederateRequest {
  const reader = readOptions(values);
  const common: Common = {
    apiToken: parseApiTokenSource(reader),
    caFile: reader.optional("ca-file"),
    timeoutSeconds: parseTimeout(reader),
  };
  if (reader.boolean("export")) {
    return { kind: "export", ...common, ...parseExport(values, reader) };
  }
  const organization = reader.optional("organization");
  if (organization !== undefined) {
    const problem = text`it goes with ${mention("export")}; the robot's name begins with its organization`;
    throw invalidInput("organization", organization, problem, mention("robot", "acme+ci"));
  }
  return {
    kind: "federation",
    ...common,
    source: parseSource(values, reader),
    mode: parseMode(reader),
    prune: reader.boolean("prune"),
    strict: reader.boolean("strict"),
    offline: reader.boolean("offline"),
  };
}

function parseExport(values: OptionValues, reader: OptionReader): Pick<ExportRequest, "registry" | "organization"> {
  refuse(values, ["file", ...ofOptions, ...ofPlans], text`${mention("export")} does not use it`);
  const organization = reader.optional("organization");
  if (organization === undefined) {
    throw invalidInput("export", "true", text`it needs ${mention("organization")}`, mention("organization", "acme"));
  }
  return { registry: parseRegistry(reader.text("registry")), organization: parseOrganization(organization) };
}

function parseMode({ boolean }: OptionReader): Mode {
  const [check, dryRun] = [boolean("check"), boolean("dry-run")];
  if (check && dryRun) {
    throw invalidInput("dry-run", "true", text`${mention("check")} is set too`, oneOfTheTwo);
  }
  return check ? "check" : dryRun ? "dry-run" : "apply";
}

function parseSource(values: OptionValues, reader: OptionReader): TrustSource {
  const path = reader.optional("file");
  if (path !== undefined) {
    refuse(values, ofOptions, text`${mention("file", path)} is set too, and says it for each robot`);
    return {
      kind: "file",
      path,
      registry: values.registry?.trim() ? parseRegistry(reader.text("registry")) : undefined,
      prune: reader.boolean("prune"),
      createRobots: reader.boolean("create-robot"),
      createRepositories: reader.boolean("create-repository"),
    };
  }
  const bindings = bindingsOfOptions(values);
  const trust = trustOfOptions(values, bindings);
  if (bindings.length > 0) {
    refuse(values, ofIdentity, "the binding is named by other options, so no identity token is read");
    return { kind: "options", trust };
  }
  return { kind: "place", trust, identity: parseIdentityRequest(reader) };
}

/** @throws ExplainedError `invalid-input` if one of the options is set */
function refuse(values: OptionValues, names: readonly OptionName[], problem: Words): void {
  for (const name of names) {
    const value = values[name]?.trim();
    if (value && value !== "false") {
      // A user may have put a token in place of its variable's name.
      const shown = name === "token-env" ? "…" : asGiven(value);
      throw invalidInput(name, shown, problem, "the command without it");
    }
  }
}
