/** The options of a cluster: its stores, its nodes, the proxies in front of it, and how a node is drained. */
import { isIP } from 'node:net'
import { hostname } from 'node:os'
import { choice, count, duration, list, secret, text, url } from './option.ts'

const SECOND = 1000
const MINUTE = 60 * SECOND

/** An address, or a network as address/prefix. */
function parseNetwork(item: string): string {
  const [address, prefix, ...rest] = item.split('/')
  const family = isIP(address ?? '')
  const bits = prefix === undefined ? 0 : Number(prefix)
  const isPrefix = prefix === undefined || (/^\d{1,3}$/.test(prefix) && bits <= (family === 4 ? 32 : 128))
  if (family === 0 || !isPrefix || rest.length > 0) throw new Error(`"${item}" is no address and no network`)
  return item
}

export const cluster = {
  databaseUrl: secret(
    'PostgreSQL of a cluster, postgres://user:password@host/database. Needs redisUrl; without it the store is embedded.',
  ),
  databaseConnectionsMax: count(
    10,
    { min: 4, max: 1000 },
    'connections',
    'Connections of this process to PostgreSQL.',
  ),
  databaseRetryMs: duration(
    10 * SECOND,
    { min: 0, max: 5 * MINUTE },
    'How long a read or a started commit waits for PostgreSQL to come back; new sends are refused meanwhile.',
  ),
  redisUrl: secret(
    'Redis of a cluster: redis://host:6379, redis+sentinel://host:26379,host:26379/name or redis+cluster://host:6379,host:6379; rediss for TLS.',
  ),
  redisKeyPrefix: text(
    'wochat',
    'First part of every key in Redis; installations that share one differ in it.',
  ),
  nodeName: text(hostname(), 'Name of this node in lists and logs.'),
  adminUrl: url(['http:', 'https:'], 'Where other nodes and operators reach the admin port of this node.'),
  nodeLeaseMs: duration(
    10 * SECOND,
    { min: 2 * SECOND, max: 5 * MINUTE },
    'A node that does not renew its lease for this long has lost its devices to whoever claims them.',
  ),
  takeoverTimeoutMs: duration(
    2 * SECOND,
    { min: 100, max: MINUTE },
    'How long a CONNECT waits for another node to close the same device.',
  ),
  fanoutShards: count(
    16,
    { min: 1, max: 1024 },
    'streams',
    'Streams of group messages that fan-out workers share; the same on every node.',
  ),
  broadcastNodesMin: count(
    8,
    { min: 2, max: 10_000 },
    'nodes',
    'A group that is watched by this many nodes, and by half of all, is rung by one broadcast.',
  ),
}

export const proxies = {
  trustedProxies: list(
    [],
    'addresses or networks, such as 10.0.0.0/8',
    'Peers whose PROXY protocol header and X-Forwarded-For are believed.',
    parseNetwork,
  ),
  proxyProtocol: choice(
    'off',
    ['off', 'mqtt', 'required'],
    'Which ports take only connections from trustedProxies that begin with a PROXY protocol header (version 1 or 2): none, those of MQTT and its TLS, or HTTP and WebSocket too.',
  ),
}

export const drain = {
  drainStepConnections: count(
    100,
    { min: 1, max: 100_000 },
    'connections',
    'Connections that a drain closes in one step.',
  ),
  drainStepMs: duration(SECOND, { min: 10, max: MINUTE }, 'Time between two steps of a drain, with jitter.'),
  readyDelayMs: duration(
    0,
    { min: 0, max: 5 * MINUTE },
    'How long a stop waits after /readyz turned red before listeners close, so that a load balancer has seen it.',
  ),
}
