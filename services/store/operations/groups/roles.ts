/** What members of a group are: their roles, who is muted, how they are called. */
import { WochatError } from '../../../../protocol/errors.ts'
import type { StoredOperations } from '../stored.ts'
import { assertAdmin, assertOutranks, assertOwner, getMember, lockGroup, lockPeople } from './lookup.ts'
import {
  findAdmins,
  GROUP_ADMINS_MAX,
  groupChanged,
  muteMember,
  setOwner,
  setRole,
  tellGroup,
  touchGroup,
} from './membership.ts'

type Names = 'groups.setRole' | 'groups.transfer' | 'groups.mute' | 'groups.setNickname'

export const groupRoleOperations: StoredOperations<Names> = {
  async 'groups.setRole'(tx, { caller, id, uid, role }) {
    const named = await lockPeople(tx, caller, [uid])
    const group = await lockGroup(tx, caller, id)
    assertOwner(group)
    if (uid === caller.uid) throw new WochatError('bad_request', 'uid: the owner stays the owner')
    const member = await getMember(tx, group, named)
    if (member.role === role) return {}
    const admins = await findAdmins(tx, group)
    if (role === 'admin' && admins.length > GROUP_ADMINS_MAX) throw new WochatError('too_many_admins')
    await setRole(tx, group, member, role)
    await touchGroup(tx, group, [member])
    await tellGroup(tx, caller, group, 'role', { uid, role })
    return {}
  },

  async 'groups.transfer'(tx, { caller, id, uid }) {
    const named = await lockPeople(tx, caller, [uid])
    const group = await lockGroup(tx, caller, id)
    assertOwner(group)
    const heir = await getMember(tx, group, named)
    if (heir.account === group.me.account) return {}
    await setRole(tx, group, group.me, 'member')
    await touchGroup(tx, group, [group.me, heir])
    await setOwner(tx, caller, group, heir)
    return {}
  },

  async 'groups.mute'(tx, { caller, id, uid, untilMs }) {
    const named = await lockPeople(tx, caller, uid === undefined ? [] : [uid])
    const group = await lockGroup(tx, caller, id)
    assertAdmin(group)
    const until = untilMs !== null && untilMs > tx.now ? untilMs : null
    if (uid === undefined) {
      await tx.query('update chat_group set muted_until = $2 where log = $1', [group.log.n, until])
      await groupChanged(tx, group)
      tx.writersChanged(group.log.name)
    } else {
      const member = await getMember(tx, group, named)
      assertOutranks(group, [member])
      if (member.role === 'owner') throw new WochatError('bad_request', 'uid: the owner is never muted')
      await muteMember(tx, group.log.n, member.account, until)
      tx.writersChanged(group.log.name, member.uid)
      await touchGroup(tx, group, [member])
    }
    const whom = uid === undefined ? {} : { uid }
    if (until === null) await tellGroup(tx, caller, group, 'unmuted', whom)
    else await tellGroup(tx, caller, group, 'muted', { ...whom, untilMs: until })
    return {}
  },

  async 'groups.setNickname'(tx, { caller, id, nickname, uid = caller.uid }) {
    const named = await lockPeople(tx, caller, [uid])
    const group = await lockGroup(tx, caller, id)
    if (uid !== caller.uid) assertAdmin(group)
    const member = await getMember(tx, group, named)
    if (uid !== caller.uid) assertOutranks(group, [member])
    await tx.query('update membership set nickname = $3 where account = $1 and log = $2 and to_seq is null', [
      member.account,
      group.log.n,
      nickname,
    ])
    await touchGroup(tx, group, [member])
    await tellGroup(tx, caller, group, 'nickname', { uid, nickname })
    return {}
  },
}
