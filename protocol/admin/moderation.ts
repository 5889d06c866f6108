/** Admin operations of moderation: the list of words, and the queue of reports. */
import { Type } from 'typebox'
import { request } from '../catalogue/operation.ts'
import { define } from './operation.ts'
import { SUSPENSION_REASON_CHARS_MAX, Until } from './suspensions.ts'

const WORDS_EACH_MAX = 1000
export const WORDS_MAX = 20_000
const WORD_CHARS_MAX = 64
export const REPORTS_PAGE_MAX = 100
const NOTE_CHARS_MAX = SUSPENSION_REASON_CHARS_MAX
const MODERATION_BODY_BYTES_MAX = 1024 * 1024

const Word = Type.String({ minLength: 1, maxLength: WORD_CHARS_MAX, pattern: '\\S' })
const Action = Type.Union([Type.Literal('reject'), Type.Literal('withhold'), Type.Literal('mask')], {
  description:
    '`reject`: the sender is told; `withhold`: the sender is not told and nobody else sees it; `mask`: stars for the word.',
})
const ListedWord = Type.Object({ word: Type.String(), action: Type.String() })
const Time = Type.Integer({ description: 'ms since 1970.' })
const Report = Type.Object({
  n: Type.Integer(),
  reporter: Type.Optional(Type.String({ description: 'Missing when their account was erased.' })),
  uid: Type.String({ description: 'Who is reported.' }),
  log: Type.Optional(Type.String()),
  seq: Type.Optional(Type.Integer()),
  reason: Type.String(),
  text: Type.Optional(Type.String({ description: 'What the reporter wrote.' })),
  evidence: Type.Optional(Type.Unknown({ description: 'The entry as it was when it was reported.' })),
  at: Time,
  decision: Type.Optional(Type.String()),
  decidedAt: Type.Optional(Time),
  note: Type.Optional(Type.String()),
})

export const moderationOperations = {
  words: define({
    summary: 'The list of words that messages are screened by.',
    kind: 'read',
    positional: [],
    params: request({
      after: Type.Optional(
        Type.String({ maxLength: WORD_CHARS_MAX, description: 'The last word of the page before.' }),
      ),
    }),
    result: Type.Object({
      words: Type.Array(ListedWord),
      more: Type.Boolean({ description: 'There are more: ask with `after`.' }),
    }),
    errors: [],
  }),
  setWords: define({
    summary:
      'Puts words on the list, or changes what is done about them. In force on every node within seconds.',
    kind: 'change',
    positional: [],
    params: request({
      words: Type.Array(request({ word: Word, action: Action }), {
        minItems: 1,
        maxItems: WORDS_EACH_MAX,
        description: 'Each with its `word` and its `action`: `reject`, `withhold` or `mask`.',
      }),
    }),
    result: Type.Object({ words: Type.Integer({ description: 'On the list now.' }) }),
    errors: ['too_many_words'],
    bodyBytesMax: MODERATION_BODY_BYTES_MAX,
  }),
  removeWords: define({
    summary: 'Takes words off the list.',
    kind: 'change',
    positional: [],
    params: request({
      words: Type.Array(Word, { minItems: 1, maxItems: WORDS_EACH_MAX, description: 'The words.' }),
    }),
    result: Type.Object({ words: Type.Integer({ description: 'On the list now.' }) }),
    errors: [],
    bodyBytesMax: MODERATION_BODY_BYTES_MAX,
  }),
  reports: define({
    summary: 'Reports of messages and people: those that wait for a decision, or those that were decided.',
    kind: 'read',
    positional: [],
    params: request({
      state: Type.Optional(
        Type.Union([Type.Literal('open'), Type.Literal('decided')], {
          description: '`open` (if not given) or `decided`.',
        }),
      ),
      after: Type.Optional(
        Type.Integer({
          minimum: 0,
          maximum: Number.MAX_SAFE_INTEGER,
          description: 'The last number of the page before.',
        }),
      ),
      limit: Type.Optional(
        Type.Integer({ minimum: 1, maximum: REPORTS_PAGE_MAX, description: 'Reports of one page.' }),
      ),
    }),
    result: Type.Object({
      reports: Type.Array(Report),
      open: Type.Integer({ description: 'Reports that wait for a decision.' }),
      more: Type.Boolean({ description: 'There are more: ask with `after`.' }),
    }),
    errors: [],
  }),
  decideReport: define({
    summary:
      'Decides about a report: `dismiss` it, `remove` the message for everybody, or `suspend` the account that is reported.',
    kind: 'change',
    positional: ['n', 'decision'],
    params: request({
      n: Type.Integer({
        minimum: 1,
        maximum: Number.MAX_SAFE_INTEGER,
        description: 'The number of the report.',
      }),
      decision: Type.Union([Type.Literal('dismiss'), Type.Literal('remove'), Type.Literal('suspend')], {
        description: '`dismiss`, `remove` or `suspend`.',
      }),
      note: Type.Optional(
        Type.String({
          maxLength: NOTE_CHARS_MAX,
          description: 'Of `suspend` it is the reason; without one that is the reason of the report.',
        }),
      ),
      until: Type.Optional(
        Until('Of `suspend`: when it ends by itself, ms since 1970; for good if not given.'),
      ),
    }),
    result: Report,
    errors: ['unknown_report', 'report_decided', 'unknown_entry', 'unknown_user'],
    unlogged: ['note'],
  }),
} as const
