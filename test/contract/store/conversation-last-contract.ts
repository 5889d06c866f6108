import { describe, expect, test } from 'vitest'
import type { Entry } from '../../../protocol/entry.ts'
import type { LogId } from '../../../protocol/ids.ts'
import { sendAndWait } from '../../../services/messages/awaited-send.ts'
import type { Caller, Store } from '../../../services/store/contract.ts'
import { type StoreEngine, shareStore } from './engine.ts'
import { conversationOf, createFriends, createGroup, leaveGroup, listOf, readAll, send } from './people.ts'

/** The same reaction, given and taken back by turns. */
async function reactTimes(store: Store, caller: Caller, log: LogId, seq: number, times: number) {
  const params = { log, seq, emoji: ':wave:' }
  await Promise.all(
    Array.from({ length: times }, () => store.run({ name: 'messages.react', caller, params })),
  )
}

const forget = (store: Store, caller: Caller, log: LogId, ...seqs: number[]) =>
  store.run({ name: 'messages.delete', caller, params: { log, seqs } })

async function sendWithheld(store: Store, from: Caller, log: LogId): Promise<number> {
  const message = { id: null, target: { log, peer: null }, type: 'text', bodyJson: '{"text":"unheard"}' }
  return (await sendAndWait(store, from, { ...message, marks: { withheld: true } })).seq
}

const ASIDE = ['edit', 'recall', 'reaction']

/** As a device that has read everything would find it. */
async function expectedLast(store: Store, caller: Caller, log: LogId): Promise<Entry | null> {
  const shown = (await readAll(store, caller, log)).filter(({ kind }) => !ASIDE.includes(kind))
  return shown.at(-1) ?? null
}

export function conversationLastContract(engine: () => StoreEngine): void {
  describe('the last entry of a conversation', () => {
    const shared = shareStore(engine)

    test('is shown behind any number of reactions, and the list is sorted and paged by it', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const busy = await createGroup(store, alice, bob)
      const { seq } = await send(store, alice, busy, 'look')
      const calm = await createGroup(store, alice, bob)
      await reactTimes(store, bob, busy, seq, 300)
      expect((await conversationOf(store, bob, busy))?.last).toMatchObject({ seq, body: { text: 'look' } })
      const first = await listOf(store, bob, { limit: 1 })
      const second = await listOf(store, bob, { limit: 1, cursor: first.cursor! })
      expect([...first.items, ...second.items].map(({ log }) => log)).toEqual([calm, busy])
    })

    test('is the same as in the history of each, whatever came after it', async () => {
      const store = shared()
      const [alice, bob, carl] = await createFriends(store, 'alice', 'bob', 'carl')
      const log = await createGroup(store, alice, bob, carl)
      const first = await send(store, alice, log, 'one')
      const reactions = () => reactTimes(store, alice, log, first.seq, 11)
      const steps: (() => Promise<unknown>)[] = [
        reactions,
        () => sendWithheld(store, bob, log),
        reactions,
        () => sendWithheld(store, carl, log),
        () => forget(store, bob, log, first.seq),
        () => leaveGroup(store, carl, log),
        reactions,
        async () => forget(store, alice, log, (await expectedLast(store, alice, log))!.seq),
        async () => forget(store, bob, log, (await expectedLast(store, bob, log))!.seq),
        async () => forget(store, bob, log, (await expectedLast(store, bob, log))!.seq),
        async () => forget(store, bob, log, (await expectedLast(store, bob, log))!.seq),
        reactions,
        () => send(store, alice, log, 'two'),
      ]
      for (const [i, step] of steps.entries()) {
        await step()
        for (const caller of [alice, bob, carl]) {
          const last = (await conversationOf(store, caller, log))?.last
          expect({ i, last }).toEqual({ i, last: await expectedLast(store, caller, log) })
        }
      }
    })

    test('is found behind 200 that the person deleted for themselves, and behind many more it is none', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const log = await createGroup(store, alice, bob)
      const kept = await send(store, alice, log, 'kept')
      const sent = await Promise.all(
        Array.from({ length: 250 }, (_, i) => send(store, alice, log, `no ${i}`)),
      )
      const seqs = sent.map(({ seq }) => seq).sort((a, b) => b - a)
      await forget(store, bob, log, ...seqs.slice(0, 100))
      await forget(store, bob, log, ...seqs.slice(100, 200))
      expect((await conversationOf(store, bob, log))?.last?.seq).toBe(seqs[200])
      await forget(store, bob, log, ...seqs.slice(200))
      expect((await conversationOf(store, bob, log))?.last).toBeNull()
      expect((await readAll(store, bob, log)).at(-1)?.seq).toBe(kept.seq)
      expect((await conversationOf(store, alice, log))?.last?.seq).toBe(seqs[0])
    })

    test('is none when the person deleted all that was shown, behind any number of reactions', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const log = await createGroup(store, alice, bob)
      const { seq } = await send(store, alice, log, 'one')
      await reactTimes(store, alice, log, seq, 20)
      await forget(store, bob, log, seq)
      const { last } = (await conversationOf(store, bob, log))!
      expect(last).toMatchObject({ kind: 'group', type: 'created' })
      await forget(store, bob, log, last!.seq)
      expect((await conversationOf(store, bob, log))?.last).toEqual(await expectedLast(store, bob, log))
    })
  })
}
