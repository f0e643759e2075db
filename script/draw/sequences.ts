/** A login and a promotion, as the README shows them; docs/architecture.md has them in full. */
import { sequence } from "./sequence.ts";

export const login = sequence({
  title: "How a login works",
  description:
    "The job asks its platform for an identity token. Quay trades it for a robot token, if it matches the robot's binding. " +
    "A tool gets the robot token on standard input and verifies it. The logout restores each file.",
  ours: "job",
  participants: {
    platform: { name: "Your platform", detail: "GitHub, Kubernetes, …", x: 106 },
    job: { name: "quay-keyless-login", detail: "in your job or pod", x: 302 },
    tool: { name: "Your tool", detail: "skopeo, docker, …", x: 498 },
    quay: { name: "Quay", detail: "quay.io or your own", x: 694 },
  },
  steps: [
    { from: "job", to: "platform", says: "asks who this job is" },
    { from: "platform", to: "job", says: "identity token", answers: true },
    { from: "job", to: "quay", says: "identity token, for robot acme+ci" },
    { from: "quay", to: "platform", says: "asks for the issuer's public keys" },
    { at: "quay", does: "Signature, issuer and subject match the robot's binding" },
    { from: "quay", to: "job", says: "robot token, expires in one hour", answers: true },
    { from: "job", to: "tool", says: "on standard input" },
    { from: "tool", to: "quay", says: "pulls, pushes" },
    { at: "job", does: "At the end: logs out, each file is as before" },
  ],
});

export const promotion = sequence({
  title: "How a promotion works",
  description:
    "The command looks up the digest in staging and each tag in the release registry. skopeo copies by digest. " +
    "The tags are set last, and each is read back.",
  ours: "promote",
  participants: {
    staging: { name: "Staging", detail: "quay.io/staging/app", x: 106 },
    promote: { name: "promote", detail: "in your job or pod", x: 302 },
    skopeo: { name: "skopeo", detail: "copies the bytes", x: 498 },
    release: { name: "Release", detail: "quay.io/acme/app", x: 694 },
  },
  steps: [
    { from: "promote", to: "staging", says: "which digest is it?" },
    { from: "promote", to: "release", says: "is each tag free?" },
    { at: "promote", does: "A tag on another image: refused, nothing is changed" },
    { from: "promote", to: "skopeo", says: "copy by digest" },
    { from: "skopeo", to: "staging", says: "reads every platform's bytes" },
    { from: "skopeo", to: "release", says: "the same bytes" },
    { from: "promote", to: "release", says: "sets the tags, last of all" },
    { from: "release", to: "promote", says: "each tag, read back", answers: true },
    { at: "promote", does: "A kill leaves no tag on half an image" },
  ],
});
