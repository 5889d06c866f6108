/** The ports of a node, each named by its setting when it cannot be taken. */
import { readFileSync } from 'node:fs'
import type { Server } from 'node:net'
import type { Logger } from 'pino'
import type { Registry as MetricsRegistry } from 'prom-client'
import type { Gate } from '../broker/gate/gate.ts'
import { type ProxySettings, requireProxyHeaders } from '../broker/listeners/proxied-server.ts'
import { listenTcp, portOf } from '../broker/listeners/tcp-listener.ts'
import { type Config, ConfigError } from '../config.ts'
import { checkReadiness } from '../services/admin/readiness.ts'
import { createAdminServer } from '../services/api/admin-server.ts'
import { createHttpServer, type HttpServer } from '../services/api/http-server.ts'
import type { Store } from '../services/store/contract.ts'
import { VERSION } from '../version.ts'
import type { Admin } from './admin.ts'
import type { Services } from './services.ts'

/** URLs of the open ports; empty, or null for TLS, where a port is not open. */
export type Endpoints = { mqtt: string; mqtts: string | null; http: string; ws: string; admin: string }

// ---------------------------------------------------------------- MQTT

export async function listenMqtt(
  gate: Gate,
  config: Config,
  proxies: ProxySettings,
  endpoints: Endpoints,
  parts: AsyncDisposableStack,
): Promise<void> {
  const expected = config.proxyProtocol === 'off' ? null : proxies
  const listening = listenTcp(gate, config.mqttHost, config.mqttPort, null, expected)
  const server = await named('mqttPort', config, listening)
  parts.defer(() => closeListener(server))
  endpoints.mqtt = `mqtt://${hostName(config.mqttHost)}:${portOf(server)}`
}

/** MQTT over TLS, when a certificate is named. */
export async function listenMqtts(
  gate: Gate,
  config: Config,
  proxies: ProxySettings,
  endpoints: Endpoints,
  parts: AsyncDisposableStack,
): Promise<void> {
  const tls = tlsFiles(config)
  if (tls === null) return
  const expected = config.proxyProtocol === 'off' ? null : proxies
  const listening = listenTcp(gate, config.mqttHost, config.mqttTlsPort, tls, expected)
  const server = await named('mqttTlsPort', config, listening)
  parts.defer(() => closeListener(server))
  endpoints.mqtts = `mqtts://${hostName(config.mqttHost)}:${portOf(server)}`
}

/** Stops listening; the connections are the gate's to close. */
function closeListener(server: Server): void {
  server.close()
}

// ---------------------------------------------------------------- HTTP

type HttpBuildParts = {
  config: Config
  services: Services
  servesApi: boolean
  log: Logger
  parts: AsyncDisposableStack
}

export async function buildHttp({
  config,
  services,
  servesApi,
  log,
  parts,
}: HttpBuildParts): Promise<HttpServer> {
  const { dispatcher, verifier, keys, publicEndpoints, archives, media } = services
  const tls = tlsFiles(config)
  return parts.use(
    await createHttpServer({
      dispatcher,
      verifier,
      keyring: keys,
      archives,
      media,
      version: VERSION,
      endpoints: publicEndpoints,
      servesApi,
      settings: {
        bodyBytesMax: config.payloadBytesMax + 4096,
        allowedOrigins: config.allowedOrigins,
        trustedProxies: config.trustedProxies,
        tls: tls === null ? null : { certFile: config.tlsCertFile!, keyFile: config.tlsKeyFile! },
      },
      log,
    }),
  )
}

export async function listenHttp(
  http: HttpServer,
  config: Config,
  proxies: ProxySettings,
  endpoints: Endpoints,
): Promise<void> {
  if (config.proxyProtocol === 'required') requireProxyHeaders(http.server, proxies)
  const listening = http.listen({ host: config.httpHost, port: config.httpPort })
  const port = await named('httpPort', config, listening)
  endpoints.http = `http${config.tlsCertFile === null ? '' : 's'}://${hostName(config.httpHost)}:${port}`
  endpoints.ws = `${endpoints.http.replace(/^http/, 'ws')}/mqtt`
}

// ---------------------------------------------------------------- admin

type AdminBuildParts = {
  config: Config
  store: Store
  metrics: MetricsRegistry
  isReady: () => boolean
  /** Null where the operator's operations are not served. */
  admin?: { operations: Admin; log: Logger } | null
  parts: AsyncDisposableStack
}

/** Builds the admin port; `listen` opens it. */
export function listenAdmin({ config, store, metrics, isReady, admin = null, parts }: AdminBuildParts): {
  listen(endpoints: Endpoints): Promise<void>
} {
  const hostNames = config.adminUrl === null ? [] : [new URL(config.adminUrl).hostname]
  const ownReadiness = () =>
    checkReadiness({
      state: () => (isReady() ? 'ready' : 'starting'),
      loopFault: () => null,
      storeHealth: () => store.health(),
      warnings: () => [],
    })
  const server = parts.use(
    createAdminServer({
      registry: metrics,
      readiness: admin === null ? ownReadiness : admin.operations.readiness,
      operations: admin === null ? null : { service: admin.operations.service, hostNames, log: admin.log },
    }),
  )
  return {
    async listen(endpoints) {
      const listening = server.listen({ host: config.adminHost, port: config.adminPort })
      const port = await named('adminPort', config, listening)
      endpoints.admin = `http://${hostName(config.adminHost)}:${port}`
    },
  }
}

// ---------------------------------------------------------------- proxies

/** A port that is open to the world is refused all the time; the metric counts, the log says it once in a while. */
const REFUSALS_LOGGED_EVERY_MS = 60_000

/** Who may speak for clients; refused connections are counted by reason in `refusals`. */
export function proxySettings(config: Config, refusals: Map<string, number>, log: Logger): ProxySettings {
  const loggedAt = new Map<string, number>()
  return {
    trustedProxies: config.trustedProxies,
    onRefused(reason, peer, detail) {
      refusals.set(reason, (refusals.get(reason) ?? 0) + 1)
      const now = performance.now()
      if (now - (loggedAt.get(reason) ?? -REFUSALS_LOGGED_EVERY_MS) < REFUSALS_LOGGED_EVERY_MS) return
      loggedAt.set(reason, now)
      log.warn({ reason, peer, detail }, 'a connection without a good PROXY protocol header was closed')
    },
  }
}

// ---------------------------------------------------------------- settings

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

function hostName(host: string): string {
  if (host === '0.0.0.0' || host === '::') return 'localhost'
  return host.includes(':') ? `[${host}]` : host
}
