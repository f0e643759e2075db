/** The process's environment, passed down by an entry point: nothing below an entry point reads `process.env`. */
export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Every entry point calls this first. NODE_TLS_REJECT_UNAUTHORIZED=0 makes Node.js trust any server. `rejectUnauthorized` overrides it,
 * but not where Node itself connects to an https proxy, nor in a child: the variable is therefore deleted.
 */
export function withoutTlsSwitch(env: NodeJS.ProcessEnv): Environment {
  delete env.NODE_TLS_REJECT_UNAUTHORIZED;
  return env;
}
