/** Groups: the `groups.` part of the catalogue. */
import { callerOf, type HandlersOf } from '../dispatcher.ts'
import type { GroupStore } from '../store/contract.ts'
import { createGroupId } from './group-id.ts'

export type GroupSettings = {
  /** Members of one group. */
  membersMax: number
}

export function createGroupHandlers(store: GroupStore, { membersMax }: GroupSettings): HandlersOf<'groups.'> {
  return {
    'groups.create': (params, context) =>
      store.createGroup({ ...params, caller: callerOf(context), log: createGroupId(), membersMax }),
    'groups.add': (params, context) => store.addMembers({ ...params, caller: callerOf(context), membersMax }),
    'groups.remove': (params, context) => store.removeMembers({ ...params, caller: callerOf(context) }),
    'groups.leave': (params, context) => store.leaveGroup({ ...params, caller: callerOf(context) }),
    'groups.list': (_params, context) => store.groups(callerOf(context).uid),
    'groups.members': (params, context) => store.members({ ...params, caller: callerOf(context) }),
  }
}
