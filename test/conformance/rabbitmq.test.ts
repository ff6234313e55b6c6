// Owns the proof that the rabbitmq transport keeps every promise of the seam that applies to it.
import { rabbitFixture } from './rabbitmq-fixture.ts';
import { conformance } from './suite/conformance.ts';

conformance(rabbitFixture('rabbitmq', () => process.env['RABBITMQ_URL'] ?? ''));
