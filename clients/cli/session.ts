/** Who runs a command and against which server: from the options, else from the profile of a login. */
import { WochatError } from '../../protocol/errors.ts'
import { createHttpCall, type HttpCall } from '../sdk/http.ts'
import { findProfile, type Profile, profilePath, saveProfile, withProfileLock } from './profile.ts'

/** Where a server listens whose port nobody set. */
export const HTTP_PORT = 8080
const ADMIN_PORT = 9090

/** Of a server on this machine, at the port that the same environment gives it. */
export const DEFAULT_URL = localUrl(process.env.WOCHAT_HTTP_PORT, HTTP_PORT)
export const DEFAULT_ADMIN_URL = localUrl(process.env.WOCHAT_ADMIN_PORT, ADMIN_PORT)

export type SessionOptions = {
  profile: string
  url?: string
  mqtt?: string
  uid?: string
  device?: string
  token?: string
}

export type Session = {
  url: string
  mqttUrl: string
  uid: string
  deviceId: string
  /** A token that is valid now. */
  token: () => Promise<string>
  call: HttpCall
  /** Made by `login`; a session of `--token` leaves nothing behind. */
  loggedIn: boolean
}

/** Refreshed this long before its end, so that it does not end on its way. */
const REFRESH_AHEAD_MS = 30_000

export async function openSession(options: SessionOptions): Promise<Session> {
  return options.token === undefined ? openLogin(options) : openToken(options, options.token)
}

async function openLogin(options: SessionOptions): Promise<Session> {
  const path = profilePath(options.profile)
  const profile = await findProfile(path)
  if (profile === undefined) {
    throw new WochatError(
      'unauthenticated',
      `no login in profile "${options.profile}"; see wochat login --help`,
    )
  }
  if (options.uid !== undefined && options.uid !== profile.uid) {
    throw new WochatError(
      'bad_request',
      `profile "${options.profile}" is a login of ${profile.uid}; give --token with --uid`,
    )
  }
  const url = options.url ?? profile.url
  const token = async () => (await refreshIfDue(path, url)).accessToken
  return {
    url,
    mqttUrl: options.mqtt ?? webSocketUrl(url),
    uid: profile.uid,
    deviceId: profile.deviceId,
    token,
    call: createHttpCall({ url, token }),
    loggedIn: true,
  }
}

async function openToken(options: SessionOptions, token: string): Promise<Session> {
  const claims = readClaims(token)
  const uid = options.uid ?? claims.sub
  if (uid === undefined) throw new WochatError('unauthenticated', 'the token names no user; give --uid')
  const url = options.url ?? DEFAULT_URL
  return {
    url,
    mqttUrl: options.mqtt ?? webSocketUrl(url),
    uid,
    deviceId: options.device ?? claims.did ?? 'cli',
    token: async () => token,
    call: createHttpCall({ url, token }),
    loggedIn: false,
  }
}

async function refreshIfDue(path: string, url: string): Promise<Profile> {
  const current = await readCurrent(path)
  if (!isDue(current)) return current
  return withProfileLock(path, async () => {
    const latest = await readCurrent(path)
    if (!isDue(latest)) return latest
    const tokens = await createHttpCall({ url, token: null })('auth.refresh', {
      refreshToken: latest.refreshToken,
    })
    const next = { ...latest, ...tokens }
    await saveProfile(path, next)
    return next
  })
}

async function readCurrent(path: string): Promise<Profile> {
  const profile = await findProfile(path)
  if (profile === undefined) throw new WochatError('unauthenticated', 'logged out meanwhile')
  return profile
}

function isDue(profile: Profile): boolean {
  return profile.expiresAt - REFRESH_AHEAD_MS < Date.now()
}

/** A port of 0 is any free one, which nobody can know; what is no port at all, the server says itself. */
export function localUrl(port: string | undefined, initial: number): string {
  return `http://127.0.0.1:${port !== undefined && /^[1-9]\d{0,4}$/.test(port) ? port : initial}`
}

/** `http://host:8080` has MQTT over WebSocket at `ws://host:8080/mqtt`. */
export function webSocketUrl(url: string): string {
  if (!/^https?:\/\//.test(url))
    throw new WochatError('bad_request', `--url: ${url} is not of the form http://host:port`)
  return `${url.replace(/^http/, 'ws').replace(/\/$/, '')}/mqtt`
}

/** What a token says of itself; the server decides whether it is true. */
export function readClaims(token: string): { sub?: string; did?: string } {
  try {
    const payload = Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()
    const { sub, did } = JSON.parse(payload) as { sub?: unknown; did?: unknown }
    return { ...(typeof sub === 'string' && { sub }), ...(typeof did === 'string' && { did }) }
  } catch {
    return {}
  }
}
