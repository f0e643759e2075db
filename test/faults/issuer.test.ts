/** Rows of the matrix: Quay answers 500, and the login looks at the issuer to find the reason. */
import { writeFile } from "node:fs/promises";
import { createServer } from "node:https";
import { connect, createServer as createTcpServer } from "node:net";
import { afterAll, describe } from "vitest";
import { useWorld } from "../e2e/cli/world.ts";
import { newRobot, of } from "../e2e/world.ts";
import { type Issuer, SUBJECT, startIssuer } from "../quay-stand-in/issuer.ts";
import { type Listening, listen } from "../quay-stand-in/listen.ts";
import { INTERNAL_ERROR } from "../quay-stand-in/quay/pages.ts";
import {
  answer,
  cut,
  hang,
  huge,
  page,
  play,
  redirect,
  reset,
  type Scripted,
  switching,
} from "../quay-stand-in/scripted.ts";
import type { Flaw } from "../quay-stand-in/tls.ts";
import { isRoot, needsRoot } from "../support/root.ts";
import { findToxiproxy, freePort, type Passage } from "../support/toxiproxy.ts";
import { endingAfter, poisonedBy, resetting, shut, usePassages } from "./network.ts";
import type { Fault } from "./row.ts";
import { exchangesOf, fault, logIn, newWorld, resolveAt, unanswering, type World, wait } from "./world.ts";

const peers = useWorld({ registry: false });
const closers: (() => Promise<unknown>)[] = [];
afterAll(() => Promise.all(closers.map((close) => close())));

/** Four seconds are too short for a finding. */
const staysSilent = ({ outcome }: Fault) => outcome === "quay-unavailable";

/** A login whose identity names this issuer, at a Quay that answers 500. */
async function newLogin(row: Fault, issuer: string): Promise<World> {
  const robot = newRobot(peers(), [{ issuer, subject: SUBJECT }]);
  peers().quay.exchangeScript.always(page(INTERNAL_ERROR), of(robot));
  return newWorld(peers(), {
    robot,
    claims: { iss: issuer },
    timeoutSeconds: staysSilent(row) || row.lasting ? 4 : 20,
  });
}

describe.concurrent("the issuer answers", () => {
  function answers(id: string, given: () => Scripted, says: RegExp) {
    fault(id, async ({ expect, row }) => {
      let requests = 0;
      const certificate = await peers().authority.issue();
      const server: Listening = await listen(
        createServer(certificate, (request, response) => {
          requests++;
          // The issuer must not learn which robot logs in.
          expect(request.headers.authorization).toBeUndefined();
          void play(given(), response);
        }),
      );
      closers.push(server.close);
      const world = await newLogin(row, `https://localhost:${server.port}/main`);
      const { stderr } = await logIn(expect, row, world);
      expect(stderr).toMatch(says);
      const counts = [exchangesOf(peers(), world.robot), requests];
      if (row.lasting) {
        expect(Math.min(...counts)).toBeGreaterThan(1);
        expect(counts[0]).toBeGreaterThan(3);
      } else {
        expect(counts).toEqual([3, 1]);
      }
    });
  }

  answers("F61", reset, /closed the connection/);
  answers("F62", cut, /the answer broke off/);
  answers("F63", hang, /answered 500/);
  answers("F64", huge, /larger than 1048576 bytes/);
  answers("F65", () => redirect("https://evil.example.com/"), /openid-configuration answers 302/);
  answers("F66", () => answer(429, "", { "retry-after": "1" }), /openid-configuration answers 429/);
  answers("F67", () => answer(502, ""), /openid-configuration answers 502/);
  answers("F68", () => answer(503, ""), /openid-configuration answers 503/);
  answers("F69", () => answer(504, ""), /openid-configuration answers 504/);
  answers("F245", switching, /openid-configuration answers 101/);
});

describe.concurrent("the issuer restarts", () => {
  /** For some seconds: longer than two quick attempts take. */
  const away = async (back: () => unknown) => {
    await wait(2_500);
    await back();
  };

  /** Here Quay, too, asks the issuer. */
  async function newLoginAt(row: Fault, issuer: Issuer): Promise<World> {
    const robot = newRobot(peers(), [{ issuer: issuer.url, subject: SUBJECT }]);
    const world = await newWorld(peers(), { row, robot });
    await writeFile(world.machine.tokenFile, await issuer.sign());
    return { ...world, before: await world.machine.snapshot() };
  }

  fault("F79", async ({ expect, row }) => {
    const [port, inner] = [await freePort(), await freePort()];
    const server = await startIssuer(peers().authority, { port: inner, publicUrl: `https://localhost:${port}` });
    closers.push(server.close);
    const issuer = server.at("main");
    const world = await newLoginAt(row, issuer);
    const back = away(async () => {
      const way = createTcpServer((socket) => {
        const onward = connect(inner, "127.0.0.1");
        socket.pipe(onward).pipe(socket);
        for (const each of [socket, onward]) each.on("error", () => socket.destroy());
      });
      closers.push((await listen(way, port)).close);
    });
    await Promise.all([logIn(expect, row, world), back]);
    expect(exchangesOf(peers(), world.robot)).toBeGreaterThan(3);
  });

  fault("F80", async ({ expect, row }) => {
    const issuer = peers().issuer.at("restarts");
    issuer.behave({ discovery: "503" });
    const world = await newLoginAt(row, issuer);
    await Promise.all([logIn(expect, row, world), away(() => issuer.behave({}))]);
    expect(exchangesOf(peers(), world.robot)).toBeGreaterThan(3);
  });
});

describe.concurrent("the issuer's certificate", () => {
  function certificate(id: string, flaw: Flaw, says: RegExp) {
    fault(id, async ({ expect, row }) => {
      const issuer = await startIssuer(peers().authority, { certificate: await peers().authority.issueFlawed(flaw) });
      closers.push(issuer.close);
      const { stderr } = await logIn(expect, row, await newLogin(row, issuer.url));
      expect(stderr).toMatch(says);
      expect(issuer.requests).toEqual([]);
    });
  }

  certificate("F70", "expired", /certificate has expired/);
  certificate("F71", "other-name", /certificate is for another name/);
});

describe.skipIf(findToxiproxy() === undefined).concurrent("the network to the issuer", () => {
  const open = usePassages();

  async function behind(row: Fault, prepare: (passage: Passage) => Promise<void>) {
    const passage = await open(Number(new URL(peers().issuer.url).port), prepare);
    return { world: await newLogin(row, `https://localhost:${passage.port}/main`) };
  }

  fault("F73", async ({ expect, row }) => {
    const { world } = await behind(row, shut);
    expect((await logIn(expect, row, world)).stderr).toContain("refuses the connection");
  });

  fault("F74", async ({ expect, row }) => {
    const { world } = await behind(row, poisonedBy(endingAfter(300)));
    expect((await logIn(expect, row, world)).stderr).toContain("closed the connection");
  });

  fault("F75", async ({ expect, row }) => {
    const { world } = await behind(row, poisonedBy(resetting));
    expect((await logIn(expect, row, world)).stderr).toContain("closed the connection");
  });
});

describe.concurrent("the issuer's name", () => {
  fault("F76", async ({ expect, row }) => {
    const { stderr } = await logIn(expect, row, await newLogin(row, "https://issuer.invalid/main"));
    expect(stderr).toContain("the name issuer.invalid cannot be resolved");
  });

  // A name server listens at port 53.
  describe.skipIf(!isRoot).concurrent(needsRoot, () => {
    fault("F77", async ({ expect, row }) => {
      const nameServer = await unanswering();
      try {
        const world = await newLogin(row, "https://issuer.invalid/main");
        await resolveAt(world.machine, nameServer.address);
        await logIn(expect, row, world);
      } finally {
        nameServer.close();
      }
    });
  });
});
