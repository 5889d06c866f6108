/** What reaches over a whole account, where connections are in two processes and the store is in a third. */
import { gunzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { admin } from '../harness/admin.ts'
import { Device, type InboxEntry } from '../harness/device.ts'
import { directLog, newFriends, newUid } from '../harness/people.ts'
import { sharedServer } from '../harness/server.ts'
import { until } from '../harness/wait.ts'
import { connectApart } from './workers-harness.ts'

const server = sharedServer({ env: { WOCHAT_WORKERS: '2', WOCHAT_CONTACTS_REQUIRED: 'false' } })

const codeOf = (call: Promise<unknown>): Promise<string> =>
  call.then(
    () => 'ok',
    (error: { code: string }) => error.code,
  )

async function textsOf(reader: string, log: string): Promise<unknown[]> {
  const token = server.token(reader, null)
  const { entries } = await server.http<{ entries: InboxEntry[] }>('messages.page', { log }, token)
  return entries.filter(({ kind }) => kind === 'message').map(({ body }) => body.text)
}

describe('over two workers', () => {
  test('an account that is erased through one is cut off the other, and its words go', async () => {
    const { alice: uid, bob } = await newFriends(server)
    const log = directLog(uid, bob)
    const [one, two] = await connectApart(server, uid, uid)
    using reader = await Device.connect(server, bob, 'phone')
    await one.send({ id: 'm1', to: bob, text: 'my words' })
    await reader.untilText('my words')
    one.client.publish({
      ...{ topic: `u/${uid}/call/accounts.erase`, qos: 1 },
      payload: JSON.stringify({ confirm: uid, ref: 'end' }),
    })
    await Promise.all([one, two].map(({ client }) => client.untilClosed()))
    expect(await codeOf(server.http('contacts.list', {}, server.token(uid, null)))).toBe('revoked')
    await until(async () => (await textsOf(bob, log)).every((text) => text === undefined), 'the words to go')
    const { items } = await server.http<{ items: object[] }>('contacts.list', {}, server.token(bob, null))
    expect(items).toEqual([])
  })

  test('an archive holds what was written through either', async () => {
    const { alice: uid, bob } = await newFriends(server)
    const devices = await connectApart(server, uid, uid)
    for (const [i, device] of devices.entries()) {
      await device.send({ id: `m${i}`, to: bob, text: `written at ${i}` })
    }
    const { url } = (await devices[0].call('accounts.export', {}, 'all')).result as { url: string }
    const headers = { authorization: `Bearer ${server.token(uid, null)}` }
    // Each on a connection of its own, so that the workers take turns.
    for (let i = 0; i < 4; i++) {
      const answer = await fetch(url, { headers: { ...headers, connection: 'close' } })
      expect(answer.status).toBe(200)
      const archive = gunzipSync(Buffer.from(await answer.arrayBuffer())).toString()
      expect(archive).toContain('written at 0')
      expect(archive).toContain('written at 1')
    }
    for (const device of devices) device.cut()
  })

  test('a list of words is in force in both, for messages, edits and names', async () => {
    const { alice, bob } = await newFriends(server)
    const devices = await connectApart(server, alice, alice)
    const words = [
      { word: 'verboten', action: 'reject' as const },
      { word: '坏话', action: 'mask' as const },
    ]
    await admin(server, 'setWords', { words })
    for (const [i, device] of devices.entries()) {
      let tries = 0
      await until(async () => {
        const reply = await device.send({ id: `try-${i}-${tries++}`, to: bob, text: 'verboten' })
        return reply.code === 'content_refused'
      }, `the list in force in worker ${i}`)
    }
    for (const [i, device] of devices.entries()) {
      const { log, seq } = (await device.send({ id: `m${i}`, to: bob, text: '说坏话' })) as InboxEntry
      const edit = { log, seq, body: { text: 'verboten' } }
      expect((await device.call('messages.edit', edit, `e${i}`)).code).toBe('content_refused')
      expect((await device.call('profile.set', { name: 'verboten' }, `p${i}`)).code).toBe('content_refused')
    }
    const texts = await textsOf(bob, directLog(alice, bob))
    expect(texts.slice(-2)).toEqual(['说**', '说**'])
    await admin(server, 'removeWords', { words: words.map(({ word }) => word) })
    for (const device of devices) device.cut()
  })

  test('an account that is suspended is cut off both at once, and comes back to both', async () => {
    const uid = newUid('alice')
    const devices = await connectApart(server, uid, uid)
    await admin(server, 'suspend', { uid, reason: 'spam' })
    await Promise.all(devices.map(({ client }) => client.untilClosed()))
    for (let i = 0; i < 4; i++) {
      expect(await codeOf(server.http('contacts.list', {}, server.token(uid, null)))).toBe(
        'account_suspended',
      )
    }
    await admin(server, 'unsuspend', { uid })
    for (const device of await connectApart(server, uid, uid)) device.cut()
  })
})
