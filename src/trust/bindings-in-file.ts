/** The bindings of a robot in quay-trust.yaml. Pure. */
import { text, type Words } from "../platform/wording.ts";
import { bindingOfForm, type Form, type FormKey, type FormWriter, formKeys } from "./binding-forms.ts";
import { defaultAudience, type WantedBinding } from "./trust.ts";
import { assertKnown, type Nodes, type Spot, shown } from "./yaml-nodes.ts";
import { yamlPair } from "./yaml-text.ts";

/** @throws ExplainedError `invalid-input`, naming file, line and key */
export function readBindings(nodes: Nodes, spot: Spot): readonly WantedBinding[] {
  const { fail } = nodes;
  if (!nodes.isList(spot)) {
    throw fail(
      spot,
      "is not a list; each entry begins with a dash",
      `Write, for example, bindings: [${inFile(example)}]`,
    );
  }
  const seen = new Map<string, Spot>();
  return nodes.items(spot).map((item) => {
    const binding = readBinding(nodes, item);
    const both = JSON.stringify([binding.issuer, binding.subject]);
    const other = seen.get(both);
    if (other) {
      throw fail(
        item,
        `repeats the binding in line ${other.line}: issuer and subject are the same`,
        "Leave one of the two out.",
      );
    }
    seen.set(both, item);
    return binding;
  });
}

const example: Form = { github: "acme/app", environment: "release" };

function readBinding(nodes: Nodes, item: Spot): WantedBinding {
  const { fail } = nodes;
  const whole = `Write, for example, - ${inFile(example)}`;
  const entries = nodes.entries(item, whole);
  assertKnown(entries, [...formKeys, "audience"], fail);
  const form: Form = Object.fromEntries(
    formKeys.map((key) => {
      const spot = entries.get(key);
      return [key, spot && readValue(nodes, key, spot)];
    }),
  );
  if (formKeys.every((key) => form[key] === undefined)) {
    throw fail(item, "says nothing about who is trusted", whole);
  }
  const writer: FormWriter = {
    wrong: (key, problem, good) => {
      const spot = entries.get(key) ?? item;
      const is: Words = key === "pull-request" ? "is true" : `is ${shown(form[key] ?? "")}`;
      const isOne = Object.keys(good).length === 1;
      return fail(
        spot,
        text`${is}: ${problem}`,
        `Write, for example, ${isOne ? inFile(good).slice(2, -2) : `- ${inFile(good)}`}`,
      );
    },
    name: (key) => key,
  };
  const audience = entries.get("audience");
  const binding = bindingOfForm(form, writer);
  return {
    ...binding,
    audiences: audience ? readAudiences(nodes, audience) : [],
    from: nodes.place(item),
  };
}

/** A form in one line, as YAML. */
const inFile = (form: Form): string => {
  const given = formKeys.flatMap((key) => {
    const value = form[key];
    return value === undefined ? [] : [key === "pull-request" ? `${key}: true` : yamlPair(key, value)];
  });
  return `{ ${given.join(", ")} }`;
};

function readValue(nodes: Nodes, key: FormKey, spot: Spot): string {
  if (key !== "pull-request") {
    const value = nodes.text(spot, yamlPair(key, samples[key]));
    if (value === "") {
      throw nodes.fail(spot, "is empty", `Write, for example, ${yamlPair(key, samples[key])}`);
    }
    return value;
  }
  if (!nodes.boolean(spot)) {
    throw nodes.fail(spot, "is false", "Write true, or leave it out.");
  }
  return "true";
}

const samples: Readonly<Record<Exclude<FormKey, "pull-request">, string>> = {
  github: "acme/app",
  gitlab: "group/project",
  "service-account": "team/deployer",
  issuer: "https://spire.example.com",
  subject: "spiffe://example.com/ci",
  environment: "release",
  branch: "main",
  tag: "v1.0",
};

const audienceExample = yamlPair("audience", defaultAudience);

function readAudiences(nodes: Nodes, spot: Spot): readonly string[] {
  const { fail } = nodes;
  if (!nodes.isList(spot)) {
    return [readAudience(nodes, spot)];
  }
  const audiences = nodes.items(spot).map((item) => readAudience(nodes, item));
  if (audiences.length === 0) {
    throw fail(spot, "is empty", `Write, for example, ${audienceExample}`);
  }
  if (new Set(audiences).size < audiences.length) {
    throw fail(spot, "has an audience twice", "Leave one of the two out.");
  }
  return audiences;
}

function readAudience({ text: textOf, fail }: Nodes, spot: Spot): string {
  const value = textOf(spot, audienceExample);
  if (!/^\S(?:.*\S)?$/s.test(value)) {
    throw fail(spot, value === "" ? "is empty" : "has blanks at an end", `Write, for example, ${audienceExample}`);
  }
  return value;
}
