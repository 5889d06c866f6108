/**
 * A group as large as an operator may allow: everything of a small one holds in it, and nothing that is done for one
 * member looks at all of them. The group is made once and every test works on it, in their order.
 */
import { beforeAll, describe, expect, test } from 'vitest'
import type { LogId } from '../../../protocol/ids.ts'
import { buildClientId } from '../../../protocol/ids.ts'
import type { Caller, Store } from '../../../services/store/contract.ts'
import type { EngineOptions, StoreEngine } from './engine.ts'
import { type Hands, handsOf } from './group-calls.ts'
import { LargeGroup, MEMBERS, memberOf, RULES, TOGETHER } from './large-group.ts'
import {
  addMembers,
  conversationOf,
  createPeople,
  gistOf,
  groupsOf,
  leaveGroup,
  markRead,
  pageOf,
  refusalOf,
  removeMembers,
  send,
} from './people.ts'
import { countReads, leastPagesOf, type Reads, type Work } from './reads.ts'
import { sendMarked } from './send-rules-contract.ts'

/** Under these, who has read a message is told however many they are. */
const READERS_ALLOWED: EngineOptions = {
  ...RULES,
  policy: { ...RULES.policy, receiptMembersMax: MEMBERS },
}
const SENDS = 6
/** A short page, whose people are not what is counted. */
const PAGE = 10
const HOUR = 3_600_000
/** For what goes through all of them, on a busy machine. */
const ALL_MS_MAX = 120_000

export function largeGroupContract(engine: () => StoreEngine): void {
  describe(`a group of ${MEMBERS.toLocaleString('en')} members`, () => {
    const group = new LargeGroup(engine)
    let reads: Reads
    beforeAll(async () => {
      reads = await group.make()
    }, ALL_MS_MAX)

    itsMaking(group, () => reads)
    itsList(group)
    itsMessages(group)
    oneOfItsMembers(group)
    itsEnd(group)
  })
}

function itsMaking(group: LargeGroup, reads: () => Reads): void {
  test('is not looked through by the steps that make it', () => {
    // Some 25 rows and 70 pages for each in PostgreSQL, mostly to put them into indexes. A look at all members in each
    // step would be 100 rows more, one for each who is added would be hundreds of pages.
    expect(reads().rows / MEMBERS).toBeLessThan(50)
    expect(reads().pages / MEMBERS).toBeLessThan(140)
  })

  test('says how many it has, and takes no more than the operator allows', async () => {
    await using store = await group.open()
    const { id, owner, last } = group
    const [guest] = await createPeople(store, 'guest')
    expect(await handsOf(store, last).do('groups.get', { id })).toMatchObject({
      members: MEMBERS,
      admins: 1,
    })
    const { token } = await handsOf(store, owner).do('groups.createLink', { id })
    expect(await refusalOf(addMembers(store, owner, id, guest))).toBe('too_many_members')
    expect(await handsOf(store, guest).refused('groups.join', { token })).toBe('too_many_members')
    expect(await handsOf(store, last).do('groups.get', { id })).toMatchObject({ members: MEMBERS })
    expect(await groupsOf(store, guest)).toEqual([])
  })
}

function itsList(group: LargeGroup): void {
  test(
    'lists each member once in the order of their joining, while others come and go',
    async () => {
      await using store = await group.open()
      const { id, uids, owner, middle } = group
      // Of those who are read already, of those who are not yet, and beside the place where the reading is.
      const gone = [
        uids[7]!,
        uids[10 * TOGETHER - 1]!,
        uids[10 * TOGETHER]!,
        uids[10 * TOGETHER + 1]!,
        uids[90_000]!,
      ]
      const back = [uids[7]!, uids[90_000]!]
      const listed = await group.readMembers(handsOf(store, middle), async (pages) => {
        if (pages === 10) await removeMembers(store, owner, id, ...gone.map(memberOf))
        if (pages === 20) await addMembers(store, owner, id, ...back.map(memberOf))
      })
      const isGone = new Set(gone)
      const stayed = uids.filter((uid) => !isGone.has(uid))
      expect(listed.filter((uid) => !isGone.has(uid))).toEqual(stayed)
      // Who came back is behind all others, and those who were read before they went are there twice at most.
      expect(listed.slice(stayed.length + 2)).toEqual(back)
      await addMembers(store, owner, id, ...gone.map(memberOf).filter(({ uid }) => !back.includes(uid)))
    },
    ALL_MS_MAX,
  )
}

function itsMessages(group: LargeGroup): void {
  test('is written to by one, and read and counted by the first, the middle and the last of them', async () => {
    await using store = await group.open()
    const { id, first, middle, last } = group
    const { seq } = await sendMarked(store, middle, id, { mentions: 'all' }, { body: { text: 'to all' } })
    await send(store, middle, id, 'and so on')
    for (const member of [first, last]) {
      expect(await conversationOf(store, member, id)).toMatchObject({ unread: 2, mentions: 1 })
      expect(gistOf((await pageOf(store, member, id, { limit: 2 })).entries)).toEqual(['to all', 'and so on'])
      await markRead(store, member, id, seq)
      expect(await conversationOf(store, member, id)).toMatchObject({ unread: 1, mentions: 0 })
    }
    expect(await conversationOf(store, middle, id)).toMatchObject({ unread: 0, mentions: 0 })
  })

  test('does not say who has read a message', async () => {
    await using store = await group.open()
    const { id, last } = group
    const { seq } = await send(store, last, id, 'who reads this?')
    const readers = store.run({ name: 'messages.readers', caller: last, params: { log: id, seq } })
    expect(await refusalOf(readers)).toBe('receipts_off')
  })
}

function oneOfItsMembers(group: LargeGroup): void {
  test('deals with one of its members as a small group does', async () => {
    await using store = await group.open()
    const { id, owner, middle, last } = group
    const hands = handsOf(store, owner)
    const mine = handsOf(store, middle)
    const members = [middle.uid]
    const { version: since } = await mine.do('groups.changes', {})
    await hands.do('groups.mute', { id, uid: middle.uid, untilMs: Date.now() + HOUR })
    expect(await refusalOf(send(store, middle, id, 'muted'))).toBe('muted')
    await hands.do('groups.mute', { id, uid: middle.uid, untilMs: null })
    await hands.do('groups.mute', { id, untilMs: Date.now() + HOUR })
    expect(await refusalOf(send(store, last, id, 'muted'))).toBe('muted')
    await hands.do('groups.setRole', { id, uid: middle.uid, role: 'admin' })
    await mine.do('groups.setNickname', { id, nickname: 'Mid' })
    await send(store, middle, id, 'an admin may')
    await mine.do('groups.mute', { id, untilMs: null })
    const admins = await mine.do('groups.members', { id, role: 'admin' })
    expect(admins.members.map(({ uid, role, nickname }) => [uid, role, nickname])).toEqual([
      [owner.uid, 'owner', undefined],
      [middle.uid, 'admin', 'Mid'],
    ])
    const changes = await mine.do('groups.changes', { since })
    expect(changes.items.map((item) => item.id)).toEqual([id])
    expect(JSON.stringify(changes).length).toBeLessThan(1000)
    expect(await hands.do('groups.remove', { id, members })).toEqual({ removed: members })
    expect(await refusalOf(send(store, middle, id, 'removed'))).toBe('not_member')
    expect((await mine.do('groups.changes', { since })).gone).toEqual([id])
    expect(await hands.do('groups.add', { id, members })).toEqual({ added: members })
    await hands.do('groups.ban', { id, uid: middle.uid })
    expect(await hands.refused('groups.add', { id, members })).toBe('users_refused')
    await hands.do('groups.unban', { id, uid: middle.uid })
    await hands.do('groups.update', { id, approval: true })
    expect(await handsOf(store, last).do('groups.add', { id, members })).toMatchObject({ waiting: members })
    await hands.do('groups.approve', { id, uid: middle.uid })
    await hands.do('groups.update', { id, approval: false })
    await leaveGroup(store, middle, id)
    expect(await mine.refused('groups.get', { id })).toBe('unknown_group')
    expect(await hands.do('groups.get', { id })).toMatchObject({ members: MEMBERS - 1, admins: 1 })
    await hands.do('groups.add', { id, members })
    await send(store, middle, id, 'back')
  })

  test(
    'is not looked through for what one member does',
    async () => {
      const { id, last } = group
      const { seq, cursor } = await placesIn(group)
      const reads = await countReads(group.engine(), RULES, actsOfOne(group, seq, cursor), MEMBERS / 2)
      const least = leastPagesOf(MEMBERS)
      const isMuch = ({ pages, rows }: Reads) => pages > least || rows > MEMBERS / 2
      expect([...reads].filter(([, read]) => isMuch(read))).toEqual([])
      // What does look at every member shows that it would be seen.
      const readers: Work = (store) =>
        store.run({ name: 'messages.readers', caller: last, params: { log: id, seq: seq + 1, limit: 1 } })
      const all = await countReads(group.engine(), READERS_ALLOWED, { readers }, MEMBERS / 2)
      expect(all.get('readers')!.pages).toBeGreaterThan(least)
    },
    ALL_MS_MAX,
  )
}

async function placesIn(group: LargeGroup): Promise<{ seq: number; cursor: string }> {
  await using store = await group.open()
  const { id, first } = group
  const { seq } = await send(store, first, id, 'a message')
  const { cursor } = await handsOf(store, first).do('groups.members', { id, limit: TOGETHER })
  return { seq, cursor: cursor! }
}

function actsOfOne(group: LargeGroup, seq: number, cursor: string): Record<string, Work> {
  const { id, uids, owner, first, middle, last } = group
  const about = { log: id, seq }
  const body = { text: 'changed', mentions: [middle.uid, last.uid] }
  const one = { id, uid: last.uid }
  const done =
    (caller: Caller) =>
    (name: Parameters<Hands['do']>[0], params: object): Work => {
      return (store) => handsOf(store, caller).do(name, params as never)
    }
  const [asOwner, asLast] = [done(owner), done(last)]
  return {
    // As often as it takes until PostgreSQL keeps one plan for all of them.
    sends: async (store) => {
      for (let n = 0; n < SENDS; n++) await send(store, first, id, 'x')
    },
    'a send that calls all': (store) => sendMarked(store, first, id, { mentions: 'all' }),
    'a send that calls some': (store) => sendMarked(store, first, id, { mentions: uids.slice(0, 5) }),
    'an edit': (store) => store.run({ name: 'messages.edit', caller: first, params: { ...about, body } }),
    'a reaction': (store) =>
      store.run({ name: 'messages.react', caller: last, params: { ...about, emoji: ':x:' } }),
    'a pin': (store) => store.run({ name: 'messages.pin', caller: owner, params: about }),
    'a recall': (store) => store.run({ name: 'messages.recall', caller: first, params: about }),
    'a page of history': (store) => pageOf(store, last, id, { limit: 50 }),
    'a read': (store) => markRead(store, last, id, seq),
    'a list of conversations': (store) => conversationOf(store, last, id),
    'an inbox': (store) => drain(store, last, id),
    'the group': asLast('groups.get', { id }),
    'what changed': asLast('groups.changes', {}),
    'the first page of members': asLast('groups.members', { id, limit: PAGE }),
    'a later page of members': asLast('groups.members', { id, limit: PAGE, cursor }),
    'plain members': asLast('groups.members', { id, role: 'member', limit: PAGE }),
    admins: asLast('groups.members', { id, role: 'admin' }),
    'a nickname': asLast('groups.setNickname', { id, nickname: 'Last' }),
    'a mute': asOwner('groups.mute', { ...one, untilMs: null }),
    'a mute of all': asOwner('groups.mute', { id, untilMs: null }),
    'a role': asOwner('groups.setRole', { ...one, role: 'admin' }),
    'a removal': asOwner('groups.remove', { id, members: [middle.uid] }),
    'an addition': asOwner('groups.add', { id, members: [middle.uid] }),
    'a ban': asOwner('groups.ban', { id, uid: uids[40_000]! }),
    leaving: (store) => leaveGroup(store, memberOf(uids[60_000]!), id),
    'leaving as the owner': (store) => leaveGroup(store, owner, id),
  }
}

function itsEnd(group: LargeGroup): void {
  test('goes on without an account that is erased', async () => {
    await using store = await group.open()
    const { id, uids, first } = group
    const leaver = memberOf(uids[30_000]!)
    const hands = handsOf(store, first)
    const { members } = await hands.do('groups.get', { id })
    await send(store, leaver, id, 'my last words')
    await store.run({ name: 'accounts.erase', caller: leaver, params: { confirm: leaver.uid } })
    while ((await store.perform({ task: 'eraseStep', input: {} })).more) {
      // As many steps as there are.
    }
    expect((await hands.do('groups.get', { id })).members).toBe(members - 1)
    expect(await groupsOf(store, leaver)).toEqual([])
    expect(gistOf((await pageOf(store, first, id, { limit: 2 })).entries)).toEqual(['left', 'erased'])
  })

  test(
    'ends at once for all, and lets them out in steps',
    async () => {
      await using store = await group.open()
      const { id, first, middle, last } = group
      const heir = handsOf(store, last)
      const { members } = await heir.do('groups.get', { id })
      await heir.do('groups.dissolve', { id })
      for (const member of [first, middle, last]) {
        expect(await groupsOf(store, member)).toEqual([])
        expect(await handsOf(store, member).refused('groups.get', { id })).toBe('unknown_group')
        expect(await refusalOf(send(store, member, id, 'too late'))).not.toBe('')
      }
      const steps: number[] = []
      do steps.push(await store.perform({ task: 'letOutOfDissolved', input: {} }))
      while (steps.at(-1)! > 0)
      expect(Math.max(...steps)).toBeLessThanOrEqual(TOGETHER)
      const out = steps.reduce((sum, step) => sum + step, 0)
      // The first step is that of the call itself.
      expect(out).toBeGreaterThanOrEqual(members - TOGETHER - 1)
      expect(await group.counts()).toEqual({ open: 0, members: 0 })
      for (const member of [first, middle, last]) {
        expect(gistOf((await pageOf(store, member, id, { limit: 1 })).entries)).toEqual(['dissolved'])
      }
    },
    ALL_MS_MAX,
  )
}

/** A device of the person connects, and takes what is new in the log. */
async function drain(store: Store, { uid, device }: Caller, log: LogId): Promise<void> {
  const { session, generation } = await store.openSession({
    ...{ clientId: buildClientId(uid, device!), uid, device: device!, sid: null, issuedAt: Date.now() },
    ...{ cleanStart: false, persistent: true, devicesMax: 10 },
  })
  await store.startInbox({ uid, session, generation, backlogMax: 100 })
  const requests = [{ log, after: 0 }]
  await store.drain({ uid, device: device!, requests, entriesMax: 100, bytesMax: 100_000 })
}
