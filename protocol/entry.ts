/**
 * Log entries as they travel on `u/{uid}/inbox` and in pages of history.
 *
 * `(log, epoch, seq)` names an entry for ever; a client drops what it already has by it. Holes in `seq` are
 * normal on the inbox: a device does not get its own entries back. Readers must ignore fields they do not know.
 */
import { Type } from 'typebox'

const ENTRY_KINDS = ['message', 'edit', 'recall', 'reaction', 'group', 'contact', 'notice'] as const
export type EntryKind = (typeof ENTRY_KINDS)[number]

/** Types of entries of kind `group`: what happened in a group. */
export const GROUP_ENTRY_TYPES = [
  'created',
  'added',
  'joined',
  'removed',
  'left',
  'owner',
  'role',
  'muted',
  'unmuted',
  'banned',
  'unbanned',
  'updated',
  'announced',
  'nickname',
  'pinned',
  'unpinned',
  'dissolved',
] as const
export type GroupEntryType = (typeof GROUP_ENTRY_TYPES)[number]

/** Types of entries of kind `contact`: what happened between the reader and somebody. */
export const CONTACT_ENTRY_TYPES = [
  'requested',
  'asked',
  'friend',
  'refused',
  'removed',
  'blocked',
  'unblocked',
  'updated',
] as const
export type ContactEntryType = (typeof CONTACT_ENTRY_TYPES)[number]

const EntryStateSchema = Type.Object(
  {
    edited: Type.Optional(
      Type.Object({
        at: Type.Integer({ description: 'Of the last edit, ms.' }),
        count: Type.Integer({ description: 'How often it was edited.' }),
        seq: Type.Optional(Type.Integer({ description: 'Of the entry that told of the last edit.' })),
        unseen: Type.Optional(
          Type.Boolean({
            description:
              'True: the last edit came when the reader was not in the group, and is not for them. The body is empty.',
          }),
        ),
      }),
    ),
    recalled: Type.Optional(
      Type.Object({
        at: Type.Integer(),
        by: Type.String({ description: 'The uid of who took it back.' }),
        reason: Type.String({ description: 'recalled, expired, erased or moderated.' }),
      }),
    ),
    reactions: Type.Optional(
      Type.Record(Type.String(), Type.Integer(), { description: 'How many gave each emoji.' }),
    ),
  },
  { description: 'How a message stands now: of one that nothing happened to there is none.' },
)
export type EntryState = Type.Static<typeof EntryStateSchema>

export const EntrySchema = Type.Object(
  {
    log: Type.String(),
    epoch: Type.String({
      description: 'The life of the log; another value means that its history was reset.',
    }),
    seq: Type.Integer({ minimum: 1 }),
    at: Type.Integer({ description: 'Server time in ms since 1970; never goes back within a log.' }),
    kind: Type.String({ description: 'message, group, contact, notice, ...' }),
    from: Type.String({ description: 'The uid of the author.' }),
    device: Type.Optional(Type.String({ description: 'The device that sent it.' })),
    id: Type.Optional(Type.String({ description: "The author's id of the message." })),
    type: Type.String({ description: 'Of a message: text, image, ...; of other kinds: what happened.' }),
    body: Type.Unknown(),
    state: Type.Optional(EntryStateSchema),
  },
  { description: 'One entry of a log.' },
)
export type Entry = Type.Static<typeof EntrySchema>

const GAP_REASONS = ['retention', 'backlog', 'too_large', 'restored'] as const
export type GapReason = (typeof GAP_REASONS)[number]

/** Says on the inbox that entries `from`..`to` are not sent; they stay readable by `messages.page` unless trimmed. */
export type Gap = { kind: 'gap'; log: string; epoch: string; from: number; to: number; reason: GapReason }

export function encodeGap(gap: Gap): Buffer {
  return Buffer.from(JSON.stringify(gap))
}

/** The parts of an entry that {@link encodeEntry} puts together; ids and types are of the contract's alphabets. */
type EntryFields = {
  log: string
  epoch: string
  seq: number
  at: number
  kind: string
  from: string
  device: string | null
  id: string | null
  type: string
  /** `body` as JSON text. */
  bodyJson: string
  /** {@link EntryState} as JSON text; none of an entry that is new. */
  stateJson?: string | null
}

const NEEDS_NO_ESCAPE = /^[\w.:@~-]*$/

/**
 * An entry's JSON text, without a parse or a stringify of its body: this runs once per entry on the commit path.
 * `log`, `epoch`, `kind`, `from`, `device` and `type` hold no character that JSON would escape, by their grammar;
 * only `id` is free text.
 */
export function encodeEntry(e: EntryFields): string {
  const device = e.device === null ? '' : `,"device":"${e.device}"`
  const id =
    e.id === null ? '' : NEEDS_NO_ESCAPE.test(e.id) ? `,"id":"${e.id}"` : `,"id":${JSON.stringify(e.id)}`
  const state = e.stateJson == null ? '' : `,"state":${e.stateJson}`
  return `{"log":"${e.log}","epoch":"${e.epoch}","seq":${e.seq},"at":${e.at},"kind":"${e.kind}","from":"${e.from}"${device}${id},"type":"${e.type}","body":${e.bodyJson}${state}}`
}
