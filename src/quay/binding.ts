/** A binding of a robot's federation, as Quay stores it. */
export interface Binding {
  readonly issuer: string;
  readonly subject: string;
  /** `audiences`, `id`, `version`, `api_scopes` and whatever newer releases add: they go back as they came. */
  readonly [key: string]: unknown;
}

/** Quay has one binding for each pair of issuer and subject, which it compares letter by letter. */
export const isSameBinding = (
  a: Pick<Binding, "issuer" | "subject">,
  b: Pick<Binding, "issuer" | "subject">,
): boolean => a.issuer === b.issuer && a.subject === b.subject;
