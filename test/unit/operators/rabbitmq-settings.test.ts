// The URL of a broker as settings give it: what it may say, what it means, and what is said of one that cannot be read.
import { describe, expect, it } from 'vitest';
import { rabbitOf } from '../../../operators/wiring/rabbitmq-settings.ts';
import { parseSettings } from '../../../shared/process/settings.ts';

const access = (rabbitmqUrl: string, rabbitmqSslCa: string | null = null) =>
  rabbitOf({ rabbitmqUrl, rabbitmqSslCa }).access;

const LOCAL = { host: '127.0.0.1', port: 5672, username: 'guest', password: 'guest', vhost: '/', tls: null };

describe('RABBITMQ_URL', () => {
  it('is by default a broker on this machine, as guest', () => {
    const settings = parseSettings({ env: {}, flags: {}, readFile: () => '' });
    expect(rabbitOf(settings).access).toEqual(LOCAL);
  });

  it.each([
    ['amqp://127.0.0.1/', LOCAL],
    [
      'amqp://me:p%40ss%2F@rabbit:7000/a%2Fb',
      { ...LOCAL, host: 'rabbit', port: 7000, username: 'me', password: 'p@ss/', vhost: 'a/b' },
    ],
    ['amqp://me@rabbit', { ...LOCAL, host: 'rabbit', username: 'me', password: '' }],
    ['amqps://[::1]/v', { ...LOCAL, host: '::1', port: 5671, vhost: 'v', tls: { ca: null } }],
  ])('%s says where, as whom and in which vhost', (url, expected) => {
    expect(access(url)).toEqual(expected);
  });

  it.each([
    'amqp://',
    'amqp://me:secret@host/a/b',
    'amqp://me:secret@host?heartbeat=5',
    'amqp://me:secret@host:99999',
    'amqp://me:%zz@host',
  ])('%s is refused without being repeated', (url) => {
    expect(() => access(url)).toThrow('RABBITMQ_URL cannot be read: give a URL such as');
    expect(() => access(url)).not.toThrow('secret');
  });

  it('with an authority wants amqps', () => {
    expect(access('amqps://h', 'pem').tls).toEqual({ ca: 'pem' });
    expect(() => access('amqp://h', 'pem')).toThrow('RABBITMQ_SSL_CA does nothing without TLS');
  });

  it('of another protocol is refused as a setting', () => {
    const parse = () => parseSettings({ env: { RABBITMQ_URL: 'http://me:secret@h' }, flags: {}, readFile: () => '' });
    expect(parse).toThrow('RABBITMQ_URL cannot be read: give a URL such as amqp://user:password@host:5672/vhost');
  });
});
