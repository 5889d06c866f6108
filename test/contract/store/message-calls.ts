/** What people do with a message, as short calls for the contracts. */
import type { Params } from '../../../protocol/catalogue/catalogue.ts'
import type { Entry } from '../../../protocol/entry.ts'
import type { LogId } from '../../../protocol/ids.ts'
import type { Caller, Store } from '../../../services/store/contract.ts'
import { createFriends, directLog, send } from './people.ts'

type Of<Name extends 'messages.edit' | 'messages.react'> = Omit<Params<Name>, 'log' | 'seq'>

export const edit = (store: Store, caller: Caller, log: LogId, seq: number, params: Of<'messages.edit'>) =>
  store.run({ name: 'messages.edit', caller, params: { log, seq, ...params } })
export const recall = (store: Store, caller: Caller, log: LogId, seq: number) =>
  store.run({ name: 'messages.recall', caller, params: { log, seq } })
export const react = (store: Store, caller: Caller, log: LogId, seq: number, params: Of<'messages.react'>) =>
  store.run({ name: 'messages.react', caller, params: { log, seq, ...params } })
export const remove = (store: Store, caller: Caller, log: LogId, ...seqs: number[]) =>
  store.run({ name: 'messages.delete', caller, params: { log, seqs } })
export const pin = (store: Store, caller: Caller, log: LogId, seq: number) =>
  store.run({ name: 'messages.pin', caller, params: { log, seq } })
export const unpin = (store: Store, caller: Caller, log: LogId, seq: number) =>
  store.run({ name: 'messages.unpin', caller, params: { log, seq } })
export const pinsOf = async (store: Store, caller: Caller, log: LogId) =>
  (await store.run({ name: 'messages.pins', caller, params: { log } })).items
export const block = (store: Store, caller: Caller, whom: Caller) =>
  store.run({ name: 'contacts.block', caller, params: { uid: whom.uid } })

export const textOf = (text: string) => ({ body: { text } })

export async function entryOf(store: Store, caller: Caller, log: LogId, seq: number): Promise<Entry> {
  const { entries } = await store.run({ name: 'messages.get', caller, params: { log, seqs: [seq] } })
  return entries[0]!
}

/** What a device that was away is sent of a log after a seq. */
export async function drainOf(store: Store, { uid }: Caller, log: LogId, after = 0) {
  const request = { uid, device: null, requests: [{ log, after }], entriesMax: 100, bytesMax: 1_000_000 }
  const { pages, bytes } = await store.drain(request)
  const page = pages[0]!
  const entries = page.ends.map((end, i) => JSON.parse(String(bytes.subarray(page.ends[i - 1] ?? 0, end))))
  return { entries: entries as Entry[], through: page.through }
}

/** Two friends with one message of the first. */
export async function createChat(store: Store, text = 'hello') {
  const [alice, bob] = await createFriends(store, 'alice', 'bob')
  const log = directLog(alice, bob)
  const { seq } = await send(store, alice, log, text)
  return { alice, bob, log, seq }
}
