/** Moderation as operators and people meet it: a list of words, a service that is asked first, reports and their queue. */
import { createHmac, randomBytes } from 'node:crypto'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { admin, adminRaw } from '../harness/admin.ts'
import { Device, type InboxEntry } from '../harness/device.ts'
import { directLog, newFriends, newUid } from '../harness/people.ts'
import { sharedServer, type TestServer } from '../harness/server.ts'
import { until } from '../harness/wait.ts'

const server = sharedServer()

const textsOf = async (of: TestServer, uid: string, log: string): Promise<unknown[]> => {
  const page = await of.http<{ entries: InboxEntry[] }>('messages.page', { log }, of.token(uid, null))
  return page.entries.map(({ body }) => body.text)
}

describe('the list of words', () => {
  test('rejects, masks and withholds, and forgets a word that is taken off', async () => {
    const { alice, bob } = await newFriends(server)
    const log = directLog(alice, bob)
    const early = { id: 'm0', to: bob, text: 'verboten then' }
    const planned = { id: 'p0', to: bob, text: 'verboten later', at: Date.now() + 60_000 }
    const sendEarly = async () => [
      await server.http('messages.send', early, server.token(alice, null)),
      await server.http('messages.schedule', planned, server.token(alice, null)),
    ]
    const before = await sendEarly()
    await admin(server, 'setWords', {
      words: [
        { word: 'verboten', action: 'reject' },
        { word: '坏话', action: 'mask' },
        { word: 'hush', action: 'withhold' },
      ],
    })
    using sender = await Device.connect(server, alice, 'phone')
    using receiver = await Device.connect(server, bob, 'phone')
    let tries = 0
    for (const place of server.nodes.keys()) {
      server.serveFrom(place)
      await until(async () => {
        const send = { id: `try-${tries++}`, to: bob, text: 'this is Verboten' }
        const sent = server.http('messages.send', send, server.token(alice, null))
        return (await sent.catch(({ code }) => code)) === 'content_refused'
      }, `the list in force on node ${place}`)
    }
    server.serveFrom(...server.nodes.keys())
    // What was accepted before is so when it is repeated, and nothing of it is stored twice.
    expect(await sendEarly()).toEqual(before)
    expect(await sender.send(early)).toMatchObject({ kind: 'accepted', seq: 1 })
    const planMasked = () =>
      server.http('messages.schedule', { ...planned, id: 'p1', text: '说坏话了' }, server.token(alice, null))
    expect(await planMasked()).toEqual({ id: 'p1' })
    expect((await sender.send({ id: 'm1', to: bob, text: '说坏话了' })).kind).toBe('accepted')
    expect((await sender.send({ id: 'm2', to: bob, text: 'hush now' })).kind).toBe('accepted')
    expect((await sender.send({ id: 'm3', to: bob, text: 'fine' })).kind).toBe('accepted')
    await receiver.untilText('fine')
    expect(
      receiver.messages.map(({ body }) => body.text).filter((text) => text !== 'this is Verboten'),
    ).toEqual(['说**了', 'fine'])
    expect(await textsOf(server, alice, log)).toContain('hush now')
    expect(await textsOf(server, bob, log)).not.toContain('hush now')
    const { seq } = (await sender.send({ id: 'm4', to: bob, text: 'harmless' })) as { seq: number }
    const edit = server.http(
      'messages.edit',
      { log, seq, body: { text: 'verboten' } },
      server.token(alice, null),
    )
    await expect(edit).rejects.toMatchObject({ code: 'content_refused' })
    const { words } = await admin(server, 'removeWords', { words: ['verboten', '坏话', 'hush'] })
    expect(words).toBe(0)
    await until(async () => {
      const reply = await sender.send({ id: `again-${tries++}`, to: bob, text: 'verboten' })
      return reply.kind === 'accepted'
    }, 'the empty list in force')
    const { seq: masked } = sender.replies.find(({ id }) => id === 'm1')!
    using tablet = await Device.connect(server, alice, 'tablet')
    const again = await tablet.send({ id: 'm1', to: bob, text: '说坏话了' })
    expect(again).toMatchObject({ kind: 'accepted', seq: masked })
    expect(await planMasked()).toEqual({ id: 'p1' })
    const other = server.http(
      'messages.send',
      { id: 'm1', to: bob, text: '说**了' },
      server.token(alice, null),
    )
    await expect(other).rejects.toMatchObject({ code: 'id_conflict' })
  })
})

describe('a message that is planned', () => {
  test('is looked at again when it is sent: a word that was banned since stops it, and its author is told', async () => {
    const { alice, bob } = await newFriends(server)
    using phone = await Device.connect(server, alice, 'phone')
    const at = Date.now() + 3000
    const plan = { id: 'later', to: bob, text: 'a nowbanned word', at }
    expect(await phone.call('messages.schedule', plan, 'r1')).toMatchObject({ kind: 'result' })
    await admin(server, 'setWords', { words: [{ word: 'nowbanned', action: 'reject' }] })
    const failed = await until(
      () => phone.inbox.find(({ type }) => type === 'schedule_failed'),
      () => `a notice; ${JSON.stringify(phone.inbox)}`,
    )
    expect(failed.body).toMatchObject({ id: 'later', code: 'content_refused' })
    await server.http('messages.send', { to: bob, text: 'fine' }, server.token(alice, null))
    expect(await textsOf(server, bob, directLog(alice, bob))).toEqual(['fine'])
    await admin(server, 'removeWords', { words: ['nowbanned'] })
  })
})

describe('reports', () => {
  test('reach the queue once with what was said, and a removed message is gone for everybody', async () => {
    const { alice, bob } = await newFriends(server)
    const log = directLog(alice, bob)
    using sender = await Device.connect(server, alice, 'phone')
    const { seq } = (await sender.send({ id: 'm1', to: bob, text: 'something awful' })) as { seq: number }
    const report = { log, seq, reason: 'abuse', text: 'please look' }
    const made = await server.http<{ report: number }>('reports.create', report, server.token(bob, null))
    expect(await server.http('reports.create', report, server.token(bob, null))).toEqual(made)
    const { reports } = await admin(server, 'reports', {})
    expect(reports.filter(({ n }) => n === made.report)).toMatchObject([
      {
        reporter: bob,
        uid: alice,
        log,
        seq,
        reason: 'abuse',
        text: 'please look',
        evidence: { kind: 'message', from: alice, body: { text: 'something awful' } },
      },
    ])
    using receiver = await Device.connect(server, bob, 'phone')
    const decided = await admin(server, 'decideReport', { n: made.report, decision: 'remove', note: 'clear' })
    expect(decided).toMatchObject({ decision: 'remove', note: 'clear', decidedAt: expect.any(Number) })
    await until(
      () => receiver.inbox.find((entry) => entry.kind === 'recall' && entry.body.seq === seq),
      'a recall',
    )
    expect((await textsOf(server, alice, log))[0]).toBeUndefined()
    const again = admin(server, 'decideReport', { n: made.report, decision: 'dismiss' })
    await expect(again).rejects.toThrow(/report_decided/)
  })

  test('of what one cannot see are refused', async () => {
    const { alice, bob } = await newFriends(server)
    const { alice: eve } = await newFriends(server)
    using sender = await Device.connect(server, alice, 'phone')
    await sender.send({ id: 'm1', to: bob, text: 'private' })
    const refusalOf = (params: object) =>
      server.http('reports.create', params, server.token(eve, null)).then(
        () => 'taken',
        (error: { code: string }) => error.code,
      )
    const reason = 'spam'
    expect(await refusalOf({ log: directLog(alice, bob), seq: 1, reason })).toBe('unknown_log')
    expect(await refusalOf({ log: directLog(alice, bob), reason })).toBe('bad_request')
    expect(await refusalOf({ uid: 'nobody-here', reason })).toBe('unknown_user')
    expect(await refusalOf({ uid: alice, reason })).toBe('taken')
  })
})

// ---------------------------------------------------------------- the hook

type Asked = { message: { from: string; log: string; to?: string; type: string; body: { text: string } } }

/** A service that decides by what a text says; it keeps what it was asked. */
class Judge {
  readonly asked: Asked[] = []
  readonly signatures: boolean[] = []
  readonly secret = `whsec_${randomBytes(32).toString('base64')}`
  readonly #server: Server
  #released = Promise.withResolvers<void>()

  constructor() {
    this.#server = createServer(async (request, response) => {
      const chunks: Buffer[] = []
      for await (const chunk of request) chunks.push(chunk as Buffer)
      const body = Buffer.concat(chunks).toString()
      const id = request.headers['webhook-id']
      const signed = `${String(id)}.${String(request.headers['webhook-timestamp'])}.${body}`
      const mac = createHmac('sha256', Buffer.from(this.secret.slice(6), 'base64'))
        .update(signed)
        .digest('base64')
      this.signatures.push(request.headers['webhook-signature'] === `v1,${mac}`)
      const asked = JSON.parse(body) as Asked
      this.asked.push(asked)
      const { text } = asked.message.body
      if (text === 'hang') return
      if (text.startsWith('wait')) await this.#released.promise
      if (text === 'fail') response.writeHead(500).end()
      else if (text === 'nonsense') response.end('{"verdict": 7}')
      else response.end(JSON.stringify(verdictOn(asked.message)))
    })
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/judge`
  }

  /** Answers about every text that begins with "wait". */
  release(): void {
    this.#released.resolve()
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}

function verdictOn({ to, body: { text } }: Asked['message']): object {
  if (text.startsWith('only alice')) return { verdict: to?.startsWith('alice') ? 'accept' : 'refuse' }
  if (text.startsWith('no')) return { verdict: 'refuse', message: 'not here' }
  if (text.startsWith('quiet')) return { verdict: 'withhold' }
  if (text.startsWith('polish')) return { verdict: 'replace', body: { text: 'polished' } }
  return { verdict: 'accept' }
}

describe('the before-send hook', () => {
  const judge = new Judge()
  const env: Record<string, string> = {
    WOCHAT_BEFORE_SEND_SECRET: judge.secret,
    WOCHAT_BEFORE_SEND_TIMEOUT_MS: '3000',
  }
  beforeAll(async () => {
    env.WOCHAT_BEFORE_SEND_URL = await judge.listen()
  })
  afterAll(() => judge.close())
  const judged = sharedServer({ env })

  test('decides about each message, signed, and the answers keep their order', async () => {
    const { alice, bob } = await newFriends(judged)
    using sender = await Device.connect(judged, alice, 'phone')
    using receiver = await Device.connect(judged, bob, 'phone')
    const texts = ['one', 'no way', 'quiet please', 'polish me', 'two']
    const replies = await Promise.all(texts.map((text, i) => sender.send({ id: `m${i}`, to: bob, text })))
    expect(replies.map(({ kind, code, message }) => [kind, code, message])).toEqual([
      ['accepted', undefined, undefined],
      ['refused', 'content_refused', 'not here'],
      ['accepted', undefined, undefined],
      ['accepted', undefined, undefined],
      ['accepted', undefined, undefined],
    ])
    await receiver.untilText('two')
    expect(receiver.messages.map(({ body }) => body.text)).toEqual(['one', 'polished', 'two'])
    expect(
      judge.asked
        .slice(-5)
        .map(({ message }) => message.body.text)
        .sort(),
    ).toEqual([...texts].sort())
    expect(judge.asked.at(-1)!.message).toMatchObject({
      from: alice,
      to: bob,
      log: directLog(alice, bob),
      type: 'text',
    })
    expect(judge.signatures.every(Boolean)).toBe(true)
  })

  test('decides about what an operator sends for somebody, and about each message of a broadcast', async () => {
    const { alice, bob } = await newFriends(judged)
    const sendAs = (id: string, text: string) =>
      adminRaw(judged, 'sendAs', { body: JSON.stringify({ uid: alice, to: bob, id, text }) })
    expect((await sendAs('s1', 'no way')).body).toMatchObject({
      error: { code: 'content_refused', message: 'not here' },
    })
    expect((await sendAs('s2', 'polish me')).status).toBe(200)
    expect(await textsOf(judged, bob, directLog(alice, bob))).toEqual(['polished'])
    const [from, id] = [newUid('news'), newUid('b')]
    await admin(judged, 'addSystemAccount', { uid: from, name: 'News' })
    const body = { text: 'only alice' }
    await admin(judged, 'broadcast', { id, from, body, filter: { uids: [alice, bob] } })
    const row = await until(async () => {
      const { broadcasts } = await admin(judged, 'broadcasts', {})
      return broadcasts.find((one) => one.id === id && one.state === 'done')
    }, 'the broadcast to be done')
    expect(row).toMatchObject({ sent: 1, skipped: 1 })
    expect(await textsOf(judged, alice, directLog(from, alice))).toEqual(['only alice'])
  })

  test('refuses what it was asked about while the author was suspended, and not what an operator sends', async () => {
    const { alice, bob } = await newFriends(judged)
    const token = judged.token(alice, null)
    using sender = await Device.connect(judged, alice, 'phone')
    using receiver = await Device.connect(judged, bob, 'phone')
    const log = directLog(alice, bob)
    const { seq } = (await sender.send({ id: 'm1', to: bob, text: 'first' })) as { seq: number }
    sender.publishSend({ id: 'm2', to: bob, text: 'wait: over MQTT' })
    const at = Date.now() + 60_000
    const calls = [
      judged.http('messages.send', { to: bob, text: 'wait: a call' }, token),
      judged.http('messages.edit', { log, seq, body: { text: 'wait: an edit' } }, token),
      judged.http('messages.schedule', { to: bob, text: 'wait: planned', at }, token),
    ]
    const codes = calls.map((call) =>
      call.then(
        () => 'taken',
        ({ code }) => code as string,
      ),
    )
    const asked = () => judge.asked.filter(({ message }) => message.body.text.startsWith('wait'))
    await until(() => asked().length === 4, 'the service to be asked')
    await admin(judged, 'suspend', { uid: alice, reason: 'spam' })
    await sender.client.untilClosed()
    judge.release()
    expect(await Promise.all(codes)).toEqual(Array(3).fill('account_suspended'))
    await admin(judged, 'sendAs', { uid: alice, to: bob, id: 'm3', text: 'by the operator' })
    await admin(judged, 'unsuspend', { uid: alice })
    using back = await Device.connect(judged, alice, 'phone')
    await back.send({ id: 'm4', to: bob, text: 'last' })
    await receiver.untilText('last')
    expect(receiver.texts).toEqual(['first', 'by the operator', 'last'])
    expect(await judged.http('messages.scheduled', {}, token)).toMatchObject({ items: [] })
  })

  test.each(['fail', 'nonsense', 'hang'])('that answers with %s refuses, to be tried again', async (text) => {
    const { alice, bob } = await newFriends(judged)
    const send = judged.http('messages.send', { id: 'm1', to: bob, text }, judged.token(alice, null))
    await expect(send).rejects.toMatchObject({ code: 'screening_away' })
    expect(
      await judged.http('messages.send', { to: bob, text: 'ok' }, judged.token(alice, null)),
    ).toMatchObject({
      seq: 1,
    })
  })
})
