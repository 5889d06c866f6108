/** Every type of event that the protocol knows, provoked by what people do and posted to a receiver that checks it. */
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Compile } from 'typebox/compile'
import { afterAll, describe, expect, test } from 'vitest'
import { EVENT_TYPES, EVENTS, EventSchema, type EventType } from '../../protocol/events.ts'
import { admin, adminRaw } from '../harness/admin.ts'
import { befriend, directLog, logIn, makeAccounts, newFriends, newPhone, newUid } from '../harness/people.ts'
import { type ReceivedEvent, Receiver } from '../harness/receiver.ts'
import { sharedServer } from '../harness/server.ts'
import { until } from '../harness/wait.ts'

const SECRET = `whsec_${Buffer.alloc(32, 9).toString('base64')}`

const folder = mkdtempSync(join(tmpdir(), 'wochat-files-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const server = sharedServer({ env: { WOCHAT_MEDIA_DIR: folder } })

const by = <Result = Record<string, unknown>>(uid: string, operation: string, params: object) =>
  server.http<Result>(operation, params, server.token(uid, null))

/** What the situations are made of: three friends of alice's, a group of two of them, and a message. */
type Stage = {
  alice: string
  bob: string
  carol: string
  /** A stranger. */
  dave: string
  /** A login of its own by phone. */
  erin: { uid: string; phone: string; token: string }
  group: string
  log: string
  seq: number
}

/** Does what brings about one event of the type, and says of what data it must be. */
type Situation = (stage: Stage) => Promise<Record<string, unknown>>

async function setStage(): Promise<Stage> {
  const { alice, bob } = await newFriends(server)
  const [carol, dave, uid] = [newUid('carol'), newUid('dave'), newUid('erin')]
  await befriend(server, alice, carol)
  await makeAccounts(server, dave)
  const phone = newPhone()
  const { accessToken: token } = await logIn(server, { phone, uid, deviceId: 'phone' })
  const { id: group } = await by<{ id: string }>(alice, 'groups.create', { name: 'g', members: [bob] })
  const { seq } = await by<{ seq: number }>(alice, 'messages.send', { to: bob, text: 'a message' })
  return { alice, bob, carol, dave, erin: { uid, phone, token }, group, log: directLog(alice, bob), seq }
}

/** One call of alice's about the group, and what its entry says. */
const inGroup =
  (
    operation: string,
    params: (stage: Stage) => object,
    body: (stage: Stage) => object = () => ({}),
  ): Situation =>
  async (stage) => {
    const { alice, group } = stage
    await by(alice, operation, { id: group, ...params(stage) })
    return { log: group, kind: 'group', from: alice, body: expect.objectContaining(body(stage)) }
  }

/** One call about the other, told on the notice log of `reader`. */
const between =
  (
    operation: string,
    whose: 'alice' | 'dave',
    reader: 'alice' | 'dave',
    more: object = {},
    told: object = {},
  ): Situation =>
  async (stage) => {
    const other = (one: 'alice' | 'dave') => (one === 'alice' ? stage.dave : stage.alice)
    await by(stage[whose], operation, { uid: other(whose), ...more })
    const body = { uid: other(reader), ...told }
    return { log: `n:${stage[reader]}`, kind: 'contact', from: stage[whose], body }
  }

const aboutMessage =
  (operation: string, params: object, kind: string): Situation =>
  async ({ alice, log, seq }) => {
    await by(alice, operation, { log, seq, ...params })
    return { log, kind, from: alice, body: expect.objectContaining({ seq }) }
  }

const carol = ({ carol: uid }: Stage) => ({ uid })

/** In the order in which they happen. */
const SITUATIONS: Record<EventType, Situation> = {
  'account.created': async () => {
    const uid = newUid('frank')
    await makeAccounts(server, uid)
    return { uid }
  },
  'account.deactivated': async ({ erin: { uid, token } }) => {
    await server.http('accounts.deactivate', {}, token)
    return { uid }
  },
  'account.active': async ({ erin }) => {
    erin.token = (await logIn(server, { phone: erin.phone, deviceId: 'phone' })).accessToken
    return { uid: erin.uid }
  },
  'account.erased': async ({ erin: { uid, token } }) => {
    await server.http('accounts.erase', { confirm: uid }, token)
    return { uid }
  },
  'account.suspended': async ({ dave: uid }) => {
    const { until: end } = await admin(server, 'suspend', { uid, reason: 'spam', until: Date.now() + 60_000 })
    await admin(server, 'unsuspend', { uid })
    return { uid, until: end }
  },
  'message.stored': async ({ alice, bob, log }) => {
    const body = { text: 'stored "as" it\nis' }
    const { seq } = await by<{ seq: number }>(alice, 'messages.send', { id: 'm "1"', to: bob, body })
    return { log, seq, kind: 'message', from: alice, device: null, id: 'm "1"', type: 'text', body }
  },
  'message.edited': aboutMessage('messages.edit', { body: { text: 'edited' } }, 'edit'),
  'message.reacted': aboutMessage('messages.react', { emoji: '\u{1f44d}', on: true }, 'reaction'),
  'report.made': async ({ alice, bob, log, seq }) => {
    const { report } = await by<{ report: number }>(bob, 'reports.create', { log, seq, reason: 'abuse' })
    return { report, reporter: bob, uid: alice, log, seq, reason: 'abuse' }
  },
  'message.recalled': aboutMessage('messages.recall', {}, 'recall'),
  'media.ready': async ({ alice }) => {
    const bytes = Buffer.from('a file of some words')
    const sha256 = createHash('sha256').update(bytes).digest('hex')
    const { id } = await by<{ id: string }>(alice, 'media.create', { bytes: bytes.length, sha256 })
    const headers = { authorization: `Bearer ${server.token(alice, null)}` }
    const put = { method: 'PUT', headers, body: new Uint8Array(bytes) }
    expect((await fetch(`${server.httpUrl}/v1/media/${id}/parts/1`, put)).status).toBe(200)
    const { type } = await by<{ type: string }>(alice, 'media.complete', { id })
    return { media: id, uid: alice, bytes: bytes.length, type }
  },
  'contact.requested': between('contacts.request', 'dave', 'dave', { text: 'hi' }, { text: 'hi' }),
  'contact.refused': between('contacts.refuse', 'alice', 'alice'),
  'contact.asked': between('contacts.request', 'alice', 'dave'),
  'contact.friend': between('contacts.accept', 'dave', 'alice'),
  'contact.updated': between('contacts.update', 'alice', 'alice', { remark: 'Dave' }),
  'contact.blocked': between('contacts.block', 'alice', 'alice'),
  'contact.unblocked': between('contacts.unblock', 'alice', 'alice'),
  'contact.removed': between('contacts.remove', 'alice', 'dave'),
  'group.created': async ({ alice, bob }) => {
    const { id: log } = await by(alice, 'groups.create', { name: 'new', members: [bob] })
    return { log, kind: 'group', from: alice, body: { name: 'new', owner: alice, members: [alice, bob] } }
  },
  'group.added': inGroup('groups.add', ({ carol: uid }) => ({ members: [uid] })),
  'group.role': inGroup('groups.setRole', (s) => ({ ...carol(s), role: 'admin' }), carol),
  'group.nickname': inGroup(
    'groups.setNickname',
    () => ({ nickname: 'A' }),
    () => ({ nickname: 'A' }),
  ),
  'group.muted': inGroup('groups.mute', (s) => ({ uid: s.bob, untilMs: Date.now() + 60_000 })),
  'group.unmuted': inGroup('groups.mute', (s) => ({ uid: s.bob, untilMs: null })),
  'group.updated': inGroup(
    'groups.update',
    () => ({ about: 'us' }),
    () => ({ about: 'us' }),
  ),
  'group.announced': inGroup(
    'groups.announce',
    () => ({ text: 'Read.' }),
    () => ({ text: 'Read.' }),
  ),
  'group.pinned': async ({ alice, group }) => {
    const { seq } = await by<{ seq: number }>(alice, 'messages.send', { to: group, text: 'pin me' })
    await by(alice, 'messages.pin', { log: group, seq })
    return { log: group, kind: 'group', from: alice, body: { seq } }
  },
  'group.unpinned': async ({ alice, group }) => {
    const { items } = await by<{ items: { seq: number }[] }>(alice, 'messages.pins', { log: group })
    const { seq } = items[0]!
    await by(alice, 'messages.unpin', { log: group, seq })
    return { log: group, kind: 'group', from: alice, body: { seq } }
  },
  'group.removed': inGroup('groups.remove', ({ carol: uid }) => ({ members: [uid] })),
  'group.banned': inGroup('groups.ban', carol, carol),
  'group.unbanned': inGroup('groups.unban', carol, carol),
  'group.joined': async ({ alice, dave, group }) => {
    const { token } = await by<{ token: string }>(alice, 'groups.createLink', { id: group })
    await by(dave, 'groups.join', { token })
    return { log: group, kind: 'group', from: dave }
  },
  'group.left': async ({ dave, group }) => {
    await by(dave, 'groups.leave', { id: group })
    return { log: group, kind: 'group', from: dave }
  },
  'group.owner': async ({ alice, bob, group }) => {
    await by(alice, 'groups.transfer', { id: group, uid: bob })
    await by(bob, 'groups.transfer', { id: group, uid: alice })
    return { log: group, kind: 'group', from: bob }
  },
  'group.dissolved': inGroup('groups.dissolve', () => ({})),
  // By itself; the other one was ended.
  'account.restored': async ({ carol: uid }) => {
    await admin(server, 'suspend', { uid, reason: 'spam', until: Date.now() + 300 })
    return { uid }
  },
}

/** What has an order of its own: a log, and all that is no entry. */
const streamOf = ({ data }: ReceivedEvent): string => (data.kind === undefined ? '' : String(data.log))

describe('webhooks', () => {
  test('are told every type of event of the protocol, signed, in order, and of the form that is promised', async () => {
    const stage = await setStage()
    await using receiver = await Receiver.start(SECRET)
    const id = newUid('all')
    await admin(server, 'addWebhook', { id, url: receiver.url, events: ['*'], secret: SECRET })

    expect(Object.keys(SITUATIONS).sort()).toEqual([...EVENT_TYPES].sort())
    const wanted: { type: string; data: Record<string, unknown> }[] = []
    for (const [type, provoke] of Object.entries(SITUATIONS))
      wanted.push({ type, data: await provoke(stage) })

    const find = (want: (typeof wanted)[number]) =>
      receiver.unique.findIndex((event) => event.type === want.type && isLike(event.data, want.data))
    const missing = () => wanted.filter((want) => find(want) < 0)
    await until(
      () => missing().length === 0,
      () => `${JSON.stringify(missing())}; came: ${receiver.unique.map(({ type }) => type).join(' ')}`,
    )
    await admin(server, 'removeWebhook', { id })

    expect(receiver.forged).toBe(0)
    expect(receiver.headers.length).toBeGreaterThan(0)
    for (const event of receiver.unique) {
      expect([...Compile(EventSchema).Errors(event)], event.type).toEqual([])
      expect(EVENT_TYPES).toContain(event.type)
      expect([...Compile(EVENTS[event.type as EventType]).Errors(event.data)], event.type).toEqual([])
    }
    expect(receiver.taken.map(({ seq }) => seq)).toEqual(
      receiver.unique.map(({ seq }) => seq).sort((a, b) => a - b),
    )
    // The entries of a log come as they were appended, what is no entry as it happened.
    for (const events of Map.groupBy(receiver.unique, streamOf).values()) {
      const seqs = events.flatMap(({ data }) => (data.kind === undefined ? [] : [Number(data.seq)]))
      expect(seqs).toEqual([...seqs].sort((a, b) => a - b))
    }
    const others = wanted.filter(({ data }) => data.kind === undefined).map(find)
    expect(others).toEqual([...others].sort((a, b) => a - b))
  })
})

test('a webhook that asks for a type that does not exist is refused', async () => {
  const params = { id: newUid('typo'), url: 'http://127.0.0.1:9/', events: ['message.*', 'message.store'] }
  const { status, body } = await adminRaw(server, 'addWebhook', { body: JSON.stringify(params) })
  expect({ status, ...body }).toMatchObject({
    status: 400,
    error: { code: 'bad_request', message: 'events: there is no message.store' },
  })
})

function isLike(data: Record<string, unknown>, wanted: Record<string, unknown>): boolean {
  try {
    expect(data).toMatchObject(wanted)
    return true
  } catch {
    return false
  }
}
