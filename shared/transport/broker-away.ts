// Owns the error of a broker that cannot be reached: the one thing that is waited for.
import { OnelaneError } from '../process/errors.ts';

/** No broker answers. Nothing else is known to be wrong: whoever gets it may try again for as long as it takes. */
export class BrokerAway extends OnelaneError {
  readonly code = 'broker-away' as const;
}
