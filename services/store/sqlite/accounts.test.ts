/** Accounts in the real store; what a login looks like from outside is tested over HTTP. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { buildClientId, type DeviceId, type UserId } from '../../../protocol/ids.ts'
import type { Store } from '../contract.ts'
import { DEFAULT_POLICY } from '../policy.ts'
import { openSqliteStore } from './client.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const uid = (text: string) => text as UserId
const device = (text: string) => text as DeviceId

let dir: string
let store: Store
let ended: { uid: string; device: string | null; sid: string | null }[]

/** People and a network of one test alone: the tests share a store. */
let [p1, p2, p3] = ['', '', '']
let address = ''
let tests = 0

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'wochat-accounts-'))
  await open()
})
beforeEach(() => {
  ended = []
  address = `network-${++tests}`
  ;[p1, p2, p3] = [1, 2, 3].map((n) => `+${100_000 + tests * 10 + n}`) as [string, string, string]
})
afterAll(async () => {
  await store[Symbol.asyncDispose]()
  await rm(dir, { recursive: true, force: true })
})

async function open(): Promise<void> {
  store = await openSqliteStore({
    file: join(dir, 'wochat.db'),
    policy: { ...DEFAULT_POLICY, contactsRequired: true },
    unfiledAgeMaxMs: 1000,
    waitingSendsMax: 1000,
    diskReserveBytes: 0,
    onFatal: (error) => {
      throw error
    },
  })
  store.feed = {
    ...store.feed,
    loginEnded: (user, of, sid) => void ended.push({ uid: user, device: of, sid }),
  }
}

async function reopen(): Promise<void> {
  await store[Symbol.asyncDispose]()
  await open()
}

/** Changes rows while the store is closed, as time would. */
async function age(...statements: string[]): Promise<void> {
  await store[Symbol.asyncDispose]()
  const db = new DatabaseSync(join(dir, 'wochat.db'))
  for (const sql of statements) db.exec(sql)
  db.close()
  await open()
}

let codes = 0
async function recordCode(phone: string, changes: Partial<Parameters<Store['recordCode']>[0]> = {}) {
  const codeHash = `hash-${++codes}`
  const answer = await store.recordCode({
    phone,
    codeHash,
    expiresAt: Date.now() + HOUR_MS,
    address,
    perPhoneMax: 1000,
    perAddressMax: 1000,
    windowMs: HOUR_MS,
    ...changes,
  })
  return { answer, codeHash }
}

let sids = 0
async function login(
  phone: string,
  deviceId: string,
  changes: Partial<Parameters<Store['login']>[0]> = {},
): Promise<{ uid: UserId; sid: string; refreshHash: string }> {
  const { codeHash } = await recordCode(phone)
  return useCode(phone, deviceId, { codeHash, ...changes })
}

async function useCode(
  phone: string,
  deviceId: string,
  changes: Partial<Parameters<Store['login']>[0]> & { codeHash: string },
): Promise<{ uid: UserId; sid: string; refreshHash: string }> {
  const input = {
    phone,
    triesMax: 5,
    uid: null,
    newUid: uid(`u${phone.slice(1)}`),
    device: { id: device(deviceId), kind: 'phone', name: 'My phone' },
    devicesMax: 10,
    sid: `sid-${++sids}`,
    refreshHash: `refresh-${sids}`,
    refreshExpiresAt: Date.now() + DAY_MS,
    ...changes,
  }
  const answer = await store.login(input)
  if ('refused' in answer) throw new Error(answer.refused)
  return { uid: answer.uid, sid: input.sid, refreshHash: input.refreshHash }
}

const stands = (of: UserId, changes: Partial<Parameters<Store['checkLogin']>[0]>) =>
  store.checkLogin({ uid: of, device: null, sid: null, issuedAt: Date.now(), ...changes }).then(
    () => 'stands',
    (error: { code: string }) => error.code,
  )

describe('the caps on codes', () => {
  it('count sent codes only, and open again with the window', async () => {
    const caps = { perPhoneMax: 2, perAddressMax: 3 }
    for (const taken of [true, true, false, false]) {
      expect((await recordCode(p1, caps)).answer.taken).toBe(taken)
    }
    expect((await recordCode(p2, caps)).answer).toEqual({ taken: true })
    const refused = (await recordCode(p3, caps)).answer
    expect(refused).toEqual({ taken: false, retryAfterMs: expect.any(Number) })
    await age(`update sms_count set window_at = window_at - ${HOUR_MS}`)
    expect((await recordCode(p1, caps)).answer).toEqual({ taken: true })
  })

  it('hold over a restart', async () => {
    await recordCode(p1, { perPhoneMax: 1 })
    await reopen()
    expect((await recordCode(p1, { perPhoneMax: 1 })).answer.taken).toBe(false)
  })

  it('do not replace the code that was sent', async () => {
    const { codeHash } = await recordCode(p1, { perPhoneMax: 1 })
    expect((await recordCode(p1, { perPhoneMax: 1 })).answer.taken).toBe(false)
    expect((await useCode(p1, 'phone', { codeHash })).uid).toBe(`u${p1.slice(1)}`)
  })

  it('leave no rows behind when their window is over', async () => {
    for (let i = 0; i < 20; i++) await recordCode(`+20000${i}`, { address: `a${i}` })
    await age(`update sms_count set window_at = window_at - ${HOUR_MS}`, 'update sms_code set expires_at = 1')
    await recordCode(p1)
    await store[Symbol.asyncDispose]()
    const db = new DatabaseSync(join(dir, 'wochat.db'))
    expect(db.prepare('select count(*) as n from sms_count').get()).toEqual({ n: 2 })
    expect(db.prepare('select count(*) as n from sms_code').get()).toEqual({ n: 1 })
    db.close()
    await open()
  })
})

describe('a login', () => {
  it('stands over a restart until it is ended, and stays ended over the next', async () => {
    const { uid: who, sid } = await login(p1, 'phone')
    await reopen()
    expect(await stands(who, { sid, device: device('phone') })).toBe('stands')
    await store.endLogin({ uid: who, sid })
    await reopen()
    expect(await stands(who, { sid, device: device('phone') })).toBe('revoked')
  })

  it('cannot be ended by another user', async () => {
    const { uid: who, sid } = await login(p1, 'phone')
    const other = await login(p2, 'phone')
    await store.endLogin({ uid: other.uid, sid })
    expect(await stands(who, { sid })).toBe('stands')
    expect(ended).toEqual([])
  })

  it('that is ended twice is reported once', async () => {
    const { uid: who, sid } = await login(p1, 'phone')
    await Promise.all([store.endLogin({ uid: who, sid }), store.endLogin({ uid: who, sid })])
    expect(ended).toEqual([{ uid: who, device: 'phone', sid }])
  })

  it('is ended by the sixth on the same device, and only on that', async () => {
    const other = await login(p1, 'tablet')
    const first = await login(p1, 'phone')
    for (let i = 0; i < 4; i++) await login(p1, 'phone')
    expect(await stands(first.uid, { sid: first.sid })).toBe('stands')
    await login(p1, 'phone')
    expect(ended).toEqual([{ uid: first.uid, device: 'phone', sid: first.sid }])
    expect(await stands(first.uid, { sid: first.sid })).toBe('revoked')
    expect(await stands(first.uid, { sid: other.sid })).toBe('stands')
  })

  it('with an uid that two want at once is given to one', async () => {
    const answers = await Promise.allSettled(
      [p1, p2].map((phone) => login(phone, 'phone', { uid: uid('both') })),
    )
    expect(answers.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
  })

  it('cannot take the uid of an account without a phone', async () => {
    await store.checkLogin({ uid: uid('external'), device: null, sid: null, issuedAt: Date.now() })
    await expect(login(p1, 'phone', { uid: uid('external') })).rejects.toMatchObject({
      code: 'uid_taken',
    })
  })

  it('that is refused leaves neither account nor device', async () => {
    await login(p1, 'one', { uid: uid('full'), devicesMax: 1 })
    await expect(login(p1, 'two', { devicesMax: 1 })).rejects.toMatchObject({
      code: 'too_many_devices',
    })
    await expect(login(p2, 'phone', { devicesMax: 0 })).rejects.toMatchObject({
      code: 'too_many_devices',
    })
    expect(await store.devices(uid('full'))).toHaveLength(1)
    // The name that the refused login would have taken is still free.
    expect((await login(p3, 'phone', { uid: uid(`u${p2.slice(1)}`) })).uid).toBe(`u${p2.slice(1)}`)
  })
})

describe('a refresh', () => {
  it('that is reused ends the login and keeps the offline queue', async () => {
    const { uid: who, sid, refreshHash } = await login(p1, 'phone')
    const next = { nextHash: 'next', nextExpiresAt: Date.now() + DAY_MS }
    await openSession(who, 'phone')
    expect(await store.refresh({ sid, refreshHash, ...next })).toEqual({ uid: who, device: 'phone' })
    expect(await store.refresh({ sid, refreshHash, ...next })).toEqual({ refused: 'refresh_reused' })
    expect(ended).toEqual([{ uid: who, device: 'phone', sid }])
    await expect(store.refresh({ sid, refreshHash: 'next', ...next })).rejects.toMatchObject({
      code: 'bad_refresh',
    })
    expect((await openSession(who, 'phone')).present).toBe(true)
  })
})

describe('the MQTT session of a device', () => {
  it.each(['logout', 'revoke'])('ends with a %s, and only that one', async (how) => {
    const { uid: who, sid } = await login(p1, 'phone')
    await openSession(who, 'phone')
    await openSession(who, 'tablet')
    if (how === 'logout') await store.endLogin({ uid: who, sid })
    else await store.revokeDevice({ uid: who, device: device('phone') })
    expect((await openSession(who, 'phone', Date.now() + 2000)).present).toBe(false)
    expect((await openSession(who, 'tablet')).present).toBe(true)
  })

  it('has a number that no later session is given', async () => {
    const { uid: who } = await login(p1, 'phone')
    const first = await openSession(who, 'phone')
    await store.revokeDevice({ uid: who, device: device('phone') })
    const second = await openSession(who, 'tablet')
    expect(second.session).not.toBe(first.session)
  })
})

describe('a device', () => {
  it('is listed with what its login said, the last seen first, until it is revoked', async () => {
    const before = Date.now()
    const { uid: who } = await login(p1, 'phone')
    await login(p1, 'tablet', { device: { id: device('tablet'), kind: 'tablet', name: 'Büro' } })
    const [tablet, phone] = (await store.devices(who)).sort((a, b) => (a.id < b.id ? 1 : -1))
    expect(tablet).toMatchObject({ id: 'tablet', kind: 'tablet', name: 'Büro' })
    expect(phone?.createdAt).toBeGreaterThanOrEqual(before)
    await store.revokeDevice({ uid: who, device: device('tablet') })
    expect((await store.devices(who)).map(({ id }) => id)).toEqual(['phone'])
    expect(await store.devices(uid('nobody'))).toEqual([])
  })

  it('that was revoked does not count, and counts again with its next login', async () => {
    const { uid: who } = await login(p1, 'd1', { devicesMax: 2 })
    await login(p1, 'd2', { devicesMax: 2 })
    await store.revokeDevice({ uid: who, device: device('d1') })
    await login(p1, 'd3', { devicesMax: 2 })
    await expect(login(p1, 'd1', { devicesMax: 2 })).rejects.toMatchObject({
      code: 'too_many_devices',
    })
    await store.revokeDevice({ uid: who, device: device('d2') })
    await login(p1, 'd1', { devicesMax: 2 })
    expect((await store.devices(who)).map(({ id }) => id).sort()).toEqual(['d1', 'd3'])
  })

  it('that nobody can use any more makes room, one that somebody can does not', async () => {
    const { uid: who } = await login(p1, 'lost', { devicesMax: 2 })
    await login(p1, 'kept', { devicesMax: 2 })
    await age(
      `update device set seen_at = seen_at - ${91 * DAY_MS}`,
      `update login set expires_at = 1 where device = 'lost'`,
    )
    await login(p1, 'new', { devicesMax: 2 })
    expect((await store.devices(who)).map(({ id }) => id).sort()).toEqual(['kept', 'new'])
  })

  it('that was never seen can be revoked, and its tokens are refused from then on', async () => {
    const { uid: who } = await login(p1, 'phone')
    const unseen = device('unseen')
    await store.revokeDevice({ uid: who, device: unseen })
    expect(await stands(who, { device: unseen, issuedAt: Date.now() - 1000 })).toBe('revoked')
    expect(await stands(who, { device: unseen, issuedAt: Date.now() + 1000 })).toBe('stands')
    expect((await store.devices(who)).map(({ id }) => id)).toEqual(['phone'])
  })

  it('that was revoked stays revoked for old tokens after a login and a logout', async () => {
    const { uid: who } = await login(p1, 'phone')
    const issuedAt = Date.now() - 1000
    await store.revokeDevice({ uid: who, device: device('phone') })
    const again = await login(p1, 'phone')
    expect(await stands(who, { device: device('phone'), issuedAt })).toBe('revoked')
    await store.endLogin({ uid: who, sid: again.sid })
    expect(await store.devices(who)).toEqual([])
    expect(await stands(who, { device: device('phone'), issuedAt })).toBe('revoked')
  })

  it('leaves at most a thousand rows of revoked ones', async () => {
    const { uid: who } = await login(p1, 'phone')
    await Promise.all(
      Array.from({ length: 1100 }, (_, i) => store.revokeDevice({ uid: who, device: device(`d${i}`) })),
    )
    await store[Symbol.asyncDispose]()
    const db = new DatabaseSync(join(dir, 'wochat.db'))
    const rows = db.prepare(
      'select count(*) as rows from device join account on account.n = device.account where uid = ?',
    )
    expect(rows.get(who)).toEqual({ rows: 1001 })
    db.close()
    await open()
  })
})

function openSession(of: UserId, deviceId: string, issuedAt = Date.now()) {
  return store.openSession({
    clientId: buildClientId(of, device(deviceId)),
    uid: of,
    device: device(deviceId),
    sid: null,
    issuedAt,
    cleanStart: false,
    persistent: true,
    devicesMax: 10,
  })
}
