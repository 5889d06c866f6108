/** Login by SMS code, refresh tokens that rotate, logout and revocation: the operations `auth.*`. */
import { createHash, createHmac, randomBytes, randomInt } from 'node:crypto'
import type { Result } from '../../protocol/catalogue/catalogue.ts'
import { WochatError } from '../../protocol/errors.ts'
import { type DeviceId, parseDeviceId, parseUserId, type UserId } from '../../protocol/ids.ts'
import { addressKey } from '../address-key.ts'
import { type CallContext, callerOf, type HandlersOf } from '../dispatcher.ts'
import type { AccountStore } from '../store/contract.ts'
import { issueAccessToken, type TokenIdentity } from './access-token.ts'
import type { Keyring } from './keyring.ts'
import type { SmsProvider } from './sms/provider.ts'

const CODE_DIGITS = 6
const CODE_TTL_MS = 5 * 60_000
const CODE_TRIES_MAX = 5
/** `+` and 6 to 15 digits [ITU-T E.164]. */
const PHONE = /^\+[0-9]{6,15}$/
/** 128 and 256 random bits in base64url. */
const REFRESH_TOKEN = /^([\w-]{22})\.([\w-]{43})$/

export type AuthSettings = {
  identity: TokenIdentity
  accessTokenTtlMs: number
  /** Life of a refresh token that is not used; each refresh begins it anew. */
  refreshTokenTtlMs: number
  codesPerPhoneMax: number
  codesPerAddressMax: number
  codesWindowMs: number
  devicesMax: number
}

type AuthParts = {
  store: AccountStore
  keyring: Keyring
  sms: SmsProvider
  settings: AuthSettings
  /** Where clients reach this server, told with every login. */
  endpoints: () => Result<'auth.login'>['endpoints']
  now?: () => number
}

export function createAuthHandlers(parts: AuthParts): HandlersOf<'auth.'> {
  const { store, keyring, sms, settings } = parts
  const now = parts.now ?? Date.now

  const tokens = (login: { uid: UserId; device: DeviceId; sid: string; refreshToken: string }) => {
    const { uid, device, sid, refreshToken } = login
    const { token, expiresAt } = issueAccessToken(keyring, settings.identity, {
      uid,
      device,
      sid,
      ttlMs: settings.accessTokenTtlMs,
      now: now(),
    })
    return { uid, accessToken: token, refreshToken, expiresAt, endpoints: parts.endpoints() }
  }

  return {
    // Nothing here looks at accounts, so that the answer cannot tell whether the phone has one.
    async 'auth.requestCode'(params, { address }) {
      const phone = parsePhone(params.phone)
      const code = generateCode()
      const expiresAt = now() + CODE_TTL_MS
      const recorded = await store.recordCode({
        phone,
        codeHash: hashCode(keyring, phone, code),
        expiresAt,
        address: addressKey(address),
        perPhoneMax: settings.codesPerPhoneMax,
        perAddressMax: settings.codesPerAddressMax,
        windowMs: settings.codesWindowMs,
      })
      if (!recorded.taken) {
        throw new WochatError('rate_limited', undefined, { retryAfterMs: recorded.retryAfterMs })
      }
      await sms.sendCode({ phone, code, text: `${code} is your login code. It is valid for 5 minutes.` })
      return { expiresAt }
    },

    async 'auth.login'(params) {
      const phone = parsePhone(params.phone)
      const device = requireDeviceId('device.id', params.device.id)
      const { sid, secret } = generateRefresh()
      const login = await store.login({
        phone,
        codeHash: hashCode(keyring, phone, params.code),
        triesMax: CODE_TRIES_MAX,
        uid: params.uid === undefined ? null : requireUserId('uid', params.uid),
        newUid: generateUid(),
        device: { id: device, kind: params.device.kind ?? '', name: params.device.name ?? '' },
        devicesMax: settings.devicesMax,
        sid,
        refreshHash: hashRefresh(secret),
        refreshExpiresAt: now() + settings.refreshTokenTtlMs,
      })
      if ('refused' in login) throw new WochatError(login.refused)
      return tokens({ uid: login.uid, device, sid, refreshToken: `${sid}.${secret}` })
    },

    async 'auth.refresh'({ refreshToken }) {
      const [, sid, secret] = REFRESH_TOKEN.exec(refreshToken) ?? []
      if (sid === undefined || secret === undefined) throw new WochatError('bad_refresh')
      const next = generateRefresh().secret
      const login = await store.refresh({
        sid,
        refreshHash: hashRefresh(secret),
        nextHash: hashRefresh(next),
        nextExpiresAt: now() + settings.refreshTokenTtlMs,
      })
      if ('refused' in login) throw new WochatError(login.refused)
      return tokens({ ...login, sid, refreshToken: `${sid}.${next}` })
    },

    async 'auth.logout'(_params, context) {
      const { uid, device } = callerOf(context)
      const sid = sidOf(context)
      if (sid !== null) await store.endLogin({ uid, sid })
      // A token that no login of ours stands behind can only be ended with its device.
      else if (device !== null) await store.revokeDevice({ uid, device })
      else throw new WochatError('device_required')
      return {}
    },

    async 'auth.devices'(_params, context) {
      const { uid, device } = callerOf(context)
      const devices = await store.devices(uid)
      return { devices: devices.map((one) => ({ ...one, current: one.id === device })) }
    },

    async 'auth.revoke'(params, context) {
      const { uid } = callerOf(context)
      await store.revokeDevice({ uid, device: requireDeviceId('deviceId', params.deviceId) })
      return {}
    },
  }
}

function parsePhone(phone: string): string {
  if (!PHONE.test(phone)) throw new WochatError('bad_phone')
  return phone
}

/** The schema holds the alphabet; a few reserved names are of it and are still refused. */
function requireUserId(field: string, text: string): UserId {
  const uid = parseUserId(text)
  if (uid === undefined) throw new WochatError('bad_request', `${field}: a reserved name`)
  return uid
}

function requireDeviceId(field: string, text: string): DeviceId {
  const device = parseDeviceId(text)
  if (device === undefined) throw new WochatError('bad_request', `${field}: a reserved name`)
  return device
}

function sidOf({ token }: CallContext): string | null {
  return token?.sid ?? null
}

function generateCode(): string {
  return String(randomInt(10 ** CODE_DIGITS)).padStart(CODE_DIGITS, '0')
}

/** A million codes are soon tried against a plain hash; the pepper is not in the store that holds the hashes. */
function hashCode(keyring: Keyring, phone: string, code: string): string {
  return createHmac('sha256', keyring.codePepper).update(`${phone}:${code}`).digest('hex')
}

function generateRefresh(): { sid: string; secret: string } {
  return { sid: randomBytes(16).toString('base64url'), secret: randomBytes(32).toString('base64url') }
}

/** 256 random bits need neither salt nor pepper. */
function hashRefresh(secret: string): string {
  return createHash('sha256').update(secret).digest('hex')
}

/** `u` and 50 random bits in letters and digits that cannot be mistaken for each other. */
function generateUid(): UserId {
  const letters = 'abcdefghijkmnpqrstuvwxyz23456789'
  return `u${Array.from(randomBytes(10), (byte) => letters[byte & 31]).join('')}` as UserId
}
