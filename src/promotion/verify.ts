/** The user's own check of an image, before anything of it is promoted. */
import { dirname } from "node:path";
import { LoginError } from "../errors.ts";
import type { IdentitySource } from "../identity/request.ts";
import { start } from "../platform/exec.ts";
import type { Platform } from "../platform/platform.ts";
import { commandEnvironment } from "../registry/environment.ts";
import type { Sides } from "./sides.ts";

/**
 * Runs `command` in a shell, with the reference as its last argument and the source's login in its environment.
 * @throws LoginError `verify-failed`
 */
export async function verify(
  command: string,
  reference: string,
  { source, certificates, hide }: Sides,
  identity: IdentitySource,
  platform: Platform,
): Promise<void> {
  const { reporter, env, signal } = platform;
  const secret = identity.source === "environment" ? identity.variable : undefined;
  const authFile = source.login?.authFile;
  const running = start(
    {
      file: "/bin/sh",
      args: ["-c", `${command} "$@"`, "sh", reference],
      env: {
        ...commandEnvironment(env, secret, certificates),
        // skopeo and its kin read the one, cosign and its kin the other.
        ...(authFile && { REGISTRY_AUTH_FILE: authFile, DOCKER_CONFIG: dirname(authFile) }),
      },
    },
    signal,
  );
  const { exitCode, output } = await running.finish("");
  const lines = hide(output).trim().split("\n").filter(Boolean);
  for (const line of lines) {
    reporter.debug(line);
  }
  if (exitCode !== 0) {
    const how = exitCode === undefined ? "was killed" : `exited with ${exitCode}`;
    const last = lines.slice(-5).map((line) => `  ${line.slice(0, 500)}`);
    throw new LoginError("verify-failed", `The option verify-command ${how} for ${reference}, so it is not promoted.`, {
      remedy: [...(last.length > 0 ? ["It said at the end:", ...last] : []), `Try it by hand: ${command} ${reference}`],
    });
  }
  reporter.info(`The option verify-command accepts ${reference}.`);
}
