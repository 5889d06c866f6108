import { describe, expect, test } from 'vitest'
import type { LogId } from '../../../protocol/ids.ts'
import type { SendMarks } from '../../../protocol/message-types.ts'
import { sendAndWait } from '../../../services/messages/awaited-send.ts'
import { bodyHash } from '../../../services/store/body-hash.ts'
import { type StoreEngine, shareStore } from './engine.ts'
import {
  befriend,
  createFriends,
  createGroup,
  createPeople,
  createUid,
  directLog,
  gistOf,
  leaveGroup,
  markRead,
  pageOf,
  readAll,
  refusalOf,
  send,
  seqsOf,
} from './people.ts'
import { takeTurns } from './turns.ts'

const seqAt = ({ seq, at }: { seq: number; at: number }) => ({ seq, at })

const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i + 1)

export function sendsContract(engine: () => StoreEngine): void {
  describe('sends', () => {
    const shared = shareStore(engine)

    test('a log is numbered from 1 without gaps under interleaved sends and calls', async () => {
      const store = shared()
      const [alice, bob, carol] = await createFriends(store, 'alice', 'bob', 'carol')
      const group = await createGroup(store, alice, bob, carol)
      const work: Promise<unknown>[] = []
      for (let i = 0; i < 300; i++) {
        work.push(send(store, [alice, bob, carol][i % 3]!, group, `m${i}`, `${i}`))
        if (i % 10 === 0) work.push(markRead(store, bob, group, i))
        if (i % 50 === 0) work.push(pageOf(store, carol, group))
        if (i % 20 === 0) await Promise.race(work.slice(-3))
      }
      await Promise.all(work)
      const entries = await readAll(store, bob, group)
      expect(seqsOf(entries)).toEqual(upTo(301))
      const handedIn = ['created', ...upTo(300).map((n) => `m${n - 1}`)]
      if (engine().ordersAllAccounts) expect(gistOf(entries)).toEqual(handedIn)
      for (const [i, { uid }] of [alice, bob, carol].entries()) {
        const own = entries.filter((entry) => entry.from === uid && entry.kind === 'message')
        expect(gistOf(own)).toEqual(upTo(100).map((n) => `m${(n - 1) * 3 + i}`))
      }
    })

    test('the answers carry the seq of each message, in the order of the sends', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const answers = await Promise.all(
        upTo(20).map((n) => send(store, alice, directLog(alice, bob), `${n}`)),
      )
      expect(answers.map((answer) => answer.seq)).toEqual(upTo(20))
    })

    test('the time of an entry never goes back within its log', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      for (let i = 0; i < 20; i++) await send(store, alice, directLog(alice, bob), `${i}`)
      const times = (await readAll(store, bob, directLog(alice, bob))).map((entry) => entry.at)
      expect(times).toEqual([...times].sort((a, b) => a - b))
    })

    test('an entry has the author, the device, the id, the type and the body of its send', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const log = directLog(alice, bob)
      const { at } = await send(store, alice, log, 'Grüße 👋 "\\\n', 'my id ✓')
      expect(await readAll(store, bob, log)).toEqual([
        {
          log,
          epoch: 'k1',
          seq: 1,
          at,
          kind: 'message',
          from: alice.uid,
          device: 'phone',
          id: 'my id ✓',
          type: 'text',
          body: { text: 'Grüße 👋 "\\\n' },
        },
      ])
    })

    test('notes to oneself need no friend and are stored once', async () => {
      const store = shared()
      const [alice] = await createPeople(store, 'alice')
      await send(store, alice, directLog(alice, alice), 'note')
      expect(gistOf(await readAll(store, alice, directLog(alice, alice)))).toEqual(['note'])
    })
  })

  describe('idempotency', () => {
    const shared = shareStore(engine)

    test('200 concurrent sends of one id store one entry and have one seq', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const log = directLog(alice, bob)
      const answers = await Promise.all(upTo(200).map(() => send(store, alice, log, 'once', 'same')))
      expect(new Set(answers.map((answer) => `${answer.seq} ${answer.at}`)).size).toBe(1)
      expect(gistOf(await readAll(store, bob, log))).toEqual(['once'])
    })

    test('an id sent again right behind a read of its log is still one entry', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const log = directLog(alice, bob)
      const first = await send(store, alice, log, 'once', 'same')
      // All of these are handed in together: the read moves the first entry while the others are on their way.
      const answers = await Promise.all([
        send(store, alice, log, 'twice', 'other'),
        pageOf(store, bob, log),
        send(store, alice, log, 'once', 'same'),
        send(store, alice, log, 'twice', 'other'),
      ])
      expect([answers[2].seq, answers[3].seq]).toEqual([first.seq, answers[0].seq])
      expect(gistOf(await readAll(store, bob, log))).toEqual(['once', 'twice'])
    })

    test('another content under a stored id is refused, before and after it was read', async () => {
      const store = shared()
      const [alice, bob, carol] = await createFriends(store, 'alice', 'bob', 'carol')
      const log = directLog(alice, bob)
      await send(store, alice, log, 'first', 'same')
      expect(await refusalOf(send(store, alice, log, 'second', 'same'))).toBe('id_conflict')
      expect(await refusalOf(send(store, alice, directLog(alice, carol), 'first', 'same'))).toBe(
        'id_conflict',
      )
      expect(gistOf(await readAll(store, bob, log))).toEqual(['first'])
      expect(await refusalOf(send(store, alice, log, 'second', 'same'))).toBe('id_conflict')
    })

    test('what was sent is compared, whatever screening made of it then or makes of it now', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const log = directLog(alice, bob)
      const job = (id: string, text: string, marks: SendMarks | null) =>
        sendAndWait(store, alice, {
          ...{ id, target: { log, peer: bob.uid }, type: 'text', bodyJson: bodyOf(text), marks },
        })
      const bodyOf = (text: string) => JSON.stringify({ text })
      const replaced = (id: string, text: string, by: string) =>
        job(id, by, { sentHash: bodyHash(bodyOf(text)) })
      const refused = (id: string, text: string) => job(id, text, { refused: true })
      // Of a conversation that is not there yet, too.
      expect(await refusalOf(refused('new', 'bad'))).toBe('content_refused')
      const plain = await send(store, alice, log, 'bad', 'plain')
      const masked = await replaced('masked', 'bad', '***')
      const repeatAll = async () => {
        for (const [id, first] of [['plain', plain] as const, ['masked', masked] as const]) {
          const again = [send(store, alice, log, 'bad', id), replaced(id, 'bad', 'b**'), refused(id, 'bad')]
          for (const { seq, at } of await Promise.all(again)) expect({ seq, at }).toMatchObject(seqAt(first))
          const others = [send(store, alice, log, '***', id), replaced(id, 'worse', '***')]
          for (const other of others) expect(await refusalOf(other)).toBe('id_conflict')
        }
      }
      await repeatAll()
      expect(gistOf(await readAll(store, bob, log))).toEqual(['bad', '***'])
      await repeatAll()
      const [first, second] = await Promise.allSettled([refused('x', 'y'), send(store, alice, log, 'y', 'x')])
      expect([first.status, second.status]).toEqual(['rejected', 'fulfilled'])
      // Once it is recalled there is nothing to compare.
      await store.run({ name: 'messages.recall', caller: alice, params: { log, seq: masked.seq } })
      expect(await refused('masked', 'bad')).toMatchObject(seqAt(masked))
      expect(gistOf(await readAll(store, bob, log)).slice(0, 3)).toEqual(['bad', undefined, 'y'])
    })

    test('the same id of two people names two messages', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const log = directLog(alice, bob)
      await Promise.all([send(store, alice, log, 'a', 'same'), send(store, bob, log, 'b', 'same')])
      expect(gistOf(await readAll(store, bob, log))).toEqual(['a', 'b'])
    })

    test('a retry of a stored message is not refused after the friendship ended', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const log = directLog(alice, bob)
      const first = await send(store, alice, log, 'once', 'same')
      await store.run({ name: 'contacts.remove', caller: bob, params: { uid: alice.uid } })
      expect(await send(store, alice, log, 'once', 'same')).toEqual(first)
      expect(await refusalOf(send(store, alice, log, 'new', 'other'))).toBe('not_friends')
    })
  })

  describe('refused sends', () => {
    const shared = shareStore(engine)

    test('of strangers, the blocked, to nobody and to foreign groups store nothing and disturb nobody', async () => {
      const store = shared()
      const [alice, bob, eve] = await createPeople(store, 'alice', 'bob', 'eve')
      await befriend(store, alice, bob)
      await befriend(store, bob, eve)
      await store.run({ name: 'contacts.block', caller: bob, params: { uid: eve.uid } })
      const group = await createGroup(store, alice, bob)
      const log = directLog(alice, bob)
      const nobody = { uid: createUid('nobody'), device: null }
      const answers = await Promise.allSettled([
        send(store, alice, log, 'one'),
        send(store, eve, directLog(alice, eve), 'stranger'),
        send(store, eve, directLog(bob, eve), 'blocked'),
        send(store, alice, directLog(alice, nobody), 'unknown'),
        send(store, eve, group, 'outsider'),
        send(store, eve, `g:${'x'.repeat(20)}` as LogId, 'no group'),
        send(store, alice, `n:${bob.uid}` as LogId, 'notice'),
        send(store, alice, log, 'two'),
      ])
      const outcomes = answers.map((answer) =>
        answer.status === 'fulfilled' ? answer.value.seq : answer.reason.code,
      )
      const refusals = [
        'not_friends',
        'blocked',
        'unknown_user',
        'not_member',
        'unknown_group',
        'unknown_group',
      ]
      expect(outcomes).toEqual([1, ...refusals, 2])
      expect(gistOf(await readAll(store, bob, log))).toEqual(['one', 'two'])
      expect(gistOf(await readAll(store, alice, group))).toEqual(['created'])
      for (const caller of [alice, eve]) {
        expect(await refusalOf(pageOf(store, caller, directLog(alice, eve)))).toBe('unknown_log')
      }
    })

    test('the one who blocks may still write to the blocked', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      await store.run({ name: 'contacts.block', caller: alice, params: { uid: bob.uid } })
      await send(store, alice, directLog(alice, bob), 'still me')
      expect(await refusalOf(send(store, bob, directLog(alice, bob), 'and me'))).toBe('blocked')
    })

    test('a right is lost and won at its place among the sends', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const log = directLog(alice, bob)
      const answers = await takeTurns(engine(), [
        [alice, () => send(store, alice, log, 'one')],
        [bob, () => store.run({ name: 'contacts.block', caller: bob, params: { uid: alice.uid } })],
        [alice, () => send(store, alice, log, 'blocked')],
        [bob, () => store.run({ name: 'contacts.unblock', caller: bob, params: { uid: alice.uid } })],
        [alice, () => send(store, alice, log, 'two')],
      ])
      expect(answers.map((answer) => answer.status)).toEqual([
        'fulfilled',
        'fulfilled',
        'rejected',
        'fulfilled',
        'fulfilled',
      ])
      expect(gistOf(await readAll(store, bob, log))).toEqual(['one', 'two'])
    })

    test('a refused or failing call in a batch leaves the sends and calls around it alone', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const log = directLog(alice, bob)
      const answers = await takeTurns(engine(), [
        [alice, () => send(store, alice, log, 'one')],
        [alice, () => pageOf(store, alice, 'g:unknown')],
        [alice, () => send(store, alice, log, 'two')],
        [alice, () => store.run(null as never)],
        [bob, () => leaveGroup(store, bob, 'g:unknown')],
        [bob, () => markRead(store, bob, log, 1)],
        [alice, () => send(store, alice, log, 'three')],
      ])
      expect(answers.map((answer) => answer.status)).toEqual([
        'fulfilled',
        'rejected',
        'fulfilled',
        'rejected',
        'rejected',
        'fulfilled',
        'fulfilled',
      ])
      expect(gistOf(await readAll(store, bob, log))).toEqual(['one', 'two', 'three'])
    })
  })

  describe('sends where strangers may write', () => {
    const shared = shareStore(engine, { contactsRequired: false })

    test('strangers write to each other where the policy lets them', async () => {
      const store = shared()
      const [alice, bob] = await createPeople(store, 'alice', 'bob')
      await send(store, alice, directLog(alice, bob), 'hello')
      await store.run({ name: 'contacts.block', caller: bob, params: { uid: alice.uid } })
      expect(await refusalOf(send(store, alice, directLog(alice, bob), 'again'))).toBe('blocked')
    })
  })

  describe('sends to a busy store', () => {
    const shared = shareStore(engine, { waitingSendsMax: 10 })

    test('a store with too many waiting sends refuses further ones as busy and keeps those', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const log = directLog(alice, bob)
      const answers = await Promise.allSettled(upTo(15).map((n) => send(store, alice, log, `${n}`)))
      const refused = answers.flatMap((answer) => (answer.status === 'rejected' ? [answer.reason.code] : []))
      expect(refused).toEqual(['busy', 'busy', 'busy', 'busy', 'busy'])
      expect(seqsOf(await readAll(store, bob, log))).toEqual(upTo(10))
      expect((await send(store, alice, log, 'later')).seq).toBe(11)
    })
  })
}
