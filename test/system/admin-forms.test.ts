/** What the form of an admin operation refuses, field by field, made from its schema: nothing changes by any of it. */
import { request } from 'node:http'
import { Value } from 'typebox/value'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { AdminOperation } from '../../protocol/admin/operation.ts'
import {
  ADMIN_NAMES,
  ADMIN_OPERATIONS,
  type AdminName,
  type AdminParams,
} from '../../protocol/admin/operations.ts'
import { badParamsOf } from '../../services/api/testing/bad-params.ts'
import { StoreDigest } from '../../services/api/testing/store-digest.ts'
import { admin, adminRaw, selfOf } from '../harness/admin.ts'
import { Device } from '../harness/device.ts'
import { befriend } from '../harness/people.ts'
import { sharedServer } from '../harness/server.ts'
import { until } from '../harness/wait.ts'

const server = sharedServer()

/** Stand for ids that the server makes. */
const NODE = 'THE-NODE'
const KEY = 'THE-KEY'

/** Would change something, or show something, if its form were not checked. */
const VALID: { [Name in AdminName]: AdminParams<Name> } = {
  nodes: {},
  sessions: { uid: 'bob' },
  kick: { uid: 'bob', device: 'phone' },
  revoke: { uid: 'bob', device: 'phone' },
  drain: { node: NODE },
  undrain: { node: NODE },
  drainStatus: { node: NODE },
  rebalance: { share: 0.1 },
  queues: {},
  slow: { by: 'behind', limit: 1 },
  trace: { device: 'bob/phone', log: 'd:alice:bob', seconds: 1 },
  message: { log: 'd:alice:bob', seq: 1, limit: 1, cursor: 'x' },
  webhooks: {},
  addWebhook: {
    id: 'other',
    url: 'http://127.0.0.1:9/',
    events: ['message.stored'],
    secret: `whsec_${'a'.repeat(32)}`,
  },
  updateWebhook: {
    id: 'hook',
    url: 'http://127.0.0.1:9/other',
    events: ['message.stored'],
    secret: `whsec_${'a'.repeat(32)}`,
  },
  removeWebhook: { id: 'hook' },
  pauseWebhook: { id: 'running-hook' },
  resumeWebhook: { id: 'hook' },
  replayWebhook: { id: 'hook', from: 1 },
  deadLetters: { id: 'hook', cursor: 0, limit: 1 },
  retryDeadLetters: { id: 'hook' },
  addBot: { uid: 'a-bot', name: 'Other', open: true },
  addSystemAccount: { uid: 'a-system', name: 'Other', replies: true },
  addApiKey: { uid: 'a-bot', name: 'x', device: 'bot' },
  apiKeys: { uid: 'a-bot' },
  endApiKey: { id: KEY },
  removeBot: { uid: 'a-bot' },
  broadcast: {
    id: 'news',
    from: 'a-system',
    type: 'text',
    body: { text: 'x' },
    filter: { uids: ['bob'], registeredAfter: 0, registeredBefore: 9_999_999_999_999, kind: 'person' },
  },
  broadcasts: {},
  stopBroadcast: { id: 'news' },
  sendAs: { uid: 'alice', to: 'bob', id: 'm1', type: 'text', body: { text: 'x' } },
  importAccounts: { accounts: [{ uid: 'carol', phone: '+8613800000009', name: 'Carol' }] },
  importContacts: { pairs: [{ a: 'bob', b: 'a-bot' }] },
  importMessages: {
    log: 'd:alice:bob',
    messages: [{ from: 'alice', at: 1, id: 'old', type: 'text', body: { text: 'x' } }],
  },
  words: { after: 'a' },
  setWords: { words: [{ word: 'x', action: 'mask' }] },
  removeWords: { words: ['banned'] },
  reports: { state: 'open', after: 0, limit: 1 },
  decideReport: { n: 1, decision: 'suspend', note: 'x', until: 9_999_999_999_999 },
  suspend: { uid: 'bob', reason: 'x', until: 9_999_999_999_999 },
  unsuspend: { uid: 'mallory' },
  suspensions: { after: 0, limit: 1 },
}

let digest: StoreDigest
let phone: Device
const ids = new Map<string, string>()

beforeAll(async () => {
  await befriend(server, 'alice', 'bob')
  await admin(server, 'importAccounts', { accounts: [{ uid: 'mallory' }] })
  await admin(server, 'suspend', { uid: 'mallory', reason: 'spam' })
  await admin(server, 'addBot', { uid: 'a-bot', name: 'Bot' })
  await admin(server, 'addSystemAccount', { uid: 'a-system', name: 'System' })
  await admin(server, 'setWords', { words: [{ word: 'banned', action: 'mask' }] })
  for (const id of ['hook', 'running-hook']) {
    await admin(server, 'addWebhook', { id, url: 'http://127.0.0.1:9/', events: ['group.*'] })
  }
  await admin(server, 'pauseWebhook', { id: 'hook' })
  await server.http('reports.create', { uid: 'bob', reason: 'spam' }, server.token('alice', null))
  ids.set(KEY, (await admin(server, 'addApiKey', { uid: 'a-bot', name: 'key' })).id)
  ids.set(NODE, await selfOf(server))
  phone = await Device.connect(server, 'bob', 'phone', { clean: false })
  await until(async () => {
    const { webhooks } = await admin(server, 'webhooks', {})
    return webhooks.find(({ id }) => id === 'running-hook')!.lag === 0
  }, 'the webhook to have passed over the events of this')
  digest = new StoreDigest(server.dataDir)
})
afterAll(() => {
  digest?.[Symbol.dispose]()
  phone?.[Symbol.dispose]()
})

/** Who is connected, and whether the node is emptied: what is not in the store. */
const takeViews = async () => ({
  connected: (await admin(server, 'sessions', { uid: 'bob' })).devices.map(({ device, connection }) => [
    device,
    connection !== null,
  ]),
  drains: await admin(server, 'drainStatus', {}),
})

const MADE_IDS = new RegExp(`${NODE}|${KEY}`, 'g')
const encode = (params: unknown): string => JSON.stringify(params).replace(MADE_IDS, (id) => ids.get(id)!)

/** Of the answer to a request whose body is said to be of so many bytes: it comes before the body does. */
const statusOfBytes = (name: AdminName, bytes: number): Promise<number | undefined> =>
  new Promise((resolve, reject) => {
    const sent = request({
      port: server.adminPort,
      path: `/admin/v1/${name}`,
      method: 'POST',
      headers: { 'content-type': 'application/json', 'content-length': bytes },
    })
    sent.once('error', reject).once('response', (response) => {
      resolve(response.statusCode)
      sent.destroy()
    })
    sent.flushHeaders()
  })

describe.each(ADMIN_NAMES)('%s', (name) => {
  const { params: schema, bodyBytesMax = 16 * 1024 }: AdminOperation = ADMIN_OPERATIONS[name]
  const valid = VALID[name]
  let views: Awaited<ReturnType<typeof takeViews>>

  beforeAll(async () => {
    views = await takeViews()
  })

  test('what its rows are made from is right but for that', () => {
    expect(Value.Check(schema, valid)).toBe(true)
  })

  test.each(badParamsOf(schema, valid))('$title is bad_request, and no row changes', async (bad) => {
    const before = digest.take()
    const { status, body } = await adminRaw(server, name, { body: encode(bad.params) })
    expect([status, body]).toEqual([
      400,
      {
        error: expect.objectContaining({ code: 'bad_request', message: expect.stringContaining(bad.field) }),
      },
    ])
    expect(digest.take()).toEqual(before)
  })

  test('a body beyond its bound is too large, and no row changes', async () => {
    const before = digest.take()
    expect(await statusOfBytes(name, bodyBytesMax + 1)).toBe(413)
    expect(digest.take()).toEqual(before)
  })

  test('after all of them the same devices are connected and no node is emptied', async () => {
    expect(await takeViews()).toEqual(views)
  })
})

test('what is asked for in the right form shows in the comparison', async () => {
  const [views, tables] = [await takeViews(), digest.take()]
  await admin(server, 'kick', VALID.kick)
  expect(await takeViews()).not.toEqual(views)
  await admin(server, 'removeWords', VALID.removeWords)
  expect(digest.take()).not.toEqual(tables)
})
