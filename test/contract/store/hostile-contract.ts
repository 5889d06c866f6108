import { describe, expect, test } from 'vitest'
import type { DeviceId, LogId, UserId } from '../../../protocol/ids.ts'
import { type StoreEngine, shareStore } from './engine.ts'
import {
  addMembers,
  createFriends,
  createGroup,
  createPeople,
  directLog,
  gistOf,
  groupsOf,
  leaveGroup,
  markRead,
  pageOf,
  readAll,
  refusalOf,
  removeMembers,
  send,
  seqsOf,
} from './people.ts'

const HOSTILE = [
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  "'; drop table entry; --",
  '" or 1=1 --',
  '%',
  '\u0000',
  '\u2028\\"',
  '💥'.repeat(20),
]

export function hostileContract(engine: () => StoreEngine): void {
  describe('hostile text', () => {
    const shared = shareStore(engine)

    test('as id, type of body, key and value is stored and given back as it is', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const log = directLog(alice, bob)
      for (const text of HOSTILE) await send(store, alice, log, text, text)
      const body = `{${HOSTILE.map((text) => `${JSON.stringify(text)}:${JSON.stringify(text)}`).join(',')}}`
      await new Promise<void>((resolve, reject) => {
        store.send({
          ...alice,
          id: 'keys',
          log,
          peer: bob.uid,
          type: 'custom',
          bodyJson: body,
          marks: null,
          accepted: () => resolve(),
          refused: reject,
        })
      })
      const entries = await readAll(store, bob, log)
      expect(gistOf(entries.slice(0, -1))).toEqual(HOSTILE)
      expect(entries.map((entry) => entry.id)).toEqual([...HOSTILE, 'keys'])
      expect(JSON.stringify(entries.at(-1)?.body)).toBe(JSON.stringify(JSON.parse(body)))
      const again = await Promise.all(HOSTILE.map((text) => send(store, alice, log, text, text)))
      expect(again.map(({ seq }) => seq)).toEqual(seqsOf(entries.slice(0, -1)))
    })

    test('as uid, group, log, cursor or requestId is refused or unknown, and nothing else suffers', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const id = await createGroup(store, alice, bob)
      const members = (group: string, cursor?: string) =>
        store.run({
          name: 'groups.members',
          caller: alice,
          params: { id: group, ...(cursor !== undefined && { cursor }) },
        })
      for (const text of HOSTILE) {
        const uid = text as UserId
        const peer = { caller: alice, params: { uid, requestId: text } }
        expect(await refusalOf(store.run({ name: 'contacts.request', ...peer }))).toBe('unknown_user')
        expect(await refusalOf(store.run({ name: 'contacts.block', ...peer }))).toBe('unknown_user')
        expect(await refusalOf(store.run({ name: 'contacts.accept', ...peer }))).toBe('no_request')
        expect(await store.run({ name: 'contacts.remove', ...peer })).toEqual({})
        const nobody = { uid, device: null }
        expect((await store.run({ name: 'contacts.list', caller: nobody, params: {} })).items).toEqual([])
        expect(await groupsOf(store, nobody)).toEqual([])
        expect(await refusalOf(leaveGroup(store, alice, text))).toBe('unknown_group')
        expect(await refusalOf(members(text))).toBe('unknown_group')
        expect(await refusalOf(members(id, text))).toBe('bad_request')
        expect(await refusalOf(addMembers(store, alice, id, { uid }))).toBe('users_refused')
        expect(await removeMembers(store, alice, id, { uid })).toEqual({ removed: [] })
        for (const log of [text, `d:${text}:${alice.uid}`, `g:${text}`, `n:${text}`] as LogId[]) {
          expect(await refusalOf(pageOf(store, alice, log))).toBe('unknown_log')
          expect(await refusalOf(markRead(store, alice, log, 1))).toBe('unknown_log')
        }
        expect(await refusalOf(send(store, alice, `g:${text}` as LogId, 'x'))).toBe('unknown_group')
      }
      expect(gistOf(await readAll(store, bob, id))).toEqual(['created'])
    })

    test('as name of a group and text of a request is given back as it is', async () => {
      const store = shared()
      const [alice, bob] = await createPeople(store, 'alice', 'bob')
      for (const text of HOSTILE) {
        const peer = { uid: bob.uid }
        await store.run({ name: 'contacts.request', caller: alice, params: { ...peer, text } })
        expect((await store.run({ name: 'contacts.list', caller: bob, params: {} })).items[0]?.text).toBe(
          text,
        )
        await store.run({ name: 'contacts.remove', caller: alice, params: peer })
        await store.run({ name: 'groups.create', caller: alice, params: { name: text } })
      }
      expect((await groupsOf(store, alice)).map(({ name }) => name)).toEqual(HOSTILE)
    })

    test('ids that are not well-formed Unicode are refused, because two of them would be one in a table', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const log = directLog(alice, bob)
      const answers = await Promise.allSettled([
        send(store, alice, log, 'one', '\ud800'),
        send(store, alice, log, 'two', '\udfff'),
        send(store, alice, log, 'three', 'fine'),
      ])
      expect(answers.map((answer) => answer.status)).toEqual(['rejected', 'rejected', 'fulfilled'])
      expect(gistOf(await readAll(store, bob, log))).toEqual(['three'])
    })

    test('a device that is named like a property is a device like any other', async () => {
      const store = shared()
      const [alice, bob] = await createFriends(store, 'alice', 'bob')
      const log = directLog(alice, bob)
      await send(store, { ...alice, device: 'constructor' as DeviceId }, log, 'x')
      expect((await readAll(store, bob, log))[0]?.device).toBe('constructor')
    })
  })
}
