/**
 * The fault matrix: what may go wrong, what the program promises then, and which test proves it. docs/reliability.md shows it, and
 * matrix.test.ts compares the two and the tests.
 */
import { helperRows } from "./helper-rows.ts";
import { machineRows } from "./machine-rows.ts";
import { networkRows } from "./network-rows.ts";
import { promotionRows } from "./promotion-rows.ts";
import type { Fault, Group } from "./row.ts";
import { trustRows } from "./trust-rows.ts";

export const matrix: readonly Group[] = [...networkRows, ...machineRows, ...promotionRows, ...trustRows, ...helperRows];

const byId = new Map(matrix.flatMap(({ rows }) => rows).map((each) => [each.id as string, each]));

export function faultOf(id: string): Fault {
  const found = byId.get(id);
  if (found === undefined || found.proof) throw new Error(`the matrix has no row ${id} that is tested here`);
  return found;
}
