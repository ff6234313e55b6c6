// Owns what can be wrong with brokers, as sentences: the one place that knows the names, types and codes of kafkajs' errors.
import { asError, OnelaneError } from '../../process/errors.ts';
import { BrokerAway } from '../broker-away.ts';
import { BrokerLoginRefused, BrokerRightMissing, BrokerTlsFailed, isTlsFault } from '../broker-faults.ts';
import type { KafkaConnection } from './client.ts';

/** The topic is not there, or not any more. */
export class TopicMissing extends OnelaneError {
  readonly code = 'topic-missing' as const;
}

/** Records that this build cannot read. */
export class CompressionUnknown extends OnelaneError {
  readonly code = 'compression-unknown' as const;
}

export interface About {
  readonly connection: KafkaConnection;
  readonly topic: string;
  readonly groupId: string;
}

/** What kafkajs threw, as a sentence that says what to do; our own errors stay, what has no sentence of its own is the broker being away. */
export function explain(thrown: unknown, about: About): OnelaneError {
  const chain = causesOf(asError(thrown));
  const ours = chain.find((each) => each instanceof OnelaneError);
  if (ours !== undefined) return ours;
  for (const each of chain) {
    const known = sentenceOf(each, about);
    if (known !== null) return known;
  }
  return new BrokerAway(awaySentence(thrown, chain, about), { cause: thrown });
}

function awaySentence(thrown: unknown, chain: readonly Error[], { connection, groupId }: About): string {
  const { brokers, tls, sasl } = connection;
  const at = brokers.join(', ');
  const root = chain.at(-1) ?? asError(thrown);
  const answer = protocolError(thrown);
  if (answer !== null) {
    return `the brokers at ${at} answer ${answer}: if it does not pass by itself, check that all of them run, and their logs`;
  }
  if (chain.some(({ name }) => name === 'KafkaJSGroupCoordinatorNotFound')) {
    // kafkajs keeps to itself what each broker said.
    return `no broker at ${at} answers for group "${groupId}": it passes by itself after a broker's start; if it does not, allow ${whoIs(connection)} Read on the group`;
  }
  if (!chain.some(isClosed)) {
    return `no broker can be reached at ${at} (${root.message}): check KAFKA_BROKERS, KAFKA_SSL, and that it runs`;
  }
  // Whoever is not spoken to in the way it wants hangs up without a word.
  const wants = [
    tls === null ? 'speak TLS (KAFKA_SSL)' : 'speak no TLS (KAFKA_SSL)',
    ...(sasl === null ? ['want a login (KAFKA_SASL_MECHANISM)'] : []),
  ];
  return `the broker at ${at} ends the connection: it may just have stopped; if it runs, it may ${wants.join(', or ')}`;
}

function isClosed(error: Error): boolean {
  return error.name === 'KafkaJSConnectionClosedError' || codeOf(error) === 'ECONNRESET';
}

/** What a broker said about one request, such as TOPIC_AUTHORIZATION_FAILED; null when the broker said nothing. */
export function protocolError(thrown: unknown): string | null {
  for (const each of causesOf(asError(thrown))) {
    if (each.name.startsWith('KafkaJS') && 'type' in each && typeof each.type === 'string') return each.type;
  }
  return null;
}

const CAUSES_MAX = 10;

function causesOf(error: Error): readonly Error[] {
  const chain: Error[] = [];
  for (let at: unknown = error; at instanceof Error && chain.length < CAUSES_MAX; at = causeOf(at)) {
    // kafkajs makes some errors their own cause.
    if (chain.includes(at)) break;
    chain.push(at);
  }
  return chain;
}

/** Of several at once, as for topics that could not be made, the first. */
function causeOf(error: Error): unknown {
  if ('errors' in error && Array.isArray(error.errors) && error.errors.length > 0) return error.errors[0];
  return error.cause;
}

function codeOf(error: Error): string {
  return 'code' in error && typeof error.code === 'string' ? error.code : '';
}

function sentenceOf(error: Error, about: About): OnelaneError | null {
  const { brokers } = about.connection;
  const cause = error;
  if (isTlsFault(codeOf(error))) {
    return new BrokerTlsFailed(
      `TLS with ${brokers.join(', ')} failed (${codeOf(error)}): give the authority that signed the brokers' certificate in KAFKA_SSL_CA_FILE, and a port that speaks TLS`,
      { cause },
    );
  }
  return (
    loginRefused(error, about) ??
    rightMissing(error, about) ??
    (hasType(error, 'UNKNOWN_TOPIC_OR_PARTITION') ? topicMissing(about.topic, cause) : null)
  );
}

function loginRefused(error: Error, { connection: { brokers, sasl } }: About): OnelaneError | null {
  const at = `the brokers at ${brokers.join(', ')}`;
  const cause = error;
  if (hasType(error, 'ILLEGAL_SASL_STATE')) {
    return new BrokerLoginRefused(
      `${at} know no login at that port: unset KAFKA_SASL_MECHANISM, KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD, or name another port in KAFKA_BROKERS`,
      { cause },
    );
  }
  const isRefused =
    error.name === 'KafkaJSSASLAuthenticationError' ||
    hasType(error, 'SASL_AUTHENTICATION_FAILED', 'UNSUPPORTED_SASL_MECHANISM');
  if (!isRefused) return null;
  return new BrokerLoginRefused(
    sasl === null
      ? `${at} want a login: set KAFKA_SASL_MECHANISM, KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD`
      : `${at} refuse the user "${sasl.username}" with ${sasl.mechanism}: check KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD and KAFKA_SASL_MECHANISM`,
    { cause },
  );
}

function topicMissing(topic: string, cause: Error): OnelaneError {
  return new TopicMissing(
    `topic "${topic}" does not exist at the broker: if it was deleted, its entries are gone, so restore it, or start a new system under another ONELANE_CHANNEL`,
    { cause },
  );
}

function rightMissing(error: Error, { topic, groupId, connection }: About): OnelaneError | null {
  const who = whoIs(connection);
  const cause = error;
  if (hasType(error, 'TOPIC_AUTHORIZATION_FAILED')) {
    return new BrokerRightMissing(
      `${who} may not use topic "${topic}": allow Create, Describe, DescribeConfigs, Read and Write on it`,
      { cause },
    );
  }
  if (hasType(error, 'GROUP_AUTHORIZATION_FAILED')) {
    return new BrokerRightMissing(`${who} may not join group "${groupId}": allow Read on it`, { cause });
  }
  if (hasType(error, 'CLUSTER_AUTHORIZATION_FAILED')) {
    return new BrokerRightMissing(
      `${who} may not make topic "${topic}": allow Create on it, or have it made for this user`,
      { cause },
    );
  }
  return null;
}

function whoIs({ sasl }: KafkaConnection): string {
  return sasl === null ? 'this client' : `user "${sasl.username}"`;
}

function hasType(error: Error, ...types: readonly string[]): boolean {
  return 'type' in error && typeof error.type === 'string' && types.includes(error.type);
}
