// Owns the API as a process of a test.
import { assembleProducer } from '../../../operators/wiring/producer.ts';
import { systemClock } from '../../../shared/process/time.ts';
import { standUp } from './stand-up.ts';

await standUp(
  () => undefined,
  (ground) => {
    const server = assembleProducer({
      ...ground,
      metrics: { contentType: 'text/plain', text: () => Promise.resolve('') },
      clock: systemClock,
      random: Math.random,
    });
    return { services: [server], url: () => server.url() };
  },
);
