/**
 * What makes Artifact Hub leave out a Task or StepAction, or a part of its page: the rules of its tracker, which its own linter (`ah lint`)
 * runs too (artifacthub/hub: internal/tracker/source/tekton/tekton.go, internal/pkg/metadata.go, internal/hub/pkg.go).
 */
import { parse } from "yaml";
import type { Resource } from "./resources.ts";

const categories = [
  ...["ai-machine-learning", "database", "integration-delivery", "monitoring-logging"],
  ...["networking", "security", "storage", "streaming-messaging"],
];
const changeKinds = ["added", "changed", "deprecated", "removed", "fixed", "security"];

/** A reference of an image, as go-containerregistry parses it. */
const reference = /^[a-z\d._:/-]{2,255}(:[\w.-]{1,128})?(@sha256:[0-9a-f]{64})?$/;

/** @returns one line for each problem of an entry in a catalog with the layout KIND/NAME/VERSION/NAME.yaml */
export function hubProblems({ kind, file, metadata, spec }: Resource): string[] {
  const { name, labels = {}, annotations = {} } = metadata;
  const [, folder, version, own] = /([^/]+)\/([^/]+)\/([^/]+)\.yaml$/.exec(file) ?? [];
  const label = labels["app.kubernetes.io/version"] ?? "";
  const of = (key: string): string => annotations[`artifacthub.io/${key}`] ?? "";
  const defaults = new Map((spec.params ?? []).map((param) => [param.name, param.default]));
  const imageOf = (image: string) =>
    image.replaceAll(/\$\(params\.([^)]+)\)/g, (all, param: string) => String(defaults.get(param) ?? all));
  // Those of a StepAction are not looked at.
  const images = kind === "Task" ? (spec.steps ?? []).flatMap(({ image }) => (image ? [imageOf(image)] : [])) : [];
  return [
    ...(folder === name && own === name ? [] : [`folder and file have to be called ${name}`]),
    // Coerced to three parts, and then the same.
    ...(/^v?\d+(\.\d+){0,2}$/.test(label) && label === version ? [] : [`the version ${label} is not the folder's`]),
    ...(spec.description?.trim() ? [] : ["it has no description"]),
    ...(categories.includes(of("category")) ? [] : [`"${of("category")}" is no category`]),
    ...(/^[A-Za-z\d.+-]+$/.test(of("license")) ? [] : ["it has no license of SPDX"]),
    ...changeProblems(parse(of("changes") || "[]")),
    ...linkProblems(parse(of("links") || "[]")),
    ...images
      .filter((image) => !reference.test(image))
      .map((image) => `${image} is no image: the parameter needs a default`),
  ];
}

type Entry = Readonly<Record<string, unknown>>;

const changeProblems = (changes: readonly Entry[]): string[] =>
  changes.flatMap(({ kind, description }) => [
    ...(changeKinds.includes(String(kind)) ? [] : [`"${kind}" is no kind of change`]),
    ...(description ? [] : ["a change has no description"]),
  ]);

const linkProblems = (links: readonly Entry[]): string[] => [
  ...links
    .filter(({ name, url }) => !name || !/^https:\/\//.test(String(url)))
    .map(({ name }) => `the link ${name} needs a name and an address`),
  ...(links.some(({ name }) => name === "support") ? [] : ["it has no link called support"]),
];
