import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { get } from 'node:https'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CATALOGUE, OPERATION_NAMES, type OperationName } from '../../protocol/catalogue/catalogue.ts'
import type { Operation } from '../../protocol/catalogue/operation.ts'
import { ERRORS, type ErrorCode } from '../../protocol/errors.ts'
import { HTTP_ROUTES, ROUTE_NAMES } from '../../protocol/http-routes.ts'
import { buildOpenApi } from '../../protocol/openapi.ts'
import { type Answer, type Api, BODY_BYTES_MAX, post, startApi } from './testing/api.ts'
import { badParamsOf } from './testing/bad-params.ts'
import { writeCertificate } from './testing/certificate.ts'
import { StoreDigest } from './testing/store-digest.ts'

let api: Api
let token: string
let digest: StoreDigest
beforeAll(async () => {
  api = await startApi()
  digest = new StoreDigest(api.dir)
  token = (await api.login('+8613800000001', 'alice')).accessToken
})
afterAll(() => {
  digest[Symbol.dispose]()
  return api[Symbol.asyncDispose]()
})

/** Parameters that every operation takes, as far as their form goes. */
const VALID: { [Name in OperationName]: Record<string, unknown> } = {
  'auth.requestCode': { phone: '+8613800000009' },
  'auth.login': {
    phone: '+8613800000009',
    code: '000000',
    uid: 'x',
    device: { id: 'd', kind: 'k', name: 'n' },
  },
  'auth.refresh': { refreshToken: 'x' },
  'auth.logout': {},
  'auth.devices': {},
  'auth.revoke': { deviceId: 'other' },
  'contacts.request': { uid: 'bob', text: 'hi', requestId: 'r1' },
  'contacts.accept': { uid: 'bob', requestId: 'r2' },
  'contacts.refuse': { uid: 'bob', requestId: 'r3' },
  'contacts.list': { limit: 1, cursor: 'a' },
  'contacts.changes': { since: 0, limit: 1 },
  'contacts.update': { uid: 'bob', remark: 'Bobby', tags: ['work'], requestId: 'p1' },
  'contacts.remove': { uid: 'bob', requestId: 'r4' },
  'contacts.block': { uid: 'bob', mode: 'swallow', requestId: 'r5' },
  'contacts.unblock': { uid: 'bob', requestId: 'r6' },
  'profile.get': { uids: ['bob'] },
  'profile.set': { name: 'Alice', avatar: 'm', attributes: { city: 'Kyoto' }, requestId: 'p2' },
  'settings.get': {},
  'settings.set': {
    findByUid: true,
    findByPhone: true,
    whoMayAdd: 'everybody',
    lastSeenTo: 'friends',
    sendReadReceipts: true,
    doNotDisturb: { from: 0, to: 1, timezone: 'UTC' },
    language: 'de',
    requestId: 'p3',
  },
  'settings.changes': { since: 0, limit: 1 },
  'accounts.search': { query: 'bob' },
  'accounts.deactivate': { requestId: 'p4' },
  'accounts.export': {},
  'accounts.erase': { confirm: 'leaver', requestId: 'p5' },
  'groups.create': { name: 'g', avatar: 'm', about: 'x', members: ['bob'], requestId: 'r7' },
  'groups.get': { id: 'g:1' },
  'groups.changes': { since: '0.0.0', limit: 1 },
  'groups.update': {
    id: 'g:1',
    name: 'g',
    avatar: null,
    about: 'x',
    whoWrites: 'admins',
    whoInvites: 'admins',
    whoPins: 'members',
    approval: true,
    requestId: 'g1',
  },
  'groups.announce': { id: 'g:1', text: 'x', requestId: 'g2' },
  'groups.setRole': { id: 'g:1', uid: 'bob', role: 'admin', requestId: 'g3' },
  'groups.transfer': { id: 'g:1', uid: 'bob', requestId: 'g4' },
  'groups.mute': { id: 'g:1', uid: 'bob', untilMs: null, requestId: 'g5' },
  'groups.setNickname': { id: 'g:1', nickname: null, uid: 'bob', requestId: 'g6' },
  'groups.dissolve': { id: 'g:1', requestId: 'g7' },
  'groups.ban': { id: 'g:1', uid: 'bob', reason: 'x', until: 1, requestId: 'g8' },
  'groups.unban': { id: 'g:1', uid: 'bob', requestId: 'g9' },
  'groups.bans': { id: 'g:1', limit: 1, cursor: 'a' },
  'groups.createLink': { id: 'g:1', expiresAt: 1, usesMax: 1, requestId: 'g10' },
  'groups.links': { id: 'g:1' },
  'groups.endLink': { token: 'abcdefghijklmnopqrstuv', requestId: 'g11' },
  'groups.join': { token: 'abcdefghijklmnopqrstuv', text: 'x', requestId: 'g12' },
  'groups.requests': { id: 'g:1', limit: 1, cursor: 'a' },
  'groups.approve': { id: 'g:1', uid: 'bob', requestId: 'g13' },
  'groups.reject': { id: 'g:1', uid: 'bob', requestId: 'g14' },
  'rooms.create': { name: 'r', avatar: 'm', about: 'x', keepsEntries: false, requestId: 'g15' },
  'rooms.list': { query: 'x', limit: 1 },
  'rooms.join': { id: 'g:1', requestId: 'g16' },
  'rooms.leave': { id: 'g:1', requestId: 'g17' },
  'groups.add': { id: 'g:1', members: ['bob'], requestId: 'r8' },
  'groups.remove': { id: 'g:1', members: ['bob'], requestId: 'r9' },
  'groups.leave': { id: 'g:1', requestId: 'r10' },
  'groups.list': { limit: 1 },
  'groups.members': { id: 'g:1', role: 'admin', limit: 1, cursor: 'a' },
  'conversations.list': { limit: 1 },
  'conversations.read': { log: 'd:alice:bob', seq: 1, requestId: 'r11' },
  'conversations.changes': { since: 0, limit: 1 },
  'conversations.update': {
    log: 'd:alice:bob',
    pinned: true,
    mutedUntil: 1,
    archived: false,
    draft: 'x',
    hidden: false,
    markedUnread: true,
    requestId: 'r12',
  },
  'conversations.clear': { log: 'd:alice:bob', seq: 1, requestId: 'r13' },
  'conversations.readAll': { requestId: 'r14' },
  'conversations.badge': {},
  'messages.receipts': { log: 'd:alice:bob' },
  'messages.readers': { log: 'g:1', seq: 1, limit: 1, cursor: 'a' },
  'messages.send': { id: 'm1', to: 'bob', type: 'text', body: { text: 'hi' } },
  'media.create': { name: 'a.txt', type: 'text/plain', bytes: 1, sha256: 'a'.repeat(64), requestId: 'f1' },
  'media.complete': { id: 'a'.repeat(32) },
  'media.get': { id: 'a'.repeat(32) },
  'media.link': { id: 'a'.repeat(32) },
  'media.list': { limit: 1, cursor: `1-${'a'.repeat(32)}` },
  'media.delete': { id: 'a'.repeat(32), requestId: 'f2' },
  'media.usage': {},
  'messages.page': { log: 'd:alice:bob', before: 5, limit: 1 },
  'messages.forward': { log: 'd:alice:bob', seqs: [1], to: ['bob'], merged: true, requestId: 's1' },
  'messages.schedule': { id: 's2', to: 'bob', text: 'hi', at: Date.now() + 3_600_000, requestId: 's3' },
  'messages.scheduled': { limit: 1, cursor: '1.1' },
  'messages.unschedule': { id: 's2', requestId: 's4' },
  'messages.edit': { log: 'd:alice:bob', seq: 1, body: { text: 'hi' }, count: 0, requestId: 'l1' },
  'messages.recall': { log: 'd:alice:bob', seq: 1, requestId: 'l2' },
  'messages.react': { log: 'd:alice:bob', seq: 1, emoji: '👍', on: true, requestId: 'l3' },
  'messages.reactions': { log: 'd:alice:bob', seq: 1, emoji: '👍', limit: 1, cursor: 'a' },
  'messages.delete': { log: 'd:alice:bob', seqs: [1], requestId: 'l4' },
  'messages.pin': { log: 'd:alice:bob', seq: 1, requestId: 'l5' },
  'messages.unpin': { log: 'd:alice:bob', seq: 1, requestId: 'l6' },
  'messages.pins': { log: 'd:alice:bob' },
  'messages.get': { log: 'd:alice:bob', seqs: [1] },
  'messages.search': {
    query: 'hi',
    log: 'd:alice:bob',
    from: 'bob',
    types: ['text'],
    after: 0,
    before: 1,
    limit: 1,
    cursor: '1',
  },
  'presence.get': { uids: ['bob'] },
  'presence.watch': { uids: ['bob'], leaseMs: 10_000 },
  'presence.unwatch': { uids: ['bob'] },
  'presence.ofGroup': { id: 'g:1' },
  'reports.create': { log: 'd:alice:bob', seq: 1, reason: 'spam', text: 'x', requestId: 'l7' },
}

// Before anything is sent: a message is filed a while after its answer, which moves it from table to table.
describe.each(OPERATION_NAMES)('the form of %s', (name) => {
  const valid = VALID[name]

  it.each(badParamsOf(CATALOGUE[name].params, valid))(
    '$title is bad_request, and nothing changes',
    async (bad) => {
      const before = digest.take()
      const answer = await api.call(name, bad.params, token)
      expect(answer).toMatchObject({ status: 400, code: 'bad_request' })
      expect(messageOf(answer)).toContain(bad.field)
      expect(digest.take()).toEqual(before)
    },
  )

  it('with a body beyond the bound is too_large, and nothing changes', async () => {
    const before = digest.take()
    const body = `${JSON.stringify(valid)}${' '.repeat(BODY_BYTES_MAX)}`
    expect(await post(`${api.url}/v1/${name}`, body, token)).toMatchObject({ status: 413, code: 'too_large' })
    expect(digest.take()).toEqual(before)
  })
})

describe.each(OPERATION_NAMES)('%s', (name) => {
  const operation: Operation = CATALOGUE[name]
  const valid = VALID[name]

  it('takes what its schema allows, and gives only the errors that it names', async () => {
    // One who may end their account, without a change for the others.
    const [phone, uid] = name.startsWith('accounts.')
      ? ['+8613800000077', 'leaver']
      : ['+8613800000001', 'alice']
    const { accessToken } = await api.login(phone!, uid!, 'spare')
    const answer = await api.call(name, valid, accessToken)
    const allowed: string[] = ['ok', ...operation.errors, 'rate_limited']
    expect(allowed).toContain(answer.code)
  })

  if (operation.access === 'user') {
    it('refuses a caller without a token', async () => {
      const answer = await api.call(name, valid)
      expect(answer).toMatchObject({ status: 401, code: 'unauthenticated' })
      expect(answer.headers.get('www-authenticate')).toBe('Bearer')
    })
  }

  it('is called by POST alone', async () => {
    for (const method of ['GET', 'HEAD', 'PUT', 'PATCH', 'DELETE']) {
      const answer = await fetch(`${api.url}/v1/${name}`, { method })
      expect(answer.status, method).toBe(405)
      expect(answer.headers.get('allow')).toBe('POST')
      if (method === 'HEAD') continue
      expect(await answer.json()).toMatchObject({ error: { code: 'method_not_allowed' } })
    }
  })
})

it('a change that is made shows in the comparison of the tables', async () => {
  const before = digest.take()
  await api.result('profile.set', { name: 'Another' }, token)
  expect(digest.take()).not.toEqual(before)
})

describe('a body', () => {
  const url = (op = 'contacts.list') => `${api.url}/v1/${op}`
  const json = { 'content-type': 'application/json' }
  const expectCode = (answer: Answer, code: ErrorCode) =>
    expect(answer).toMatchObject({ status: ERRORS[code].http, code })

  it.each([
    ['{'],
    ['{"a":1}}'],
    ["{'a':1}"],
    ['undefined'],
    ['{"a":NaN}'],
    ['\u0000'],
    ['[]'],
    ['"x"'],
    ['7'],
    ['null'],
  ])('that is no JSON object is bad_json: %j', async (body) => {
    expectCode(await post(url(), body, token), 'bad_json')
  })

  it('that is not UTF-8 is bad_json', async () => {
    expectCode(await post(url(), Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d), token), 'bad_json')
  })

  it('of another content type is bad_json', async () => {
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/jsonx', 'x']) {
      expectCode(await post(url(), '{}', token, { 'content-type': type }), 'bad_json')
    }
    const charset = { 'content-type': 'application/json; charset=utf-8' }
    expect((await post(url(), '{}', token, charset)).status).toBe(200)
  })

  it('that is empty stands for no parameters', async () => {
    expect((await post(url(), '', token, json)).status).toBe(200)
  })

  it('larger than the limit is too_large, whether its length is told or not', async () => {
    const body = JSON.stringify({ to: 'bob', text: 'x'.repeat(70 * 1024) })
    expectCode(await post(url('messages.send'), body, token), 'too_large')
    const answer = await fetch(url('messages.send'), {
      method: 'POST',
      headers: { ...json, authorization: `Bearer ${token}` },
      body: new Blob([body]).stream(),
      duplex: 'half',
    } as RequestInit)
    expect(answer.status).toBe(413)
  })

  it('with a __proto__ field is bad_request at any depth', async () => {
    for (const body of ['{"__proto__":{"admin":true}}', '{"to":"bob","body":{"a":[{"__proto__":1}]}}']) {
      expectCode(await post(url('messages.send'), body, token), 'bad_request')
    }
    expect(({} as { admin?: boolean }).admin).toBeUndefined()
  })

  it('nested without end is too_deep', async () => {
    const body = `{"to":"bob","type":"custom","body":{"a":${'['.repeat(30_000)}${']'.repeat(30_000)}}}`
    expectCode(await post(url('messages.send'), body, token), 'too_deep')
  })
})

describe('an authorization header', () => {
  it.each([
    ['Bearer'],
    ['Bearer '],
    ['Basic YWxpY2U6eA=='],
    ['Bearer a.b'],
    ['Bearer a.b.c d'],
    ['Token a.b.c'],
    [`Bearer ${'a'.repeat(20_000)}.b.c`],
  ])('of another form is unauthenticated: %.30s', async (authorization) => {
    const answer = await post(`${api.url}/v1/contacts.list`, '{}', undefined, {
      'content-type': 'application/json',
      authorization,
    })
    expect(answer).toMatchObject({ status: 401, code: 'unauthenticated' })
  })

  it('that is stale does not keep anybody from a public operation', async () => {
    const answer = await api.call('auth.refresh', { refreshToken: 'x' }, 'stale.to.ken')
    expect(answer.code).toBe('bad_refresh')
  })
})

describe('an address', () => {
  it('that is none of ours is 404, and what is no URL is 400, both with an error body', async () => {
    for (const path of [
      '/nothing',
      '/v1',
      '/v1/',
      '/v1/nothing',
      '/v1/__proto__',
      '/v1/a/b',
      '/v2/auth.login',
      `/v1/${'a'.repeat(500)}`,
    ]) {
      const answer = await post(api.url + path, '{}')
      expect(answer, path).toMatchObject({ status: 404, code: 'unknown_operation' })
    }
    expect(await post(`${api.url}/v1/%zz`, '{}')).toMatchObject({ status: 400, code: 'bad_request' })
  })

  it('of the key set gives the public keys', async () => {
    const answer = await fetch(`${api.url}/.well-known/jwks.json`)
    expect(await answer.json()).toEqual(JSON.parse(JSON.stringify(api.keyring.jwks())))
  })

  it('of the OpenAPI document gives it', async () => {
    const answer = await fetch(`${api.url}/v1/openapi.json`)
    expect(answer.headers.get('content-type')).toContain('application/json')
    expect(await answer.json()).toEqual(JSON.parse(JSON.stringify(buildOpenApi({ version: '1.2.3' }))))
  })

  it.each(ROUTE_NAMES)('of the route %s, by each of its methods, asks for a token', async (name) => {
    const route = HTTP_ROUTES[name]
    const path = route.path.replace('{id}', 'a'.repeat(32)).replace('{part}', '1')
    for (const method of route.methods) {
      expect([method, (await fetch(`${api.url}${path}`, { method })).status]).toEqual([method, 401])
    }
  })

  it('of the root says what this is and where to connect', async () => {
    const answer = await fetch(api.url)
    expect(answer.headers.get('content-type')).toContain('text/html')
    const html = await answer.text()
    for (const part of ['wochat 1.2.3', '/v1/openapi.json', 'mqtt://127.0.0.1:1883', 'mosquitto_sub']) {
      expect(html).toContain(part)
    }
  })
})

it('bytes that are no HTTP get an error body, and the server goes on', async () => {
  for (const bytes of [
    '\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00',
    'GET\r\n\r\n',
    `GET / HTTP/1.1\r\nx: ${'a'.repeat(40_000)}\r\n\r\n`,
  ]) {
    const answer = await exchange(bytes)
    expect(answer).toMatch(/^HTTP\/1\.1 4\d\d /)
    expect(answer).toContain('"code":"bad_request"')
  }
  expect((await api.call('contacts.list', {}, token)).status).toBe(200)
})

it('every answer carries the security headers, and those of operations are not kept', async () => {
  const answers = [
    await fetch(api.url),
    await fetch(`${api.url}/nothing`),
    await fetch(`${api.url}/v1/contacts.list`, { method: 'POST' }),
  ]
  for (const { headers } of answers) {
    expect(headers.get('x-content-type-options')).toBe('nosniff')
    expect(headers.get('x-frame-options')).toBe('DENY')
    expect(headers.get('content-security-policy')).toContain("default-src 'none'")
    expect(headers.get('strict-transport-security')).toBeNull()
  }
  const { headers } = await api.call('contacts.list', {}, token)
  expect(headers.get('cache-control')).toBe('no-store')
})

describe('a page of another origin', () => {
  const preflight = (url: string, origin: string) =>
    fetch(`${url}/v1/auth.login`, {
      method: 'OPTIONS',
      headers: {
        origin,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'authorization',
      },
    })

  it('is kept out by default', async () => {
    const answer = await preflight(api.url, 'https://chat.example')
    expect(answer.ok).toBe(false)
    expect(answer.headers.get('access-control-allow-origin')).toBeNull()
  })

  it('is let in when its origin is named, and no other', async () => {
    await using open = await startApi({ http: { allowedOrigins: ['https://chat.example'] } })
    const answer = await preflight(open.url, 'https://chat.example')
    expect(answer.status).toBe(204)
    expect(answer.headers.get('access-control-allow-origin')).toBe('https://chat.example')
    expect(answer.headers.get('access-control-allow-headers')).toContain('authorization')
    expect(answer.headers.get('access-control-allow-credentials')).toBeNull()
    for (const origin of ['https://chat.example.evil', 'http://chat.example', 'null']) {
      const refused = await preflight(open.url, origin)
      expect(refused.headers.get('access-control-allow-origin')).toBeNull()
      expect(refused.headers.get('vary')).toContain('origin')
    }
    const call = await post(`${open.url}/v1/contacts.list`, '{}', undefined, {
      'content-type': 'application/json',
      origin: 'https://chat.example',
    })
    expect(call.headers.get('access-control-allow-origin')).toBe('https://chat.example')
  })
})

it('the server gives upgrades to whoever listens for them', async () => {
  const upgraded = new Promise<string | undefined>((resolve) => {
    api.http.server.once('upgrade', (request, socket) => {
      resolve(request.url)
      socket.end('HTTP/1.1 101 Switching Protocols\r\n\r\n')
    })
  })
  await exchange('GET /mqtt HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n')
  expect(await upgraded).toBe('/mqtt')
})

it('a port in use is a failure of listen that names it', async () => {
  await using other = await startApi()
  const taken = Number(new URL(api.url).port)
  await using third = await startApi()
  await expect(third.http.listen({ host: '127.0.0.1', port: taken })).rejects.toThrow()
  expect(other.url).not.toBe(third.url)
})

it('with certificate and key it speaks HTTPS', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'wochat-tls-'))
  try {
    const tls = await writeCertificate(dir)
    await using secure = await startApi({ http: { tls } })
    const ca = await readFile(tls.certFile)
    const answer = await new Promise<{ status: number | undefined; hsts: string | undefined }>(
      (resolve, reject) => {
        get(`${secure.url}/.well-known/jwks.json`, { ca, agent: false }, (response) => {
          response.resume()
          resolve({ status: response.statusCode, hsts: response.headers['strict-transport-security'] })
        }).on('error', reject)
      },
    )
    expect(answer).toEqual({ status: 200, hsts: 'max-age=31536000' })
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
})

function messageOf({ body }: Answer): string {
  return (body as { error: { message: string } }).error.message
}

/** Sends bytes and reads until the server ends the connection. */
function exchange(bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(Number(new URL(api.url).port), '127.0.0.1', () => socket.write(bytes, 'latin1'))
    let text = ''
    socket.setEncoding('latin1')
    socket.on('data', (chunk) => {
      text += chunk
    })
    socket.on('close', () => resolve(text))
    socket.on('error', reject)
  })
}
