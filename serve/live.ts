/** What is live on a node: built before the services, which call it, and before the connections, which it serves. */
import type { Logger } from 'pino'
import type { Bus } from '../broker/cluster/bus.ts'
import { LocalBus } from '../broker/cluster/local-bus.ts'
import { CountedWatch } from '../broker/live/counted-watch.ts'
import { Live } from '../broker/live/live.ts'
import { LiveDelivery } from '../broker/live/live-delivery.ts'
import { KnownRights } from '../broker/live/live-rights.ts'
import { LiveRooms } from '../broker/live/live-rooms.ts'
import { Receipts } from '../broker/live/receipts.ts'
import type { Config } from '../config.ts'
import type { UserId } from '../protocol/ids.ts'
import { Presence } from '../services/presence/presence.ts'
import { SeenWriter } from '../services/presence/seen-writer.ts'
import type { Store } from '../services/store/contract.ts'

type LiveParts = {
  config: Config
  store: Store
  bus: Bus
  log: Logger
  parts: AsyncDisposableStack
}

/** `watching`: how the rest of the node watches groups, so that both do not end each other's watches. */
export type LiveNode = { live: Live; watching: Pick<Bus, 'watch' | 'unwatch'> }

export function buildLive({ config, store, bus, log, parts }: LiveParts): LiveNode {
  const watch = new CountedWatch(bus)
  const rooms = parts.use(new LiveRooms(watch.open()))
  const delivery = new LiveDelivery(bus, rooms)
  const rights = new KnownRights(store)
  const onError = (error: unknown) =>
    log.warn({ err: error }, 'something live was not told, because the store did not answer')
  const { offlineDelayMs, typingMembersMax } = config
  const presence = parts.use(
    new Presence({
      board: bus.presence,
      seen: new SeenWriter(store, (error) =>
        log.warn({ err: error }, 'it was not noted when devices were last seen'),
      ),
      visibleTo: (reader, uids) => findVisible(store, reader, uids),
      offlineDelayMs,
      onError,
    }),
  )
  const receipts = parts.use(
    new Receipts({
      delivery,
      rights,
      reads: bus.isOrdered ? 'hears' : 'tells',
      hasOthers: !(bus instanceof LocalBus),
      onError,
    }),
  )
  const live = new Live({ presence, delivery, rooms, receipts, rights, typingMembersMax, onError })
  return { live, watching: watch.open() }
}

async function findVisible(
  store: Pick<Store, 'perform'>,
  reader: UserId,
  uids: readonly UserId[],
): Promise<ReadonlySet<UserId>> {
  const people = await store.perform({ task: 'lookAt', input: { reader, uids } })
  return new Set(people.flatMap(({ uid, isVisible }) => (isVisible ? [uid] : [])))
}
