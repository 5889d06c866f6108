/** Over a real store; that MQTT and HTTP share this path is what makes the operations one contract. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { OPERATION_NAMES } from '../protocol/catalogue/catalogue.ts'
import { type Api, startApi } from './api/testing/api.ts'
import type { VerifiedToken } from './auth/token.ts'
import { type CallContext, createDispatcher, type Handlers } from './dispatcher.ts'

let api: Api
beforeAll(async () => {
  api = await startApi()
})
afterAll(() => api[Symbol.asyncDispose]())

const tokenOf = (uid: string, changes: Partial<VerifiedToken> = {}): VerifiedToken => ({
  uid: uid as never,
  device: null,
  sid: null,
  issuedAt: Date.now(),
  expiresAt: Date.now() + 60_000,
  acl: { pub: [], sub: [] },
  ...changes,
})
const contextOf = (token: VerifiedToken | null, device: string | null = null): CallContext => ({
  token,
  device: device as never,
  address: '127.0.0.1',
})
const codeOf = (call: Promise<unknown>) =>
  call.then(
    () => 'ok',
    (error: { code: string }) => error.code,
  )

describe('a call', () => {
  it('of an unknown operation is refused, also by a name that every object has', async () => {
    for (const name of ['', 'x', 'auth', 'AUTH.LOGIN', '__proto__', 'constructor', 'toString']) {
      expect(await codeOf(api.dispatcher.call(name, {}, contextOf(tokenOf('alice')))), name).toBe(
        'unknown_operation',
      )
    }
  })

  it('of a user operation needs a token', async () => {
    expect(await codeOf(api.dispatcher.call('contacts.list', {}, contextOf(null)))).toBe('unauthenticated')
  })

  it('makes the account of a trusted issuer at its first', async () => {
    const call = (name: string, params: unknown, uid: string) =>
      api.dispatcher.call(name, params, contextOf(tokenOf(uid)))
    expect(await codeOf(call('contacts.request', { uid: 'newcomer' }, 'friend'))).toBe('unknown_user')
    await call('contacts.list', {}, 'newcomer')
    expect(await codeOf(call('contacts.request', { uid: 'newcomer' }, 'friend'))).toBe('ok')
  })

  it('of a login that is unknown, or of another user or device, is refused as revoked', async () => {
    const login = await api.login('+8613900000001', 'owner', 'phone')
    const sid = login.refreshToken.split('.')[0]!
    const call = (token: VerifiedToken) => codeOf(api.dispatcher.call('contacts.list', {}, contextOf(token)))
    expect(await call(tokenOf('owner', { sid }))).toBe('ok')
    expect(await call(tokenOf('owner', { sid, device: 'phone' as never }))).toBe('ok')
    expect(await call(tokenOf('owner', { sid, device: 'tablet' as never }))).toBe('revoked')
    expect(await call(tokenOf('other', { sid }))).toBe('revoked')
    expect(await call(tokenOf('owner', { sid: 'unknown' }))).toBe('revoked')
  })

  it('of a token without a login is refused once its device was revoked, until a later token', async () => {
    const now = Date.now()
    const call = (issuedAt: number, device = 'tv') =>
      codeOf(api.dispatcher.call('contacts.list', {}, contextOf(tokenOf('viewer', { issuedAt }), device)))
    expect(await call(now)).toBe('ok')
    await api.store.revokeDevice({ uid: 'viewer' as never, device: 'tv' as never })
    expect(await call(now - 5000)).toBe('revoked')
    expect(await call(Math.floor(now / 1000) * 1000)).toBe('revoked')
    expect(await call(now + 2000)).toBe('ok')
    expect(await call(now - 5000, 'other')).toBe('ok')
  })

  it('with a field that sets prototypes, or nested too deep, is refused at any depth', async () => {
    const context = contextOf(tokenOf('alice'))
    const proto = JSON.parse('{"to":"bob","type":"text","body":{"text":"x","a":{"__proto__":{"admin":1}}}}')
    expect(await codeOf(api.dispatcher.call('messages.send', proto, context))).toBe('bad_request')
    let deep: unknown = 1
    for (let i = 0; i < 20; i++) deep = { deep }
    const send = { to: 'bob', type: 'custom', body: deep }
    expect(await codeOf(api.dispatcher.call('messages.send', send, context))).toBe('too_deep')
  })
})

describe('a limit', () => {
  it('on an account holds for all its devices and addresses, and for nobody else', async () => {
    await using limited = await startApi({ limits: { account: { perSecond: 0.001, burst: 2 } } })
    const call = (uid: string, address: string) =>
      limited.dispatcher.call('contacts.list', {}, { ...contextOf(tokenOf(uid)), address })
    await call('alice', '192.0.2.1')
    await call('alice', '192.0.2.2')
    await expect(call('alice', '192.0.2.3')).rejects.toMatchObject({
      code: 'rate_limited',
      retryAfterMs: expect.closeTo(1_000_000, -4),
    })
    await call('bob', '192.0.2.1')
  })

  it('on a class of calls holds for all of the class together, and not for calls that are refused for their form', async () => {
    await using limited = await startApi({ limits: { costly: { perSecond: 0.001, burst: 2 } } })
    const call = (name: string, params: unknown, uid = 'alice') =>
      codeOf(limited.dispatcher.call(name, params, contextOf(tokenOf(uid))))
    expect(await call('accounts.search', {})).toBe('bad_request')
    expect(await call('accounts.search', { query: 'bob' })).toBe('ok')
    expect(await call('profile.set', { name: 'Alice' })).toBe('ok')
    expect(await call('accounts.search', { query: 'bob' })).toBe('rate_limited')
    expect(await call('contacts.list', {})).toBe('ok')
    expect(await call('accounts.search', { query: 'alice' }, 'bob')).toBe('ok')
  })

  it('on an address holds before a token is looked at, and for a whole IPv6 network', async () => {
    await using limited = await startApi({ limits: { address: { perSecond: 0.001, burst: 2 } } })
    const call = (address: string) =>
      codeOf(limited.dispatcher.call('auth.refresh', { refreshToken: 'x' }, { ...contextOf(null), address }))
    expect(await call('2001:db8::1')).toBe('bad_refresh')
    expect(await call('2001:db8::2')).toBe('bad_refresh')
    expect(await call('2001:db8::3')).toBe('rate_limited')
    expect(await call('2001:db8:0:1::3')).toBe('bad_refresh')
  })
})

it('a failure of a handler is answered as internal and logged once, without its parameters', async () => {
  const lines: unknown[] = []
  const failing = Object.fromEntries(
    OPERATION_NAMES.map((name) => [name, async () => Promise.reject(new TypeError('broken'))]),
  ) as unknown as Handlers
  const none = { perSecond: 0, burst: 0 }
  const dispatcher = createDispatcher({
    handlers: failing,
    store: api.store,
    limits: { account: none, address: none, costly: none, rare: none },
    log: { error: (...args: unknown[]) => void lines.push(args) } as never,
  })
  const call = dispatcher.call('auth.refresh', { refreshToken: 'very-secret' }, contextOf(null))
  await expect(call).rejects.toMatchObject({
    code: 'internal',
    message: 'The server failed; the failure was logged.',
  })
  expect(lines).toEqual([[{ op: 'auth.refresh', err: new TypeError('broken') }, 'a call failed']])
})
