/** Pages of history: from any point of a conversation both ways, by date, by what messages hold. */
import { Type } from 'typebox'
import { EntrySchema } from '../entry.ts'
import { CALL_SEQS_MAX, PAGE_ENTRIES_DEFAULT, PAGE_ENTRIES_MAX, PAGE_TYPES_MAX } from '../limits.ts'
import { TYPE_PATTERN } from '../message-types.ts'
import { Log, operation, request, Seq } from './operation.ts'

/** Seqs of messages that one call names. */
export const Seqs = Type.Array(Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER }), {
  minItems: 1,
  maxItems: CALL_SEQS_MAX,
  uniqueItems: true,
})

export const historyOperations = {
  'messages.page': operation({
    summary:
      'A page of a conversation, oldest first: the entries before or after a seq, around one, from a time on, or the last ones. What I deleted or cleared for myself is not in it.',
    access: 'user',
    mutating: false,
    params: request({
      log: Log,
      before: Type.Optional(Seq),
      after: Type.Optional(Seq),
      around: Type.Optional(
        Type.Integer({
          minimum: 1,
          maximum: Number.MAX_SAFE_INTEGER,
          description:
            'This entry with those before and after it, half of the page each. Without another position.',
        }),
      ),
      at: Type.Optional(
        Type.Integer({
          minimum: 0,
          maximum: Number.MAX_SAFE_INTEGER,
          description: 'From the first entry that is not before this time (ms) on. Without another position.',
        }),
      ),
      kind: Type.Optional(
        Type.Union([Type.Literal('media'), Type.Literal('files'), Type.Literal('links')], {
          description:
            'Only messages that are images and videos, files and sound, or links and texts with a web address.',
        }),
      ),
      types: Type.Optional(
        Type.Array(Type.String({ pattern: TYPE_PATTERN }), {
          minItems: 1,
          maxItems: PAGE_TYPES_MAX,
          uniqueItems: true,
          description: 'Only messages of these types. Not with `kind`.',
        }),
      ),
      limit: Type.Optional(
        Type.Integer({
          minimum: 1,
          maximum: PAGE_ENTRIES_MAX,
          description: `At most; fewer come when they are large. Default ${PAGE_ENTRIES_DEFAULT}.`,
        }),
      ),
      cursor: Type.Optional(
        Type.String({ maxLength: 32, description: 'From the page before, instead of a position.' }),
      ),
    }),
    result: Type.Object({
      entries: Type.Array(EntrySchema),
      head: Type.Integer({ description: 'Last seq that I may see.' }),
      first: Type.Integer({
        description:
          'First seq that is still kept and that I may see; what was before is gone, or was not for me.',
      }),
      cursor: Type.Optional(
        Type.String({
          description:
            'There may be more in the direction of reading; ask with it. A call looks through a bounded part of the log, so that with `kind` or `types` a page may be short, or empty, and have a cursor.',
        }),
      ),
    }),
    errors: ['unknown_log'],
  }),
  'messages.get': operation({
    summary: 'Single entries by their seqs, in the order of the log. What is gone or not for me is left out.',
    access: 'user',
    mutating: false,
    params: request({ log: Log, seqs: Seqs }),
    result: Type.Object({
      entries: Type.Array(EntrySchema, { description: 'Fewer when they are large: ask for the rest.' }),
    }),
    errors: ['unknown_log'],
  }),
} as const
