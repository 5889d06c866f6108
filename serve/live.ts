/** What is live on a node: built before the services, which call it. */
import type { Logger } from 'pino'
import type { Bus } from '../broker/cluster/bus.ts'
import { Live } from '../broker/live/live.ts'
import { type LiveAudience, LiveDelivery } from '../broker/live/live-delivery.ts'
import { KnownRights } from '../broker/live/live-rights.ts'
import { LiveRooms } from '../broker/live/live-rooms.ts'
import { Receipts } from '../broker/live/receipts.ts'
import type { Config } from '../config.ts'
import type { UserId } from '../protocol/ids.ts'
import { Presence } from '../services/presence/presence.ts'
import { SeenWriter } from '../services/presence/seen-writer.ts'
import type { Store } from '../services/store/contract.ts'
import type { Connections } from './connections.ts'

type LiveParts = {
  config: Config
  store: Store
  bus: Bus
  connections: Connections
  log: Logger
  parts: AsyncDisposableStack
}

export function buildLive({ config, store, bus, connections, log, parts }: LiveParts): Live {
  const rooms = parts.use(new LiveRooms(connections.watch.open()))
  const delivery = new LiveDelivery(audienceOf(connections), bus, rooms)
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
      hasOthers: bus.hasOthers,
      onError,
    }),
  )
  return new Live({ presence, delivery, rooms, receipts, rights, typingMembersMax, onError })
}

function audienceOf({ registry, hub }: Connections): LiveAudience {
  return {
    eachOfUser: (uid, visit) =>
      registry.eachOfUser(uid, ({ live }) => {
        if (live !== null) visit(live)
      }),
    membersOf: (group) => hub.membersOf(group),
  }
}

async function findVisible(
  store: Pick<Store, 'perform'>,
  reader: UserId,
  uids: readonly UserId[],
): Promise<ReadonlySet<UserId>> {
  const people = await store.perform({ task: 'lookAt', input: { reader, uids } })
  return new Set(people.flatMap(({ uid, isVisible }) => (isVisible ? [uid] : [])))
}
