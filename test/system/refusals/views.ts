/** What people of the town see: their own things, and what is in their conversations and groups. */
import type { OperationName } from '../../../protocol/catalogue/catalogue.ts'
import type { Call } from './situation.ts'
import type { Town } from './town.ts'

/** What one person sees, or what is in one place, by operation. */
type View = Readonly<Record<string, unknown>>

/** By the uid of the person, or the id of the place. */
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

async function look(town: Town, uid: string, looks: readonly Look[], name: string): Promise<View> {
  const seen = looks.map(async ([operation, params]): Promise<[string, unknown]> => {
    const result = await town
      .call(operation, uid, params(name))
      .catch((error: { code?: string }) => error.code ?? String(error))
    return [operation, steady(result)]
  })
  return Object.fromEntries(await Promise.all(seen))
}

/** Without when a device was last there, which changes by itself. */
const steady = (result: unknown): unknown =>
  JSON.parse(JSON.stringify(result), (key, value) => (key === 'seenAt' ? undefined : value))

async function takeViews(names: Iterable<string>, viewOf: (name: string) => Promise<View>): Promise<Views> {
  const taken = [...names].map(async (name): Promise<[string, View]> => [name, await viewOf(name)])
  return new Map(await Promise.all(taken))
}

/** Whether anything has changed for these people and in these places: few calls, made after every situation. */
export const takeMarks = (town: Town, names: Iterable<string>): Promise<Views> =>
  takeViews(names, (name) => {
    const insider = town.places.get(name)
    if (insider === undefined) return look(town, name, MARKS_OF_A_PERSON, name)
    return look(town, insider, name.startsWith('g:') ? MARKS_OF_A_GROUP : MARKS_OF_A_LOG, name)
  })

/** Everything of these people and places. */
export const takeAllViews = (town: Town, names: Iterable<string>): Promise<Views> =>
  takeViews(names, (name) => {
    const insider = town.places.get(name)
    if (insider === undefined) return look(town, name, ALL_OF_A_PERSON, name)
    return look(town, insider, name.startsWith('g:') ? ALL_OF_A_GROUP : ALL_OF_A_LOG, name)
  })

/** Whom a call may touch: who calls, the people that it names, and its conversation or group with who sees all of it. */
export function touchedBy(town: Town, { as, params }: Call): Set<string> {
  const awake = new Set(town.awake)
  const named = [as, ...Object.values(params).flat(2)].filter((value) => typeof value === 'string')
  const places = named.filter((name) => town.places.has(name))
  const people = [...named, ...places.map((place) => town.places.get(place)!), ...places.flatMap(endsOf)]
  return new Set([...places, ...people.filter((uid) => awake.has(uid))])
}

function endsOf(place: string): string[] {
  return place.startsWith('d:') ? place.split(':').slice(1) : []
}
