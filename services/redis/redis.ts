/**
 * The connection to Redis: one server, Sentinel or Cluster behind one type.
 *
 * It reconnects for ever. While Redis is away a command fails at once, or after {@link COMMAND_TIMEOUT_MS} when the
 * server is silent; nothing is queued. A server that stays silent is away. An outage is one line in the log, and so is its
 * end.
 */
import { Cluster, type ClusterOptions, Redis, type RedisCommander, type RedisOptions } from 'ioredis'
import type { Logger } from 'pino'
import { parseRedisUrl, type RedisTarget } from './redis-url.ts'
import { endsInTime } from './stop-wait.ts'

/** A command without an answer has failed; whether it took effect is unknown. */
export const COMMAND_TIMEOUT_MS = 2000
const CONNECT_TIMEOUT_MS = 2000
/** How often a server is asked whether it is there, and after how many such questions without an answer it is left. */
const PROBE_MS = 2000
const SILENT_PROBES_MAX = 2
/** A server that does not answer our end of a connection is left. */
const DISCONNECT_TIMEOUT_MS = 500
const RETRY_MIN_MS = 50
const RETRY_MAX_MS = 1000
/** How often the map of a Cluster is read again, so that a failover is found without a redirection. */
const SLOTS_REFRESH_MS = 1000
/** Each try of a command to a shard that fails over waits this long; together they stay below the command's timeout. */
const REDIRECTION_DELAY_MS = 100
const REDIRECTIONS_MAX = 10

export type RedisLog = Pick<Logger, 'error' | 'warn' | 'info'>

type RedisCommands = RedisCommander & Pick<Redis, 'pipeline'>

type RedisClientOptions = {
  url: string
  /** Shown by CLIENT LIST. */
  name: string
  log: RedisLog
}

export class RedisClient implements AsyncDisposable {
  readonly isCluster: boolean
  /** Every command of Redis, by its name. In a Cluster the keys of one command share a slot. */
  readonly commands: RedisCommands
  /**
   * Called when commands work again after anything that may have lost data or messages: a lost connection, another
   * master, a restart. Not called for the first connection.
   */
  onInterrupted: () => void = () => {}
  readonly #options: RedisClientOptions
  readonly #target: RedisTarget
  readonly #connection: Redis | Cluster
  #isReady = false
  #isDisposed = false
  #isAway = false
  #wasReady = false
  #masters = ''
  /** Looks after the connection: the map of a Cluster, or whether the one server still answers. */
  readonly #watch: NodeJS.Timeout
  #silentProbes = 0

  constructor(options: RedisClientOptions) {
    this.#options = options
    this.#target = parseRedisUrl(options.url)
    this.isCluster = this.#target.kind === 'cluster'
    this.#connection = this.isCluster ? this.#openCluster() : this.#openSingle()
    this.#watch =
      this.#connection instanceof Cluster
        ? watchSlots(this.#connection)
        : setInterval(() => void this.#probe(), PROBE_MS).unref()
    this.commands = this.#connection as RedisCommands
    this.#connection.on('ready', () => this.#becameReady())
    this.#connection.on('close', () => this.#wentAway(null))
    this.#connection.on('error', (error: Error) => this.#wentAway(error))
    this.#connection.on('end', () => this.#connectAgain())
  }

  get isReady(): boolean {
    return this.#isReady
  }

  /** Resolves when commands are taken; rejects with an `Error` after `timeoutMs`. */
  async untilReady(timeoutMs: number): Promise<void> {
    if (this.#isReady) return
    await new Promise<void>((resolve, reject) => {
      const onReady = () => {
        clearTimeout(timer)
        resolve()
      }
      const timer = setTimeout(() => {
        this.#connection.off('ready', onReady)
        reject(new Error(`Redis did not answer within ${timeoutMs} ms`))
      }, timeoutMs)
      this.#connection.once('ready', onReady)
    })
  }

  /**
   * A connection of its own to the server that serves a channel (in a Cluster: the master of its slot), for
   * subscriptions. It does not reconnect: its owner asks again. Rejects while no server is known.
   */
  async connectTo(channel: string, name: string): Promise<Redis> {
    const options: RedisOptions = {
      ...this.#serverOptions(),
      connectionName: name,
      retryStrategy: () => null,
      autoResubscribe: false,
      lazyConnect: true,
    }
    const connection = this.isCluster
      ? new Redis({ ...options, ...(await this.#masterOf(channel)) })
      : new Redis({ ...options, ...this.#placeOptions(), sentinelRetryStrategy: () => null })
    // Errors end the connection too, and the end is what its owner hears.
    connection.on('error', () => {})
    await connection.connect()
    return connection
  }

  /** The servers, for what concerns each of them (SCAN): the master, or the masters of a Cluster. */
  masters(): Redis[] {
    return this.#connection instanceof Cluster ? this.#connection.nodes('master') : [this.#connection]
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.onInterrupted = () => {}
    this.#isReady = false
    this.#isDisposed = true
    clearInterval(this.#watch)
    // An end that is wanted is no outage.
    this.#isAway = true
    const connection = this.#connection
    if (connection.status === 'end') return
    // Between two tries to connect nothing is open, and no end is told.
    if (connection.status === 'reconnecting') return connection.disconnect()
    const ended = new Promise((resolve) => connection.once('end', resolve))
    connection.disconnect()
    // The library tells no end of a Cluster whose last connection ended just before.
    await endsInTime(ended, 'the connection to Redis', this.#options.log)
  }

  #becameReady(): void {
    if (this.#isAway) this.#options.log.info({ redis: this.#options.name }, 'Redis is back')
    const interrupted = this.#wasReady
    this.#isReady = true
    this.#isAway = false
    this.#wasReady = true
    if (interrupted) this.onInterrupted()
  }

  #wentAway(error: Error | null): void {
    // A Cluster reports the failure of single servers, too; it is away when it is closed.
    if (error !== null && this.isCluster && this.#connection.status === 'ready') return
    this.#isReady = this.#connection.status === 'ready'
    if (this.#isReady || this.#isAway) return
    this.#isAway = true
    this.#options.log.error({ redis: this.#options.name, err: error ?? undefined }, 'Redis is away')
  }

  /** The library gives up when a Sentinel reports a failover in the middle of a connect. */
  #connectAgain(): void {
    this.#isReady = false
    if (this.#isDisposed) return
    const timer = setTimeout(() => {
      if (!this.#isDisposed) this.#connection.connect().catch(() => {})
    }, retryDelayMs(1))
    timer.unref()
  }

  #openSingle(): Redis {
    return new Redis({
      ...this.#serverOptions(),
      ...this.#placeOptions(),
      connectionName: this.#options.name,
      enableOfflineQueue: false,
      retryStrategy: retryDelayMs,
      // A master that became a replica: ask again who is master.
      reconnectOnError: (error) => error.message.startsWith('READONLY'),
    })
  }

  /** Where packets are swallowed the system takes a quarter of an hour to end a connection, and new ones may work. */
  async #probe(): Promise<void> {
    const connection = this.#connection as Redis
    if (connection.status !== 'ready') return
    const isAnswered = await connection.ping().then(Boolean, () => false)
    this.#silentProbes = isAnswered ? 0 : this.#silentProbes + 1
    if (this.#silentProbes < SILENT_PROBES_MAX || this.#isDisposed) return
    this.#silentProbes = 0
    connection.disconnect(true)
  }

  #placeOptions(): RedisOptions {
    const { kind, hosts, masterName, sentinelPassword, database, tls } = this.#target
    if (kind === 'single') return { ...hosts[0]!, db: database }
    return {
      sentinels: hosts,
      name: masterName!,
      sentinelRetryStrategy: retryDelayMs,
      ...(sentinelPassword !== null && { sentinelPassword }),
      ...(tls && { enableTLSForSentinelMode: true }),
      failoverDetector: true,
    }
  }

  #openCluster(): Cluster {
    const options: ClusterOptions = {
      redisOptions: { ...this.#serverOptions(), connectionName: this.#options.name },
      enableOfflineQueue: false,
      clusterRetryStrategy: retryDelayMs,
      slotsRefreshTimeout: CONNECT_TIMEOUT_MS,
      retryDelayOnFailover: REDIRECTION_DELAY_MS,
      retryDelayOnClusterDown: REDIRECTION_DELAY_MS,
      maxRedirections: REDIRECTIONS_MAX,
    }
    const cluster = new Cluster(this.#target.hosts, options)
    cluster.on('refresh', () => this.#comparedMasters(cluster))
    cluster.on('-node', () => {
      this.#masters = ''
    })
    return cluster
  }

  /** A shard with another master, or one that went and came back, may have lost its latest writes. */
  #comparedMasters(cluster: Cluster): void {
    const addresses = cluster.nodes('master').map(({ options }) => `${options.host}:${options.port}`)
    const masters = addresses.sort().join()
    if (masters === this.#masters) return
    this.#masters = masters
    if (this.#wasReady && this.#isReady) this.onInterrupted()
  }

  #serverOptions(): RedisOptions {
    const { username, password, tls } = this.#target
    return {
      ...(username !== null && { username }),
      ...(password !== null && { password }),
      ...(tls && { tls: {} }),
      commandTimeout: COMMAND_TIMEOUT_MS,
      connectTimeout: CONNECT_TIMEOUT_MS,
      disconnectTimeout: DISCONNECT_TIMEOUT_MS,
      maxRetriesPerRequest: 0,
      autoResendUnfulfilledCommands: false,
      disableClientInfo: true,
    }
  }

  /** The master of a channel's slot, as the Cluster says now. */
  async #masterOf(channel: string): Promise<{ host: string; port: number }> {
    const slot = Number(await this.commands.cluster('KEYSLOT', channel))
    const ranges = await this.commands.cluster('SLOTS')
    const range = ranges.find(([first, last]) => first <= slot && slot <= last)
    const [host, port] = range?.[2] ?? []
    if (host === undefined || port === undefined) throw new Error(`no server of the Cluster has slot ${slot}`)
    return { host, port }
  }
}

/** The library has such an interval; one that fires in the moment of the disconnect goes on for ever. */
function watchSlots(cluster: Cluster): NodeJS.Timeout {
  return setInterval(() => {
    if (cluster.status === 'ready') cluster.refreshSlotsCache()
  }, SLOTS_REFRESH_MS).unref()
}

/** Bounded, with jitter so that all nodes of a cluster do not come back in the same moment. */
function retryDelayMs(times: number): number {
  const delay = Math.min(RETRY_MIN_MS * 2 ** Math.min(times, 10), RETRY_MAX_MS)
  return Math.round(delay * (0.5 + Math.random() / 2))
}
