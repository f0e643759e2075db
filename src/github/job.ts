/** The job as the core sees it. */
import { tmpdir } from "node:os";
import type { Workplace } from "../login/workplace.ts";
import type { OptionReader } from "../options/reader.ts";
import type { Environment } from "../platform/environment.ts";

/** What the Action alone has options for: what becomes of the login after its step, and of a job without an identity. */
export interface JobOptions {
  readonly refresh: boolean;
  readonly logout: boolean;
  readonly withoutIdentity: "fail" | "skip";
}

/** @throws ExplainedError `invalid-input` */
export function parseJobOptions({ boolean, choice }: OptionReader): JobOptions {
  return {
    refresh: boolean("refresh"),
    logout: boolean("logout"),
    withoutIdentity: choice("without-identity", ["fail", "skip"]),
  };
}

export function workplaceOf(
  env: Environment,
  roots: string | undefined,
  memory: Pick<Workplace, "job" | "onSession">,
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

/** A promotion leaves nothing for later steps, and touches nobody's files. */
export function promotionWorkplaceOf(...args: Parameters<typeof workplaceOf>): Workplace {
  return { ...workplaceOf(...args), willLogOut: false, isDisposable: false };
}
