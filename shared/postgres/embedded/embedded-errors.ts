// Owns the errors of the embedded server; each says what to do instead.
import { OnelaneError } from '../../process/errors.ts';

/** There are no binaries for this machine, or nobody who may run them. */
export class EmbeddedUnavailable extends OnelaneError {
  readonly code = 'embedded-unavailable' as const;
}

/** The server could not be made, started or reached. */
export class EmbeddedFailed extends OnelaneError {
  readonly code = 'embedded-failed' as const;
}
