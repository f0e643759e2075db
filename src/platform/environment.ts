/** The process's environment as an entry point hands it down: nothing below an entry point reads it by itself. */
export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The first thing that an entry point does. NODE_TLS_REJECT_UNAUTHORIZED=0 has Node.js trust any server: `rejectUnauthorized` wins over it,
 * but not where Node itself connects to an https proxy, nor in a child. So it goes from this process's environment.
 */
export function withoutTlsSwitch(env: NodeJS.ProcessEnv): Environment {
  delete env.NODE_TLS_REJECT_UNAUTHORIZED;
  return env;
}
