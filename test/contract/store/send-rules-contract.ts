import { describe, expect, test } from 'vitest'
import type { Params } from '../../../protocol/catalogue/catalogue.ts'
import type { LogId } from '../../../protocol/ids.ts'
import type { SendMarks } from '../../../protocol/message-types.ts'
import { sendAndWait } from '../../../services/messages/awaited-send.ts'
import {
  type Caller,
  OF_VISITOR,
  type Store,
  TO_NOBODY,
  TRANSIENT,
} from '../../../services/store/contract.ts'
import { type StoreEngine, shareStore } from './engine.ts'
import { recordFeed } from './feed-recorder.ts'
import {
  badgeOf,
  conversationOf,
  createFriends,
  createGroup,
  directLog,
  gistOf,
  readAll,
  refusalOf,
  send,
  textTo,
} from './people.ts'
import { RemoteStore } from './remote-store.ts'

const HOUR = 3_600_000

export const sendMarked = (
  store: Store,
  from: Caller,
  log: LogId,
  marks: SendMarks,
  { body = { text: 'marked' }, id = null }: { body?: object; id?: string | null } = {},
) =>
  sendAndWait(store, from, {
    id,
    target: { log, peer: null },
    type: 'text',
    bodyJson: JSON.stringify(body),
    marks,
  })

/** What an owner decides. */
const ruleOf =
  (store: Store, caller: Caller) =>
  <Name extends 'groups.mute' | 'groups.update' | 'groups.setRole'>(name: Name, params: Params<Name>) =>
    store.run({ name, caller, params })

/** What a device that has nothing of the log is sent, as `seq kind`. */
async function drained(store: Store, { uid, device }: Caller, log: LogId) {
  const requests = [{ log, after: 0 }]
  const { pages, bytes } = await store.drain({ uid, device, requests, entriesMax: 100, bytesMax: 1e6 })
  const [page] = pages
  const entries = page!.ends.map((end, i) => {
    const { seq, kind } = JSON.parse(bytes.toString('utf8', page!.ends[i - 1] ?? 0, end))
    return `${seq} ${kind}`
  })
  return { entries, through: page!.through }
}

export function sendRulesContract(engine: () => StoreEngine): void {
  describe('the rules of sends', () => {
    const shared = shareStore(engine)

    test('a muted member writes again when the time is over, without another event', async () => {
      const store = shared()
      const [owner, ann] = await createFriends(store, 'owner', 'ann')
      const id = await createGroup(store, owner, ann)
      const rule = ruleOf(store, owner)
      await send(store, ann, id, 'before')
      const untilMs = Date.now() + 700
      await rule('groups.mute', { id, uid: ann.uid, untilMs })
      expect(await refusalOf(send(store, ann, id, 'muted'))).toBe('muted')
      await expect.poll(() => Date.now() > untilMs).toBe(true)
      await send(store, ann, id, 'after')
      const messages = (await readAll(store, owner, id)).filter(({ kind }) => kind === 'message')
      expect(gistOf(messages)).toEqual(['before', 'after'])
    })

    test('a muted group, and one in which admins write, takes messages of its owner only', async () => {
      const store = shared()
      const [owner, ann] = await createFriends(store, 'owner', 'ann')
      const id = await createGroup(store, owner, ann)
      const rule = ruleOf(store, owner)
      await send(store, ann, id, '1')
      await rule('groups.mute', { id, untilMs: Date.now() + HOUR })
      expect(await refusalOf(send(store, ann, id, '2'))).toBe('muted')
      await rule('groups.mute', { id, untilMs: null })
      await rule('groups.update', { id, whoWrites: 'admins' })
      expect(await refusalOf(send(store, ann, id, '3'))).toBe('not_admin')
      await send(store, owner, id, '4')
      await rule('groups.setRole', { id, uid: ann.uid, role: 'admin' })
      await send(store, ann, id, '5')
    })

    test('a person who deactivated their account is written to no more, until they come back', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const log = directLog(alice, bob)
      await send(store, alice, log, 'hello')
      await store.run({ name: 'accounts.deactivate', caller: bob, params: {} })
      expect(await refusalOf(send(store, alice, log, 'are you there?'))).toBe('account_inactive')
    })

    test('a transient message is decided like any other, and leaves nothing', async () => {
      const store = shared()
      const [alice, bob, eve] = await createFriends(store, 'alice', 'bob', 'eve')
      const log = directLog(alice, bob)
      const feed = recordFeed(store)
      const sent = await sendMarked(store, alice, log, { transient: true }, { id: 'once' })
      expect(sent).toEqual({ log, seq: TRANSIENT, at: expect.any(Number) })
      await store.run({ name: 'contacts.block', caller: bob, params: { uid: eve.uid } })
      const blocked = sendMarked(store, eve, directLog(eve, bob), { transient: true })
      expect(await refusalOf(blocked)).toBe('blocked')
      await store.run({ name: 'contacts.block', caller: bob, params: { uid: alice.uid, mode: 'swallow' } })
      expect((await sendMarked(store, alice, log, { transient: true })).seq).toBe(TO_NOBODY)
      expect(feed.said.filter((said) => said.includes('marked'))).toEqual([])
      expect((await send(store, alice, directLog(alice, eve), 'first')).seq).toBe(1)
    })

    test('a room that keeps nothing takes transient messages only', async () => {
      const store = shared()
      const [owner, ann] = await createFriends(store, 'owner', 'ann')
      const params = { name: 'live', keepsEntries: false }
      const { id } = await store.run({ name: 'rooms.create', caller: owner, params })
      const join = store.run({ name: 'rooms.join', caller: ann, params: { id } })
      expect(await refusalOf(join)).toBe('connection_required')
      expect(await refusalOf(send(store, ann, id as LogId, 'kept?'))).toBe('transient_only')
      const say = async (who: Caller) => (await sendMarked(store, who, id as LogId, { transient: true })).seq
      expect([await say(owner), await say(ann)]).toEqual([TRANSIENT, OF_VISITOR])
    })
  })

  describe('a message that is withheld', () => {
    const shared = shareStore(engine)

    async function createSwallowed(store: Store) {
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const log = directLog(alice, bob)
      await send(store, alice, log, 'open')
      await store.run({ name: 'contacts.block', caller: bob, params: { uid: alice.uid, mode: 'swallow' } })
      return { alice, bob, log }
    }

    test('is a message to its author, and to nobody else anything', async () => {
      const store = shared()
      const { alice, bob, log } = await createSwallowed(store)
      const feed = recordFeed(store)
      expect((await send(store, alice, log, 'swallowed', 'id')).seq).toBe(2)
      expect((await send(store, alice, log, 'swallowed', 'id')).seq).toBe(2)
      expect(feed.entries.map(({ seq, kind }) => ({ seq, kind }))).toEqual([{ seq: 2, kind: 'message' }])
      expect(feed.withheld).toEqual([2])
      const tablet = { ...alice, device: 'tablet' as Caller['device'] }
      expect(await drained(store, tablet, log)).toEqual({ entries: ['1 message', '2 message'], through: 2 })
      expect(await drained(store, bob, log)).toEqual({ entries: ['1 message'], through: 2 })
      expect(gistOf(await readAll(store, alice, log))).toEqual(['open', 'swallowed'])
      expect(gistOf(await readAll(store, bob, log))).toEqual(['open'])
      expect(await conversationOf(store, bob, log)).toMatchObject({ unread: 1 })
      expect(await badgeOf(store, bob)).toBe(1)
    })

    test('does not count when more follows', async () => {
      const store = shared()
      const { alice, bob, log } = await createSwallowed(store)
      await send(store, alice, log, 'swallowed')
      await store.run({ name: 'contacts.unblock', caller: bob, params: { uid: alice.uid } })
      await send(store, alice, log, 'heard')
      await send(store, bob, log, 'answer')
      expect(await drained(store, bob, log)).toEqual({ entries: ['1 message', '3 message'], through: 4 })
      expect(await conversationOf(store, bob, log)).toMatchObject({ head: 4, unread: 2 })
      expect(await conversationOf(store, alice, log)).toMatchObject({ head: 4, unread: 1 })
    })

    test('can be one that was held back before it came to the store', async () => {
      const store = shared()
      const [owner, ann] = await createFriends(store, 'owner', 'ann')
      const id = await createGroup(store, owner, ann)
      await sendMarked(store, ann, id, { withheld: true })
      expect(gistOf(await readAll(store, ann, id))).toEqual(['created', 'marked'])
      expect(gistOf(await readAll(store, owner, id))).toEqual(['created'])
      expect(await badgeOf(store, owner)).toBe(0)
    })
  })

  test('what a message asks for, and that it is withheld, survive kill -9', async () => {
    const store = await engine().open()
    const [alice, bob] = await createFriends(store, 'alice', 'bob')
    const log = directLog(alice, bob)
    await store[Symbol.asyncDispose]()
    {
      await using remote = await RemoteStore.spawn(engine())
      const body = { text: 'hi', mentions: [bob.uid], expire: { afterMs: HOUR } }
      const marks = { mentions: [bob.uid], expire: { afterMs: HOUR } }
      await remote.send({ ...textTo(alice, log, ''), bodyJson: JSON.stringify(body), marks })
      await remote.send({ ...textTo(alice, log, 'withheld'), marks: { withheld: true } })
      await remote.send(textTo(alice, log, 'last'))
      await remote.kill()
    }
    await using again = await engine().open()
    expect(gistOf(await readAll(again, bob, log))).toEqual(['hi', 'last'])
    expect(await conversationOf(again, bob, log)).toMatchObject({ head: 3, unread: 2, mentions: 1 })
  })
}
