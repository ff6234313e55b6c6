// Owns the list of all cases of the suite.
import { durabilityCases } from './durability-cases.ts';
import { faultCases } from './fault-cases.ts';
import { limitCases } from './limit-cases.ts';
import { orderCases } from './order-cases.ts';
import { ownershipCases } from './ownership-cases.ts';
import { resumeCases } from './resume-cases.ts';
import type { ConformanceCase } from './run-case.ts';

export const conformanceCases: readonly ConformanceCase[] = [
  ...orderCases,
  ...durabilityCases,
  ...resumeCases,
  ...limitCases,
  ...ownershipCases,
  ...faultCases,
];
