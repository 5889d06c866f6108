/** How sends are answered: in order, after the commit, and above the rate with a hint (design: sections 3 and 11). */
import { describe, expect, test } from 'vitest'
import { Device, type InboxEntry } from '../harness/device.ts'
import { befriend, newFriends } from '../harness/people.ts'
import { sharedServer, startServer } from '../harness/server.ts'
import { until } from '../harness/wait.ts'

const server = sharedServer()

type Page = { entries: InboxEntry[]; head: number; first: number }

describe('acknowledgements', () => {
  test.each([4, 5] as const)(
    'come in the order of the sends, refused or not (version %i)',
    async (version) => {
      const { alice, bob } = await newFriends(server)
      using device = await Device.connect(server, alice, 'phone', { version, subscribe: false })
      const payloads = [
        (i: number) => JSON.stringify({ id: `m${i}`, to: bob, text: 'fine' }),
        () => '{"to": not json',
        () => JSON.stringify({ to: 'no-such-user', text: 'refused' }),
        () => JSON.stringify({ id: 'same', to: bob, text: 'repeated' }),
        () => JSON.stringify({ to: bob, txt: 'unknown field' }),
      ]
      const sent = Array.from({ length: 500 }, (_, i) => {
        const payload = payloads[i % payloads.length]!(i)
        return device.client.publish({ topic: `u/${alice}/send`, payload })
      })
      await until(
        () => device.client.received('puback').length === 500,
        () => `500 PUBACKs; ${device.client.story()}`,
      )
      expect(device.client.received('puback').map((ack) => ack.messageId)).toEqual(sent)
    },
  )

  test('come after the commit: killed right after a PUBACK, the server still has the message', async () => {
    await using own = await startServer()
    await befriend(own, 'alice', 'bob')
    for (let round = 0; round < 3; round++) {
      using sender = await Device.connect(own, 'alice', 'phone', { subscribe: false })
      const text = `round ${round}`
      const payload = JSON.stringify({ id: text, to: 'bob', text })
      await sender.client.publishAcked({ topic: 'u/alice/send', payload })
      await own.kill9()
      await own.start()
      const page = await own.http<Page>('messages.page', { log: 'd:alice:bob' }, own.token('bob', null))
      expect(page.entries.at(-1)?.body).toEqual({ text })
      expect(page.head).toBe(round + 1)
    }
  })
})

describe('a sender above its rate', () => {
  const limited = { env: { WOCHAT_SENDS_PER_SECOND_MAX: '5' } }

  test('is answered rate_limited with a hint on MQTT 5 and stays connected', async () => {
    await using own = await startServer(limited)
    await befriend(own, 'alice', 'bob')
    using sender = await Device.connect(own, 'alice', 'phone', { version: 5 })
    for (let i = 0; i < 40; i++) sender.publishSend({ id: `m${i}`, to: 'bob', text: `${i}` })
    await until(() => sender.client.received('puback').length === 40, '40 PUBACKs')
    const refused = sender.client.received('puback').filter((ack) => ack.reasonCode === 0x97)
    expect(refused.length).toBeGreaterThan(10)
    const reply = await sender.reply((each) => each.code === 'rate_limited')
    expect(reply.retryAfterMs).toBeGreaterThan(0)
    await sender.client.ping()
  })

  test('is not acknowledged on 3.1.1 but answered and closed, so that it sends again', async () => {
    await using own = await startServer(limited)
    await befriend(own, 'alice', 'bob')
    using sender = await Device.connect(own, 'alice', 'phone')
    // Fewer than the window of replies, so that none of them waits for a PUBACK when the connection closes.
    const SENDS = 12
    for (let i = 0; i < SENDS; i++) sender.publishSend({ id: `m${i}`, to: 'bob', text: `${i}` })
    await sender.client.untilClosed()
    const accepted = sender.replies.filter((reply) => reply.kind === 'accepted').length
    expect(sender.replies.some((reply) => reply.code === 'rate_limited')).toBe(true)
    expect(sender.client.received('puback').length).toBe(accepted)
    expect(accepted).toBeLessThan(SENDS)
  })
})
