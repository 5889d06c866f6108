/** History: pages by seq, my conversations, read pointers and the badge (design: sections 4 and 11). */
import { describe, expect, test } from 'vitest'
import { Device, type InboxEntry } from '../harness/device.ts'
import {
  befriend,
  befriendAll,
  directLog,
  makeAccounts,
  makeGroup,
  newFriends,
  newUid,
} from '../harness/people.ts'
import { sharedServer } from '../harness/server.ts'
import { until } from '../harness/wait.ts'

const server = sharedServer()

type Page = { entries: InboxEntry[]; head: number; first: number }
type Conversation = {
  log: string
  epoch: string
  head: number
  unread: number
  readSeq: number
  last: InboxEntry | null
  name?: string
  peer?: string
}
type Conversations = { items: Conversation[]; badge: number; cursor?: string }

const as = (uid: string) => server.token(uid, null)
const page = (uid: string, params: Record<string, unknown>) =>
  server.http<Page>('messages.page', params, as(uid))
const list = (uid: string, params: Record<string, unknown> = {}) =>
  server.http<Conversations>('conversations.list', params, as(uid))
const seqs = ({ entries }: Page) => entries.map((entry) => entry.seq)
const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i)

async function say(from: string, to: string, ...texts: string[]): Promise<void> {
  for (const text of texts) {
    await server.http('messages.send', { to, type: 'text', body: { text } }, as(from))
  }
}

describe('a page', () => {
  test('goes back and forth by seq, oldest first, within the limit', async () => {
    const { alice, bob } = await newFriends(server)
    await say(alice, bob, ...range(1, 30).map(String))
    const log = directLog(alice, bob)
    expect(await page(bob, { log, limit: 10 })).toMatchObject({ head: 30, first: 1 })
    expect(seqs(await page(bob, { log, limit: 10 }))).toEqual(range(21, 30))
    expect(seqs(await page(bob, { log, before: 21, limit: 10 }))).toEqual(range(11, 20))
    expect(seqs(await page(bob, { log, before: 6, limit: 10 }))).toEqual(range(1, 5))
    expect(seqs(await page(bob, { log, before: 1, limit: 10 }))).toEqual([])
    expect(seqs(await page(bob, { log, after: 0, limit: 10 }))).toEqual(range(1, 10))
    expect(seqs(await page(bob, { log, after: 25, limit: 10 }))).toEqual(range(26, 30))
    expect(seqs(await page(bob, { log, after: 30, limit: 10 }))).toEqual([])
    expect(seqs(await page(bob, { log }))).toEqual(range(1, 30))
  })

  test('is found around an entry, from a time on and by what messages hold', async () => {
    const { alice, bob } = await newFriends(server)
    await say(alice, bob, ...range(1, 9).map(String), 'see https://wochat.example')
    const log = directLog(alice, bob)
    await server.http(
      'messages.send',
      { to: bob, type: 'image', body: { url: 'https://x.example/a' } },
      as(alice),
    )
    expect(seqs(await page(bob, { log, around: 5, limit: 4 }))).toEqual(range(3, 6))
    const [third] = (await page(bob, { log, after: 2, limit: 1 })).entries
    const fromThird = (await page(bob, { log, at: third!.at })).entries
    expect(fromThird.every(({ at }) => at >= third!.at)).toBe(true)
    expect(fromThird.map(({ seq }) => seq)).toContain(3)
    expect(seqs(await page(bob, { log, kind: 'media' }))).toEqual([11])
    expect(seqs(await page(bob, { log, kind: 'links' }))).toEqual([10])
    expect(seqs(await page(bob, { log, types: ['text'], limit: 2 }))).toEqual([9, 10])
  })

  test('shows the same entries as the inbox did', async () => {
    const { alice, bob } = await newFriends(server)
    using device = await Device.connect(server, bob, 'phone')
    await say(alice, bob, 'one', 'two')
    await device.untilMessages(2)
    const { entries } = await page(bob, { log: directLog(alice, bob) })
    expect(entries).toEqual(device.messages)
  })

  test('of a conversation of others, or of none, is refused', async () => {
    const { alice, bob } = await newFriends(server)
    await say(alice, bob, 'secret')
    const eve = newUid('eve')
    await makeAccounts(server, eve)
    for (const log of [directLog(alice, bob), directLog(eve, alice), 'g:nothing', `n:${alice}`]) {
      await expect(page(eve, { log }), log).rejects.toMatchObject({ code: 'unknown_log', status: 404 })
    }
  })

  test.each([
    ['a log that is none', { log: 'x:alice' }],
    ['uids that are not sorted', { log: 'd:zed:amy' }],
    ['a limit of 0', { log: 'g:x', limit: 0 }],
    ['a limit above the bound', { log: 'g:x', limit: 201 }],
    ['a negative seq', { log: 'g:x', before: -1 }],
    ['a fraction', { log: 'g:x', after: 1.5 }],
    ['an unknown field', { log: 'g:x', bevore: 3 }],
  ])('of %s is a bad request', async (_, params) => {
    const uid = newUid('any')
    const error = await page(uid, params).then(
      () => null,
      (refusal: { code: string }) => refusal.code,
    )
    expect(['bad_request', 'unknown_log']).toContain(error)
    if (params.log === 'g:x') expect(error).toBe('bad_request')
  })
})

describe('my conversations', () => {
  test('are listed last active first, with head, unread, read pointer, last entry and badge', async () => {
    const me = newUid('me')
    const [ann, ben] = [newUid('ann'), newUid('ben')]
    await befriendAll(server, me, [ann, ben])
    const group = await makeGroup(server, me, [ann])
    await say(ann, me, 'a1', 'a2', 'a3')
    await say(ben, me, 'b1')
    await say(ann, group, 'g1', 'g2')
    await say(me, ben, 'mine')

    const { items, badge } = await list(me)
    const shown = items.filter((item) => !item.log.startsWith('n:'))
    expect(shown.map((item) => item.log)).toEqual([directLog(me, ben), group, directLog(me, ann)])
    expect(shown.map((item) => item.unread)).toEqual([1, 2, 3])
    expect(badge).toBe(6)
    expect(shown[0]).toMatchObject({ head: 2, peer: ben, last: { body: { text: 'mine' }, from: me } })
    expect(shown[1]).toMatchObject({ name: 'a group', last: { body: { text: 'g2' }, seq: shown[1]!.head } })
    expect(shown[2]).toMatchObject({ head: 3, readSeq: 0, peer: ann })
  })

  test('come in pages that together are the whole', async () => {
    const me = newUid('me')
    const friends = Array.from({ length: 7 }, (_, i) => newUid(`f${i}`))
    await befriendAll(server, me, friends)
    for (const friend of friends) await say(friend, me, 'hi')
    const logs: string[] = []
    let cursor: string | undefined
    for (let pages = 0; pages < 10; pages++) {
      const part = await list(me, { limit: 3, ...(cursor !== undefined && { cursor }) })
      expect(part.items.length).toBeLessThanOrEqual(3)
      expect(part.badge).toBe(7)
      logs.push(...part.items.map((item) => item.log))
      cursor = part.cursor
      if (cursor === undefined) break
    }
    const direct = logs.filter((log) => log.startsWith('d:'))
    expect(direct.sort()).toEqual(friends.map((friend) => directLog(me, friend)).sort())
  })

  test('count from the entry that let me in', async () => {
    const [owner, ann, late] = [newUid('owner'), newUid('ann'), newUid('late')]
    await befriendAll(server, owner, [ann, late])
    const group = await makeGroup(server, owner, [ann])
    await say(ann, group, 'before', 'before')
    await server.http('groups.add', { id: group, members: [late] }, as(owner))
    await say(ann, group, 'after')
    const item = (await list(late)).items.find((each) => each.log === group)
    expect(item?.unread).toBe(1)
  })
})

describe('marking read', () => {
  test('lowers unread and badge, never goes back, and is cut at the head', async () => {
    const { alice, bob } = await newFriends(server)
    await say(alice, bob, '1', '2', '3', '4')
    await say(bob, alice, 'mine')
    await say(alice, bob, '6')
    const log = directLog(alice, bob)
    const read = (seq: number) => server.http('conversations.read', { log, seq }, as(bob))
    expect(await read(2)).toEqual({ readSeq: 2, unread: 3, badge: 3 })
    expect(await read(1)).toEqual({ readSeq: 2, unread: 3, badge: 3 })
    expect(await read(5)).toEqual({ readSeq: 5, unread: 1, badge: 1 })
    expect(await read(1_000_000)).toEqual({ readSeq: 6, unread: 0, badge: 0 })
    await say(alice, bob, '7')
    expect((await list(bob)).items.find((item) => item.log === log)).toMatchObject({ unread: 1, readSeq: 6 })
  })

  test('is refused for a conversation that I cannot see', async () => {
    const { alice, bob } = await newFriends(server)
    await say(alice, bob, 'hi')
    const eve = newUid('eve')
    await makeAccounts(server, eve)
    await expect(
      server.http('conversations.read', { log: directLog(alice, bob), seq: 1 }, as(eve)),
    ).rejects.toMatchObject({ code: 'unknown_log' })
  })

  test('is told to my other devices on the live topic', async () => {
    const { alice, bob } = await newFriends(server)
    await say(alice, bob, 'hi')
    using tablet = await Device.connect(server, bob, 'tablet')
    expect(await tablet.client.subscribe({ topic: `u/${bob}/live`, qos: 0 })).toEqual([0])
    const log = directLog(alice, bob)
    await server.http('conversations.read', { log, seq: 1 }, server.token(bob, 'phone'))
    const isRead = ({ payload }: { payload: unknown }) => JSON.parse(String(payload)).kind === 'read'
    const event = await until(() => tablet.client.publishes(`u/${bob}/live`).find(isRead), 'the read event')
    expect(JSON.parse(String(event.payload))).toMatchObject({ kind: 'read', log, seq: 1 })
    expect(event.qos).toBe(0)
  })
})

test('contact events do not count in the badge', async () => {
  const [ann, ben] = [newUid('ann'), newUid('ben')]
  using device = await Device.connect(server, ben, 'phone')
  await befriend(server, ann, ben)
  await until(() => device.inbox.some((entry) => entry.log === `n:${ben}`), 'the contact request')
  expect(device.inbox.find((entry) => entry.log === `n:${ben}`)?.kind).toBe('contact')
  expect((await list(ben)).badge).toBe(0)
})
