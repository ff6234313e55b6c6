// Owns the proof that the memory transport keeps every promise of the seam.
import { memoryFixture } from './memory-fixture.ts';
import { conformance } from './suite/conformance.ts';

conformance(memoryFixture());
