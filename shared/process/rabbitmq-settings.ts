// Owns the settings of the rabbitmq transport: where the broker is, and how to be let in.
import { optionalText, setting, text } from './setting.ts';

/** In the order of the README's table. */
export const RABBITMQ_SETTINGS = {
  rabbitmqUrl: setting(
    { variable: 'RABBITMQ_URL', about: 'where RabbitMQ is, and as which user and in which vhost it is used' },
    text(/^amqps?:\/\/\S+$/, 'a URL such as amqp://user:password@host:5672/vhost, or amqps://…', 'amqp://127.0.0.1'),
    'secret',
  ),
  rabbitmqSslCa: setting(
    {
      variable: 'RABBITMQ_SSL_CA',
      about: 'the authority that signed the certificate of a broker at amqps://, where Node does not know it',
    },
    optionalText(/^-----BEGIN [A-Z0-9 ]+-----/, 'a certificate in PEM'),
    'secret',
  ),
} as const;
