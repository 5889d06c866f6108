/** Where the stores of a cluster are, for people: hosts and names, never a user or a password. */
import { parseRedisUrl } from './redis/redis-url.ts'

/** `host:port/database`. */
export function databasePlace(url: string): string {
  const { hostname, port, pathname } = new URL(url)
  return `${hostname || 'localhost'}:${port || '5432'}${pathname}`
}

/** `host:port` of each server that is named, and of the Sentinels the master's name. */
export function redisPlace(url: string): string {
  const { kind, hosts, masterName } = parseRedisUrl(url)
  const places = hosts.map(({ host, port }) => `${host}:${port}`).join()
  if (kind === 'sentinel') return `${places} (Sentinel, ${masterName})`
  return kind === 'cluster' ? `${places} (Cluster)` : places
}
