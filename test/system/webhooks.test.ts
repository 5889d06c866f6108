import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { admin } from '../harness/admin.ts'
import { makeBackends } from '../harness/backends.ts'
import { Device } from '../harness/device.ts'
import { newFriends } from '../harness/people.ts'
import { Receiver } from '../harness/receiver.ts'
import { sharedServer, startServer, type TestServer } from '../harness/server.ts'
import { until } from '../harness/wait.ts'

const SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`
const FAST = {
  WOCHAT_WEBHOOK_TIMEOUT_MS: '300ms',
  WOCHAT_WEBHOOK_RETRY_MIN_MS: '50ms',
  WOCHAT_WEBHOOK_RETRY_MAX_MS: '200ms',
  WOCHAT_WEBHOOK_ATTEMPTS_MAX: '4',
}

const add = (server: TestServer, id: string, url: string, events = ['message.stored']) =>
  admin(server, 'addWebhook', { id, url, events, secret: SECRET })

const textsOf = (receiver: Receiver) =>
  receiver.unique.map(({ data }) => (data.body as { text: string }).text)

describe('webhooks', () => {
  const server = sharedServer({ env: FAST, alone: true })

  test('events come signed, in order, again after failures, become dead letters, and are replayed', async () => {
    await using receiver = await Receiver.start(SECRET)
    const { alice, bob } = await newFriends(server)
    using phone = await Device.connect(server, alice, 'phone')
    await add(server, 'main', receiver.url)

    // A refusal, a silence and a redirect: the same batch comes again, and nothing overtakes it.
    receiver.behaviour = (attempt) => ([500, 'silence', 302] as const)[attempt - 1] ?? 204
    for (let i = 0; i < 20; i++) await phone.send({ id: `m${i}`, to: bob, text: `${i}` })
    await receiver.untilTaken(20)
    expect(textsOf(receiver)).toEqual(Array.from({ length: 20 }, (_, i) => `${i}`))
    expect(receiver.requests[1]).toEqual(expect.arrayContaining(receiver.requests[0]!))
    expect(receiver.forged).toBe(0)
    expect(receiver.headers[0]).toMatchObject({
      'content-type': 'application/json',
      'webhook-id': expect.stringMatching(/^main_\d+_\d+$/),
    })
    expect(receiver.taken[0]).toMatchObject({
      type: 'message.stored',
      data: { from: alice, id: 'm0', seq: 1 },
    })

    // Given up after four attempts; later events are not held up.
    const before = receiver.requests.length
    receiver.behaviour = (attempt) => (attempt <= before + 4 ? 503 : 204)
    await phone.send({ id: 'lost', to: bob, text: 'lost' })
    await until(async () => {
      const { webhooks } = await admin(server, 'webhooks', {})
      return webhooks[0]?.deadLetters === 1
    }, 'a dead letter')
    const { items } = await admin(server, 'deadLetters', { id: 'main' })
    expect(items).toMatchObject([{ type: 'message.stored', attempts: 4, error: 'it answered 503' }])
    await phone.send({ id: 'next', to: bob, text: 'next' })
    await receiver.untilTaken(21)
    expect(textsOf(receiver).at(-1)).toBe('next')
    expect(await admin(server, 'retryDeadLetters', { id: 'main' })).toEqual({ letters: 1 })
    await receiver.untilTaken(22)
    expect(receiver.taken.at(-1)!.seq).toBe(items[0]!.seq)
    await until(async () => {
      const { webhooks } = await admin(server, 'webhooks', {})
      return webhooks[0]?.deadLetters === 0
    }, 'no dead letter')

    const from = receiver.taken[0]!.seq
    const again = receiver.taken.length
    await admin(server, 'replayWebhook', { id: 'main', from })
    await until(() => receiver.taken.length >= again + 22, 'everything again')
    expect(receiver.taken.slice(again).map(({ seq }) => seq)).toEqual(
      Array.from({ length: 22 }, (_, i) => from + i),
    )
    await admin(server, 'removeWebhook', { id: 'main' })
  })

  test('what people do to messages, groups and accounts is told by type', async () => {
    await using receiver = await Receiver.start(SECRET)
    await add(server, 'all', receiver.url, ['*'])
    const { alice, bob } = await newFriends(server)
    const token = server.token(alice, 'phone')
    const { seq, log } = await server.http<{ seq: number; log: string }>(
      'messages.send',
      { id: 'm1', to: bob, text: 'x' },
      token,
    )
    await server.http('messages.edit', { log, seq, body: { text: 'y' } }, token)
    await server.http('messages.react', { log, seq, emoji: '\u{1f44d}', on: true }, token)
    await server.http('messages.recall', { log, seq }, token)
    await server.http('groups.create', { name: 'g', members: [bob] }, token)
    const types = () => receiver.unique.map(({ type }) => type)
    await until(
      () => types().includes('group.created'),
      () => `the group; came: ${types().join(' ')}`,
    )
    expect(types()).toEqual(
      expect.arrayContaining([
        'account.created',
        'contact.friend',
        'message.stored',
        'message.edited',
        'message.reacted',
        'message.recalled',
      ]),
    )
  })

  test.each([
    ['the embedded store', false],
    ['PostgreSQL, where the other node takes over', true],
  ])(
    'nothing is lost and each log keeps its order when a node is killed: %s',
    async (_, isCluster) => {
      await using backends = isCluster ? await makeBackends() : null
      await using killable = await startServer(
        backends === null ? { env: FAST, alone: true } : { env: FAST, nodes: [{}, {}], backends },
      )
      await using receiver = await Receiver.start(SECRET)
      const { alice, bob } = await newFriends(killable)
      await add(killable, 'main', receiver.url)
      const token = killable.token(alice, 'phone')
      const accepted = new Set<string>()
      let isOver = false
      const sending = (async () => {
        for (let i = 0; !isOver; i++) {
          const send = { id: `m${i}`, to: bob, text: `${i}` }
          // A send whose answer is lost is sent again, and stored once.
          for (let done = false; !done && !isOver; ) {
            done = await killable.http('messages.send', send, token).then(
              () => true,
              () => sleep(20, false),
            )
          }
          accepted.add(`${i}`)
        }
      })()
      await receiver.untilTaken(15)
      const killed = killable.nodes[0]!
      await killed.kill9()
      if (!isCluster) await killed.start()
      const count = accepted.size
      await until(() => accepted.size >= count + 15, 'more messages', 60_000)
      isOver = true
      await sending
      const expected = [...accepted].slice(0, -1)
      await receiver.untilTaken(expected.length)
      const numbers = textsOf(receiver).map(Number)
      expect(numbers.slice(0, expected.length)).toEqual(expected.map(Number))
      expect(receiver.forged).toBe(0)
    },
    120_000,
  )
})
