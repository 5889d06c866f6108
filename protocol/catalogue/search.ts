/** Finding messages again. */
import { Type } from 'typebox'
import { EntrySchema } from '../entry.ts'
import { SEARCH_ITEMS_MAX, SEARCH_QUERY_CHARS_MAX } from '../limits.ts'
import { TYPE_PATTERN } from '../message-types.ts'
import { Log, operation, request, Uid } from './operation.ts'

const Time = (description: string) =>
  Type.Integer({
    minimum: 0,
    maximum: Number.MAX_SAFE_INTEGER,
    description: `${description}, ms since 1970.`,
  })

export const searchOperations = {
  'messages.search': operation({
    summary:
      'Find messages by their words, the newest first, in all that I may see. New ones are found within a second, on a busy server later.',
    access: 'user',
    mutating: false,
    rate: 'costly',
    params: request({
      query: Type.String({
        minLength: 1,
        maxLength: SEARCH_QUERY_CHARS_MAX,
        description: 'All of its words must be there; the last one may be the beginning of a word.',
      }),
      log: Type.Optional(Log),
      from: Type.Optional(Uid),
      types: Type.Optional(
        Type.Array(Type.String({ pattern: TYPE_PATTERN }), {
          minItems: 1,
          maxItems: 10,
          uniqueItems: true,
          description: 'Types of messages.',
        }),
      ),
      after: Type.Optional(Time('Sent at this time or later')),
      before: Type.Optional(Time('Sent before this time')),
      limit: Type.Optional(Type.Integer({ minimum: 1, maximum: SEARCH_ITEMS_MAX })),
      cursor: Type.Optional(Type.String({ pattern: '^[0-9]{1,15}$', description: 'From the page before.' })),
    }),
    result: Type.Object({
      items: Type.Array(
        Type.Object({
          entry: EntrySchema,
          highlights: Type.Array(
            Type.Object(
              { field: Type.String(), start: Type.Integer(), end: Type.Integer() },
              { description: 'A part of a text field of the body that was found, in UTF-16 units.' },
            ),
          ),
        }),
      ),
      cursor: Type.Optional(
        Type.String({
          description: 'There may be more, also after a page with few items or none; ask with it.',
        }),
      ),
    }),
    errors: [],
  }),
} as const
