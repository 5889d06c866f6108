/** The Redis of a cluster: reached, new enough, of the mode that the URL says, and set so that it keeps what nodes rely on. */
import { Redis } from 'ioredis'
import { type HostAndPort, parseRedisUrl, type RedisTarget } from '../redis/redis-url.ts'
import { type Finding, fail, ok, warn } from './finding.ts'

const MAJOR_MIN = 7
const ANSWER_MS = 3000
/** A node under load hears some MB a second; below this hard limit a short pause of its event loop cuts it off. */
const PUBSUB_BYTES_MIN = 8 * 1024 * 1024

export async function checkRedis(url: string): Promise<Finding[]> {
  const target = parseRedisUrl(url)
  const findings: Finding[] = []
  for (const host of target.hosts) findings.push(...(await checkHost(target, host)))
  return findings
}

async function checkHost(target: RedisTarget, host: HostAndPort): Promise<Finding[]> {
  const place = `${host.host}:${host.port}`
  // What rejects says only that the connection is closed.
  let reason: Error | null = null
  const redis = connect(target, host, (error) => {
    reason ??= error
  })
  try {
    await redis.connect()
    const info = parseInfo(await redis.info())
    if (target.kind === 'sentinel') return [await checkSentinel(redis, target.masterName!, place)]
    return [
      checkVersion(info.get('redis_version') ?? '0', place),
      ...checkMode(info, target, place),
      ...(await checkSettings(redis, place)),
    ]
  } catch (error) {
    const { message } = reason ?? (error as Error)
    return [fail(`Redis at ${place} does not answer (${message}); start it or change WOCHAT_REDIS_URL`)]
  } finally {
    redis.disconnect()
  }
}

/** One connection that gives up at once. */
function connect(target: RedisTarget, { host, port }: HostAndPort, onError: (error: Error) => void): Redis {
  const isSentinel = target.kind === 'sentinel'
  const password = isSentinel ? target.sentinelPassword : target.password
  const redis = new Redis({
    host,
    port,
    ...(password !== null && { password }),
    ...(!isSentinel && target.username !== null && { username: target.username }),
    ...(target.tls && { tls: {} }),
    lazyConnect: true,
    enableReadyCheck: false,
    maxRetriesPerRequest: 0,
    connectTimeout: ANSWER_MS,
    commandTimeout: ANSWER_MS,
    retryStrategy: () => null,
  })
  redis.on('error', onError)
  return redis
}

function parseInfo(text: string): ReadonlyMap<string, string> {
  const lines = text.split('\r\n').filter((line) => line.includes(':'))
  return new Map(lines.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]))
}

async function checkSentinel(redis: Redis, master: string, place: string): Promise<Finding> {
  const found = (await redis.call('SENTINEL', 'get-master-addr-by-name', master)) as string[] | null
  if (found === null) return fail(`Sentinel at ${place} knows no master "${master}"; change WOCHAT_REDIS_URL`)
  return ok(`Sentinel at ${place} says that ${found.join(':')} is the master "${master}"`)
}

function checkVersion(version: string, place: string): Finding {
  if (Number.parseInt(version, 10) >= MAJOR_MIN) return ok(`Redis ${version} at ${place}`)
  return fail(`Redis ${version} at ${place} is too old; install ${MAJOR_MIN} or newer`)
}

function checkMode(info: ReadonlyMap<string, string>, { kind }: RedisTarget, place: string): Finding[] {
  const isCluster = info.get('redis_mode') === 'cluster'
  if (isCluster && kind !== 'cluster')
    return [fail(`Redis at ${place} is of a Cluster; write redis+cluster:// in WOCHAT_REDIS_URL`)]
  if (!isCluster && kind === 'cluster')
    return [fail(`Redis at ${place} is not of a Cluster; write redis:// in WOCHAT_REDIS_URL`)]
  // A Cluster may be named by any of its servers.
  if (kind === 'single' && info.get('role') !== 'master')
    return [fail(`Redis at ${place} is a replica; name its master in WOCHAT_REDIS_URL`)]
  return []
}

async function checkSettings(redis: Redis, place: string): Promise<Finding[]> {
  let settings: ReadonlyMap<string, string>
  try {
    settings = await readSettings(redis)
  } catch {
    return [
      warn(
        `Redis at ${place} does not show its settings; see to maxmemory-policy noeviction and client-output-buffer-limit pubsub`,
      ),
    ]
  }
  return [checkEviction(settings, place), checkPubsub(settings, place)]
}

async function readSettings(redis: Redis): Promise<ReadonlyMap<string, string>> {
  const names = ['maxmemory', 'maxmemory-policy', 'client-output-buffer-limit']
  const pairs = (await redis.call('CONFIG', 'GET', ...names)) as string[]
  const settings = new Map<string, string>()
  for (let i = 0; i + 1 < pairs.length; i += 2) settings.set(pairs[i]!, pairs[i + 1]!)
  return settings
}

function checkEviction(settings: ReadonlyMap<string, string>, place: string): Finding {
  const policy = settings.get('maxmemory-policy')
  if (policy === 'noeviction') return ok(`Redis at ${place} evicts nothing`)
  const what = `Redis at ${place} has maxmemory-policy ${policy}: routes and streams may vanish; set noeviction`
  // Without a limit nothing is evicted yet.
  return settings.get('maxmemory') === '0' ? warn(what) : fail(what)
}

/** `pubsub <hard bytes> <soft bytes> <soft seconds>` among the classes of clients; 0 is no limit. */
function checkPubsub(settings: ReadonlyMap<string, string>, place: string): Finding {
  const limits = /pubsub (\d+) (\d+) (\d+)/.exec(settings.get('client-output-buffer-limit') ?? '')
  const [hard, soft, seconds] = (limits?.slice(1) ?? ['0', '0', '0']).map(Number) as [number, number, number]
  const shown = `client-output-buffer-limit pubsub ${hard} ${soft} ${seconds}`
  const isTight = (bytes: number): boolean => bytes > 0 && bytes < PUBSUB_BYTES_MIN
  if (isTight(hard) || isTight(soft))
    return warn(
      `Redis at ${place} has ${shown}: busy nodes are cut off and must ask the store; set at least ${PUBSUB_BYTES_MIN}`,
    )
  return ok(`Redis at ${place} has ${shown}`)
}
