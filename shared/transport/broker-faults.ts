// Owns the errors of a broker that is there and does not serve us: what waiting does not help, and a person must set right.
import { OnelaneError } from '../process/errors.ts';

/** The broker does not take the user, its password, or the way to log in. */
export class BrokerLoginRefused extends OnelaneError {
  readonly code = 'broker-login-refused' as const;
}

/** TLS could not be agreed on. */
export class BrokerTlsFailed extends OnelaneError {
  readonly code = 'broker-tls-failed' as const;
}

/** The user may not do what must be done. */
export class BrokerRightMissing extends OnelaneError {
  readonly code = 'broker-right-missing' as const;
}

/** By the code that Node gives such an error. */
export function isTlsFault(code: string): boolean {
  return /^(ERR_TLS|ERR_SSL|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO|EPROTO)/.test(code);
}
