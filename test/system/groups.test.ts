/** Groups: one log, stored once, seen by windows of membership (design: sections 5 and 11). */
import { describe, expect, test } from 'vitest'
import { Device, type InboxEntry } from '../harness/device.ts'
import { befriend, befriendAll, makeAccounts, makeGroup, newUid } from '../harness/people.ts'
import { sharedServer } from '../harness/server.ts'
import { until } from '../harness/wait.ts'

const server = sharedServer()

type Page = { entries: InboxEntry[]; head: number; first: number }

const as = (uid: string) => server.token(uid, null)

/** An owner with friends, none of whom are friends of each other. */
async function newCircle(...names: string[]): Promise<string[]> {
  const uids = names.map((name) => newUid(name))
  await befriendAll(server, uids[0]!, uids.slice(1))
  return uids
}

const allOf = (entries: readonly InboxEntry[], log: string) => entries.filter((entry) => entry.log === log)
const seqsOf = (entries: readonly InboxEntry[]) => entries.map((entry) => entry.seq)

async function pageOf(uid: string, log: string): Promise<Page> {
  return server.http<Page>('messages.page', { log, limit: 200 }, as(uid))
}

describe('a message to a group', () => {
  test('is stored once and reaches every device of every member but the sending one', async () => {
    const [owner, ...members] = await newCircle('owner', 'ann', 'ben', 'cid')
    const group = await makeGroup(server, owner!, members)
    using sender = await Device.connect(server, members[0]!, 'phone')
    using senderTablet = await Device.connect(server, members[0]!, 'tablet')
    const others = await Promise.all(
      [owner!, members[1]!, members[2]!].flatMap((uid) =>
        (['phone', 'laptop'] as const).map((id) => Device.connect(server, uid, id)),
      ),
    )
    const reply = await sender.send({ id: 'm1', to: group, text: 'hello all' })
    expect(reply).toMatchObject({ kind: 'accepted', log: group })
    for (const device of [...others, senderTablet]) {
      const entry = await device.untilText('hello all')
      expect(entry).toMatchObject({ log: group, seq: reply.seq, from: members[0], id: 'm1' })
      expect(device.messages.length).toBe(1)
    }
    await senderTablet.send({ id: 'm2', to: group, text: 'second' })
    await sender.untilText('second')
    expect(sender.texts).toEqual(['second'])
    for (const device of others) device.cut()
    const { entries } = await pageOf(owner!, group)
    expect(entries.filter((entry) => entry.kind === 'message').length).toBe(2)
  })

  test('waits for a member who is away', async () => {
    const [owner, ann] = await newCircle('owner', 'ann')
    const group = await makeGroup(server, owner!, [ann!])
    {
      using device = await Device.connect(server, ann!, 'phone', { clean: false })
      await device.leave()
    }
    using sender = await Device.connect(server, owner!, 'phone')
    await sender.send({ id: 'm1', to: group, text: 'for later' })
    using device = await Device.connect(server, ann!, 'phone', { clean: false, subscribe: false })
    await device.untilText('for later')
  })

  test('reaches a member who blocks the sender: a block does not reach into groups', async () => {
    const [owner, ann, ben] = await newCircle('owner', 'ann', 'ben')
    const group = await makeGroup(server, owner!, [ann!, ben!])
    await server.http('contacts.block', { uid: ann }, as(ben!))
    using sender = await Device.connect(server, ann!, 'phone')
    using blocker = await Device.connect(server, ben!, 'phone')
    expect(await sender.send({ id: 'm1', to: group, text: 'to all' })).toMatchObject({ kind: 'accepted' })
    await blocker.untilText('to all')
  })
})

describe('membership', () => {
  test('lets a late joiner see the log from the entry that lets them in, live and in pages', async () => {
    const [owner, ann, late] = await newCircle('owner', 'ann', 'late')
    const group = await makeGroup(server, owner!, [ann!])
    using sender = await Device.connect(server, owner!, 'phone')
    using joiner = await Device.connect(server, late!, 'phone')
    await sender.send({ id: 'm1', to: group, text: 'before' })
    await server.http('groups.add', { id: group, members: [late] }, as(owner!))
    await sender.send({ id: 'm2', to: group, text: 'after' })
    await joiner.untilText('after')
    const seen = allOf(joiner.inbox, group)
    expect(seen.map((entry) => entry.kind)).toEqual(['group', 'message'])
    const { entries, first } = await pageOf(late!, group)
    expect(seqsOf(entries)).toEqual(seqsOf(seen))
    expect(first).toBe(seen[0]!.seq)
  })

  test('ends with the entry that lets a member out; what came before still drains', async () => {
    const [owner, ann, ben] = await newCircle('owner', 'ann', 'ben')
    const group = await makeGroup(server, owner!, [ann!, ben!])
    {
      using device = await Device.connect(server, ann!, 'phone', { clean: false })
      await device.untilSynced()
      await device.leave()
    }
    using sender = await Device.connect(server, owner!, 'phone')
    await sender.send({ id: 'm1', to: group, text: 'still a member' })
    await server.http('groups.remove', { id: group, members: [ann] }, as(owner!))
    await sender.send({ id: 'm2', to: group, text: 'not any more' })
    using device = await Device.connect(server, ann!, 'phone', { clean: false, subscribe: false })
    await device.untilSynced()
    await device.settle()
    const seen = allOf(device.inbox, group)
    expect(seen.map((entry) => entry.kind)).toEqual(['message', 'group'])
    expect(device.texts).toEqual(['still a member'])
    expect(seqsOf((await pageOf(ann!, group)).entries).at(-1)).toBe(seen.at(-1)?.seq)
    expect(await device.send({ id: 'x', to: group, text: 'let me' })).toMatchObject({ code: 'not_member' })
  })

  test('of a live device ends at the same entry', async () => {
    const [owner, ann, ben] = await newCircle('owner', 'ann', 'ben')
    const group = await makeGroup(server, owner!, [ann!, ben!])
    using leaver = await Device.connect(server, ann!, 'phone')
    using stayer = await Device.connect(server, ben!, 'phone')
    using sender = await Device.connect(server, owner!, 'phone')
    await sender.send({ id: 'm1', to: group, text: 'one' })
    await server.http('groups.leave', { id: group }, as(ann!))
    await sender.send({ id: 'm2', to: group, text: 'two' })
    await stayer.untilText('two')
    await leaver.settle()
    expect(leaver.texts).toEqual(['one'])
    expect(allOf(leaver.inbox, group).at(-1)?.kind).toBe('group')
  })

  test('that begins again is a second window: the time between stays hidden', async () => {
    const [owner, ann] = await newCircle('owner', 'ann')
    const group = await makeGroup(server, owner!, [ann!])
    using sender = await Device.connect(server, owner!, 'phone')
    using device = await Device.connect(server, ann!, 'phone', { clean: false })
    await sender.send({ id: 'm1', to: group, text: 'first window' })
    await server.http('groups.remove', { id: group, members: [ann] }, as(owner!))
    const hidden = await sender.send({ id: 'm2', to: group, text: 'hidden' })
    await server.http('groups.add', { id: group, members: [ann] }, as(owner!))
    await sender.send({ id: 'm3', to: group, text: 'second window' })
    await device.untilText('second window')
    expect(device.texts).toEqual(['first window', 'second window'])
    const seqs = seqsOf((await pageOf(ann!, group)).entries)
    expect(seqs).not.toContain(hidden.seq)
    expect(seqs).toContain(hidden.seq! - 1)
    expect(seqs).toContain(hidden.seq! + 1)
  })

  test('is told to all members in the log', async () => {
    const [owner, ann, ben] = await newCircle('owner', 'ann', 'ben')
    using watcher = await Device.connect(server, ann!, 'phone')
    const group = await makeGroup(server, owner!, [ann!])
    await server.http('groups.add', { id: group, members: [ben] }, as(owner!))
    await server.http('groups.leave', { id: group }, as(ben!))
    await until(() => allOf(watcher.inbox, group).length >= 3, 'three entries of kind group')
    const entries = allOf(watcher.inbox, group)
    expect(entries.every((entry) => entry.kind === 'group')).toBe(true)
    expect(seqsOf(entries)).toEqual([1, 2, 3])
    expect(JSON.stringify(entries.at(-1))).toContain(ben)
  })
})

describe('rules', () => {
  test('adding a stranger or an unknown user fails the whole call and lists them', async () => {
    const [owner, ann] = await newCircle('owner', 'ann')
    const stranger = newUid('stranger')
    await makeAccounts(server, stranger)
    const unknown = newUid('nobody')
    const failed = server.http('groups.create', { name: 'g', members: [ann, stranger, unknown] }, as(owner!))
    await expect(failed).rejects.toMatchObject({ code: 'users_refused', status: 409 })
    const details = await failed.catch((error: { details: unknown }) => error.details)
    expect(details).toEqual({
      users: expect.arrayContaining([
        { uid: stranger, code: 'not_friends' },
        { uid: unknown, code: 'unknown_user' },
      ]),
    })
    expect(await server.http('groups.list', {}, as(owner!))).toEqual({ items: [] })
    expect(await server.http('groups.list', {}, as(ann!))).toEqual({ items: [] })
  })

  test('members remove nobody; when the owner leaves, the first of the others owns', async () => {
    const [owner, ann, ben] = await newCircle('owner', 'ann', 'ben')
    const group = await makeGroup(server, owner!, [ann!])
    await server.http('groups.add', { id: group, members: [ben] }, as(owner!))
    await expect(server.http('groups.remove', { id: group, members: [ben] }, as(ann!))).rejects.toMatchObject(
      { code: 'not_admin', status: 403 },
    )
    await server.http('groups.leave', { id: group }, as(owner!))
    await server.http('groups.remove', { id: group, members: [ben] }, as(ann!))
    const list = await server.http<{ items: { id: string; owner: string; members: number }[] }>(
      'groups.list',
      {},
      as(ann!),
    )
    expect(list.items).toEqual([expect.objectContaining({ id: group, owner: ann, members: 1 })])
  })

  test('somebody outside cannot add, leave, page or see the members', async () => {
    const [owner, ann] = await newCircle('owner', 'ann')
    const group = await makeGroup(server, owner!, [ann!])
    const outsider = newUid('outsider')
    await makeAccounts(server, outsider)
    for (const [operation, params] of [
      ['groups.add', { id: group, members: [outsider] }],
      ['groups.leave', { id: group }],
      ['groups.members', { id: group }],
    ] as const) {
      await expect(server.http(operation, params, as(outsider)), operation).rejects.toMatchObject({
        code: 'unknown_group',
      })
    }
    await expect(pageOf(outsider, group)).rejects.toMatchObject({ code: 'unknown_log' })
  })

  test('members are listed in pages, who joined first first', async () => {
    const [owner, ...friends] = await newCircle('owner', ...Array.from({ length: 9 }, (_, i) => `f${i}`))
    const group = await makeGroup(server, owner!, friends)
    const seen: { uid: string; role: string }[] = []
    let cursor: string | undefined
    let pages = 0
    do {
      const page = await server.http<{ members: typeof seen; cursor?: string }>(
        'groups.members',
        { id: group, limit: 4, ...(cursor !== undefined && { cursor }) },
        as(friends[0]!),
      )
      seen.push(...page.members)
      cursor = page.cursor
      pages += 1
    } while (cursor !== undefined && pages < 10)
    expect(seen.map((member) => member.uid)).toEqual([owner!, ...friends])
    expect(seen.filter((member) => member.role === 'owner').map((member) => member.uid)).toEqual([owner])
  })

  test('a create repeated under its requestId makes one group', async () => {
    const [owner, ann] = await newCircle('owner', 'ann')
    const params = { name: 'once', members: [ann], requestId: 'r-1' }
    const first = await server.http('groups.create', params, as(owner!))
    expect(await server.http('groups.create', params, as(owner!))).toEqual(first)
    const list = await server.http<{ items: unknown[] }>('groups.list', {}, as(owner!))
    expect(list.items.length).toBe(1)
  })

  test('groups work over MQTT as over HTTP', async () => {
    const [alice, bob] = [newUid('alice'), newUid('bob')]
    await befriend(server, alice, bob)
    using device = await Device.connect(server, alice, 'phone')
    const made = await device.call('groups.create', { name: 'by mqtt', members: [bob] }, 'r1')
    expect(made).toMatchObject({ kind: 'result', op: 'groups.create', ref: 'r1' })
    const { id } = made.result as { id: string }
    expect(await device.call('groups.members', { id }, 'r2')).toMatchObject({
      kind: 'result',
      result: { members: expect.arrayContaining([expect.objectContaining({ uid: bob })]) },
    })
    expect(await device.call('groups.add', { id, members: ['no-such-user'] }, 'r3')).toMatchObject({
      kind: 'refused',
      op: 'groups.add',
      ref: 'r3',
      code: 'users_refused',
    })
  })
})

describe('rules, links and the end of a group', () => {
  test('every member hears on the inbox who is muted, who joined by a link, and that it is over', async () => {
    const [owner, ann, ben] = await newCircle('owner', 'ann', 'ben')
    const [guest] = await newCircle('guest')
    const group = await makeGroup(server, owner!, [ann!, ben!])
    using annPhone = await Device.connect(server, ann!, 'phone')
    using benPhone = await Device.connect(server, ben!, 'phone')
    using guestPhone = await Device.connect(server, guest!, 'phone')
    const { token } = await server.http<{ token: string }>('groups.createLink', { id: group }, as(ben!))
    const untilMs = Date.now() + 3_600_000
    await server.http('groups.mute', { id: group, uid: ann, untilMs }, as(owner!))
    await expect(annPhone.send({ id: 'm1', to: group, text: 'x' })).resolves.toMatchObject({
      kind: 'refused',
      code: 'muted',
    })
    expect(await guestPhone.call('groups.join', { token }, 'j1')).toMatchObject({
      result: { id: group, state: 'joined' },
    })
    await guestPhone.send({ id: 'm2', to: group, text: 'hello from outside' })
    await server.http('groups.dissolve', { id: group }, as(owner!))
    await expect(guestPhone.send({ id: 'm3', to: group, text: 'x' })).resolves.toMatchObject({
      kind: 'refused',
    })
    const typesOf = (device: Device) =>
      allOf(device.inbox, group).map(({ kind, type }) => (kind === 'group' ? type : kind))
    await until(() => typesOf(benPhone).at(-1) === 'dissolved', 'ben hears that it is over')
    expect(typesOf(benPhone)).toEqual(['muted', 'joined', 'message', 'dissolved'])
    await until(() => typesOf(guestPhone).at(-1) === 'dissolved', 'the guest hears it too')
    expect(await server.http('groups.list', {}, as(ann!))).toEqual({ items: [] })
  })
})
