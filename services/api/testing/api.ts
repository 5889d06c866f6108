/** For tests: the whole HTTP face over a real store in a temporary folder, on a free loopback port. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import type { OperationName, Result } from '../../../protocol/catalogue/catalogue.ts'
import type { ErrorBody } from '../../../protocol/errors.ts'
import { createAccountHandlers } from '../../accounts/account-handlers.ts'
import { createArchives } from '../../accounts/archive.ts'
import { type AuthSettings, createAuthHandlers } from '../../auth/auth-service.ts'
import { createKeyFile } from '../../auth/key-file.ts'
import { Keyring } from '../../auth/keyring.ts'
import { createConsoleSms } from '../../auth/sms/console.ts'
import type { SmsProvider } from '../../auth/sms/provider.ts'
import type { TokenVerifier } from '../../auth/token.ts'
import { createTokenVerifier, type TrustedIssuer } from '../../auth/verifier.ts'
import { createDispatcher, type Dispatcher, type DispatcherLimits } from '../../dispatcher.ts'
import { createFolderStorage } from '../../media/folder-storage.ts'
import { createImaging } from '../../media/images.ts'
import { createMediaLinks } from '../../media/links.ts'
import { createMediaHandlers } from '../../media/media-handlers.ts'
import { createMediaService } from '../../media/media-service.ts'
import { createMessageHandlers } from '../../messages/message-handlers.ts'
import { MessageSender } from '../../messages/message-sender.ts'
import { createIntake } from '../../messages/ports.ts'
import { Presence } from '../../presence/presence.ts'
import { createPresenceHandlers } from '../../presence/presence-handlers.ts'
import { SeenWriter } from '../../presence/seen-writer.ts'
import type { Store } from '../../store/contract.ts'
import { DEFAULT_POLICY } from '../../store/policy.ts'
import { openSqliteStore } from '../../store/sqlite/client.ts'
import { createStoredHandlers } from '../../stored-handlers.ts'
import { createHttpServer, type HttpServer, type HttpSettings } from '../http-server.ts'

export const IDENTITY = { issuer: 'wochat', audience: 'wochat' }
export const BODY_BYTES_MAX = 68 * 1024
const HOUR_MS = 3_600_000

type ApiOverrides = {
  auth?: Partial<AuthSettings>
  http?: Partial<HttpSettings>
  limits?: Partial<DispatcherLimits>
  issuers?: readonly TrustedIssuer[]
  sms?: SmsProvider
  /** Clock of codes and tokens; the store keeps its own. */
  now?: () => number
}

type LoginResult = Result<'auth.login'>
type EndedLogin = { uid: string; device: string | null; sid: string | null }

export type Api = AsyncDisposable & {
  url: string
  dir: string
  store: Store
  keyring: Keyring
  verifier: TokenVerifier
  dispatcher: Dispatcher
  http: HttpServer
  /** Lines of the console SMS provider. */
  smsLines: string[]
  /** Everything that was logged, at the level of most detail. */
  logLines: string[]
  /** What the commit feed said of ended logins. */
  ended: EndedLogin[]
  /** Answers with the status and the body. */
  call(op: string, params: unknown, token?: string): Promise<Answer>
  /** The result; throws on any other answer. */
  result<Name extends OperationName>(op: Name, params: unknown, token?: string): Promise<Result<Name>>
  requestCode(phone: string): Promise<string>
  login(phone: string, uid: string, deviceId?: string): Promise<LoginResult>
}

/** `code` is of the error, or `ok`. */
export type Answer = { status: number; code: string; body: unknown; headers: Headers }

const NO_LIMIT = { perSecond: 0, burst: 0 }

export async function startApi(overrides: ApiOverrides = {}): Promise<Api> {
  const dir = await mkdtemp(join(tmpdir(), 'wochat-api-'))
  const logLines: string[] = []
  const smsLines: string[] = []
  const log = pino({ level: 'trace' }, { write: (line: string) => void logLines.push(line) })
  const store = await openStore(dir)
  const ended: EndedLogin[] = []
  store.feed = { ...store.feed, loginEnded: (uid, device, sid) => void ended.push({ uid, device, sid }) }
  const now = overrides.now ?? Date.now
  const keyring = await Keyring.open({
    storage: createKeyFile(join(dir, 'keys')),
    alg: 'RS256',
    keepMs: HOUR_MS,
    now,
  })
  const verifier = createTokenVerifier({
    keyring,
    identity: IDENTITY,
    issuers: overrides.issuers ?? [],
    log,
    now,
  })
  const endpoints = () => ({
    mqtt: 'mqtt://127.0.0.1:1883',
    ws: 'ws://127.0.0.1:8080/mqtt',
    http: 'http://127.0.0.1:8080',
  })
  const storage = createFolderStorage({ folder: join(dir, 'media'), diskReserveBytes: 0 })
  const media = {
    service: createMediaService({ store, storage, imaging: createImaging({ pixelsMax: 1_000_000 }) }),
    links: createMediaLinks({ secret: () => keyring.codePepper, ttlMs: HOUR_MS, now }),
  }
  const presence = new Presence({
    board: {
      put() {},
      read: async (uids) => uids.map(() => []),
      follow: async (uids) => uids.map(() => []),
      unfollow() {},
    },
    seen: new SeenWriter(store, () => {}),
    visibleTo: async () => new Set(),
    offlineDelayMs: 0,
    onError() {},
  })
  const handlers = {
    ...createAuthHandlers({
      store,
      keyring,
      sms: overrides.sms ?? createConsoleSms((line) => void smsLines.push(line)),
      settings: { ...AUTH_SETTINGS, ...overrides.auth },
      endpoints,
      now,
    }),
    ...createStoredHandlers(store),
    ...createPresenceHandlers(store, presence),
    ...createAccountHandlers({ httpUrl: () => endpoints().http }),
    ...createMessageHandlers({
      store,
      sender: new MessageSender(store, createIntake()),
      payloadBytesMax: 64 * 1024,
    }),
    ...createMediaHandlers({ ...media, httpUrl: () => endpoints().http }),
  }
  const limits = {
    account: NO_LIMIT,
    address: NO_LIMIT,
    costly: NO_LIMIT,
    rare: NO_LIMIT,
    ...overrides.limits,
  }
  const dispatcher = createDispatcher({ handlers, store, limits, log })
  const settings = { bodyBytesMax: BODY_BYTES_MAX, allowedOrigins: [], tls: null, ...overrides.http }
  const http = await createHttpServer({
    dispatcher,
    verifier,
    keyring,
    archives: createArchives({ store, media: media.service }),
    media,
    version: '1.2.3',
    endpoints,
    servesApi: true,
    settings,
    log,
  })
  const port = await http.listen({ host: '127.0.0.1', port: 0 })
  const url = `${settings.tls === null ? 'http' : 'https'}://127.0.0.1:${port}`

  const api: Api = {
    url,
    dir,
    store,
    keyring,
    verifier,
    dispatcher,
    http,
    smsLines,
    logLines,
    ended,
    call: (op, params, token) => post(`${url}/v1/${op}`, JSON.stringify(params), token),
    async result(op, params, token) {
      const { status, body } = await api.call(op, params, token)
      if (status !== 200) throw new Error(`${op}: ${status} ${JSON.stringify(body)}`)
      return body as Result<typeof op>
    },
    async requestCode(phone) {
      await api.result('auth.requestCode', { phone })
      return /: ([0-9]{6})\n$/.exec(smsLines.at(-1) ?? '')![1]!
    },
    async login(phone, uid, deviceId = 'phone') {
      const code = await api.requestCode(phone)
      return api.result('auth.login', { phone, code, uid, device: { id: deviceId } })
    },
    async [Symbol.asyncDispose]() {
      await http[Symbol.asyncDispose]()
      await store[Symbol.asyncDispose]()
      await rm(dir, { recursive: true, force: true })
    },
  }
  return api
}

const AUTH_SETTINGS: AuthSettings = {
  identity: IDENTITY,
  accessTokenTtlMs: HOUR_MS,
  refreshTokenTtlMs: 24 * HOUR_MS,
  codesPerPhoneMax: 100,
  codesPerAddressMax: 1000,
  codesWindowMs: HOUR_MS,
  devicesMax: 8,
}

export function openStore(dir: string): Promise<Store> {
  return openSqliteStore({
    file: join(dir, 'wochat.db'),
    policy: { ...DEFAULT_POLICY, contactsRequired: true },
    unfiledAgeMaxMs: 1000,
    waitingSendsMax: 1000,
    diskReserveBytes: 0,
    onFatal: (error) => {
      throw error
    },
  })
}

/** Posts any body. */
export async function post(
  url: string,
  body: string | Uint8Array<ArrayBuffer>,
  token?: string,
  headers: Record<string, string> = { 'content-type': 'application/json' },
): Promise<Answer> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { ...headers, ...(token !== undefined && { authorization: `Bearer ${token}` }) },
    body,
  })
  const answer = (await response.json()) as { error?: ErrorBody }
  return {
    status: response.status,
    code: answer.error?.code ?? 'ok',
    body: answer,
    headers: response.headers,
  }
}
