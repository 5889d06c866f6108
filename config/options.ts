/**
 * Every option, once: name, type, unit, default, range and what it is for. The environment name follows from the
 * name (`mqttPort`, `WOCHAT_MQTT_PORT`); the reference of `wochat config` is made from this table.
 */
import { people, retention } from './chat-options.ts'
import { cluster, drain, proxies } from './cluster-options.ts'
import { integration } from './integration-options.ts'
import { issuers } from './issuers.ts'
import { media } from './media-options.ts'
import { moderation } from './moderation-options.ts'
import {
  bytes,
  choice,
  count,
  duration,
  flag,
  host,
  list,
  type Option,
  path,
  port,
  seconds,
  secret,
  text,
  url,
} from './option.ts'

const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR
const KB = 1024
const MB = 1024 * KB

export const ROLES = ['broker', 'api', 'fanout', 'push'] as const
export type Role = (typeof ROLES)[number]

function parseRole(item: string): Role {
  const role = ROLES.find((name) => name === item)
  if (role === undefined) throw new Error(`"${item}" is none of ${ROLES.join(', ')}`)
  return role
}

function parseOrigin(item: string): string {
  if (item === '*' || (URL.canParse(item) && new URL(item).origin === item)) return item
  throw new Error(`"${item}" is not an origin such as https://chat.example`)
}

const listening = {
  dataDir: path('./data', 'Folder of the store and the signing keys; made if it is not there.'),
  mqttHost: host('0.0.0.0', 'Address that MQTT and MQTT over TLS listen on; :: takes IPv6 as well as IPv4.'),
  mqttPort: port(1883, 'Port of MQTT over TCP; 0 takes any free one.'),
  mqttTlsPort: port(
    8883,
    'Port of MQTT over TLS, open when a certificate and a key are named; 0 takes any free one.',
  ),
  httpHost: host('0.0.0.0', 'Address that HTTP and MQTT over WebSocket listen on.'),
  httpPort: port(
    8080,
    'Port of HTTP and MQTT over WebSocket (HTTPS when a certificate is named); 0 takes any free one.',
  ),
  adminHost: host('127.0.0.1', 'Address of the admin port; it has no login, keep it private.'),
  adminPort: port(9090, 'Port of metrics, health and admin operations; 0 takes any free one.'),
  tlsCertFile: path(null, 'Certificate chain in PEM; opens MQTT over TLS and turns HTTP into HTTPS.'),
  tlsKeyFile: path(null, 'Private key of the certificate in PEM.'),
  publicHttpUrl: url(['http:', 'https:'], 'Where clients reach HTTP, if not by the address they used.'),
  publicWsUrl: url(['ws:', 'wss:'], 'Where clients reach MQTT over WebSocket, with its path.'),
  publicMqttUrl: url(['mqtt:', 'mqtts:'], 'Where clients reach MQTT.'),
  allowedOrigins: list(
    [],
    'origins, or *',
    'Origins of web pages, beside our own, that may use HTTP and WebSocket.',
    parseOrigin,
  ),
}

const running = {
  roles: list(
    ROLES,
    ROLES.join(', '),
    'What this process does: hold connections, serve the API, fan out group messages, push. Fewer than all need a cluster.',
    parseRole,
  ),
  workers: count(
    1,
    { min: 1, max: 256 },
    'processes',
    'Broker processes behind the same ports around one embedded store; 1 is one process. Not in a cluster.',
  ),
  logLevel: choice(
    'info',
    ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'],
    'Least level of log lines that are written.',
  ),
  openPlain: flag(
    false,
    'Test profile: any client id, no password, every topic outside u/ as plain MQTT. On loopback only.',
  ),
  gcOnSigusr2: flag(false, 'SIGUSR2 collects garbage, if Node runs with --expose-gc; for measuring memory.'),
  stopTimeoutMs: duration(
    10 * SECOND,
    { min: SECOND, max: 10 * MINUTE },
    'A stop that takes longer is forced.',
  ),
}

const login = {
  sms: choice('console', ['console', 'webhook'], 'How login codes are sent.'),
  smsWebhookUrl: url(['http:', 'https:'], 'Where the webhook provider posts codes.'),
  smsWebhookSecret: secret('Signs what the webhook provider posts.'),
  codesPerPhoneMax: count(5, { min: 1, max: 1000 }, 'per codesWindowMs', 'Login codes sent to one phone.'),
  codesPerAddressMax: count(
    50,
    { min: 1, max: 1_000_000 },
    'per codesWindowMs',
    'Login codes asked for from one network address.',
  ),
  codesWindowMs: duration(HOUR, { min: MINUTE, max: DAY }, 'Window of the two caps on login codes.'),
  jwtAlgorithm: choice('RS256', ['RS256', 'ES256'], 'How our own access tokens are signed.'),
  signingKeyAgeMaxMs: duration(
    90 * DAY,
    { min: HOUR, max: 3650 * DAY },
    'A new signing key takes over after this.',
  ),
  signingKeyKeepMs: duration(
    30 * DAY,
    { min: HOUR, max: 3650 * DAY },
    'How long tokens of an earlier signing key are still good; no token should live longer.',
  ),
  accessTokenTtlMs: duration(HOUR, { min: MINUTE, max: 30 * DAY }, 'Life of an access token.'),
  refreshTokenTtlMs: duration(60 * DAY, { min: HOUR, max: 400 * DAY }, 'Life of an unused refresh token.'),
  tokenIssuer: text('wochat', 'Claim iss of our own tokens.'),
  tokenAudience: text('wochat', 'Claim aud of our own tokens.'),
  issuers: issuers('Issuers whose tokens are trusted beside our own; jwks is a file or a URL.'),
}

const connections = {
  connectionsMax: count(100_000, { min: 1, max: 10_000_000 }, 'connections', 'Open MQTT connections.'),
  connectsPerAddressMax: count(
    100,
    { min: 0, max: 1_000_000 },
    'per second',
    'Connections accepted from one network address; 0 for no limit.',
  ),
  connectTimeoutMs: duration(
    10 * SECOND,
    { min: 100, max: 5 * MINUTE },
    'Time from the open socket to the accepted CONNECT.',
  ),
  connectPacketBytesMax: bytes(
    16 * KB,
    { min: KB, max: MB },
    'Largest packet before a connection is authenticated.',
  ),
  packetBytesMax: bytes(
    256 * KB,
    { min: 2 * KB, max: 64 * MB },
    'Largest MQTT packet; a larger one cuts the connection. Must exceed payloadBytesMax by 1KB.',
  ),
  payloadBytesMax: bytes(
    64 * KB,
    { min: KB, max: 16 * MB },
    'Largest payload of a message or a call; a larger one is refused as too_large.',
  ),
  keepAliveSecondsMax: seconds(
    1800,
    { min: 5, max: 65_535 },
    'Longest keep alive; MQTT 5 clients that ask for more, or for none, are told this one.',
  ),
  sessionExpirySecondsMax: seconds(
    (30 * DAY) / SECOND,
    { min: 0, max: (400 * DAY) / SECOND },
    'Longest life of a session without a connection.',
  ),
  drainTimeoutMs: duration(
    20 * SECOND,
    { min: 100, max: 10 * MINUTE },
    'A connection that takes no bytes for this long is cut.',
  ),
}

const delivery = {
  sendsPerSecondMax: count(
    200,
    { min: 0, max: 1_000_000 },
    'per second',
    'Messages that one connection may send; 0 for no limit.',
  ),
  callsPerSecondMax: count(
    50,
    { min: 0, max: 1_000_000 },
    'per second',
    'Calls of one account, over MQTT and HTTP; 0 for no limit.',
  ),
  sendsWaitingMax: count(
    256,
    { min: 1, max: 65_535 },
    'sends',
    'Sends of one connection that wait for their commit; then its socket is not read.',
  ),
  storeWaitingSendsMax: count(
    20_000,
    { min: 1, max: 10_000_000 },
    'sends',
    'Sends of all connections that wait for their commit; further ones are refused as busy.',
  ),
  repliesWaitingMax: count(
    1024,
    { min: 16, max: 65_535 },
    'replies',
    'Replies of one connection that wait to be written or acknowledged; then it is cut.',
  ),
  windowEntries: count(
    32,
    { min: 1, max: 1024 },
    'entries',
    'Entries of one connection that wait for their PUBACK; its Receive Maximum may lower it.',
  ),
  backlogEntriesMax: count(
    100_000,
    { min: 1, max: 100_000_000 },
    'entries',
    'Entries of one log that are sent to a device that was away; older ones become a gap.',
  ),
  ackTimeoutMs: duration(
    MINUTE,
    { min: 100, max: HOUR },
    'An entry that waits longer for its PUBACK ends the connection.',
  ),
  cursorFlushMs: duration(
    250,
    { min: 10, max: 10 * SECOND },
    'Longest time from a PUBACK to its cursor on disk.',
  ),
  diskReserveBytes: bytes(
    64 * MB,
    { min: 0, max: 1024 * 1024 * MB },
    'Below this much free disk sends are refused, so that cursors and logouts can still be written.',
  ),
}

const plain = {
  plainInflightMax: count(
    32,
    { min: 1, max: 1024 },
    'messages',
    'Plain messages of one connection that wait for their acknowledgement.',
  ),
  plainBufferBytesMax: bytes(
    MB,
    { min: 64 * KB, max: 256 * MB },
    'Plain MQTT bytes that wait for one connection; more cuts it.',
  ),
  plainQueuedMessagesMax: count(
    100_000,
    { min: 1, max: 10_000_000 },
    'messages',
    'Plain messages kept for one session without a connection; further ones are not kept for it, and counted.',
  ),
  plainHalfOpenMax: count(
    256,
    { min: 1, max: 65_535 },
    'messages',
    'Plain QoS 2 messages of one client between PUBLISH and PUBREL; more are refused.',
  ),
  retainedIndexBytesMax: bytes(
    64 * MB,
    { min: MB, max: 16 * 1024 * MB },
    'Memory for the names of retained topics; a new topic above it is refused.',
  ),
  subscriptionsPerSessionMax: count(
    100,
    { min: 4, max: 100_000 },
    'filters',
    'Filters that one session may hold.',
  ),
}

// A bound variable, not one literal, so that the type keeps each option's own value type.
const TABLE = {
  ...listening,
  ...running,
  ...cluster,
  ...proxies,
  ...drain,
  ...login,
  ...people,
  ...moderation,
  ...integration,
  ...retention,
  ...media,
  ...connections,
  ...delivery,
  ...plain,
}

export type OptionName = keyof typeof TABLE
export type OptionValue<Name extends OptionName> =
  (typeof TABLE)[Name] extends Option<infer Value> ? Value : never
export const OPTIONS: { readonly [Name in OptionName]: Option<OptionValue<Name>> } = TABLE
export const OPTION_NAMES = Object.keys(TABLE) as OptionName[]

/** `mqttTlsPort` is `WOCHAT_MQTT_TLS_PORT`. */
export function buildEnvName(name: string): string {
  return `WOCHAT_${name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`
}
