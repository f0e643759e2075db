/** What a job is made of, for a test that runs the Action in it. */

import type { Peers } from "../quay-stand-in/peers.ts";
import type { Entry, Leak, Secret } from "./leaks.ts";
import type { Child, Finished, Inputs, ToolName } from "./runner.ts";
import type { Annotation } from "./workflow-commands.ts";

export interface JobOptions {
  /** Gives the inputs registry and ca-file, and GitHub's two variables. */
  peers?: Peers;
  /** `false`: without GitHub's two variables, as without `id-token: write`. */
  idToken?: boolean;
  /** Added to the runner's variables; undefined takes one away. */
  env?: Record<string, string | undefined>;
  /** Only these are on PATH; default: all, and everything else of the system. */
  tools?: readonly ToolName[];
  /** Payload of the event. */
  event?: unknown;
  /** What GitHub makes of `${{ job.workflow_ref }}`; default nothing, as where it isn't known. */
  workflowRef?: string;
  /** To look for, besides what the harness knows of. */
  secrets?: readonly Secret[];
  /** A folder with action.yml; default: the project's, copied without its sources and packages, as a runner has it. */
  action?: string;
  /** Files of the runner that can't be written: a step gets a folder instead. */
  unwritable?: readonly RunnerFile[];
  /** Files of the runner that a step is not told of. */
  unnamed?: readonly RunnerFile[];
  /** Report leaks in `leaks` instead of failing. */
  tolerateLeaks?: boolean;
  /** An ordinary user that steps run as; default, and where the tests have no root to become one: the one of the tests. */
  uid?: number;
}

/** As in GITHUB_NAME. */
export type RunnerFile = "ENV" | "OUTPUT" | "STATE" | "STEP_SUMMARY";

/** A job on a runner of its own. */
export interface Job {
  readonly home: string;
  /** RUNNER_TEMP */
  readonly temp: string;
  readonly workspace: string;
  /** Where nobody looks for leaks. */
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
  /** What keeps the login of this session alive (`refresh: true`): undefined where there is none, or it runs no more. */
  background(session: string | undefined): Promise<Background | undefined>;
  /** A later step: a command with what the Action has exported, and without knowing anything else. */
  later(command: string, args: readonly string[], env?: Record<string, string>): Promise<Finished>;
}

/** A process that outlives its step. */
export interface Background {
  readonly pid: number;
  readonly argv: string[];
  /** As /proc shows it: NAME=value, separated by NUL. */
  readonly env: string;
  /** What its standard input is by now. */
  readonly stdin: string;
}

export interface Step {
  code: number | null;
  signal: NodeJS.Signals | null;
  raw: { stdout: string; stderr: string };
  /** The log as people see it. */
  shown: string;
  masks: string[];
  annotations: Annotation[];
  outputs: Record<string, string>;
  state: Record<string, string>;
  /** For later steps. */
  exported: Record<string, string>;
  summary: string;
  children: Child[];
  milliseconds: number;
  leaks: Leak[];
}

export interface Main extends Step {
  /** Runs the post step that belongs to it. */
  post(): Promise<Step>;
}

export interface Running {
  kill(signal: NodeJS.Signals): void;
  readonly done: Promise<Main>;
}
