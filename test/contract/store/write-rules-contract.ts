/** A send, an edit and a reaction are decided in three places on two engines: all must decide the same. */
import { describe, expect, test } from 'vitest'
import type { WochatError } from '../../../protocol/errors.ts'
import type { LogId, UserId } from '../../../protocol/ids.ts'
import type { Caller, Store } from '../../../services/store/contract.ts'
import { type StoreEngine, shareStore } from './engine.ts'
import { handsOf } from './group-calls.ts'
import { operate } from './operator.ts'
import {
  addMembers,
  createFriends,
  createGroup,
  createPeople,
  createUid,
  directLog,
  gistOf,
  leaveGroup,
  readAll,
  send,
} from './people.ts'

const HOUR = 3_600_000

/** The code of a refusal, else `taken`. */
const outcomeOf = (done: Promise<unknown>): Promise<string> =>
  done.then(
    () => 'taken',
    (error: WochatError) => error.code,
  )

/** Of a send, of an edit of the own message `seq`, and of a reaction to it. */
async function outcomesOf(store: Store, caller: Caller, log: LogId, seq: number): Promise<string[]> {
  const edit = { log, seq, body: { text: 'edited' } }
  const react = { log, seq, emoji: '👍', on: true }
  return [
    await outcomeOf(send(store, caller, log, 'again')),
    await outcomeOf(store.run({ name: 'messages.edit', caller, params: edit })),
    await outcomeOf(store.run({ name: 'messages.react', caller, params: react })),
  ]
}

const TAKEN = ['taken', 'taken', 'taken']
const refused = (code: string) => [code, code, code]
/** What only admins may say, members may react to. */
const ONLY_REACTS = ['not_admin', 'not_admin', 'taken']

type Direct = { from: Caller; to: Caller; log: LogId; seq: number }

/** The first message of a conversation. */
async function begin(store: Store, from: Caller, to: Caller): Promise<Direct> {
  const log = directLog(from, to)
  const { seq } = await send(store, from, log, 'first')
  return { from, to, log, seq }
}

async function beginAsFriends(store: Store): Promise<Direct> {
  const [alice, bob] = await createFriends(store, 'alice', 'bob')
  return begin(store, alice, bob)
}

async function createSystem(store: Store, name: string): Promise<Caller> {
  const uid = createUid(name) as UserId
  await operate(store, 'addSystemAccount', { uid, name, replies: true })
  return { uid, device: null }
}

/** A system account to somebody who knows nothing of it. */
async function beginAsSystem(store: Store): Promise<Direct> {
  const [bob] = await createPeople(store, 'bob')
  return begin(store, await createSystem(store, 'news'), bob)
}

async function beginToBot(store: Store): Promise<Direct> {
  const [alice] = await createPeople(store, 'alice')
  const uid = createUid('bot') as UserId
  await operate(store, 'addBot', { uid, name: 'A bot', open: true })
  return begin(store, alice, { uid, device: null })
}

async function beginToSystem(store: Store): Promise<Direct> {
  const [alice] = await createPeople(store, 'alice')
  return begin(store, alice, await createSystem(store, 'help'))
}

type DirectRule = (store: Store, direct: Direct) => Promise<unknown>

const nothing: DirectRule = async () => {}
const unfriend: DirectRule = (store, { from: caller, to: { uid } }) =>
  store.run({ name: 'contacts.remove', caller, params: { uid } })
const block: DirectRule = (store, { to: caller, from: { uid } }) =>
  store.run({ name: 'contacts.block', caller, params: { uid } })
const swallow: DirectRule = (store, { to: caller, from: { uid } }) =>
  store.run({ name: 'contacts.block', caller, params: { uid, mode: 'swallow' } })
const deactivate: DirectRule = (store, { to: caller }) =>
  store.run({ name: 'accounts.deactivate', caller, params: {} })
const closeBot: DirectRule = (store, { to: { uid } }) =>
  operate(store, 'addBot', { uid, name: 'A bot', open: false })
const takeNothing: DirectRule = (store, { to: { uid } }) =>
  operate(store, 'addSystemAccount', { uid, name: 'help', replies: false })

const DIRECT_RULES = [
  ['a friend', beginAsFriends, nothing, TAKEN],
  ['one who was a friend', beginAsFriends, unfriend, refused('not_friends')],
  ['who is blocked', beginAsFriends, block, refused('blocked')],
  ['who was a friend of who is inactive now', beginAsFriends, deactivate, refused('account_inactive')],
  ['anybody, of an open bot', beginToBot, nothing, TAKEN],
  ['a stranger, of a bot that was open', beginToBot, closeBot, refused('not_friends')],
  ['anybody, of a system account that answers', beginToSystem, nothing, TAKEN],
  ['anybody, of a system account that does not', beginToSystem, takeNothing, refused('blocked')],
  ['a system account', beginAsSystem, nothing, TAKEN],
  ['a system account that is blocked', beginAsSystem, block, refused('blocked')],
] as const

export function writeRulesContract(engine: () => StoreEngine): void {
  describe('a send, an edit and a reaction are decided alike', () => {
    const shared = shareStore(engine)

    test.each(DIRECT_RULES)('of %s', async (_, prepare, apply, expected) => {
      const store = shared()
      const direct = await prepare(store)
      // Whatever is remembered of a writer, the rule holds from here on.
      await apply(store, direct)
      expect(await outcomesOf(store, direct.from, direct.log, direct.seq)).toEqual(expected)
    })

    test.each([
      ['a friend', beginAsFriends],
      ['a system account', beginAsSystem],
    ])('of %s whom the other does not hear: taken, and the other sees nothing of it', async (_, prepare) => {
      const store = shared()
      const direct = await prepare(store)
      await swallow(store, direct)
      expect(await outcomesOf(store, direct.from, direct.log, direct.seq)).toEqual(TAKEN)
      expect(gistOf(await readAll(store, direct.to, direct.log))).toEqual(['first'])
    })

    test('of the owner, an admin and a member, under each rule of a group', async () => {
      const store = shared()
      const people = await createFriends(store, 'owner', 'admin', 'member')
      const [owner, admin, member] = people
      const id = await createGroup(store, owner, admin, member)
      const hands = handsOf(store, owner)
      await hands.do('groups.setRole', { id, uid: admin.uid, role: 'admin' })
      const seqs: number[] = []
      for (const person of people) seqs.push((await send(store, person, id, 'first')).seq)
      const outcomes = async () => {
        const [ofOwner, ofAdmin, ofMember] = await Promise.all(
          people.map((person, i) => outcomesOf(store, person, id, seqs[i]!)),
        )
        return { owner: ofOwner, admin: ofAdmin, member: ofMember }
      }
      const untilMs = Date.now() + HOUR
      const all = { owner: TAKEN, admin: TAKEN, member: TAKEN }
      expect(await outcomes()).toEqual(all)

      await hands.do('groups.update', { id, whoWrites: 'admins' })
      expect(await outcomes()).toEqual({ ...all, member: ONLY_REACTS })
      await hands.do('groups.mute', { id, untilMs })
      expect(await outcomes()).toEqual({ ...all, member: ['not_admin', 'not_admin', 'muted'] })
      await hands.do('groups.update', { id, whoWrites: 'members' })
      expect(await outcomes()).toEqual({ ...all, member: refused('muted') })
      await hands.do('groups.mute', { id, untilMs: null })
      expect(await outcomes()).toEqual(all)

      for (const { uid } of [admin, member]) await hands.do('groups.mute', { id, uid, untilMs })
      expect(await outcomes()).toEqual({ owner: TAKEN, admin: refused('muted'), member: refused('muted') })
      for (const { uid } of [admin, member]) await hands.do('groups.mute', { id, uid, untilMs: null })

      for (const person of [admin, member]) await leaveGroup(store, person, id)
      const out = refused('not_member')
      expect(await outcomes()).toEqual({ owner: TAKEN, admin: out, member: out })
      await addMembers(store, owner, id, admin, member)
      // What was written before they left is theirs still.
      expect(await outcomes()).toEqual(all)
    })
  })
}
