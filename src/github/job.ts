/** The job as the core sees it. */
import { tmpdir } from "node:os";
import type { Workplace } from "../login/workplace.ts";
import type { Environment } from "../platform/environment.ts";

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
