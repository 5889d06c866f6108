/** The life of a login, over HTTP and a real store. */
import { createHmac } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import jwt from 'jsonwebtoken'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { issueAccessToken } from '../auth/access-token.ts'
import { createWebhookSms } from '../auth/sms/webhook.ts'
import { type Api, IDENTITY, startApi } from './testing/api.ts'

const MINUTE_MS = 60_000

let api: Api
let nextPhone = 0
const newPhone = () => `+86138${String(++nextPhone).padStart(8, '0')}`

beforeAll(async () => {
  api = await startApi()
})
afterAll(async () => {
  await api[Symbol.asyncDispose]()
})

describe('a login code', () => {
  it('is printed by the console provider as one line', async () => {
    const before = api.smsLines.length
    const phone = newPhone()
    await api.requestCode(phone)
    expect(api.smsLines.slice(before)).toHaveLength(1)
    expect(api.smsLines.at(-1)).toMatch(new RegExp(`^sms to \\${phone}: [0-9]{6}\n$`))
  })

  it('is posted by the webhook provider, signed', async () => {
    const posted: { body: string; headers: NodeJS.Dict<string | string[]> }[] = []
    await using hook = await listenHook((body, headers) => {
      posted.push({ body, headers })
      return 204
    })
    await using other = await startApi({
      sms: createWebhookSms({ url: hook.url, secret: 's3cret', log: { warn() {} } }),
    })
    const phone = newPhone()
    await other.result('auth.requestCode', { phone })
    const { body, headers } = posted[0]!
    const message = JSON.parse(body) as { phone: string; code: string; text: string }
    expect(message).toEqual({
      phone,
      code: expect.stringMatching(/^[0-9]{6}$/),
      text: expect.stringContaining(message.code),
    })
    const mac = createHmac('sha256', 's3cret')
      .update(`${headers['x-wochat-timestamp']}.${body}`)
      .digest('hex')
    expect(headers['x-wochat-signature']).toBe(`sha256=${mac}`)
    const login = await other.result('auth.login', { phone, code: message.code, device: { id: 'phone' } })
    expect(login.uid).toMatch(/^u[a-z2-9]{10}$/)
  })

  it('is refused with sms_failed when the webhook fails, is away or hangs', async () => {
    await using hook = await listenHook(() => 500)
    const hanging = createServer(() => undefined)
    await new Promise<void>((resolve) => hanging.listen(0, '127.0.0.1', resolve))
    const hangingUrl = `http://127.0.0.1:${(hanging.address() as AddressInfo).port}/`
    try {
      for (const url of [hook.url, 'http://127.0.0.1:1/', hangingUrl]) {
        const sms = createWebhookSms({ url, secret: null, timeoutMs: 200, log: { warn() {} } })
        await using other = await startApi({ sms })
        expect(await other.call('auth.requestCode', { phone: newPhone() })).toMatchObject({
          status: 502,
          code: 'sms_failed',
        })
      }
    } finally {
      hanging.closeAllConnections()
      hanging.close()
    }
  })

  it('opens one login only', async () => {
    const phone = newPhone()
    const code = await api.requestCode(phone)
    await api.result('auth.login', { phone, code, device: { id: 'phone' } })
    expect(await api.call('auth.login', { phone, code, device: { id: 'tablet' } })).toMatchObject({
      status: 401,
      code: 'bad_code',
    })
  })

  it('opens one login only when it is used many times at once', async () => {
    const phone = newPhone()
    const code = await api.requestCode(phone)
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, i) => api.call('auth.login', { phone, code, device: { id: `d${i}` } })),
    )
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1)
  })

  it('is dead after five wrong tries, though it is right', async () => {
    const phone = newPhone()
    const code = await api.requestCode(phone)
    const wrong = code === '000000' ? '000001' : '000000'
    for (let i = 0; i < 5; i++) {
      const answer = await api.call('auth.login', { phone, code: wrong, device: { id: 'phone' } })
      expect(answer.code).toBe('bad_code')
    }
    expect((await api.call('auth.login', { phone, code, device: { id: 'phone' } })).code).toBe('bad_code')
  })

  it('still works after four wrong tries', async () => {
    const phone = newPhone()
    const code = await api.requestCode(phone)
    for (const wrong of ['1', 'abcdef', '12345678', '']) {
      await api.call('auth.login', { phone, code: wrong, device: { id: 'phone' } })
    }
    expect((await api.call('auth.login', { phone, code, device: { id: 'phone' } })).status).toBe(200)
  })

  it('is replaced by the next one', async () => {
    const phone = newPhone()
    const first = await api.requestCode(phone)
    const second = await api.requestCode(phone)
    if (first === second) return
    expect((await api.call('auth.login', { phone, code: first, device: { id: 'phone' } })).code).toBe(
      'bad_code',
    )
    expect((await api.call('auth.login', { phone, code: second, device: { id: 'phone' } })).status).toBe(200)
  })

  it('ends after five minutes', async () => {
    let shift = -5 * MINUTE_MS - 1000
    await using other = await startApi({ now: () => Date.now() + shift })
    const phone = newPhone()
    const code = await other.requestCode(phone)
    expect((await other.call('auth.login', { phone, code, device: { id: 'phone' } })).code).toBe('bad_code')
    shift = -4 * MINUTE_MS
    const later = await other.requestCode(phone)
    expect((await other.call('auth.login', { phone, code: later, device: { id: 'phone' } })).status).toBe(200)
  })

  it('is not a code of another phone', async () => {
    const [mine, other] = [newPhone(), newPhone()]
    const code = await api.requestCode(mine)
    await api.requestCode(other)
    const answer = await api.call('auth.login', { phone: other, code, device: { id: 'phone' } })
    // One in a million: both phones were given the same code.
    if (api.smsLines.at(-1)?.includes(code)) return
    expect(answer.code).toBe('bad_code')
  })

  it('is capped per phone and per address, with the time to wait', async () => {
    await using other = await startApi({ auth: { codesPerPhoneMax: 2, codesPerAddressMax: 3 } })
    const phone = newPhone()
    await other.requestCode(phone)
    await other.requestCode(phone)
    const capped = await other.call('auth.requestCode', { phone })
    expect(capped).toMatchObject({ status: 429, code: 'rate_limited' })
    const { retryAfterMs } = (capped.body as { error: { retryAfterMs: number } }).error
    expect(retryAfterMs).toBeGreaterThan(3_500_000)
    expect(Number(capped.headers.get('retry-after'))).toBe(Math.ceil(retryAfterMs / 1000))
    await other.requestCode(newPhone())
    expect((await other.call('auth.requestCode', { phone: newPhone() })).code).toBe('rate_limited')
  })

  it('is answered alike whether the phone is known or not', async () => {
    const known = newPhone()
    await api.login(known, 'known')
    const [one, two] = [
      await api.call('auth.requestCode', { phone: known }),
      await api.call('auth.requestCode', { phone: newPhone() }),
    ]
    expect(shapeOf(one)).toEqual(shapeOf(two))
    const wrong = { code: 'x', device: { id: 'phone' } }
    expect((await api.call('auth.login', { phone: known, ...wrong })).body).toEqual(
      (await api.call('auth.login', { phone: newPhone(), ...wrong })).body,
    )
  })

  it('is not given to what is no phone number', async () => {
    const bad = [
      '8613800000001',
      '+86 138',
      '+12345',
      '+1234567890123456',
      '+861380000000a',
      '＋8613800000001',
    ]
    for (const phone of [...bad, "+1' or 1=1--", '+86138\n0000']) {
      expect(await api.call('auth.requestCode', { phone }), phone).toMatchObject({
        status: 400,
        code: 'bad_phone',
      })
      const login = await api.call('auth.login', { phone, code: '123456', device: { id: 'phone' } })
      expect(login.code, phone).toBe('bad_phone')
    }
  })
})

describe('a uid', () => {
  it('is chosen at the first login, and kept', async () => {
    const phone = newPhone()
    expect((await api.login(phone, 'alice')).uid).toBe('alice')
    const code = await api.requestCode(phone)
    const again = await api.result('auth.login', { phone, code, device: { id: 'tablet' } })
    expect(again.uid).toBe('alice')
  })

  it('cannot be changed later, and the refusal leaves the code usable', async () => {
    const phone = newPhone()
    await api.login(phone, 'fixed')
    const code = await api.requestCode(phone)
    const login = { phone, code, device: { id: 'phone' } }
    expect(await api.call('auth.login', { ...login, uid: 'changed' })).toMatchObject({
      status: 409,
      code: 'uid_fixed',
    })
    expect((await api.result('auth.login', { ...login, uid: 'fixed' })).uid).toBe('fixed')
  })

  it('that is taken is refused, and the refusal leaves the code usable', async () => {
    await api.login(newPhone(), 'taken')
    const phone = newPhone()
    const code = await api.requestCode(phone)
    const login = { phone, code, device: { id: 'phone' } }
    for (let i = 0; i < 7; i++) {
      expect(await api.call('auth.login', { ...login, uid: 'taken' })).toMatchObject({
        status: 409,
        code: 'uid_taken',
      })
    }
    expect((await api.result('auth.login', { ...login, uid: 'free' })).uid).toBe('free')
  })

  it('is not told to be taken without the right code', async () => {
    await api.login(newPhone(), 'secret-one')
    const answer = await api.call('auth.login', {
      phone: newPhone(),
      code: '000000',
      uid: 'secret-one',
      device: { id: 'phone' },
    })
    expect(answer.code).toBe('bad_code')
  })

  it('may not be a reserved name, nor may a device', async () => {
    const phone = newPhone()
    const code = await api.requestCode(phone)
    for (const name of ['__proto__', 'constructor', 'prototype']) {
      const bad = [
        { uid: name, device: { id: 'phone' } },
        { uid: 'good', device: { id: name } },
      ]
      for (const fields of bad) {
        expect((await api.call('auth.login', { phone, code, ...fields })).code).toBe('bad_request')
      }
    }
  })
})

describe('an access token', () => {
  it('says who, which device, which login, and by whom it was issued', async () => {
    const before = Date.now()
    const login = await api.login(newPhone(), 'claims', 'laptop')
    const claims = jwt.decode(login.accessToken) as jwt.JwtPayload
    expect(claims).toMatchObject({ sub: 'claims', did: 'laptop', iss: 'wochat', aud: 'wochat' })
    expect(claims.sid).toMatch(/^[\w-]{22}$/)
    expect(login.expiresAt).toBe(claims.exp! * 1000)
    expect(login.expiresAt - before).toBeGreaterThanOrEqual(60 * MINUTE_MS)
    expect(login.endpoints.mqtt).toBe('mqtt://127.0.0.1:1883')
  })

  it('is refused when it has expired', async () => {
    let shift = 0
    await using other = await startApi({ now: () => Date.now() + shift })
    const { accessToken } = await other.login(newPhone(), 'expiring')
    expect((await other.call('auth.devices', {}, accessToken)).status).toBe(200)
    shift = 61 * MINUTE_MS
    expect(await other.call('auth.devices', {}, accessToken)).toMatchObject({
      status: 401,
      code: 'unauthenticated',
    })
  })
})

describe('a refresh token', () => {
  it('is changed for new tokens of the same login', async () => {
    const login = await api.login(newPhone(), 'refresher')
    let { refreshToken } = login
    for (let i = 0; i < 3; i++) {
      const next = await api.result('auth.refresh', { refreshToken })
      expect(next.uid).toBe('refresher')
      expect(next.refreshToken).not.toBe(refreshToken)
      expect((await api.call('auth.devices', {}, next.accessToken)).status).toBe(200)
      refreshToken = next.refreshToken
    }
  })

  it('ends the login when an old one is used again, for thief and owner alike', async () => {
    const login = await api.login(newPhone(), 'robbed')
    const next = await api.result('auth.refresh', { refreshToken: login.refreshToken })
    const before = api.ended.length
    expect(await api.call('auth.refresh', { refreshToken: login.refreshToken })).toMatchObject({
      status: 401,
      code: 'refresh_reused',
    })
    expect(api.ended.slice(before)).toEqual([
      { uid: 'robbed', device: 'phone', sid: next.refreshToken.split('.')[0] },
    ])
    expect((await api.call('auth.refresh', { refreshToken: next.refreshToken })).code).toBe('bad_refresh')
    for (const { accessToken } of [login, next]) {
      expect((await api.call('auth.devices', {}, accessToken)).code).toBe('revoked')
    }
  })

  it('is given once when two ask at once', async () => {
    const { refreshToken } = await api.login(newPhone(), 'racer')
    const answers = await Promise.all([1, 2].map(() => api.call('auth.refresh', { refreshToken })))
    expect(answers.map(({ code }) => code).sort()).toEqual(['ok', 'refresh_reused'])
  })

  it('is refused when it is made up, malformed or over', async () => {
    const made = `${'a'.repeat(22)}.${'b'.repeat(43)}`
    for (const refreshToken of [made, 'x', '.', `${made}.`, "' or 1=1 --"]) {
      expect(await api.call('auth.refresh', { refreshToken })).toMatchObject({
        status: 401,
        code: 'bad_refresh',
      })
    }
    await using other = await startApi({ auth: { refreshTokenTtlMs: -1 } })
    const over = await other.login(newPhone(), 'late')
    const answer = await other.call('auth.refresh', { refreshToken: over.refreshToken })
    expect(answer.code).toBe('bad_refresh')
  })
})

describe('the end of a login', () => {
  it('by logout refuses its tokens and leaves other devices alone', async () => {
    const phone = newPhone()
    const one = await api.login(phone, 'leaver', 'phone')
    const two = await api.login(phone, 'leaver', 'tablet')
    const before = api.ended.length
    expect(await api.result('auth.logout', {}, one.accessToken)).toEqual({})
    expect(api.ended.slice(before)).toEqual([
      { uid: 'leaver', device: 'phone', sid: one.refreshToken.split('.')[0] },
    ])
    expect((await api.call('auth.devices', {}, one.accessToken)).code).toBe('revoked')
    expect((await api.call('auth.refresh', { refreshToken: one.refreshToken })).code).toBe('bad_refresh')
    const { devices } = await api.result('auth.devices', {}, two.accessToken)
    expect(devices.map(({ id, current }) => ({ id, current }))).toEqual([{ id: 'tablet', current: true }])
  })

  it('by revoke refuses every token of that device', async () => {
    const phone = newPhone()
    const owner = await api.login(phone, 'owner', 'phone')
    const lost = await api.login(phone, 'owner', 'lost')
    const lostToo = await api.login(phone, 'owner', 'lost')
    const before = api.ended.length
    await api.result('auth.revoke', { deviceId: 'lost' }, owner.accessToken)
    expect(api.ended.slice(before)).toEqual([{ uid: 'owner', device: 'lost', sid: null }])
    for (const { accessToken, refreshToken } of [lost, lostToo]) {
      expect((await api.call('auth.devices', {}, accessToken)).code).toBe('revoked')
      expect((await api.call('auth.refresh', { refreshToken })).code).toBe('bad_refresh')
    }
    expect((await api.result('auth.devices', {}, owner.accessToken)).devices).toHaveLength(1)
    const again = await api.login(phone, 'owner', 'lost')
    expect((await api.result('auth.devices', {}, again.accessToken)).devices).toHaveLength(2)
  })

  it('of a token without a login ends the device of the token', async () => {
    await api.login(newPhone(), 'tester', 'phone')
    const issue = (device: string | null) =>
      issueAccessToken(api.keyring, IDENTITY, {
        uid: 'tester' as never,
        device: device as never,
        sid: null,
        ttlMs: MINUTE_MS,
        now: Date.now(),
      }).token
    const bound = issue('cli')
    expect((await api.call('auth.devices', {}, bound)).status).toBe(200)
    expect((await api.call('auth.logout', {}, bound)).status).toBe(200)
    expect((await api.call('auth.devices', {}, bound)).code).toBe('revoked')
    expect(await api.call('auth.logout', {}, issue(null))).toMatchObject({
      status: 403,
      code: 'device_required',
    })
  })
})

describe('an account', () => {
  it('holds as many devices as allowed, and one more after a logout', async () => {
    await using other = await startApi({ auth: { devicesMax: 2 } })
    const phone = newPhone()
    const one = await other.login(phone, 'many', 'd1')
    await other.login(phone, 'many', 'd2')
    const code = await other.requestCode(phone)
    const third = { phone, code, device: { id: 'd3' } }
    expect(await other.call('auth.login', third)).toMatchObject({ status: 409, code: 'too_many_devices' })
    await other.login(phone, 'many', 'd2')
    await other.result('auth.logout', {}, one.accessToken)
    await other.login(phone, 'many', 'd3')
  })
})

it('no code, token, secret or phone is ever logged', async () => {
  await using other = await startApi()
  const phone = newPhone()
  const code = await other.requestCode(phone)
  await other.call('auth.login', { phone, code: '99999x', device: { id: 'phone' } })
  const login = await other.result('auth.login', { phone, code, device: { id: 'phone' } })
  await other.call('auth.devices', {}, `${login.accessToken}x`)
  const next = await other.result('auth.refresh', { refreshToken: login.refreshToken })
  await other.call('auth.refresh', { refreshToken: login.refreshToken })
  await other.call('auth.logout', {}, next.accessToken)
  const logged = other.logLines.join('')
  expect(logged).toContain('auth.login')
  const secrets = [code, phone, '99999x', login.accessToken, login.refreshToken, next.refreshToken]
  for (const secret of [...secrets, next.accessToken.split('.')[2]!, next.refreshToken.split('.')[1]!]) {
    expect(logged).not.toContain(secret)
  }
})

function shapeOf({ status, body, headers }: { status: number; body: unknown; headers: Headers }) {
  const names = [...headers.keys()].sort()
  return { status, fields: Object.keys(body as object), names, length: headers.get('content-length') }
}

async function listenHook(answer: (body: string, headers: NodeJS.Dict<string | string[]>) => number) {
  const server = createServer((request, response) => {
    let body = ''
    request.on('data', (chunk) => {
      body += chunk
    })
    request.on('end', () => response.writeHead(answer(body, request.headers)).end())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/sms`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
