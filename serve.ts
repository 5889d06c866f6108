/** The composition root: reads nothing but its configuration, builds every part once, and stops them in reverse. */
import { accessSync, constants, mkdirSync, readFileSync } from 'node:fs'
import type { Server } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pino, { type Logger } from 'pino'
import { createEngine } from './broker/engine/engine.ts'
import { Admission } from './broker/gate/admission.ts'
import { Clock } from './broker/gate/clock.ts'
import { Gate } from './broker/gate/gate.ts'
import { GateMetrics, type GateServices } from './broker/gate/gate-services.ts'
import { WriteTurn } from './broker/gate/outbox.ts'
import { Registry } from './broker/gate/registry.ts'
import { CursorWriter } from './broker/inbox/cursor-writer.ts'
import { Hub } from './broker/inbox/hub.ts'
import { listenTcp, portOf } from './broker/listeners/tcp-listener.ts'
import { attachWebSocket } from './broker/listeners/websocket-listener.ts'
import { createMetrics } from './broker/metrics.ts'
import { type Config, ConfigError } from './config.ts'
import { createAdminServer } from './services/api/admin-server.ts'
import { createHttpServer } from './services/api/http-server.ts'
import { createAuthHandlers } from './services/auth/auth-service.ts'
import { startKeyRotation } from './services/auth/key-rotation.ts'
import { Keyring } from './services/auth/keyring.ts'
import { createConsoleSms } from './services/auth/sms/console.ts'
import type { SmsProvider } from './services/auth/sms/provider.ts'
import { createWebhookSms } from './services/auth/sms/webhook.ts'
import { createTokenVerifier } from './services/auth/verifier.ts'
import { createContactHandlers } from './services/contacts/contact-handlers.ts'
import { createConversationHandlers } from './services/conversations/conversation-handlers.ts'
import { createDispatcher } from './services/dispatcher.ts'
import { createGroupHandlers } from './services/groups/group-handlers.ts'
import type { Store } from './services/store/contract.ts'
import { openSqliteStore } from './services/store/sqlite/client.ts'
import { STORE_FILE } from './services/store/sqlite/files.ts'
import { FolderLockedError, lockFolder } from './services/store/sqlite/folder-lock.ts'
import { VERSION } from './version.ts'

/** Entries are filed into their tables after this long, if there were not enough for a batch before. */
const UNFILED_AGE_MAX_MS = 500
const EXPIRE_EVERY_MS = 60_000

export type Endpoints = { mqtt: string; mqtts: string | null; http: string; ws: string; admin: string }

export type RunningServer = AsyncDisposable & { readonly endpoints: Endpoints; readonly store: Store }

/** What was built, to be disposed of in reverse order. */
type Parts = AsyncDisposableStack

/** Starts a node. Rejects with a {@link ConfigError} that names the setting when it cannot. */
export async function startServer(config: Config, onFatal: (error: Error) => void): Promise<RunningServer> {
  await using parts = new AsyncDisposableStack()
  const log = pino({ level: config.logLevel, base: null }, pino.destination({ dest: 2, sync: false }))
  prepareDataDir(config, parts)
  const keyLife = { alg: config.jwtAlgorithm, keepMs: config.signingKeyKeepMs }
  const keyring = await Keyring.open({ dir: join(config.dataDir, 'keys'), ...keyLife })
  parts.use(startKeyRotation({ keyring, ...keyLife, ageMaxMs: config.signingKeyAgeMaxMs, log }))
  const store = parts.use(
    await openSqliteStore({
      file: join(config.dataDir, STORE_FILE),
      policy: { contactsRequired: config.contactsRequired },
      unfiledAgeMaxMs: UNFILED_AGE_MAX_MS,
      waitingSendsMax: config.storeWaitingSendsMax,
      diskReserveBytes: config.diskReserveBytes,
      onFatal,
    }),
  )
  await store.adoptSessions({ expiresAt: Date.now() + config.sessionExpirySecondsMax * 1000, except: [] })

  const endpoints: Endpoints = { mqtt: '', mqtts: null, http: '', ws: '', admin: '' }
  const tokenIdentity = { issuer: config.tokenIssuer, audience: config.tokenAudience }
  const verifier = createTokenVerifier({ keyring, identity: tokenIdentity, issuers: config.issuers, log })
  const publicEndpoints = () => ({
    mqtt: config.publicMqttUrl ?? endpoints.mqtts ?? endpoints.mqtt,
    ws: config.publicWsUrl ?? endpoints.ws,
    http: config.publicHttpUrl ?? endpoints.http,
  })
  const dispatcher = createDispatcher({
    handlers: {
      ...createAuthHandlers({
        store,
        keyring,
        sms: smsProvider(config, log),
        endpoints: publicEndpoints,
        settings: {
          identity: tokenIdentity,
          accessTokenTtlMs: config.accessTokenTtlMs,
          refreshTokenTtlMs: config.refreshTokenTtlMs,
          codesPerPhoneMax: config.codesPerPhoneMax,
          codesPerAddressMax: config.codesPerAddressMax,
          codesWindowMs: config.codesWindowMs,
          devicesMax: config.devicesPerAccountMax,
        },
      }),
      ...createContactHandlers(store, { contactsMax: config.contactsPerAccountMax }),
      ...createGroupHandlers(store, { membersMax: config.groupMembersMax }),
      ...createConversationHandlers(store),
    },
    store,
    limits: {
      account: { perSecond: config.callsPerSecondMax, burst: config.callsPerSecondMax * 2 },
      address: { perSecond: config.callsPerSecondMax * 20, burst: config.callsPerSecondMax * 40 },
    },
    log,
  })

  const { gate, registry } = await buildGate({ config, store, verifier, dispatcher, log, parts })
  parts.defer(() => gate.stop())
  const metrics = createMetrics({
    gate: gate.metrics,
    store,
    inflight: () => sumOver(registry, (connection) => connection.identity.session.inflight.unacked),
    behind: () => sumOver(registry, ({ identity: { session } }) => (session.mode === 'draining' ? 1 : 0)),
  })

  let isReady = false
  const admin = parts.use(
    createAdminServer({
      registry: metrics,
      async readiness() {
        const health = await store.health()
        const reasons = [
          ...(isReady ? [] : ['not accepting connections']),
          ...(health.reason === null ? [] : [health.reason]),
        ]
        return { ready: reasons.length === 0, reasons }
      },
    }),
  )
  const tls = tlsFiles(config)
  const http = parts.use(
    await createHttpServer({
      dispatcher,
      verifier,
      keyring,
      version: VERSION,
      endpoints: publicEndpoints,
      settings: {
        bodyBytesMax: config.payloadBytesMax + 4096,
        allowedOrigins: config.allowedOrigins,
        tls: tls === null ? null : { certFile: config.tlsCertFile!, keyFile: config.tlsKeyFile! },
      },
      log,
    }),
  )
  attachWebSocket(gate, http.server, {
    messageBytesMax: config.packetBytesMax,
    allowedOrigins: config.allowedOrigins,
  })

  const mqtt = await named('mqttPort', config, listenTcp(gate, config.mqttHost, config.mqttPort, null))
  parts.defer(() => closeListener(mqtt))
  endpoints.mqtt = `mqtt://${hostName(config.mqttHost)}:${portOf(mqtt)}`
  if (tls !== null) {
    const mqtts = await named(
      'mqttTlsPort',
      config,
      listenTcp(gate, config.mqttHost, config.mqttTlsPort, tls),
    )
    parts.defer(() => closeListener(mqtts))
    endpoints.mqtts = `mqtts://${hostName(config.mqttHost)}:${portOf(mqtts)}`
  }
  const httpPort = await named(
    'httpPort',
    config,
    http.listen({ host: config.httpHost, port: config.httpPort }),
  )
  endpoints.http = `http${tls === null ? '' : 's'}://${hostName(config.httpHost)}:${httpPort}`
  endpoints.ws = `${endpoints.http.replace(/^http/, 'ws')}/mqtt`
  const adminPort = await named(
    'adminPort',
    config,
    admin.listen({ host: config.adminHost, port: config.adminPort }),
  )
  endpoints.admin = `http://${hostName(config.adminHost)}:${adminPort}`

  expireSessions(gate, store, log, parts)
  // Stopped first: the HTTP server waits for its sockets, and those of MQTT over WebSocket are the gate's to close.
  parts.defer(() => gate.stop())
  isReady = true
  parts.defer(() => {
    isReady = false
  })
  const running = parts.move()
  return { endpoints, store, [Symbol.asyncDispose]: () => running.disposeAsync() }
}

type GateParts = Pick<GateServices, 'store' | 'verifier' | 'dispatcher' | 'log'> & {
  config: Config
  parts: Parts
}

async function buildGate({ config, store, verifier, dispatcher, log, parts }: GateParts): Promise<{
  gate: Gate
  registry: Registry
}> {
  const metrics = new GateMetrics()
  const clock = new Clock()
  parts.defer(() => clock.stop())
  const hub = new Hub()
  const cursors = new CursorWriter(store, config.cursorFlushMs, (error) =>
    log.warn({ err: error }, 'cursors were not written; they are written with the next ones'),
  )
  parts.defer(() => cursors.flush())
  const engine = await createEngine({
    store,
    log,
    settings: {
      queuedMessagesMax: config.plainQueuedMessagesMax,
      waitingBytesMax: config.plainBufferBytesMax,
      halfOpenMax: config.plainHalfOpenMax,
      retainedIndexBytesMax: config.retainedIndexBytesMax,
      subscriptionsMax: config.subscriptionsPerSessionMax,
    },
  })
  parts.defer(() => engine.close())
  const registry = new Registry()
  const gate = new Gate({
    store,
    verifier,
    dispatcher,
    engine,
    inbox: { store, hub, cursors, metrics, backlogEntriesMax: config.backlogEntriesMax },
    registry,
    admission: new Admission(clock, config.connectionsMax, config.connectsPerAddressMax),
    turn: new WriteTurn(),
    clock,
    limits: config,
    metrics,
    log,
    openPlain: config.openPlain,
  })
  store.feed = gate
  return { gate, registry }
}

// ---------------------------------------------------------------- steps

function prepareDataDir(config: Config, parts: Parts): void {
  try {
    mkdirSync(config.dataDir, { recursive: true, mode: 0o700 })
    accessSync(config.dataDir, constants.R_OK | constants.W_OK | constants.X_OK)
    const lock = lockFolder(config.dataDir)
    parts.defer(() => lock.release())
  } catch (error) {
    const reason =
      error instanceof FolderLockedError
        ? error.message
        : `${config.dataDir} cannot be written: ${(error as Error).message}`
    throw new ConfigError(`WOCHAT_DATA_DIR: ${reason}`, { cause: error })
  }
}

function smsProvider(config: Config, log: Logger): SmsProvider {
  if (config.sms === 'console') return createConsoleSms()
  return createWebhookSms({
    url: config.smsWebhookUrl!,
    secret: config.smsWebhookSecret?.reveal() ?? null,
    log,
  })
}

function tlsFiles({ tlsCertFile, tlsKeyFile }: Config): { cert: Buffer; key: Buffer } | null {
  if (tlsCertFile === null || tlsKeyFile === null) return null
  return {
    cert: readSetting('WOCHAT_TLS_CERT_FILE', tlsCertFile),
    key: readSetting('WOCHAT_TLS_KEY_FILE', tlsKeyFile),
  }
}

function readSetting(name: string, file: string): Buffer {
  try {
    return readFileSync(file)
  } catch (error) {
    throw new ConfigError(`${name} ${file}: ${(error as Error).message}`, { cause: error })
  }
}

type PortOption = 'mqttPort' | 'mqttTlsPort' | 'httpPort' | 'adminPort'

const PORT_VARIABLES: Record<PortOption, string> = {
  mqttPort: 'WOCHAT_MQTT_PORT',
  mqttTlsPort: 'WOCHAT_MQTT_TLS_PORT',
  httpPort: 'WOCHAT_HTTP_PORT',
  adminPort: 'WOCHAT_ADMIN_PORT',
}

/** Names the setting when a port cannot be listened on. */
async function named<Value>(option: PortOption, config: Config, listening: Promise<Value>): Promise<Value> {
  try {
    return await listening
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    const reason = code === 'EADDRINUSE' ? 'the port is in use' : message
    throw new ConfigError(`${PORT_VARIABLES[option]} ${config[option]}: ${reason}`, { cause: error })
  }
}

/** Stops listening; the connections are the gate's to close. */
function closeListener(server: Server): void {
  server.close()
}

function hostName(host: string): string {
  if (host === '0.0.0.0' || host === '::') return 'localhost'
  return host.includes(':') ? `[${host}]` : host
}

function sumOver(registry: Registry, read: (connection: Parameters<Registry['add']>[0]) => number): number {
  let sum = 0
  for (const connection of registry.all) if (connection.state === 'open') sum += read(connection)
  return sum
}

function expireSessions(gate: Gate, store: Store, log: Logger, parts: Parts): void {
  const stop = new AbortController()
  const loop = async (): Promise<void> => {
    for (;;) {
      await sleep(EXPIRE_EVERY_MS, undefined, { signal: stop.signal, ref: false })
      for (const clientId of await store.expireSessions()) await gate.endPlainSession(clientId)
    }
  }
  loop().catch((error: unknown) => {
    if (!stop.signal.aborted) log.error({ err: error }, 'sessions are not expired any more')
  })
  parts.defer(() => stop.abort())
}
