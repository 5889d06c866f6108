/**
 * Joining and leaving rooms: one that keeps entries is the store's, one that keeps none is joined by a connection alone,
 * whose seat a ban ends.
 */
import { WochatError } from '../../protocol/errors.ts'
import type { LogId, UserId } from '../../protocol/ids.ts'
import { PRESENCE_LEASE_MS_MAX } from '../../protocol/limits.ts'
import { callerOf, type Handler } from '../dispatcher.ts'
import type { Store } from '../store/contract.ts'
import type { LiveRoomSeats } from './ports.ts'
import { listenerOf } from './presence-handlers.ts'

type RoomHandlers = {
  readonly 'rooms.join': Handler<'rooms.join'>
  readonly 'rooms.leave': Handler<'rooms.leave'>
  readonly 'groups.ban': Handler<'groups.ban'>
}

export function createRoomHandlers(
  store: Pick<Store, 'run' | 'perform'>,
  seats: LiveRoomSeats,
): RoomHandlers {
  return {
    async 'rooms.join'(params, context) {
      const caller = callerOf(context)
      const room = await store.perform({ task: 'findLiveRoom', input: { uid: caller.uid, room: params.id } })
      if (room === null) return store.run({ name: 'rooms.join', caller, params })
      if (room.isBanned) throw new WochatError('banned')
      const until = Date.now() + PRESENCE_LEASE_MS_MAX
      await seats.join(listenerOf(context), params.id as LogId, until)
      return { until }
    },

    async 'rooms.leave'(params, context) {
      const caller = callerOf(context)
      const room = await store.perform({ task: 'findLiveRoom', input: { uid: caller.uid, room: params.id } })
      if (room === null) return store.run({ name: 'rooms.leave', caller, params })
      seats.leave(listenerOf(context), params.id as LogId)
      return {}
    },

    async 'groups.ban'(params, context) {
      const result = await store.run({ name: 'groups.ban', caller: callerOf(context), params })
      seats.unseat(params.uid as UserId, params.id as LogId)
      return result
    },
  }
}
