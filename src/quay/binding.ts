/** A binding of a robot's federation, as Quay stores it. */
export interface Binding {
  readonly issuer: string;
  readonly subject: string;
  /** `audiences`, `id`, `version`, `api_scopes` and whatever newer releases add: they go back as they came. */
  readonly [key: string]: unknown;
}
