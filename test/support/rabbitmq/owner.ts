// A process of its own that owns a node. Prints the node's URL when it serves, and waits to be killed.
import { ownRabbit } from './available.ts';

const { url } = await ownRabbit();
process.stdout.write(url);
process.stdin.resume();
