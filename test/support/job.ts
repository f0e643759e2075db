/** The parts of a job, for a test that runs the Action in it. */

import type { Peers } from "../quay-stand-in/peers.ts";
import type { Entry, Leak, Secret } from "./leaks.ts";
import type { Child, Finished, Inputs, ToolName } from "./runner.ts";
import type { Annotation } from "./workflow-commands.ts";

export interface JobOptions {
  /** Gives the inputs registry and ca-file, and GitHub's two variables. */
  peers?: Peers;
  /** `false`: without GitHub's two variables, as without `id-token: write`. */
  idToken?: boolean;
  /** Added to the runner's variables; undefined removes one. */
  env?: Record<string, string | undefined>;
  /** Only these are on PATH; default: all, and everything else of the system. */
  tools?: readonly ToolName[];
  /** Payload of the event. */
  event?: unknown;
  /** The value of `${{ job.workflow_ref }}`; default none, as on a runner without it. */
  workflowRef?: string;
  /** Secrets to look for, besides those that the harness knows. */
  secrets?: readonly Secret[];
  /** A folder with action.yml; default: the project's, copied without its sources and packages, as a runner has it. */
  action?: string;
  /** Files of the runner that can't be written: a step gets a folder instead. */
  unwritable?: readonly RunnerFile[];
  /** Files of the runner whose variable is not set. */
  unnamed?: readonly RunnerFile[];
  /** Report leaks in `leaks` instead of failing. */
  tolerateLeaks?: boolean;
  /** An ordinary user that steps run as; default, and if the tests do not run as root: the user of the tests. */
  uid?: number;
}

/** As in GITHUB_NAME. */
export type RunnerFile = "ENV" | "OUTPUT" | "PATH" | "STATE" | "STEP_SUMMARY";

/** A job on a separate runner. */
export interface Job {
  readonly home: string;
  /** RUNNER_TEMP */
  readonly temp: string;
  readonly workspace: string;
  /** Where no test looks for leaks. */
  readonly scratch: string;
  /** What its steps have exported so far. */
  readonly exported: Readonly<Record<string, string>>;
  /** Writes a file, its folders too. */
  write(path: string, content: string, mode?: number): Promise<string>;
  /** HOME, workspace and RUNNER_TEMP as they are now. */
  snapshot(): Promise<Map<string, Entry>>;
  /** Runs the Action's main. */
  run(inputs?: Inputs): Promise<Main>;
  start(inputs?: Inputs): Promise<Running>;
  /** The process that renews the login of this session (`refresh: true`): undefined if there is none, or it no longer runs. */
  background(session: string | undefined): Promise<Background | undefined>;
  /** A later step: a command with what the Action has exported and added to PATH, and nothing else. */
  later(command: string, args: readonly string[], env?: Record<string, string>): Promise<Finished>;
}

/** A process that outlives its step. */
export interface Background {
  readonly pid: number;
  readonly argv: string[];
  /** As /proc shows it: NAME=value, separated by NUL. */
  readonly env: string;
  /** What its standard input is now. */
  readonly stdin: string;
}

export interface Step {
  code: number | null;
  signal: NodeJS.Signals | null;
  raw: { stdout: string; stderr: string };
  /** The log as users see it. */
  shown: string;
  masks: string[];
  annotations: Annotation[];
  outputs: Record<string, string>;
  state: Record<string, string>;
  /** For later steps. */
  exported: Record<string, string>;
  /** Folders that later steps have first on PATH. */
  path: string[];
  summary: string;
  children: Child[];
  milliseconds: number;
  leaks: Leak[];
}

export interface Main extends Step {
  /** Runs its post step. */
  post(): Promise<Step>;
}

export interface Running {
  kill(signal: NodeJS.Signals): void;
  readonly done: Promise<Main>;
}
