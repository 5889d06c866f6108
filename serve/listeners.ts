/** The ports of a node, each named by its setting when it cannot be taken. */
import { readFileSync } from 'node:fs'
import type { Server } from 'node:net'
import type { Logger } from 'pino'
import type { Registry as MetricsRegistry } from 'prom-client'
import type { Gate } from '../broker/gate/gate.ts'
import { requireProxyHeaders } from '../broker/listeners/proxied-server.ts'
import { listenTcp, portOf } from '../broker/listeners/tcp-listener.ts'
import { attachWebSocket } from '../broker/listeners/websocket-listener.ts'
import { type Config, ConfigError } from '../config.ts'
import { createAdminServer, type Readiness } from '../services/api/admin-server.ts'
import { createHttpServer, type HttpServer } from '../services/api/http-server.ts'
import { VERSION } from '../version.ts'
import type { Admin } from './admin.ts'
import type { Endpoints } from './endpoints.ts'
import type { Node } from './node.ts'

type DoorParts = {
  node: Node
  servesApi: boolean
  /** Filled with the ports that are open. */
  endpoints: Endpoints
  log: Logger
  parts: AsyncDisposableStack
}

/** Opens the ports for clients: those of MQTT on a broker; that of HTTP for the operations, or for WebSockets alone. */
export async function openDoors({ node, servesApi, endpoints, log, parts }: DoorParts): Promise<void> {
  const gate = node.broker?.gate ?? null
  if (gate === null && !servesApi) return
  const http = await buildHttp(node, servesApi, log, parts)
  if (gate !== null) {
    attachWebSocket(gate, http.server, {
      messageBytesMax: node.config.packetBytesMax,
      allowedOrigins: node.config.allowedOrigins,
      trustedProxies: node.config.trustedProxies,
    })
    endpoints.mqtt = await listenMqtt(gate, node, parts)
    endpoints.mqtts = await listenMqtts(gate, node, parts)
  }
  endpoints.http = await listenHttp(http, node)
  endpoints.ws = `${endpoints.http.replace(/^http/, 'ws')}/mqtt`
}

// ---------------------------------------------------------------- MQTT

async function listenMqtt(
  gate: Gate,
  { config, proxies }: Node,
  parts: AsyncDisposableStack,
): Promise<string> {
  const expected = config.proxyProtocol === 'off' ? null : proxies
  const listening = listenTcp(gate, config.mqttHost, config.mqttPort, null, expected)
  const server = await named('mqttPort', config, listening)
  parts.defer(() => closeListener(server))
  return `mqtt://${hostName(config.mqttHost)}:${portOf(server)}`
}

/** MQTT over TLS; null when no certificate is named. */
async function listenMqtts(
  gate: Gate,
  { config, proxies }: Node,
  parts: AsyncDisposableStack,
): Promise<string | null> {
  const tls = tlsFiles(config)
  if (tls === null) return null
  const expected = config.proxyProtocol === 'off' ? null : proxies
  const listening = listenTcp(gate, config.mqttHost, config.mqttTlsPort, tls, expected)
  const server = await named('mqttTlsPort', config, listening)
  parts.defer(() => closeListener(server))
  return `mqtts://${hostName(config.mqttHost)}:${portOf(server)}`
}

/** Stops listening; the connections are the gate's to close. */
function closeListener(server: Server): void {
  server.close()
}

// ---------------------------------------------------------------- HTTP

async function buildHttp(
  { config, services }: Node,
  servesApi: boolean,
  log: Logger,
  parts: AsyncDisposableStack,
): Promise<HttpServer> {
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

async function listenHttp(http: HttpServer, { config, proxies }: Node): Promise<string> {
  if (config.proxyProtocol === 'required') requireProxyHeaders(http.server, proxies)
  const listening = http.listen({ host: config.httpHost, port: config.httpPort })
  const port = await named('httpPort', config, listening)
  return `http${config.tlsCertFile === null ? '' : 's'}://${hostName(config.httpHost)}:${port}`
}

// ---------------------------------------------------------------- admin

type AdminBuildParts = {
  config: Config
  metrics: MetricsRegistry
  service: Admin['service']
  readiness: () => Promise<Readiness>
  log: Logger
  parts: AsyncDisposableStack
}

/** Builds the operator's port; `listen` opens it and resolves with its URL. */
export function buildAdminPort({ config, metrics, service, readiness, log, parts }: AdminBuildParts): {
  listen(): Promise<string>
} {
  const hostNames = config.adminUrl === null ? [] : [new URL(config.adminUrl).hostname]
  const operations = { service, hostNames, log }
  const server = parts.use(createAdminServer({ registry: metrics, readiness, operations }))
  return {
    async listen() {
      const listening = server.listen({ host: config.adminHost, port: config.adminPort })
      const port = await named('adminPort', config, listening)
      return `http://${hostName(config.adminHost)}:${port}`
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
