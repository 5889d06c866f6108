/** What other systems of an operator do: bots, broadcasts, sending for an account, moving in. */
import { describe, expect, test } from 'vitest'
import { admin, adminRaw } from '../harness/admin.ts'
import { Device } from '../harness/device.ts'
import { befriend, directLog, makeAccounts, newFriends, newUid } from '../harness/people.ts'
import { sharedServer } from '../harness/server.ts'
import { until } from '../harness/wait.ts'

const server = sharedServer({ env: { WOCHAT_BROADCASTS_PER_SECOND_MAX: '10' }, alone: true })

type Page = { entries: { at: number; from: string; body: { text: string } }[] }
type Conversations = { items: { log: string; unread: number }[]; badge: number }

describe('a bot', () => {
  test('logs in with its key over MQTT and HTTP, gets and sends messages, and is cut off when the key ends', async () => {
    const [alice, uid] = [newUid('alice'), newUid('bot')]
    await makeAccounts(server, alice)
    await admin(server, 'addBot', { uid, name: 'Weather', open: true })
    const { id, key } = await admin(server, 'addApiKey', { uid, name: 'main' })
    using bot = await Device.connect(server, uid, 'bot', { token: key, clean: false, version: 5 })
    using phone = await Device.connect(server, alice, 'phone')
    await phone.send({ id: 'q1', to: uid, text: 'rain?' })
    await bot.untilText('rain?')
    await befriend(server, alice, uid)
    await server.http('messages.send', { id: 'a1', to: alice, text: 'no' }, key)
    await phone.untilText('no')

    const other = await admin(server, 'addApiKey', { uid, name: 'spare', device: 'spare' })
    using spare = await Device.connect(server, uid, 'spare', { token: other.key })
    await admin(server, 'endApiKey', { id })
    await until(() => bot.client.closed, 'the connection of the ended key to be closed')
    await expect(server.http('contacts.list', {}, key)).rejects.toMatchObject({ code: 'revoked' })
    await expect(Device.connect(server, uid, 'bot', { token: key })).rejects.toThrow(/refused/)
    await spare.settle()
    // What was written to it meanwhile waits for its next key.
    await phone.send({ id: 'q2', to: uid, text: 'snow?' })
    const { key: next } = await admin(server, 'addApiKey', { uid, name: 'next' })
    using again = await Device.connect(server, uid, 'bot', {
      token: next,
      clean: false,
      version: 5,
      subscribe: false,
    })
    await again.untilText('snow?')
  })

  test('a key is good for its bot and its device only, and a made-up one for nobody', async () => {
    const [uid, other] = [newUid('bot'), newUid('bot')]
    for (const bot of [uid, other]) await admin(server, 'addBot', { uid: bot, name: 'B' })
    const { key } = await admin(server, 'addApiKey', { uid, name: 'k' })
    for (const [name, device] of [
      [other, 'bot'],
      [uid, 'else'],
    ] as const) {
      await expect(Device.connect(server, name, device, { token: key })).rejects.toThrow(/refused/)
    }
    for (const token of [`wck_${'A'.repeat(43)}`, 'wck_x', `${key}x`]) {
      await expect(server.http('contacts.list', {}, token)).rejects.toMatchObject({ code: 'unauthenticated' })
    }
  })
})

test('a broadcast reaches everybody of its filter once, with a bound on its rate, across kill -9', async () => {
  const uids = Array.from({ length: 45 }, (_, i) => newUid(`p${i}`))
  const { made } = await admin(server, 'importAccounts', { accounts: uids.map((uid) => ({ uid })) })
  expect(made).toBe(45)
  const [reader, blocker] = [uids[0]!, uids[1]!]
  const from = newUid('news')
  await admin(server, 'addSystemAccount', { uid: from, name: 'News' })
  await server.http('contacts.block', { uid: from }, server.token(blocker, null))
  using phone = await Device.connect(server, reader, 'phone')
  const id = newUid('b')
  await admin(server, 'broadcast', { id, from, body: { text: 'hello all' }, filter: { uids } })
  await phone.untilText('hello all')
  // Ten in a second: most of them have not got it.
  const { broadcasts: running } = await admin(server, 'broadcasts', {})
  expect(running.find((one) => one.id === id)).toMatchObject({ state: 'running' })
  await server.kill9()
  await server.start()
  const row = await until(
    async () => {
      const { broadcasts } = await admin(server, 'broadcasts', {})
      return broadcasts.find((one) => one.id === id && one.state === 'done')
    },
    'the broadcast to be done',
    60_000,
  )
  expect(row).toMatchObject({ sent: 44, skipped: 1 })
  for (const uid of uids.filter((one) => one !== blocker)) {
    const token = server.token(uid, null)
    const { entries } = await server.http<Page>('messages.page', { log: directLog(from, uid) }, token)
    expect(entries.map(({ body }) => body.text)).toEqual(['hello all'])
  }
  await expect(
    server.http('messages.send', { id: 'r1', to: from, text: 'thanks' }, server.token(reader, null)),
  ).rejects.toMatchObject({ code: 'blocked' })
}, 120_000)

test('a message that an operator sends for somebody is theirs, by their rules, once', async () => {
  const { alice, bob } = await newFriends(server)
  const stranger = newUid('stranger')
  await makeAccounts(server, stranger)
  using phone = await Device.connect(server, bob, 'phone')
  const send = { uid: alice, to: bob, id: 's1', text: 'from the shop' }
  const first = await admin(server, 'sendAs', send)
  expect(await admin(server, 'sendAs', send)).toEqual(first)
  await phone.untilText('from the shop')
  expect(phone.messages).toMatchObject([{ from: alice, id: 's1', seq: first.seq }])
  const refused = await adminRaw(server, 'sendAs', { body: JSON.stringify({ ...send, uid: stranger }) })
  expect([refused.status, refused.body]).toMatchObject([403, { error: { code: 'not_friends' } }])
  const line = () => server.log.lines.find((text) => text.includes('"op":"sendAs"'))
  await until(() => line(), 'the line in the log')
  expect(line()).toContain(alice)
  expect(line()).not.toContain('from the shop')
})

test('a conversation of another messenger is moved in with its times, unread for nobody, and goes on', async () => {
  const [alice, bob] = [newUid('alice'), newUid('bob')]
  const accounts = [{ uid: alice, name: 'Alice' }, { uid: bob }]
  await admin(server, 'importAccounts', { accounts })
  await admin(server, 'importContacts', { pairs: [{ a: alice, b: bob }] })
  using phone = await Device.connect(server, bob, 'phone')
  const log = directLog(alice, bob)
  const messages = Array.from({ length: 500 }, (_, i) => ({
    from: i % 2 === 0 ? alice : bob,
    at: 1_500_000_000_000 + i * 1000,
    id: `old${i}`,
    body: { text: `${i}` },
  }))
  expect(await admin(server, 'importMessages', { log, messages })).toMatchObject({ stored: 500, head: 500 })
  const asBob = server.token(bob, null)
  const { items, badge } = await server.http<Conversations>('conversations.list', {}, asBob)
  expect(items.find((item) => item.log === log)).toMatchObject({ unread: 0 })
  expect(badge).toBe(0)
  await server.http('messages.send', { id: 'n1', to: bob, text: 'now' }, server.token(alice, null))
  await phone.untilText('now')
  const page = await server.http<Page>('messages.page', { log, limit: 3 }, asBob)
  expect(page.entries.map(({ body }) => body.text)).toEqual(['498', '499', 'now'])
  expect(page.entries[0]!.at).toBe(1_500_000_498_000)
  const late = { log, messages: [{ ...messages[0]!, id: 'late' }] }
  const refused = await adminRaw(server, 'importMessages', { body: JSON.stringify(late) })
  expect([refused.status, refused.body]).toMatchObject([409, { error: { code: 'not_in_order' } }])
})
