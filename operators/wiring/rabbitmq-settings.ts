// Owns how the settings of RabbitMQ become an access to it, and which of them make no sense together.
import { SettingInvalid, type Settings } from '../../shared/process/settings.ts';
import type { TransportGiven } from '../../shared/transport/catalogue.ts';

export type RabbitSettings = Pick<Settings, 'rabbitmqUrl' | 'rabbitmqSslCa'>;

type Rabbit = ReturnType<TransportGiven['rabbitmq']>;
type Access = Rabbit['access'];

const PORT = 5_672;
const TLS_PORT = 5_671;
/** Whom a broker knows unless it is told otherwise. */
const GUEST = 'guest';

/** Throws SettingInvalid; what it says never repeats the URL, which may hold a password. */
export function rabbitOf({ rabbitmqUrl, rabbitmqSslCa: ca }: RabbitSettings): Rabbit {
  const access = accessOf(rabbitmqUrl, ca);
  if (access === null) {
    throw new SettingInvalid(
      'RABBITMQ_URL cannot be read: give a URL such as amqp://user:password@host:5672/vhost, with signs such as / and @ in its parts written as %2F and %40, and nothing behind the vhost',
    );
  }
  if (ca !== null && access.tls === null) {
    throw new SettingInvalid(
      'RABBITMQ_SSL_CA does nothing without TLS: name an amqps:// address in RABBITMQ_URL, or unset it',
    );
  }
  return { access };
}

/** null: not such a URL. */
function accessOf(text: string, ca: string | null): Access | null {
  try {
    const url = new URL(text);
    const path = url.pathname.replace(/^\//, '');
    if (url.hostname === '' || url.search !== '' || url.hash !== '' || path.includes('/')) return null;
    const isTls = url.protocol === 'amqps:';
    const isGuest = url.username === '' && url.password === '';
    return {
      host: url.hostname.replace(/^\[|\]$/g, ''),
      port: url.port === '' ? (isTls ? TLS_PORT : PORT) : Number(url.port),
      username: isGuest ? GUEST : decodeURIComponent(url.username),
      password: isGuest ? GUEST : decodeURIComponent(url.password),
      vhost: path === '' ? '/' : decodeURIComponent(path),
      tls: isTls ? { ca } : null,
    };
  } catch {
    return null;
  }
}
