/** A robot's bindings: `…/robots/SHORT/federation`. */
import { type Reply, ROBOT_UNKNOWN, refused, spacedJson } from "../pages.ts";
import { type Binding, withIdentity } from "../store.ts";
import {
  administers,
  type Call,
  forbidden,
  has,
  invalid,
  isRead,
  NOTHING,
  type Route,
  readBody,
  record,
} from "./call.ts";
import { schemaProblem } from "./federation-schema.ts";

const ofOrganization = (call: Call, organization = "", short = ""): Reply =>
  federation(call, organization, short, administers(call, organization));
const ofUser = (call: Call, short = ""): Reply => federation(call, call.token.user, short, has(call, "user:admin"));

export const federationRoutes: Route[] = [
  {
    path: "organization/{org}/robots/{short}/federation",
    ...{ GET: ofOrganization, POST: ofOrganization, DELETE: ofOrganization },
  },
  { path: "user/robots/{short}/federation", GET: ofUser, POST: ofUser, DELETE: ofUser },
];

function federation(call: Call, namespace: string, short: string, isAllowed: boolean): Reply {
  let bindings: Binding[] = [];
  if (call.request.method === "POST") {
    const body = readBody<Binding[]>(call);
    if (!body.ok) return body.reply;
    const problem = schemaProblem(body.value);
    if (problem !== undefined) return invalid(call, problem);
    bindings = body.value;
  }
  if (!isAllowed) return forbidden(call);
  const problem = bindingsProblem(bindings);
  if (problem !== undefined) return invalid(call, problem);
  const robot = call.store.robots.get(`${namespace}+${short}`);
  if (robot === undefined) return refused(ROBOT_UNKNOWN);
  if (isRead(call.request)) return spacedJson(200, robot.bindings);
  if (call.request.method === "DELETE") {
    robot.bindings = [];
    record(call, "delete_robot_federation", namespace, { robot: short });
    return NOTHING;
  }
  robot.bindings = bindings.map((each) => storedForm(each, robot.bindings, call.settings.release === "newer"));
  record(call, "create_robot_federation", namespace, { config: robot.bindings, robot: short });
  return spacedJson(200, robot.bindings);
}

/** "Unknown keys are dropped without a word (`audiences` too)"; kept in newer source. */
function storedForm(binding: Binding, before: Binding[], isNewer: boolean): Binding {
  const { issuer, subject, ...more } = binding;
  return isNewer ? withIdentity({ issuer, subject, ...more }, before) : { issuer, subject };
}

/** `_parse_federation_config`: what the schema lets through and Quay does not. */
function bindingsProblem(bindings: Binding[]): string | undefined {
  const seen = new Set<string>();
  for (const { issuer, subject } of bindings) {
    if (!issuer || !subject) return "Missing one or more required fields (issuer, subject)";
    if (!/^https?:\/\//.test(issuer)) return "Issuer must be a URL (http:// or https://)";
    if (seen.has(`${issuer}:${subject}`)) return "Duplicate federation config entry";
    seen.add(`${issuer}:${subject}`);
  }
  return undefined;
}
