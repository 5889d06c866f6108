/** Conversations as one person sees them: what they keep about each, what is unread, and who has read what. */
import { Type } from 'typebox'
import { EntrySchema } from '../entry.ts'
import { CONVERSATIONS_MAX, LIST_ITEMS_MAX } from '../limits.ts'
import { Log, operation, RequestId, request, Seq } from './operation.ts'

/** UTF-8 bytes of a draft. */
export const DRAFT_BYTES_MAX = 4096

const Limit = Type.Optional(
  Type.Integer({
    minimum: 1,
    maximum: LIST_ITEMS_MAX,
    description: 'At most; fewer come when they are large.',
  }),
)
const EntrySeq = Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER })
const Version = Type.Integer({ description: 'What `conversations.changes` is asked with next.' })
const Badge = Type.Integer({
  description:
    'Over all conversations, not only those of this answer: what is unread where it is neither muted nor hidden, and unread mentions in muted ones.',
})

const Conversation = Type.Object({
  log: Type.String(),
  kind: Type.Enum(['direct', 'group', 'room', 'system'], {
    description: '`system`: a direct one with a system account, such as news of the operator.',
  }),
  epoch: Type.String(),
  head: Type.Integer({ description: 'Last seq that I may see.' }),
  unread: Type.Integer({
    description: 'Messages of others after my read pointer, less those that I deleted for me.',
  }),
  mentions: Type.Integer({ description: 'Those of the unread messages that name me, or all.' }),
  readSeq: Type.Integer(),
  clearedSeq: Type.Integer({ description: 'History up to here is not shown to me; 0 when all is.' }),
  last: Type.Union([EntrySchema, Type.Null()], {
    description:
      'The last entry that stands in the history: no edit, recall or reaction, nothing that I cleared or deleted.',
  }),
  pinned: Type.Boolean(),
  muted: Type.Boolean(),
  mutedUntil: Type.Optional(Type.Integer({ description: 'ms since 1970.' })),
  archived: Type.Boolean(),
  markedUnread: Type.Boolean(),
  draft: Type.Optional(Type.String()),
  name: Type.Optional(Type.String({ description: 'Of a group or room.' })),
  peer: Type.Optional(Type.String({ description: 'Of a direct or system conversation: the other uid.' })),
})

export const conversationOperations = {
  'conversations.list': operation({
    summary:
      'My conversations, pinned ones first, then the last active first, each with what is unread; and the badge over all of them.',
    access: 'user',
    mutating: false,
    params: request({
      limit: Type.Optional(
        Type.Integer({
          minimum: 1,
          maximum: CONVERSATIONS_MAX,
          description: 'At most; fewer come when they are large.',
        }),
      ),
      cursor: Type.Optional(
        Type.String({ maxLength: 160, description: 'From the page before, with the same filter.' }),
      ),
      archived: Type.Optional(Type.Boolean({ description: 'Only those that are archived, or are not.' })),
      unread: Type.Optional(
        Type.Boolean({ description: 'Only those with something unread or marked so, or with nothing.' }),
      ),
    }),
    result: Type.Object({
      items: Type.Array(Conversation),
      badge: Badge,
      version: Type.Integer({
        description: 'Keep that of the first page: `conversations.changes` since then makes the list whole.',
      }),
      cursor: Type.Optional(Type.String({ description: 'There is more; ask with it.' })),
    }),
    errors: [],
  }),
  'conversations.changes': operation({
    summary:
      'What I changed in my conversations since a version, on whichever device: state, drafts, read pointers. New messages come by the inbox.',
    access: 'user',
    mutating: false,
    params: request({ since: Seq, limit: Limit }),
    result: Type.Object({
      items: Type.Array(Conversation),
      removed: Type.Array(Type.String(), {
        description: 'Logs that are not in my list any more: hidden ones.',
      }),
      badge: Badge,
      version: Version,
      more: Type.Boolean({ description: 'There is more after `version`.' }),
    }),
    errors: [],
  }),
  'conversations.update': operation({
    summary: 'Change what I keep about a conversation. What is not named stays as it is.',
    access: 'user',
    mutating: true,
    params: request({
      log: Log,
      pinned: Type.Optional(Type.Boolean()),
      mutedUntil: Type.Optional(
        Type.Union([Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }), Type.Null()], {
          description: 'ms since 1970, far in the future for always; null or a time that is past: not muted.',
        }),
      ),
      archived: Type.Optional(Type.Boolean()),
      draft: Type.Optional(
        Type.Union([Type.String({ maxLength: DRAFT_BYTES_MAX }), Type.Null()], {
          description: `Text that was not sent, at most ${DRAFT_BYTES_MAX} bytes; null or empty: none.`,
        }),
      ),
      hidden: Type.Optional(
        Type.Boolean({ description: 'Not listed and not in the badge until its next message.' }),
      ),
      markedUnread: Type.Optional(Type.Boolean({ description: 'Until it is read. Not in the badge.' })),
      requestId: RequestId,
    }),
    result: Type.Object({ badge: Badge }),
    errors: ['unknown_log'],
  }),
  'conversations.clear': operation({
    summary:
      'Take the history of a conversation up to seq (all of it without seq) out of my sight, for good. It counts as read.',
    access: 'user',
    mutating: true,
    params: request({ log: Log, seq: Type.Optional(Seq), requestId: RequestId }),
    result: Type.Object({ clearedSeq: Type.Integer(), badge: Badge }),
    errors: ['unknown_log'],
  }),
  'conversations.read': operation({
    summary: 'Mark a conversation as read up to seq. The pointer never goes back; it is cut at the head.',
    access: 'user',
    mutating: true,
    params: request({ log: Log, seq: Seq, requestId: RequestId }),
    result: Type.Object({ readSeq: Type.Integer(), unread: Type.Integer(), badge: Badge }),
    errors: ['unknown_log'],
  }),
  'conversations.readAll': operation({
    summary: 'Mark everything as read that is unread or marked so, as many conversations as one call takes.',
    access: 'user',
    mutating: true,
    params: request({ requestId: RequestId }),
    result: Type.Object({
      read: Type.Integer({ description: 'Conversations that were marked.' }),
      badge: Badge,
      more: Type.Boolean({ description: 'Call again for the others.' }),
    }),
    errors: [],
  }),
  'conversations.badge': operation({
    summary: 'The number for the icon of the app.',
    access: 'user',
    mutating: false,
    params: request({}),
    result: Type.Object({ badge: Badge }),
    errors: [],
  }),
  'messages.receipts': operation({
    summary:
      'How far the other person of a direct conversation is: up to which seq one of their devices has everything, and up to which they read.',
    access: 'user',
    mutating: false,
    params: request({ log: Log, seq: Type.Optional(EntrySeq) }),
    result: Type.Object({
      delivered: Type.Integer(),
      read: Type.Optional(Type.Integer({ description: 'Not told by who does not send read receipts.' })),
      deliveredTo: Type.Optional(
        Type.Boolean({ description: 'With `seq`: the other person has that entry, or wrote it.' }),
      ),
      readBy: Type.Optional(
        Type.Boolean({ description: 'With `seq`: they have read it, or wrote it. Where `read` is told.' }),
      ),
    }),
    errors: ['unknown_log', 'unknown_entry'],
  }),
  'messages.readers': operation({
    summary:
      'Who has read an entry of a group, of the members who were in at that seq and still are, without its author.',
    access: 'user',
    mutating: false,
    params: request({
      log: Log,
      seq: EntrySeq,
      limit: Limit,
      cursor: Type.Optional(Type.String({ maxLength: 64, description: 'From the page before.' })),
    }),
    result: Type.Object({
      read: Type.Integer({ description: 'How many of them, of those who send read receipts.' }),
      of: Type.Integer(),
      items: Type.Array(Type.Object({ uid: Type.String(), readSeq: Type.Integer() }), {
        description: 'Those who read it, by uid.',
      }),
      cursor: Type.Optional(Type.String({ description: 'There is more; ask with it.' })),
    }),
    errors: ['unknown_log', 'unknown_entry', 'not_member', 'receipts_off'],
  }),
} as const
