/** Where Redis is: one server, a master that Sentinels know, or a Cluster. */

export type HostAndPort = { host: string; port: number }

export type RedisTarget = {
  kind: 'single' | 'sentinel' | 'cluster'
  tls: boolean
  /** The server, the Sentinels, or some nodes of the Cluster. */
  hosts: HostAndPort[]
  /** Of the master, as the Sentinels know it. */
  masterName: string | null
  username: string | null
  password: string | null
  sentinelPassword: string | null
  database: number
}

const FORM = /^(rediss?)(?:\+(sentinel|cluster))?:\/\/(?:([^@/]*)@)?([^/?]+)(?:\/([^?]*))?(?:\?(.*))?$/
const DEFAULT_PORT = 6379
const DEFAULT_SENTINEL_PORT = 26_379

/**
 * Reads `redis://[user:password@]host:port[/database]`, `redis+sentinel://host:port,host:port/name[?sentinelPassword=...]`
 * and `redis+cluster://host:port,host:port`; `rediss` for TLS. User and password are percent-encoded. Throws an
 * `Error` that does not repeat the URL, because it may hold a password.
 */
export function parseRedisUrl(url: string): RedisTarget {
  const match = FORM.exec(url)
  if (match === null) throw new Error('not of the form redis://, redis+sentinel:// or redis+cluster://')
  const [, scheme, extension, login, hosts, path, query] = match
  const kind = (extension ?? 'single') as RedisTarget['kind']
  const [username, password] = readLogin(login)
  const target: RedisTarget = {
    kind,
    tls: scheme === 'rediss',
    hosts: hosts!.split(',').map((host) => readHost(host, kind)),
    masterName: kind === 'sentinel' ? path || null : null,
    username,
    password,
    sentinelPassword: new URLSearchParams(query ?? '').get('sentinelPassword'),
    database: kind === 'single' ? readDatabase(path) : 0,
  }
  if (kind === 'single' && target.hosts.length > 1) throw new Error('redis:// has one host')
  if (kind === 'sentinel' && target.masterName === null)
    throw new Error('redis+sentinel:// names its master as the path')
  return target
}

function readLogin(login: string | undefined): [string | null, string | null] {
  if (login === undefined) return [null, null]
  const colon = login.indexOf(':')
  const [name, secret] = colon < 0 ? [login, ''] : [login.slice(0, colon), login.slice(colon + 1)]
  return [decodeURIComponent(name) || null, decodeURIComponent(secret) || null]
}

function readHost(text: string, kind: RedisTarget['kind']): HostAndPort {
  const match = /^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?$/.exec(text)
  const port = Number(match?.[2] ?? (kind === 'sentinel' ? DEFAULT_SENTINEL_PORT : DEFAULT_PORT))
  if (match === null || port < 1 || port > 65_535) throw new Error('a host is not of the form host:port')
  return { host: match[1]!.replace(/^\[|\]$/g, ''), port }
}

function readDatabase(path: string | undefined): number {
  if (!path) return 0
  if (!/^\d{1,4}$/.test(path)) throw new Error('the path of redis:// is the number of a database')
  return Number(path)
}
