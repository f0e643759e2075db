/** What the robot must trust for a job: the options of `federate`. Source: GitHub's OIDC reference, "Example subject claims". Pure. */
import { isMap, type Node } from "yaml";
import { type Mention, mention } from "../platform/wording.ts";
import { type GithubFile, type Job, placeOf, type Step, usersOf, type World } from "./github.ts";
import { itemsOf, nodeAt, textAt, textOf } from "./yaml-tree.ts";

export interface Subjects {
  readonly options: readonly (readonly Mention[])[];
  readonly notes: readonly string[];
}

export function federateFor(job: Job, step: Step | undefined, world: World): Subjects {
  const { options, notes } = subjectsOf(job, step, world, new Set());
  const repository = mention("github", world.repository ?? "OWNER/REPO");
  const unique = [...new Map(options.map((each) => [JSON.stringify(each), each])).values()];
  return { options: unique.map((each) => [repository, ...each]), notes: [...new Set(notes)] };
}

function subjectsOf(job: Job, step: Step | undefined, world: World, seen: ReadonlySet<Job>): Subjects {
  const { tree } = job.file;
  const environment = job.entries.get("environment")?.value;
  const name = isMap(environment) ? textAt(tree, environment, "name") : textOf(environment);
  if (name !== undefined) {
    return name.includes("${{")
      ? {
          options: [[mention("environment", "ENVIRONMENT")]],
          notes: [`Run federate for each environment that ${name} can be.`],
        }
      : { options: [[mention("environment", name)]], notes: [] };
  }
  const own = [...job.file.triggers].map(([event, node]) =>
    eventSubjects({ file: job.file, event, node, world, skipsPulls: skipsPulls(job, step) }),
  );
  const callers = seen.has(job) ? [] : usersOf(world, job.file);
  const called = callers.map((caller) => subjectsOf(caller, undefined, world, new Set([...seen, job])));
  const all = [...own, ...called];
  const options = all.flatMap((each) => each.options);
  const notes = all.flatMap((each) => each.notes);
  // A called job's subject is that of the run that calls it.
  return options.length > 0 || notes.length > 0
    ? { options, notes }
    : {
        options: [[mention("branch", world.defaultBranch ?? "BRANCH")]],
        notes: [`${placeOf(job)} runs where it is called from: the branch is the caller's.`],
      };
}

/** Whether a condition leaves pull requests out. */
const skipsPulls = ({ entries }: Job, step: Step | undefined): boolean =>
  [entries, step?.entries].some((each) =>
    /github\.event_name\s*(?:!=\s*'pull_request'|==\s*'(?!pull_request)\w+')|github\.ref\s*==\s*'refs\/heads/.test(
      textOf(each?.get("if")?.value) ?? "",
    ),
  );

interface Event {
  readonly file: GithubFile;
  readonly event: string;
  readonly node: Node | undefined;
  readonly world: World;
  readonly skipsPulls: boolean;
}

const differs = (what: string): Subjects => ({
  options: [],
  notes: [`The subject of ${what} differs in each run: give the job an environment, and run migrate again.`],
});

function eventSubjects({ file, event, node, world, skipsPulls: skips }: Event): Subjects {
  const main = { options: [[mention("branch", world.defaultBranch ?? "BRANCH")]], notes: [] };
  switch (event) {
    case "workflow_call":
      return { options: [], notes: [] };
    case "push":
      return pushSubjects(file, node, main);
    case "pull_request":
      return skips
        ? { options: [], notes: [] }
        : {
            options: [[mention("pull-request", "true")]],
            notes: [
              "The workflow runs for pull requests too: let a robot trust them only if it can't write, or skip the login there.",
            ],
          };
    case "release":
      return differs("a release");
    case "merge_group":
      return differs("a merge queue");
    default:
      return main;
  }
}

function pushSubjects({ tree }: GithubFile, node: Node | undefined, main: Subjects): Subjects {
  const branches = itemsOf(tree, nodeAt(tree, node, "branches")).flatMap((item) => textOf(item) ?? []);
  const hasTags = nodeAt(tree, node, "tags") !== undefined || nodeAt(tree, node, "tags-ignore") !== undefined;
  const tags = hasTags ? differs("a tag") : { options: [], notes: [] };
  if (branches.length === 0) {
    return hasTags ? tags : main;
  }
  const exact = branches.filter((branch) => !/[*?+[\]!]/.test(branch));
  const patterns = branches.filter((branch) => /[*?+[\]]/.test(branch));
  const others = patterns.length > 0 ? differs(`the branches ${patterns.join(", ")}`) : { options: [], notes: [] };
  return {
    options: exact.map((branch) => [mention("branch", branch)]),
    notes: [...tags.notes, ...others.notes],
  };
}
