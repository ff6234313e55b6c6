// Owns the proof that the postgres transport keeps every promise of the seam.
import { postgresFixture } from './postgres-fixture.ts';
import { conformance } from './suite/conformance.ts';

conformance(postgresFixture);
