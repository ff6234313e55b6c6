// Owns what "the same content" means: type, subject, data and expectedrevision, not the time, nor who sent it.
import { hash } from 'node:crypto';
import { canonicalJson, canonicalText } from './canonical.ts';
import { trustedContent, type ContentHash, type Json, type Revision } from './identity.ts';

/** What a command says, before it has an id: the parts that "same content" is about. */
export interface CommandContent {
  readonly type: string;
  readonly subject: string;
  readonly data: Json;
  readonly expectedRevision: Revision | null;
}

/** SHA-256 of the canonical JSON (RFC 8785) of type, subject, data and expectedrevision; throws on what JSON cannot say. */
export function contentHash(content: CommandContent): ContentHash {
  const { type, subject, data, expectedRevision } = content;
  // The four names in their canonical order; most commands expect no revision.
  const expected = expectedRevision === null ? '' : `"expectedrevision":${expectedRevision},`;
  const canonical = `{"data":${canonicalJson(data)},${expected}"subject":${canonicalText(subject)},"type":${canonicalText(type)}}`;
  return trustedContent(hash('sha256', canonical, 'hex'));
}
