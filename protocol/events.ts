/**
 * What webhooks are told: every type of event, with the schema of its data. docs/integration.md says when each comes.
 *
 * Of an event that tells of an entry, the data is the entry as it was when it was appended; readers ignore fields that
 * they do not know.
 */
import { type TSchema, Type } from 'typebox'
import { CONTACT_ENTRY_TYPES, type EntryKind, GROUP_ENTRY_TYPES } from './entry.ts'

const exact = <const Fields extends Record<string, TSchema>>(fields: Fields) =>
  Type.Object(fields, { additionalProperties: false })
const orNull = <Schema extends TSchema>(schema: Schema) => Type.Union([schema, Type.Null()])
const Time = Type.Integer({ minimum: 0 })

/** `body` is of the form that entries of the kind have; the one of a message is of its own type. */
const entry = (kind: EntryKind, type: TSchema, body: TSchema) =>
  exact({
    log: Type.String(),
    epoch: Type.String(),
    seq: Type.Integer({ minimum: 1 }),
    at: Time,
    kind: Type.Literal(kind),
    from: Type.String(),
    device: orNull(Type.String()),
    id: orNull(Type.String()),
    type,
    body,
  })

const About = Type.Object({ seq: Type.Integer({ minimum: 1 }) })
const Content = Type.Record(Type.String(), Type.Unknown())
const Account = exact({ uid: Type.String() })

const messageEvents = {
  'message.stored': entry('message', Type.String(), Content),
  'message.edited': entry('edit', Type.String(), About),
  'message.recalled': entry('recall', Type.String(), About),
  'message.reacted': entry('reaction', Type.Enum(['added', 'removed']), About),
}

/** A type of event for each type of the entries of a kind. */
const eventsOf = <Kind extends 'group' | 'contact', Name extends string>(
  kind: Kind,
  names: readonly Name[],
  body: TSchema,
) =>
  Object.fromEntries(
    names.map((name): [string, TSchema] => [`${kind}.${name}`, entry(kind, Type.Literal(name), body)]),
  ) as Record<`${Kind}.${Name}`, TSchema>

/** The data of each type of event. */
export const EVENTS = {
  ...messageEvents,
  ...eventsOf('group', GROUP_ENTRY_TYPES, Content),
  ...eventsOf(
    'contact',
    CONTACT_ENTRY_TYPES,
    exact({ uid: Type.String(), text: Type.Optional(Type.String()) }),
  ),
  'account.created': Account,
  'account.deactivated': Account,
  'account.active': Account,
  'account.erased': Account,
  // `until` is null of one that does not end by itself.
  'account.suspended': exact({ uid: Type.String(), until: orNull(Time) }),
  'account.restored': Account,
  'media.ready': exact({
    media: Type.String(),
    uid: Type.String(),
    bytes: Type.Integer({ minimum: 0 }),
    type: Type.String(),
  }),
  'report.made': exact({
    report: Type.Integer(),
    reporter: Type.String(),
    uid: Type.String(),
    log: orNull(Type.String()),
    seq: orNull(Type.Integer()),
    reason: Type.String(),
  }),
} as const satisfies Record<string, TSchema>

export type EventType = keyof typeof EVENTS
export const EVENT_TYPES = Object.keys(EVENTS) as EventType[]

/** The first words of types; a webhook asks for all of a family as `group.*`. */
export const EVENT_FAMILIES = [...new Set(EVENT_TYPES.map((type) => type.split('.', 1)[0]!))]

/** A delivery posts `{"events": [...]}` of these, in the order of `seq`. */
export const EventSchema = exact({
  seq: Type.Integer({ minimum: 1 }),
  at: Time,
  type: Type.String(),
  data: Type.Object({}),
})
