import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { DeviceId, UserId } from '../../protocol/ids.ts'
import type { CallContext } from '../dispatcher.ts'
import type { Store } from '../store/contract.ts'
import { DEFAULT_POLICY } from '../store/policy.ts'
import { openSqliteStore } from '../store/sqlite/client.ts'
import { createStoredHandlers } from '../stored-handlers.ts'
import { createMessageHandlers } from './message-handlers.ts'
import { MessageSender } from './message-sender.ts'
import { createIntake } from './ports.ts'

let folder: string
let store: Store
let handlers: ReturnType<typeof createHandlers>

function createHandlers() {
  return {
    ...createStoredHandlers(store),
    ...createMessageHandlers({
      store,
      sender: new MessageSender(store, createIntake()),
      payloadBytesMax: 64 * 1024,
    }),
  }
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'wochat-handlers-'))
  store = await openSqliteStore({
    file: join(folder, 'wochat.sqlite'),
    policy: { ...DEFAULT_POLICY, contactsRequired: true },
    unfiledAgeMaxMs: 100,
    waitingSendsMax: 1000,
    diskReserveBytes: 0,
    onFatal: (error) => {
      throw error
    },
  })
  handlers = createHandlers()
})

afterAll(async () => {
  await store[Symbol.asyncDispose]()
  await rm(folder, { recursive: true })
})

/** A caller with an account. */
async function createContext(uid: string): Promise<CallContext> {
  const token = {
    uid: uid as UserId,
    device: null,
    sid: null,
    issuedAt: 0,
    expiresAt: 0,
    acl: { pub: [], sub: [] },
  }
  await store.checkLogin({ ...token, device: null })
  return { token, device: 'phone' as DeviceId, address: '127.0.0.1' }
}

async function createFriends(a: string, b: string): Promise<[CallContext, CallContext]> {
  const contexts: [CallContext, CallContext] = [await createContext(a), await createContext(b)]
  await handlers['contacts.request']({ uid: b }, contexts[0])
  await handlers['contacts.accept']({ uid: a }, contexts[1])
  return contexts
}

test('a message sent by call is committed under the caller and their device', async () => {
  const [alice, bob] = await createFriends('alice', 'bob')
  const sent = await handlers['messages.send']({ id: 'm1', to: 'bob', text: 'Hello!' }, alice)
  expect(sent).toMatchObject({ log: 'd:alice:bob', seq: 1 })
  const { entries } = JSON.parse((await handlers['messages.page']({ log: sent.log }, bob)).text)
  expect(entries).toMatchObject([{ from: 'alice', device: 'phone', id: 'm1', body: { text: 'Hello!' } }])
  const { items, badge } = JSON.parse((await handlers['conversations.list']({}, bob)).text)
  expect({ peer: items[0]?.peer, badge }).toEqual({ peer: 'alice', badge: 1 })
  expect(await handlers['conversations.read']({ log: sent.log, seq: 1 }, bob)).toMatchObject({ badge: 0 })
})

test('a refused send rejects with the code of the store, a malformed one before it', async () => {
  const carol = await createContext('carol')
  const toNobody = handlers['messages.send']({ to: 'nobody', text: 'x' }, carol)
  await expect(toNobody).rejects.toMatchObject({ code: 'unknown_user' })
  const toOthers = handlers['messages.send']({ to: 'd:alice:bob', text: 'x' }, carol)
  await expect(toOthers).rejects.toMatchObject({ code: 'bad_request' })
})

test('new groups have ids that cannot be guessed', async () => {
  const [dave, erin] = await createFriends('dave', 'erin')
  const { id } = await handlers['groups.create']({ name: 'g', members: ['erin'] }, dave)
  expect(id).toMatch(/^g:[A-Za-z0-9_-]{22}$/)
  expect((await handlers['groups.list']({}, erin)).items.map((item) => item.id)).toEqual([id])
})

test('a call without a token is unauthenticated', () => {
  const nobody: CallContext = { token: null, device: null, address: '127.0.0.1' }
  expect(() => handlers['contacts.list']({}, nobody)).toThrow(
    expect.objectContaining({ code: 'unauthenticated' }),
  )
})
