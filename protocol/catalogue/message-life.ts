/** What becomes of a message after it was sent: edits, recall, reactions, deleting for oneself, pins. */
import { Type } from 'typebox'
import { EntrySchema } from '../entry.ts'
import { LIST_ITEMS_DEFAULT, LIST_ITEMS_MAX, PINS_MAX, REACTION_BYTES_MAX } from '../limits.ts'
import { Seqs } from './history.ts'
import { Empty, Log, operation, RequestId, request } from './operation.ts'

const message = {
  log: Log,
  seq: Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER, description: 'Of the message.' }),
}

const Emoji = Type.String({
  minLength: 1,
  maxLength: REACTION_BYTES_MAX,
  description: `One emoji, or the short name of one, \`:party-parrot:\`; at most ${REACTION_BYTES_MAX} bytes.`,
})

/** Refusals of who may not write there. */
const WRITING = [
  'unknown_log',
  'unknown_entry',
  'not_member',
  'blocked',
  'not_friends',
  'account_inactive',
] as const

export const messageLifeOperations = {
  'messages.edit': operation({
    summary:
      'Replace the content of a message of mine, within the time that the server allows. Everybody gets an entry of kind `edit`.',
    access: 'user',
    mutating: true,
    params: request({
      ...message,
      body: Type.Record(Type.String(), Type.Unknown(), {
        description: 'The new content; the type of the message stays.',
      }),
      count: Type.Optional(
        Type.Integer({
          minimum: 0,
          maximum: Number.MAX_SAFE_INTEGER,
          description:
            'How often the message was edited when I saw it (0: never): refused when it was edited since. Without it the last edit wins.',
        }),
      ),
      requestId: RequestId,
    }),
    result: Type.Object({
      at: Type.Integer({ description: 'Time of the edit, ms since 1970.' }),
      count: Type.Integer({ description: 'How often the message was edited now.' }),
    }),
    errors: [
      ...WRITING,
      'muted',
      'not_admin',
      'not_author',
      'too_late',
      'recalled',
      'edit_conflict',
      'unknown_media',
      'content_refused',
      'screening_away',
    ],
  }),
  'messages.recall': operation({
    summary:
      'Take a message back for everybody: mine within the time that the server allows, in a group also any by its owner and admins. Its content is deleted; done twice it changes nothing.',
    access: 'user',
    mutating: true,
    params: request({ ...message, requestId: RequestId }),
    result: Empty,
    errors: ['unknown_log', 'unknown_entry', 'not_member', 'not_author', 'too_late'],
  }),
  'messages.react': operation({
    summary: 'React to a message, or take a reaction back. Without `on` it is a toggle.',
    access: 'user',
    mutating: true,
    params: request({
      ...message,
      emoji: Emoji,
      on: Type.Optional(Type.Boolean()),
      requestId: RequestId,
    }),
    result: Type.Object({
      on: Type.Boolean({ description: 'Whether my reaction stands now.' }),
      count: Type.Integer({ description: 'How many reacted so.' }),
    }),
    errors: [...WRITING, 'muted', 'recalled', 'too_many_reactions'],
  }),
  'messages.reactions': operation({
    summary: 'Who reacted to a message.',
    access: 'user',
    mutating: false,
    params: request({
      ...message,
      emoji: Type.Optional(Emoji),
      limit: Type.Optional(
        Type.Integer({
          minimum: 1,
          maximum: LIST_ITEMS_MAX,
          description: `Default ${LIST_ITEMS_DEFAULT}.`,
        }),
      ),
      cursor: Type.Optional(Type.String({ maxLength: 128, description: 'From the page before.' })),
    }),
    result: Type.Object({
      items: Type.Array(Type.Object({ uid: Type.String(), emoji: Type.String(), at: Type.Integer() })),
      cursor: Type.Optional(Type.String({ description: 'There is more; ask with it.' })),
    }),
    errors: ['unknown_log', 'unknown_entry'],
  }),
  'messages.delete': operation({
    summary:
      'Delete messages for me alone, on all my devices. Others keep them. Seqs that I cannot see are passed over.',
    access: 'user',
    mutating: true,
    params: request({ log: Log, seqs: Seqs, requestId: RequestId }),
    result: Empty,
    errors: ['unknown_log'],
  }),
  'messages.pin': operation({
    summary: `Pin a message for everybody: in a group by those whom its rules allow, else by both. At most ${PINS_MAX} in a conversation.`,
    access: 'user',
    mutating: true,
    params: request({ ...message, requestId: RequestId }),
    result: Empty,
    errors: [...WRITING, 'not_admin', 'recalled', 'too_many_pins'],
  }),
  'messages.unpin': operation({
    summary: 'Take a pin away, by those who may pin. Done twice it changes nothing.',
    access: 'user',
    mutating: true,
    params: request({ ...message, requestId: RequestId }),
    result: Empty,
    errors: [
      'unknown_log',
      'not_member',
      'blocked',
      'not_friends',
      'account_inactive',
      'forbidden',
      'not_admin',
    ],
  }),
  'messages.pins': operation({
    summary: 'The pinned messages of a conversation, the last pinned first.',
    access: 'user',
    mutating: false,
    params: request({ log: Log }),
    result: Type.Object({
      items: Type.Array(
        Type.Object({
          seq: Type.Integer(),
          by: Type.String({ description: 'The uid of who pinned it.' }),
          at: Type.Integer({ description: 'When it was pinned, ms since 1970.' }),
          entry: Type.Optional(EntrySchema),
        }),
        { description: '`entry` is left out where the answer has no room for it: `messages.get` has it.' },
      ),
    }),
    errors: ['unknown_log'],
  }),
} as const
