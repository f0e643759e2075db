/** The process's environment as a face hands it down: nothing below a face reads it by itself. */
export type Environment = Readonly<Record<string, string | undefined>>;
