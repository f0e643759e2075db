/** What a face knows of the place it runs in. */
export interface Place {
  /** Private files of the job belong here. */
  readonly temporaryFolder: string;
  /** Never written to: what lies there ends up in images and artifacts. */
  readonly workspace: string | undefined;
  /** A machine made for this job alone, whose home folder may be used freely. */
  readonly isDisposable: boolean;
  /** PEM text of the option ca-file. */
  readonly roots: string | undefined;
  /** Called as soon as there is something that logout would have to take back. */
  readonly onSession: (folder: string) => void;
}
