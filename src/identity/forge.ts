/** Which forge runs the job: Forgejo and Gitea set the variables of GitHub Actions too, and Forgejo speaks its token protocol. Pure. */
import type { Environment } from "../platform/environment.ts";

export type Forge = "GitHub" | "Forgejo" | "Gitea";

/** Forgejo's runner sets FORGEJO_ACTIONS since version 7, and GITEA_ACTIONS as Gitea's does. */
export const forgeOf = (env: Environment): Forge =>
  env.FORGEJO_ACTIONS === "true" ? "Forgejo" : env.GITEA_ACTIONS === "true" ? "Gitea" : "GitHub";
