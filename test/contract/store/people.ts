/** People of a test and what they do. Every uid has a random part, because all tests share one store. */
import { randomBytes } from 'node:crypto'
import type { Params } from '../../../protocol/catalogue/catalogue.ts'
import type { Entry } from '../../../protocol/entry.ts'
import type { WochatError } from '../../../protocol/errors.ts'
import { buildDirectLog, type DeviceId, type LogId, type UserId } from '../../../protocol/ids.ts'
import { type SentMessage, sendAndWait } from '../../../services/messages/awaited-send.ts'
import type { Caller, Store } from '../../../services/store/contract.ts'
import type { PlainSend } from './remote-store.ts'

export const createUid = (name: string): UserId => `${name}.${randomBytes(6).toString('hex')}` as UserId

/** Accounts with one device each, `phone`. */
export async function createPeople<const Names extends readonly string[]>(
  store: Pick<Store, 'checkLogin'>,
  ...names: Names
): Promise<{ [Index in keyof Names]: Caller }> {
  const people = names.map((name) => ({ uid: createUid(name), device: 'phone' as DeviceId }))
  // One after the other: who is first in a list of people that joined together is who was made first.
  for (const { uid, device } of people) {
    await store.checkLogin({ uid, device, sid: null, issuedAt: Date.now() })
  }
  return people as { [Index in keyof Names]: Caller }
}

export async function befriend(store: Store, a: Caller, b: Caller): Promise<void> {
  await store.run({ name: 'contacts.request', caller: a, params: { uid: b.uid } })
  await store.run({ name: 'contacts.accept', caller: b, params: { uid: a.uid } })
}

/** Friends of each other. */
export async function createFriends<const Names extends readonly string[]>(
  store: Store,
  ...names: Names
): Promise<{ [Index in keyof Names]: Caller }> {
  const people = await createPeople(store, ...names)
  const list = people as readonly Caller[]
  for (const [i, a] of list.entries()) for (const b of list.slice(i + 1)) await befriend(store, a, b)
  return people
}

export async function createGroup(store: Store, owner: Caller, ...members: Caller[]): Promise<LogId> {
  const params = { name: 'a group', members: members.map(({ uid }) => uid) }
  const { id } = await store.run({ name: 'groups.create', caller: owner, params })
  return id as LogId
}

export const addMembers = (store: Store, caller: Caller, id: string, ...members: { uid: string }[]) =>
  store.run({ name: 'groups.add', caller, params: { id, members: members.map(({ uid }) => uid) } })

export const removeMembers = (store: Store, caller: Caller, id: string, ...members: { uid: string }[]) =>
  store.run({ name: 'groups.remove', caller, params: { id, members: members.map(({ uid }) => uid) } })

export const leaveGroup = (store: Store, caller: Caller, id: string) =>
  store.run({ name: 'groups.leave', caller, params: { id } })

export const groupsOf = async (store: Store, caller: Caller) =>
  (await store.run({ name: 'groups.list', caller, params: {} })).items

export const directLog = (a: Caller, b: Caller): LogId => buildDirectLog(a.uid, b.uid)

export function textTo(from: Caller, log: LogId, text: string, id: string | null = null): PlainSend {
  return { ...from, id, log, peer: null, type: 'text', bodyJson: JSON.stringify({ text }), marks: null }
}

/** Hands the message in at once; the promise is the store's answer. */
export function send(
  store: Store,
  from: Caller,
  log: LogId,
  text: string,
  id: string | null = null,
): Promise<SentMessage> {
  const { type, bodyJson } = textTo(from, log, text)
  return sendAndWait(store, from, { id, target: { log, peer: null }, type, bodyJson, marks: null })
}

/** A page of history: the last entries, or those that `position` asks for. */
export const pageOf = (
  store: Store,
  caller: Caller,
  log: string,
  position: Omit<Params<'messages.page'>, 'log'> = {},
) => store.run({ name: 'messages.page', caller, params: { log, ...position } })

/** Every entry of a log that the caller may see, over as many pages as it takes. */
export async function readAll(store: Store, caller: Caller, log: LogId): Promise<Entry[]> {
  const entries: Entry[] = []
  for (;;) {
    const after = entries.at(-1)?.seq ?? 0
    const page = await pageOf(store, caller, log, { after, limit: 200 })
    entries.push(...page.entries)
    if (page.entries.length === 0) return entries
  }
}

export const seqsOf = (entries: readonly Entry[]): number[] => entries.map((entry) => entry.seq)

/** Texts of messages, types of other entries. */
export const gistOf = (entries: readonly Entry[]): string[] =>
  entries.map((entry) => (entry.kind === 'message' ? (entry.body as { text: string }).text : entry.type))

export async function noticesOf(store: Store, person: Caller): Promise<{ type: string; body: unknown }[]> {
  const log = `n:${person.uid}` as LogId
  const known = await pageOf(store, person, log, { limit: 200 }).catch(ignoreUnknownLog)
  return (known?.entries ?? []).map(({ type, body }) => ({ type, body }))
}

function ignoreUnknownLog(error: WochatError): undefined {
  if (error.code !== 'unknown_log') throw error
}

export const listOf = (store: Store, caller: Caller, params: Params<'conversations.list'> = {}) =>
  store.run({ name: 'conversations.list', caller, params })

export const markRead = (store: Store, caller: Caller, log: string, seq: number) =>
  store.run({ name: 'conversations.read', caller, params: { log, seq } })

/** What a conversation list says of one log; `undefined` when it is not listed. */
export async function conversationOf(store: Store, caller: Caller, log: LogId) {
  const { items } = await listOf(store, caller, { limit: 500 })
  return items.find((item) => item.log === log)
}

export const badgeOf = async (store: Store, caller: Caller): Promise<number> =>
  (await store.run({ name: 'conversations.badge', caller, params: {} })).badge

/** The code of a refusal; fails when there is none. */
export async function refusalOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise
  } catch (error) {
    return (error as WochatError).code ?? String(error)
  }
  throw new Error('it was not refused')
}
