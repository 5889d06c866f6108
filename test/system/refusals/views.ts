/** What people of the town see: their own things, and what is in their conversations and groups. */
import type { OperationName } from '../../../protocol/catalogue/catalogue.ts'
import { admin } from '../../harness/admin.ts'
import type { Call } from './situation.ts'
import type { Town } from './town.ts'

/** What one person sees, or what is in one place, by operation. */
type View = Readonly<Record<string, unknown>>

/** By the uid of the person, or the id of the place, or {@link OPERATOR}. */
export type Views = Map<string, View>

type Look = readonly [OperationName, (name: string) => object]

/**
 * Where whatever changes for a person shows: the version of their lists rises with all that their devices are told of,
 * the head of their notices with what they alone hear of.
 */
const MARKS_OF_A_PERSON: readonly Look[] = [
  ['conversations.list', () => ({ limit: 500 })],
  ['messages.page', (uid) => ({ log: `n:${uid}`, limit: 1 })],
  ['messages.scheduled', () => ({})],
  ['media.usage', () => ({})],
]
const ALL_OF_A_PERSON: readonly Look[] = [
  ...MARKS_OF_A_PERSON,
  ['profile.get', () => ({})],
  ['settings.get', () => ({})],
  ['contacts.list', () => ({})],
  ['groups.list', () => ({})],
  ['media.list', () => ({})],
  ['auth.devices', () => ({})],
]

/** Of a conversation or a group: what is done in it has an entry. */
const MARKS_OF_A_LOG: readonly Look[] = [['messages.page', (log) => ({ log, limit: 1 })]]
const MARKS_OF_A_GROUP: readonly Look[] = [...MARKS_OF_A_LOG, ['groups.get', (id) => ({ id })]]
const ALL_OF_A_LOG: readonly Look[] = [
  ['messages.page', (log) => ({ log, limit: 200 })],
  ['messages.pins', (log) => ({ log })],
]
const ALL_OF_A_GROUP: readonly Look[] = [
  ...ALL_OF_A_LOG,
  ['groups.get', (id) => ({ id })],
  ['groups.members', (id) => ({ id })],
  ['groups.bans', (id) => ({ id })],
  ['groups.links', (id) => ({ id })],
  ['groups.requests', (id) => ({ id })],
]

/** Beside accounts whose import is refused. */
export const NOT_IMPORTED = 'not-made'

/** Who looks by the admin port. */
export const OPERATOR = 'the operator'

async function lookAsOperator(town: Town): Promise<View> {
  const { server, operator } = town
  return steady({
    imported: await town.call('profile.get', town.who('anna'), { uids: [NOT_IMPORTED] }),
    webhooks: await admin(server, 'webhooks', {}),
    broadcasts: await admin(server, 'broadcasts', {}),
    open: await admin(server, 'reports', {}),
    decided: await admin(server, 'reports', { state: 'decided' }),
    words: await admin(server, 'words', { after: 'o' }),
    suspensions: await admin(server, 'suspensions', {}),
    keys: await admin(server, 'apiKeys', { uid: operator.bot }),
    retired: await admin(server, 'apiKeys', { uid: operator.retired }),
  })
}

/** Where a look is refused to the one who looks: the same before and after. */
const HIDES: ReadonlySet<string | undefined> = new Set(['unknown_log', 'unknown_group', 'not_admin'])

async function look(town: Town, uid: string, looks: readonly Look[], name: string): Promise<View> {
  const seen = looks.map(async ([operation, params]): Promise<[string, unknown]> => {
    const result = await town.call(operation, uid, params(name)).catch((error: { code?: string }) => {
      if (!HIDES.has(error.code)) throw error
      return error.code
    })
    return [operation, steady(result)]
  })
  return Object.fromEntries(await Promise.all(seen))
}

/** What changes by itself: when a device was last there, and how far a broadcast is. */
const UNSTEADY: ReadonlySet<string> = new Set(['seenAt', 'sent', 'skipped'])

const steady = <Result>(result: Result): Result =>
  JSON.parse(JSON.stringify(result), (key, value) => (UNSTEADY.has(key) ? undefined : value))

async function takeViews(names: Iterable<string>, viewOf: (name: string) => Promise<View>): Promise<Views> {
  const taken = [...names].map(async (name): Promise<[string, View]> => [name, await viewOf(name)])
  return new Map(await Promise.all(taken))
}

/** Whether anything has changed for these people and in these places: few calls, made after every situation. */
export const takeMarks = (town: Town, names: Iterable<string>): Promise<Views> =>
  takeViews(names, (name) => {
    if (name === OPERATOR) return lookAsOperator(town)
    const insider = town.places.get(name)
    if (insider === undefined) return look(town, name, MARKS_OF_A_PERSON, name)
    return look(town, insider, name.startsWith('g:') ? MARKS_OF_A_GROUP : MARKS_OF_A_LOG, name)
  })

/** Everything of these people and places. */
export const takeAllViews = (town: Town, names: Iterable<string>): Promise<Views> =>
  takeViews(names, (name) => {
    if (name === OPERATOR) return lookAsOperator(town)
    const insider = town.places.get(name)
    if (insider === undefined) return look(town, name, ALL_OF_A_PERSON, name)
    return look(town, insider, name.startsWith('g:') ? ALL_OF_A_GROUP : ALL_OF_A_LOG, name)
  })

/** Whom a call may touch: who calls, the people that it names, and its conversation or group with who sees all of it. */
export function touchedBy(town: Town, { as, params }: Call): Set<string> {
  const awake = new Set(town.awake)
  const named = stringsIn([as, params])
  const places = named.filter((name) => town.places.has(name))
  const people = [...named, ...places.map((place) => town.places.get(place)!), ...places.flatMap(endsOf)]
  return new Set([...places, ...people.filter((uid) => awake.has(uid))])
}

function stringsIn(value: unknown): string[] {
  if (typeof value === 'string') return [value]
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(stringsIn) : []
}

function endsOf(place: string): string[] {
  return place.startsWith('d:') ? place.split(':').slice(1) : []
}
