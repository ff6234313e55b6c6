// Owns `npm run docs`: prints what is generated into the documents.
import { writeGenerated } from './generated.ts';

writeGenerated();
