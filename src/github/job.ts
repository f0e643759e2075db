/** The job as the core sees it. */
import { tmpdir } from "node:os";
import type { Workplace } from "../login/workplace.ts";
import type { OptionReader } from "../options/reader.ts";
import type { Environment } from "../platform/environment.ts";

/** The options that only the Action has. */
export interface JobOptions {
  readonly credentialHelper: boolean;
  readonly refresh: boolean;
  readonly logout: boolean;
  readonly withoutIdentity: "fail" | "skip";
}

/** @throws ExplainedError `invalid-input` */
export function parseJobOptions({ boolean, choice }: OptionReader): JobOptions {
  return {
    credentialHelper: boolean("credential-helper"),
    refresh: boolean("refresh"),
    logout: boolean("logout"),
    withoutIdentity: choice("without-identity"),
  };
}

export function workplaceOf(
  env: Environment,
  roots: string | undefined,
  memory: Pick<Workplace, "job" | "onSession" | "installHelper">,
): Workplace {
  return {
    ...memory,
    temporaryFolder: env.RUNNER_TEMP || tmpdir(),
    sessionFolder: undefined,
    willLogOut: true,
    keepsLogins: "privately",
    workspace: env.GITHUB_WORKSPACE,
    isDisposable: env.RUNNER_ENVIRONMENT === "github-hosted",
    roots,
  };
}

/** A promotion leaves nothing for later steps, and changes no auth file of the user. */
export function promotionWorkplaceOf(...args: Parameters<typeof workplaceOf>): Workplace {
  return { ...workplaceOf(...args), willLogOut: false, isDisposable: false };
}
