/** The operations of presence: what the store lets the caller see, together with who is connected. */
import type { Result } from '../../protocol/catalogue/catalogue.ts'
import { WochatError } from '../../protocol/errors.ts'
import type { UserId } from '../../protocol/ids.ts'
import { PRESENCE_LEASE_MS_DEFAULT } from '../../protocol/limits.ts'
import { type CallContext, callerOf, type HandlersOf } from '../dispatcher.ts'
import type { Store } from '../store/contract.ts'
import type { SeenPerson } from '../store/operations/presence-tasks.ts'
import type { LiveListener } from './ports.ts'
import type { Presence } from './presence.ts'

type Person = Result<'presence.get'>['people'][number]

export function createPresenceHandlers(
  store: Pick<Store, 'perform'>,
  presence: Presence,
): HandlersOf<'presence.'> {
  const look = async (reader: UserId, uids: readonly string[]): Promise<SeenPerson[]> => {
    const people = await store.perform({ task: 'lookAt', input: { reader, uids } })
    const byUid = new Map<string, SeenPerson>(people.map((person) => [person.uid, person]))
    return uids.map((uid) => byUid.get(uid) ?? { uid: uid as UserId, isVisible: false, lastSeen: null })
  }
  return {
    async 'presence.get'({ uids }, context) {
      return { people: await describe(presence, await look(callerOf(context).uid, uids)) }
    },

    async 'presence.watch'({ uids, leaseMs = PRESENCE_LEASE_MS_DEFAULT }, context) {
      const listener = listenerOf(context)
      const until = Date.now() + leaseMs
      const seen = await look(listener.uid, uids)
      const visible = new Set(visibleOf(seen))
      const hidden = seen.flatMap(({ uid }) => (visible.has(uid) ? [] : [uid]))
      presence.watches.unwatch(listener, hidden)
      await presence.watches.watch(listener, [...visible], until)
      return { people: await describe(presence, seen), until }
    },

    async 'presence.unwatch'({ uids }, context) {
      presence.watches.unwatch(listenerOf(context), (uids as UserId[] | undefined) ?? null)
      return {}
    },

    async 'presence.ofGroup'({ id, cursor }, context) {
      const [joined, n] = (cursor ?? '0.0').split('.').map(Number) as [number, number]
      const input = { reader: callerOf(context), group: id, after: { joined, n } }
      const { people, next } = await store.perform({ task: 'pageMembersSeen', input })
      const visible = await describe(presence, people)
      return {
        people: visible.filter(({ state }) => state === 'online' || state === 'away'),
        ...(next !== null && { next: `${next.joined}.${next.n}` }),
      }
    },
  }
}

/** What lasts as long as a connection needs one; over HTTP there is none. */
export function listenerOf({ live }: CallContext): LiveListener {
  if (live === undefined || live === null) throw new WochatError('connection_required')
  return live
}

const visibleOf = (seen: readonly SeenPerson[]): UserId[] =>
  seen.flatMap(({ uid, isVisible }) => (isVisible ? [uid] : []))

async function describe(presence: Presence, seen: readonly SeenPerson[]): Promise<Person[]> {
  const visible = visibleOf(seen)
  const read = await presence.statesOf(visible)
  const states = new Map(visible.map((uid, i) => [uid, read[i]!]))
  return seen.map(({ uid, lastSeen }): Person => {
    const found = states.get(uid)
    if (found === undefined) return { uid, state: 'unknown' }
    if (found.state !== 'offline' || lastSeen === null) return { uid, state: found.state }
    return { uid, state: 'offline', lastSeen }
  })
}
