/** What becomes of messages: edits, recalls, reactions, deleting for oneself and pins, as people notice it. */
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, test } from 'vitest'
import { STORE_FILE } from '../../services/store/sqlite/files.ts'
import { Device, type InboxEntry } from '../harness/device.ts'
import { befriendAll, makeGroup, newFriends, newUids } from '../harness/people.ts'
import { IN_CLUSTER, sharedServer, startServer, type TestServer } from '../harness/server.ts'
import { until } from '../harness/wait.ts'

const server = sharedServer()

type Stateful = InboxEntry & { state?: Record<string, unknown> }

const as = (uid: string, on: TestServer = server) => on.token(uid, null)

async function say(
  from: string,
  to: string,
  text: string,
  on = server,
): Promise<{ log: string; seq: number }> {
  return on.http('messages.send', { to, type: 'text', body: { text } }, as(from, on))
}

const page = async (uid: string, log: string, on = server) =>
  (await on.http<{ entries: Stateful[] }>('messages.page', { log }, as(uid, on))).entries

/** A session that waits for what comes while its device is away. */
async function leaveSession(uid: string): Promise<void> {
  using device = await Device.connect(server, uid, 'phone', { clean: false })
  await device.untilSynced()
  await device.leave()
}

test('who was away gets an edited message once, as it is now, and the edit behind it', async () => {
  const { alice, bob } = await newFriends(server)
  await leaveSession(bob)
  const { log, seq } = await say(alice, bob, 'see you at 8')
  await say(alice, bob, 'bring cake')
  await server.http('messages.edit', { log, seq, body: { text: 'see you at 9' } }, as(alice))

  using phone = await Device.connect(server, bob, 'phone', { clean: false, subscribe: false })
  const edit = await until(() => phone.inbox.find(({ kind }) => kind === 'edit'), 'the edit')
  await phone.settle()
  expect(edit).toMatchObject({ from: alice, seq: 3, body: { seq, body: { text: 'see you at 9' }, count: 1 } })
  const chat = phone.inbox.filter((entry) => entry.log === log) as Stateful[]
  expect(chat.map((entry) => [entry.seq, entry.kind, entry.body.text])).toEqual([
    [1, 'message', 'see you at 9'],
    [2, 'message', 'bring cake'],
    [3, 'edit', undefined],
  ])
  expect(chat[0]?.state).toMatchObject({ edited: { count: 1, seq: 3 } })
  expect(await page(bob, log)).toEqual(chat)
})

test('devices that are online hear of an edit, a reaction and a recall at once, over MQTT', async () => {
  const { alice, bob } = await newFriends(server)
  using phone = await Device.connect(server, alice, 'phone')
  using other = await Device.connect(server, bob, 'phone')
  const { log, seq } = await phone.send({ id: 'm', to: bob, text: 'hello' })
  await phone.call('messages.edit', { log, seq, body: { text: 'hello!' } }, 'edit')
  const reacted = await other.call('messages.react', { log, seq, emoji: '👍' }, 'react')
  expect(reacted.result).toEqual({ on: true, count: 1 })
  await phone.call('messages.recall', { log, seq }, 'recall')
  await until(() => other.inbox.some(({ kind }) => kind === 'recall'), 'the recall')
  const kindsOf = ({ inbox }: Device) => inbox.filter((entry) => entry.log === log).map(({ kind }) => kind)
  expect(kindsOf(other)).toEqual(['message', 'edit', 'recall'])
  // A device is not told of what it did itself.
  await until(() => kindsOf(phone).includes('reaction'), 'the reaction')
  expect(kindsOf(phone)).toEqual(['reaction'])
  const again = await phone.call('messages.edit', { log, seq, body: { text: 'no' } }, 'again')
  expect(again).toMatchObject({ kind: 'refused', code: 'recalled' })
})

test('an edit says what a message is now to those alone who may see it, at once', async () => {
  const [alice, bob, carol, dora] = newUids('alice', 'bob', 'carol', 'dora') as [
    string,
    string,
    string,
    string,
  ]
  await befriendAll(server, alice, [bob, carol, dora])
  const group = await makeGroup(server, alice, [bob, carol])
  const { seq } = await say(alice, group, 'one')
  await server.http('messages.delete', { log: group, seqs: [seq] }, as(carol))
  await server.http('groups.add', { id: group, members: [dora] }, as(alice))
  const direct = await say(alice, bob, 'between us')
  await server.http('conversations.clear', { log: direct.log }, as(bob))

  using bobs = await Device.connect(server, bob, 'phone')
  using carols = await Device.connect(server, carol, 'phone')
  using doras = await Device.connect(server, dora, 'phone')
  const phones = [bobs, carols, doras]
  await server.http('messages.edit', { log: group, seq, body: { text: 'two' } }, as(alice))
  await server.http('messages.edit', { log: direct.log, seq: direct.seq, body: { text: 'us' } }, as(alice))
  await say(alice, group, 'after')
  for (const phone of phones) await phone.untilText('after')
  const told = (phone: Device, log: string) =>
    phone.inbox.filter((entry) => entry.log === log && entry.kind === 'edit').map(({ body }) => body)
  const without = { seq, count: 1 }
  expect(phones.map((phone) => told(phone, group))).toEqual([
    [{ ...without, body: { text: 'two' } }],
    [without],
    [without],
  ])
  await until(() => told(bobs, direct.log).length > 0, 'the edit between two')
  expect(told(bobs, direct.log)).toEqual([{ seq: direct.seq, count: 1 }])
})

/** Two starts of a server. */
const RESTART_MS = 120_000

test('a recalled message is gone from the store after the server was killed', {
  timeout: RESTART_MS,
}, async () => {
  await using own = await startServer()
  const { alice, bob } = await newFriends(own)
  const secret = 'a secret that nobody keeps'
  const { log, seq } = await say(alice, bob, secret, own)
  await own.http('messages.recall', { log, seq }, as(alice, own))
  await own.kill9()
  await own.start()
  const entries = await page(bob, log, own)
  expect(entries).toMatchObject([
    { seq, body: {}, state: { recalled: { by: alice, reason: 'recalled' } } },
    { kind: 'recall', body: { seq } },
  ])
  if (IN_CLUSTER) return
  const texts = textsOf(own)
  expect(texts.length).toBeGreaterThanOrEqual(2)
  expect(texts.join('\n')).not.toContain(secret)
})

/** Every text in the table of entries and in the journal. */
function textsOf(on: TestServer): string[] {
  using db = new DatabaseSync(join(on.dataDir, STORE_FILE), { readOnly: true })
  const rows = db
    .prepare('select body as text from entry union all select cast(lines as text) from journal')
    .all()
  return rows.map(({ text }) => String(text))
}

test('what I delete for me is gone on my other devices, and not for others', async () => {
  const { alice, bob } = await newFriends(server)
  using tablet = await Device.connect(server, bob, 'tablet')
  await leaveSession(bob)
  const { log } = await say(alice, bob, 'one')
  await say(alice, bob, 'two')
  await server.http('messages.delete', { log, seqs: [1] }, as(bob))
  const notice = await until(() => tablet.inbox.find(({ type }) => type === 'hidden'), 'the notice')
  expect(notice).toMatchObject({ log: `n:${bob}`, kind: 'notice', body: { log, seqs: [1] } })
  using phone = await Device.connect(server, bob, 'phone', { clean: false, subscribe: false })
  await phone.untilText('two')
  await phone.settle()
  expect(phone.texts).toEqual(['two'])
  expect((await page(bob, log)).map(({ seq }) => seq)).toEqual([2])
  expect((await page(alice, log)).map(({ seq }) => seq)).toEqual([1, 2])
})

test('members see what the owner of a group pins, and cannot pin themselves', async () => {
  const { alice, bob } = await newFriends(server)
  const group = await makeGroup(server, alice, [bob])
  using phone = await Device.connect(server, bob, 'phone')
  const { seq } = await say(bob, group, 'read this')
  await expect(server.http('messages.pin', { log: group, seq }, as(bob))).rejects.toMatchObject({
    code: 'not_admin',
    status: 403,
  })
  await server.http('messages.pin', { log: group, seq }, as(alice))
  const told = await until(() => phone.inbox.find(({ type }) => type === 'pinned'), 'the event')
  expect(told).toMatchObject({ log: group, kind: 'group', from: alice, body: { seq } })
  const pins = await server.http<{ items: unknown[] }>('messages.pins', { log: group }, as(bob))
  expect(pins.items).toMatchObject([{ seq, by: alice, entry: { body: { text: 'read this' } } }])
})

const MALFORMED: readonly [operation: string, params: Record<string, unknown>][] = [
  ['messages.edit', { seq: 1 }],
  ['messages.edit', { seq: 1, body: 'text' }],
  ['messages.edit', { seq: 1, body: { txt: 'no text' } }],
  ['messages.edit', { seq: 0, body: {} }],
  ['messages.edit', { seq: 1, body: { text: 'x' }, type: 'image' }],
  ['messages.recall', { seq: '1' }],
  ['messages.react', { seq: 1 }],
  ['messages.react', { seq: 1, emoji: 'not one' }],
  ['messages.react', { seq: 1, emoji: '👍', on: 1 }],
  ['messages.reactions', { seq: 1, cursor: 'nobody' }],
  ['messages.delete', { seqs: [] }],
  ['messages.delete', { seqs: Array.from({ length: 101 }, (_, i) => i + 1) }],
  ['messages.delete', { seqs: [1, 1] }],
  ['messages.pin', { seq: 1.5 }],
  ['messages.get', { seqs: [0] }],
  ['messages.page', { around: 1, after: 1 }],
  ['messages.page', { kind: 'sounds' }],
]

test('a malformed call is refused and changes nothing', async () => {
  const { alice, bob } = await newFriends(server)
  const { log } = await say(alice, bob, 'hello')
  for (const [operation, params] of MALFORMED) {
    await expect(
      server.http(operation, { log, ...params }, as(alice)),
      `${operation} ${JSON.stringify(params)}`,
    ).rejects.toMatchObject({ code: 'bad_request', status: 400 })
  }
  expect(await page(bob, log)).toMatchObject([{ seq: 1, body: { text: 'hello' } }])
})
