/** What a person keeps about their conversations is the same on all their devices, over MQTT and HTTP. */
import { describe, expect, test } from 'vitest'
import { Device } from '../harness/device.ts'
import { befriendAll, directLog, makeGroup, newFriends, newUid } from '../harness/people.ts'
import { sharedServer } from '../harness/server.ts'

const server = sharedServer()

type Item = { log: string; unread: number; mentions: number; last: { seq: number } | null }
type List = { items: Item[]; badge: number; version: number }
type Changes = List & { removed: string[]; more: boolean }

const as = (uid: string) => server.token(uid, null)
const listOf = (uid: string) => server.http<List>('conversations.list', {}, as(uid))

describe('my conversations', () => {
  test('what one device changes another learns from its last version on, and nothing else', async () => {
    const { alice, bob } = await newFriends(server)
    const log = directLog(alice, bob)
    using phone = await Device.connect(server, bob, 'phone')
    using sender = await Device.connect(server, alice, 'phone')
    await sender.send({ id: 'm1', to: bob, text: 'hello' })
    await phone.untilText('hello')
    const { version } = await listOf(bob)
    const kept = { pinned: true, draft: 'Dear Alice', markedUnread: true }
    await phone.call('conversations.update', { log, ...kept }, 'keep')
    const changes = () => server.http<Changes>('conversations.changes', { since: version }, as(bob))
    expect(await changes()).toMatchObject({ items: [{ log, ...kept, unread: 1 }], removed: [], more: false })
    await phone.call('conversations.update', { log, hidden: true }, 'hide')
    expect(await changes()).toMatchObject({ items: [], removed: [log], badge: 0 })
    await phone.call('conversations.clear', { log }, 'clear')
    const page = await server.http<{ entries: unknown[] }>('messages.page', { log }, as(bob))
    expect(page.entries).toEqual([])
    const ofAlice = await server.http<{ entries: unknown[] }>('messages.page', { log }, as(alice))
    expect(ofAlice.entries).toHaveLength(1)
  })

  test('a mention is in the badge of who muted the group, and counts until it is read', async () => {
    const [owner, ann] = [newUid('owner'), newUid('ann')]
    await befriendAll(server, owner, [ann])
    const group = await makeGroup(server, owner, [ann])
    await server.http('conversations.update', { log: group, mutedUntil: Date.now() + 3_600_000 }, as(ann))
    using sender = await Device.connect(server, owner, 'phone')
    await sender.send({ id: 'm1', to: group, text: 'for all' })
    expect(await listOf(ann)).toMatchObject({ badge: 0, items: [{ unread: 1, mentions: 0 }] })
    const body = { text: '@ann look', mentions: [ann] }
    const { seq } = await sender.send({ id: 'm2', to: group, type: 'text', body })
    expect(await listOf(ann)).toMatchObject({ badge: 1, items: [{ unread: 2, mentions: 1 }] })
    const readers = () => server.http('messages.readers', { log: group, seq }, as(owner))
    expect(await readers()).toEqual({ read: 0, of: 1, items: [] })
    using phone = await Device.connect(server, ann, 'phone')
    expect(await phone.call('conversations.read', { log: group, seq }, 'read')).toMatchObject({
      result: { unread: 0, badge: 0 },
    })
    expect(await readers()).toEqual({ read: 1, of: 1, items: [{ uid: ann, readSeq: seq }] })
  })

  test('who wrote learns how far the other is', async () => {
    const { alice, bob } = await newFriends(server)
    const log = directLog(alice, bob)
    using sender = await Device.connect(server, alice, 'phone')
    await sender.send({ id: 'm1', to: bob, text: 'hello' })
    const receipts = () => server.http('messages.receipts', { log }, as(alice))
    expect(await receipts()).toEqual({ delivered: 0, read: 0 })
    await server.http('conversations.readAll', {}, as(bob))
    expect(await receipts()).toEqual({ delivered: 1, read: 1 })
  })
})
