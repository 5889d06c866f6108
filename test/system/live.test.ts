/** What is live: typing, receipts and messages that are not kept, as the devices of people get them. */
import { describe, expect, test } from 'vitest'
import { Device } from '../harness/device.ts'
import { LiveEvents } from '../harness/live-events.ts'
import { befriendAll, directLog, makeAccounts, makeGroup, newFriends, newUid } from '../harness/people.ts'
import { sharedServer } from '../harness/server.ts'
import { until } from '../harness/wait.ts'

const server = sharedServer({
  env: { WOCHAT_SIGNALS_PER_SECOND_MAX: '20', WOCHAT_TYPING_MEMBERS_MAX: '3' },
})

describe('what one changes on one device', () => {
  test('is told to the own devices that are there, and what it was is among the changes of that version', async () => {
    const { alice, bob } = await newFriends(server)
    using phone = await Device.connect(server, alice, 'phone')
    using pc = await Device.connect(server, alice, 'pc')
    using other = await Device.connect(server, bob, 'phone')
    const live = await LiveEvents.follow(pc)
    const ofOther = await LiveEvents.follow(other)
    await phone.send({ id: 'first', to: bob, text: 'hello' })
    const log = directLog(alice, bob)
    const token = server.token(alice, 'phone')
    const changedSince = async (scope: string, since: number) => {
      const answer = await server.http<Record<string, unknown>>(`${scope}.changes`, { since }, token)
      return JSON.stringify(answer)
    }
    await phone.call('conversations.update', { log, pinned: true }, 'pin')
    await phone.call('contacts.update', { uid: bob, remark: 'Bobby' }, 'name')
    await phone.call('settings.set', { language: 'zh' }, 'language')
    for (const [scope, what] of [
      ['conversations', log],
      ['contacts', 'Bobby'],
      ['settings', 'zh'],
    ] as const) {
      const event = await live.next('changed', (one) => one.scope === scope)
      expect(event).toEqual({ kind: 'changed', scope, version: expect.any(Number) })
      expect(await changedSince(scope, Number(event.version) - 1)).toContain(what)
      expect(await changedSince(scope, Number(event.version))).not.toContain(what)
    }
    await other.settle()
    expect(ofOther.ofKind('changed')).toEqual([])
  })
})

describe('typing', () => {
  test('reaches the live devices of a friend, in both versions of MQTT, and nobody else', async () => {
    const { alice, bob } = await newFriends(server)
    using typing = await Device.connect(server, alice, 'phone', { version: 5 })
    using own = await Device.connect(server, alice, 'pc')
    using phone = await Device.connect(server, bob, 'phone')
    using pc = await Device.connect(server, bob, 'pc', { version: 5 })
    using deaf = await Device.connect(server, bob, 'tv')
    const heard = await Promise.all([phone, pc].map((device) => LiveEvents.follow(device)))
    const ownHeard = await LiveEvents.follow(own)
    const sender = await LiveEvents.follow(typing)
    sender.signal({ kind: 'typing', to: bob })
    for (const live of heard) {
      expect(await live.next('typing')).toEqual({ kind: 'typing', from: alice, log: directLog(alice, bob) })
    }
    await Promise.all([typing, own, deaf].map((device) => device.settle()))
    expect([...sender.events, ...ownHeard.events]).toEqual([])
    expect(deaf.client.received('publish').filter(({ topic }) => topic.endsWith('/live'))).toEqual([])
  })

  test('in a group is told to its other members, and in one that is too large to nobody', async () => {
    const [owner, near, far, extra] = ['owner', 'near', 'far', 'extra'].map(newUid) as [
      string,
      string,
      string,
      string,
    ]
    await befriendAll(server, owner, [near, far, extra])
    const small = await makeGroup(server, owner, [near])
    const large = await makeGroup(server, owner, [near, far, extra])
    using sender = await Device.connect(server, owner, 'phone')
    using member = await Device.connect(server, near, 'phone')
    using stranger = await Device.connect(server, far, 'phone')
    const live = await LiveEvents.follow(sender)
    const ofMember = await LiveEvents.follow(member)
    const ofStranger = await LiveEvents.follow(stranger)
    await Promise.all([member, stranger].map((device) => device.untilSynced()))
    live.signal({ kind: 'typing', to: large })
    live.signal({ kind: 'typing', to: small })
    expect(await ofMember.next('typing')).toEqual({ kind: 'typing', from: owner, log: small })
    await stranger.settle()
    expect([ofMember.events.length, ofStranger.events.length]).toEqual([1, 0])
  })

  test('of a stranger, and of somebody who is blocked, is told to nobody', async () => {
    const { alice, bob } = await newFriends(server)
    const stranger = newUid('stranger')
    await makeAccounts(server, stranger)
    await server.http('contacts.block', { uid: alice }, server.token(bob, null))
    using blocked = await Device.connect(server, alice, 'phone')
    using unknown = await Device.connect(server, stranger, 'phone')
    using phone = await Device.connect(server, bob, 'phone')
    const live = await LiveEvents.follow(phone)
    for (const device of [blocked, unknown]) {
      ;(await LiveEvents.follow(device)).signal({ kind: 'typing', to: bob })
      await device.settle()
    }
    await phone.settle()
    expect(live.events).toEqual([])
  })
})

describe('a signal', () => {
  test.each([
    ['no JSON', 'typing', 'bad_json'],
    ['no kind', {}, 'bad_request'],
    ['an unknown kind', { kind: 'dancing' }, 'bad_request'],
    ['another field', { kind: 'background', text: 'x' }, 'bad_request'],
    ['a conversation of others', { kind: 'typing', to: 'd:x:y' }, 'bad_request'],
    ['more than its size', { kind: 'typing', to: 'x'.repeat(2000) }, 'too_large'],
  ])('that is %s is refused on the reply topic, and the connection stays', async (_, signal, code) => {
    const uid = newUid('wrong')
    await makeAccounts(server, uid)
    using device = await Device.connect(server, uid, 'phone')
    const live = await LiveEvents.follow(device)
    live.signal(signal)
    expect(await device.reply(({ kind }) => kind === 'refused')).toMatchObject({ code })
    await device.settle()
  })

  test('above the rate is dropped without a word, counted, and never written', async () => {
    const { alice, bob } = await newFriends(server)
    using phone = await Device.connect(server, alice, 'phone')
    const live = await LiveEvents.follow(phone)
    const dropped = async () => (await server.metrics()).sum('wochat_signals_dropped_total')
    const before = await dropped()
    const commits = (await server.metrics()).sum('wochat_entries_total')
    for (let i = 0; i < 100; i++) live.signal({ kind: 'typing', to: bob })
    await phone.settle()
    expect((await dropped()) - before).toBeGreaterThanOrEqual(60)
    expect((await server.metrics()).sum('wochat_entries_total')).toBe(commits)
    expect(phone.replies.filter(({ kind }) => kind === 'refused')).toEqual([])
  })
})

describe('receipts', () => {
  test('tell the author at once that a message was delivered, and then that it was read', async () => {
    const { alice, bob } = await newFriends(server)
    using author = await Device.connect(server, alice, 'phone')
    using reader = await Device.connect(server, bob, 'phone')
    const live = await LiveEvents.follow(author)
    const log = directLog(alice, bob)
    const { seq } = await author.send({ id: 'r1', to: bob, text: 'Hello!' })
    expect(await live.next('delivered')).toEqual({ kind: 'delivered', from: bob, log, seq })
    await server.http('conversations.read', { log, seq }, server.token(bob, 'phone'))
    expect(await live.next('read')).toEqual({ kind: 'read', from: bob, log, seq })
    await reader.settle()
  })

  test('of a device without a stored session come too; what was not acknowledged is not delivered', async () => {
    const { alice, bob } = await newFriends(server)
    using author = await Device.connect(server, alice, 'phone')
    using silent = await Device.connect(server, bob, 'phone', { autoAck: false, clean: false })
    const live = await LiveEvents.follow(author)
    await author.send({ id: 's1', to: bob, text: 'one' })
    await silent.untilMessages(1)
    await author.settle()
    expect(live.ofKind('delivered')).toEqual([])
    using clean = await Device.connect(server, bob, 'pc')
    const { seq } = await author.send({ id: 's2', to: bob, text: 'two' })
    expect(await live.next('delivered')).toMatchObject({ from: bob, seq })
    await clean.settle()
  })

  test('that somebody has read is not told where they do not want it', async () => {
    const { alice, bob } = await newFriends(server)
    await server.http('settings.set', { sendReadReceipts: false }, server.token(bob, null))
    using author = await Device.connect(server, alice, 'phone')
    using reader = await Device.connect(server, bob, 'phone')
    using other = await Device.connect(server, bob, 'pc')
    const live = await LiveEvents.follow(author)
    const own = await LiveEvents.follow(other)
    const log = directLog(alice, bob)
    const { seq } = await author.send({ id: 'q1', to: bob, text: 'Hello!' })
    await live.next('delivered')
    await reader.call('conversations.read', { log, seq }, 'read')
    expect(await own.next('read')).toEqual({ kind: 'read', log, seq })
    await author.settle()
    expect(live.ofKind('read')).toEqual([])
  })
})

describe('a message that is not kept', () => {
  test('reaches those who are online, and nobody later', async () => {
    const { alice, bob } = await newFriends(server)
    using author = await Device.connect(server, alice, 'phone')
    using own = await Device.connect(server, alice, 'pc')
    using reader = await Device.connect(server, bob, 'phone')
    const [ofAuthor, ofOwn, ofReader] = await Promise.all(
      [author, own, reader].map((d) => LiveEvents.follow(d)),
    )
    const log = directLog(alice, bob)
    author.publishSend(
      JSON.stringify({ id: 't1', to: bob, type: 'custom:nudge', body: { n: 1 }, transient: true }),
    )
    const accepted = await author.reply(({ id }) => id === 't1')
    expect(accepted).toMatchObject({ kind: 'accepted', transient: true, log })
    for (const live of [ofOwn!, ofReader!]) {
      expect(await live.next('message')).toMatchObject({
        transient: true,
        log,
        from: alice,
        device: 'phone',
        id: 't1',
        type: 'custom:nudge',
        body: { n: 1 },
      })
    }
    await author.settle()
    expect(ofAuthor!.events).toEqual([])
    const { head } = await server
      .http<{ head: number }>('messages.page', { log }, server.token(bob, null))
      .catch(() => ({ head: 0 }))
    expect(head).toBe(0)
    await until(() => reader.messages.length === 0, 'nothing on the inbox')
  })
})

describe('a room that keeps no entries', () => {
  const hello = (room: string, id: string) =>
    JSON.stringify({ id, to: room, text: 'Hello!', transient: true })

  async function newRoom(owner: string): Promise<string> {
    await makeAccounts(server, owner)
    const params = { name: 'stage', keepsEntries: false }
    return (await server.http<{ id: string }>('rooms.create', params, server.token(owner, null))).id
  }

  test('carries messages to the connections that joined it, until they leave or end', async () => {
    const [owner, fan, late] = ['owner', 'fan', 'late'].map(newUid) as [string, string, string]
    const room = await newRoom(owner)
    await makeAccounts(server, fan, late)
    using stage = await Device.connect(server, owner, 'phone')
    using listener = await Device.connect(server, fan, 'phone')
    using other = await Device.connect(server, late, 'phone', { version: 5 })
    const [ofFan, ofLate] = await Promise.all([listener, other].map((device) => LiveEvents.follow(device)))
    const joined = await listener.call('rooms.join', { id: room }, 'join')
    expect((joined.result as { until: number }).until).toBeGreaterThan(Date.now())
    await other.call('rooms.join', { id: room }, 'join')
    await other.call('rooms.leave', { id: room }, 'leave')
    stage.publishSend(hello(room, 'h1'))
    expect(await ofFan!.next('message')).toMatchObject({ log: room, from: owner, body: { text: 'Hello!' } })
    // Who has left says nothing there, on any road; who came again does.
    other.publishSend(hello(room, 'h2'))
    expect(await other.reply(({ id }) => id === 'h2')).toMatchObject({ code: 'not_member' })
    const byHttp = server.http('messages.send', JSON.parse(hello(room, 'h3')), server.token(late, null))
    await expect(byHttp).rejects.toMatchObject({ code: 'not_member' })
    expect(ofLate!.events).toEqual([])
    await other.call('rooms.join', { id: room }, 'again')
    other.publishSend(hello(room, 'h4'))
    expect(await ofFan!.next('message', ({ id }) => id === 'h4')).toMatchObject({ from: late })
    await other.call('rooms.leave', { id: room }, 'gone')
    expect((await server.metrics()).sum('wochat_room_connections')).toBe(1)
    listener.cut()
    await until(
      async () => (await server.metrics()).sum('wochat_room_connections') === 0,
      'the seat to be free',
    )
  })

  test('is closed to the banned, takes nothing to be kept, and is joined over a connection only', async () => {
    const [owner, fan] = ['owner', 'fan'].map(newUid) as [string, string]
    const room = await newRoom(owner)
    await makeAccounts(server, fan)
    using device = await Device.connect(server, fan, 'phone')
    await expect(server.http('rooms.join', { id: room }, server.token(fan, 'phone'))).rejects.toMatchObject({
      code: 'connection_required',
    })
    expect(await device.send({ id: 'k1', to: room, text: 'Keep me' })).toMatchObject({
      code: 'transient_only',
    })
    const heard = await LiveEvents.follow(device)
    await device.call('rooms.join', { id: room }, 'before')
    const say = (text: string) =>
      server.http('messages.send', { to: room, text, transient: true }, server.token(owner, null))
    await say('All together')
    await heard.next('message')
    await server.http('groups.ban', { id: room, uid: fan }, server.token(owner, null))
    await until(
      async () => (await server.metrics()).sum('wochat_room_connections') === 0,
      'the ban to end the seat',
    )
    await say('Among us')
    await device.settle()
    expect(heard.events.filter(({ kind }) => kind === 'message')).toHaveLength(1)
    expect(await device.call('rooms.join', { id: room }, 'join')).toMatchObject({ code: 'banned' })
    device.publishSend(hello(room, 'b1'))
    expect(await device.reply(({ id }) => id === 'b1')).toMatchObject({ code: 'not_member' })
  })
})
