/** GitLab and Tekton: found and listed, with what to write. */
import { describe, expect, test } from "vitest";
import { commands, outcome, planFor } from "./planning.ts";

const found = (plan: ReturnType<typeof planFor>) =>
  plan.findings.map(
    ({ line, place, what, robot }) => `${line} ${place}: ${what}, ${"name" in robot ? robot.name : robot.from}`,
  );

describe("GitLab", () => {
  const ci = `
variables:
  REGISTRY: quay.io
.login: &login
  - echo "$QUAY_PASSWORD" | docker login -u "$QUAY_USER" --password-stdin "$REGISTRY"
default:
  before_script:
    - docker login -u $CI_REGISTRY_USER -p $CI_REGISTRY_PASSWORD $CI_REGISTRY
build:
  before_script: *login
  script:
    - make
    - docker login --username acme+ci --password $QUAY_TOKEN https://quay.io
    - |
      if true; then
        podman login -u acme+ci -p hunter2x quay.io
      fi
other:
  script: docker login ghcr.io -u x -p $Y
`;

  test("logins in scripts, their variables and how to replace them", () => {
    const plan = planFor({ ".gitlab-ci.yml": ci }, { remote: { host: "gitlab.example.com", path: "group/sub/app" } });
    expect(found(plan)).toEqual([
      "5 build: docker login, $QUAY_USER",
      "13 build: docker login, acme+ci",
      "16 build: podman login, acme+ci",
    ]);
    expect(outcome(plan.findings[1] as never)).toBe(
      "the job's image must hold quay-keyless-login: then write id_tokens: {QUAY_ID_TOKEN: {aud: quay}} in the job, and in its place: quay-keyless-login login --robot acme+ci --token-env QUAY_ID_TOKEN",
    );
    expect(commands(plan)).toEqual([
      "--robot ORGANIZATION+ROBOT --gitlab group/sub/app --branch main --issuer https://gitlab.example.com",
      "--robot acme+ci --gitlab group/sub/app --branch main --issuer https://gitlab.example.com",
    ]);
    expect(plan.secrets.map(({ name }) => name)).toEqual(["QUAY_PASSWORD", "QUAY_TOKEN", "QUAY_USER"]);
    expect(plan.passwords).toEqual(["hunter2x"]);
  });

  test.each(["ci/build.gitlab-ci.yml", ".gitlab/ci/build.yml"])("also in %s", (path) => {
    const plan = planFor({ [path]: "a:\n  script:\n    - docker login -u a+b -p $P quay.io\n" });
    expect(found(plan)).toEqual(["3 a: docker login, a+b"]);
    expect(commands(plan)).toEqual(["--robot a+b --gitlab GROUP/PROJECT --branch main"]);
  });

  test("an exchange by hand", () => {
    const script = `curl -s -u "acme+ci:$QUAY_ID_TOKEN" https://quay.io/oauth2/federation/robot/token`;
    expect(found(planFor({ ".gitlab-ci.yml": `a:\n  script:\n    - '${script}'\n` }))).toEqual([
      "3 a: exchange by hand, acme+ci",
    ]);
  });
});

describe("Tekton", () => {
  const task = `
apiVersion: tekton.dev/v1
kind: Task
metadata:
  name: push
spec:
  params:
    - name: image
      default: quay.io/acme/app
  steps:
    - name: push
      image: quay.io/buildah/stable
      env:
        - {name: DOCKER_CONFIG, value: /login}
      volumeMounts:
        - {name: creds, mountPath: /login}
      script: |
        #!/bin/sh
        buildah push "$(params.image)"
  volumes:
    - name: creds
      secret:
        secretName: quay-push
        items: [{key: .dockerconfigjson, path: config.json}]
    - name: other
      secret: {secretName: database}
`;

  test("a Task's volume with a login", () => {
    const plan = planFor({ "tekton/push.yaml": task });
    expect(found(plan)).toEqual(["21 Task push: volume creds, the Secret quay-push"]);
    expect(outcome(plan.findings[0] as never)).toBe(
      "make the volume creds an emptyDir (medium: Memory), add a volume quay-token with a projected service account token (audience quay), and put the StepAction quay-keyless-login first, with its param auth-file set to /login/config.json",
    );
    expect(plan.secrets).toEqual([{ name: "quay-push", usedIn: "tekton/push.yaml:23" }]);
  });

  const run = (secret: string) => `
apiVersion: triggers.tekton.dev/v1beta1
kind: TriggerTemplate
metadata: {name: t}
spec:
  resourcetemplates:
    - apiVersion: tekton.dev/v1
      kind: PipelineRun
      metadata: {generateName: release-, namespace: team}
      spec:
        taskRunTemplate: {serviceAccountName: deployer}
        pipelineRef: {name: release}
        workspaces:
          - name: dockerconfig
            secret: {secretName: ${secret}}
          - name: source
            emptyDir: {}
`;
  const secret = (name: string, host: string) =>
    `apiVersion: v1\nkind: Secret\nmetadata:\n  name: ${name}\n  annotations:\n    tekton.dev/docker-0: https://${host}\ntype: kubernetes.io/basic-auth\n`;

  test("a run's workspace, in a trigger's template; whose login it is, the Secret says", () => {
    const plan = planFor({ "run.yaml": `${run("regcred")}---\n${secret("regcred", "quay.io")}` });
    expect(found(plan)).toEqual(["14 PipelineRun release-: workspace dockerconfig, the Secret regcred"]);
    expect(outcome(plan.findings[0] as never)).toMatch(
      /^run the Task quay-keyless-login before the Tasks that use the workspace dockerconfig/,
    );
    expect(commands(plan)).toEqual([
      "--robot ORGANIZATION+ROBOT --service-account team/deployer --issuer https://ISSUER",
    ]);
  });

  test("a Secret for another registry is none of it", () => {
    const json = JSON.stringify({ auths: { "ghcr.io": { auth: "eDp5" } } });
    const encoded = `kind: Secret\napiVersion: v1\nmetadata: {name: hub}\ndata:\n  .dockerconfigjson: ${Buffer.from(json).toString("base64")}\n`;
    expect(planFor({ "run.yaml": run("regcred"), "s.yaml": secret("regcred", "ghcr.io") }).findings).toEqual([]);
    expect(planFor({ "run.yaml": run("hub"), "s.yaml": encoded }).findings).toEqual([]);
  });

  test("a Secret that no file knows is listed as such", () => {
    const plan = planFor({ "run.yaml": run("regcred") });
    expect(outcome(plan.findings[0] as never)).toMatch(
      /^no file of this checkout says whether the Secret is for quay.io; if it is, run the Task/,
    );
  });

  test("a login in a step's script, with the Secret of its variable", () => {
    const text = `
apiVersion: tekton.dev/v1
kind: Pipeline
metadata: {name: p}
spec:
  tasks:
    - name: one
      taskSpec:
        steps:
          - image: x
            env:
              - name: PW
                valueFrom: {secretKeyRef: {name: robot, key: password}}
            script: |
              set -e
              echo "$PW" | podman login -u acme+ci --password-stdin quay.io
`;
    const plan = planFor({ "p.yaml": text });
    expect(found(plan)).toEqual(["16 Pipeline p: podman login, acme+ci"]);
    expect(plan.findings[0]?.secrets).toEqual(["robot"]);
    expect(outcome(plan.findings[0] as never)).toBe(
      "put the StepAction quay-keyless-login before this step, and take the login out of the script",
    );
  });
});
