import { describe, expect, test } from 'vitest'
import type { LogId } from '../../../protocol/ids.ts'
import { sendAndWait } from '../../../services/messages/awaited-send.ts'
import type { Caller, Store } from '../../../services/store/contract.ts'
import { untilAfter } from '../../harness/wait.ts'
import { type StoreEngine, shareStore } from './engine.ts'
import {
  addMembers,
  createFriends,
  createGroup,
  directLog,
  leaveGroup,
  pageOf,
  readAll,
  refusalOf,
  send,
  seqsOf,
} from './people.ts'

/** A message of any type. */
export function sendOf(store: Store, from: Caller, log: LogId, type: string, body: object) {
  const target = { log, peer: null }
  return sendAndWait(store, from, { id: null, target, type, bodyJson: JSON.stringify(body), marks: null })
}

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i)

export function historyContract(engine: () => StoreEngine): void {
  describe('pages of history', () => {
    const shared = shareStore(engine)

    test('go back and forth by seq, oldest first, the last ones without a position', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const log = directLog(alice, bob)
      for (let i = 1; i <= 10; i++) await send(store, alice, log, `${i}`)
      const page = async (position: { before?: number; after?: number }) => {
        const { entries, head, first } = await pageOf(store, bob, log, { limit: 3, ...position })
        expect({ head, first }).toEqual({ head: 10, first: 1 })
        return seqsOf(entries)
      }
      expect(await page({})).toEqual([8, 9, 10])
      expect(await page({ before: 8 })).toEqual([5, 6, 7])
      expect(await page({ before: 2 })).toEqual([1])
      expect(await page({ before: 1 })).toEqual([])
      expect(await page({ before: 0 })).toEqual([])
      expect(await page({ before: 999 })).toEqual([8, 9, 10])
      expect(await page({ after: 0 })).toEqual([1, 2, 3])
      expect(await page({ after: 9 })).toEqual([10])
      expect(await page({ after: 10 })).toEqual([])
      expect(await page({ after: Number.MAX_SAFE_INTEGER })).toEqual([])
      expect(await page({ after: 4, before: 7 })).toEqual([5, 6])
      expect(await page({ after: 7, before: 5 })).toEqual([])
    })

    test('skip what lies between the windows, in both directions', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const log = await createGroup(store, alice)
      for (let i = 0; i < 3; i++) {
        await addMembers(store, alice, log, bob)
        await send(store, alice, log, 'inside')
        await leaveGroup(store, bob, log)
        await send(store, alice, log, 'outside')
      }
      const visible = [2, 3, 4, 6, 7, 8, 10, 11, 12]
      const page = (position: { before?: number; after?: number; limit?: number }) =>
        pageOf(store, bob, log, position)
      expect(await page({})).toMatchObject({ head: 12, first: 2 })
      expect(seqsOf((await page({})).entries)).toEqual(visible)
      expect(seqsOf((await page({ after: 3, limit: 4 })).entries)).toEqual([4, 6, 7, 8])
      expect(seqsOf((await page({ before: 11, limit: 5 })).entries)).toEqual([4, 6, 7, 8, 10])
      expect(seqsOf((await page({ after: 4, before: 6 })).entries)).toEqual([])
    })

    test('are bounded in size, and go on where they stopped', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const log = directLog(alice, bob)
      const text = 'x'.repeat(60_000)
      await Promise.all(Array.from({ length: 40 }, () => send(store, alice, log, text)))
      const { entries } = await pageOf(store, bob, log, { after: 0, limit: 200 })
      expect(entries.length).toBeGreaterThan(0)
      expect(entries.length).toBeLessThan(40)
      expect(seqsOf(await readAll(store, bob, log))).toHaveLength(40)
    })

    test('around an entry hold half of them before it, and the entry itself', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const log = directLog(alice, bob)
      for (let i = 1; i <= 20; i++) await send(store, alice, log, `${i}`)
      const around = async (seq: number, limit: number) =>
        seqsOf((await pageOf(store, bob, log, { around: seq, limit })).entries)
      expect(await around(10, 6)).toEqual(range(7, 12))
      expect(await around(10, 5)).toEqual(range(8, 12))
      expect(await around(10, 1)).toEqual([10])
      expect(await around(1, 6)).toEqual([1, 2, 3])
      expect(await around(20, 6)).toEqual([17, 18, 19, 20])
      expect(await around(1000, 6)).toEqual([18, 19, 20])
    })

    test('of a time begin with the first entry that is not before it', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const log = directLog(alice, bob)
      const times: number[] = []
      for (let i = 1; i <= 9; i++) {
        times.push((await send(store, alice, log, `${i}`)).at)
        await untilAfter(times.at(-1)!)
      }
      const from = async (at: number) => seqsOf((await pageOf(store, bob, log, { at, limit: 2 })).entries)
      for (const [i, at] of times.entries()) expect((await from(at))[0]).toBe(i + 1)
      expect(await from(times[3]! + 1)).toEqual([5, 6])
      expect(await from(0)).toEqual([1, 2])
      expect(await from(times[8]! + 1)).toEqual([])
    })

    test('of a kind hold only that, over as many calls as it takes, in both directions', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const log = directLog(alice, bob)
      await sendOf(store, alice, log, 'image', { url: 'https://x.example/1.png' })
      await Promise.all(Array.from({ length: 4100 }, () => send(store, alice, log, 'words')))
      await send(store, alice, log, 'see https://x.example')
      await sendOf(store, alice, log, 'link', { url: 'https://x.example', title: 'x' })
      await sendOf(store, alice, log, 'file', { url: 'https://x.example/f' })
      await sendOf(store, alice, log, 'video', { url: 'https://x.example/2.mp4' })
      const all = async (params: Parameters<typeof pageOf>[3]) => {
        const seqs: number[] = []
        let calls = 0
        let cursor: string | undefined
        do {
          const position = cursor === undefined ? params : { ...params, after: undefined, cursor }
          const { after, ...rest } = position!
          const page = await pageOf(store, bob, log, after === undefined ? rest : { after, ...rest })
          seqs.push(...seqsOf(page.entries))
          cursor = page.cursor
          calls++
        } while (cursor !== undefined)
        return { seqs, calls }
      }
      expect(await all({ kind: 'media' })).toEqual({ seqs: [4105, 1], calls: 3 })
      expect((await all({ kind: 'media', after: 0 })).seqs).toEqual([1, 4105])
      expect((await all({ kind: 'media', limit: 1 })).seqs).toEqual([4105, 1])
      expect((await all({ kind: 'links', after: 4000 })).seqs).toEqual([4102, 4103])
      expect((await all({ kind: 'files', after: 4000 })).seqs).toEqual([4104])
      expect((await all({ types: ['link', 'video'], after: 4000 })).seqs).toEqual([4103, 4105])
    })

    test('with two positions, a strange cursor or two filters are refused', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const log = directLog(alice, bob)
      await send(store, alice, log, 'hello')
      for (const params of [
        { around: 1, after: 0 },
        { at: 0, before: 5 },
        { cursor: 'n.1.1', after: 0 },
        { cursor: 'x' },
        { kind: 'media', types: ['text'] },
      ] as const) {
        expect(await refusalOf(pageOf(store, bob, log, params as never))).toBe('bad_request')
      }
    })

    test('single entries come by their seqs, without what is not for me', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const log = await createGroup(store, alice)
      await send(store, alice, log, 'before')
      await addMembers(store, alice, log, bob)
      await send(store, alice, log, 'inside')
      const { entries } = await store.run({
        name: 'messages.get',
        caller: bob,
        params: { log, seqs: [4, 2, 3, 99] },
      })
      expect(seqsOf(entries)).toEqual([3, 4])
      expect(entries[1]).toEqual((await readAll(store, bob, log)).at(-1))
    })
  })
}
