/**
 * The PostgreSQL store: one database, any number of processes. Sends go through the group commit, calls run side by
 * side in transactions of their own, and those of one account keep their order (docs/adr/0005-cluster.md).
 *
 * While PostgreSQL is away, new sends are refused as busy. What was begun waits for it: see send-queue.ts and
 * call-runner.ts. The feed hears of this store object's own commits. A call's effects may be told before or after the
 * entries of sends that were committed at the same moment: seq tells their order within a log.
 */
import type { Client, Pool } from 'pg'
import type { Logger } from 'pino'
import { isMutating } from '../../../protocol/catalogue/catalogue.ts'
import { WochatError } from '../../../protocol/errors.ts'
import { parseClientId, type UserId } from '../../../protocol/ids.ts'
import { assembleStore, NO_FEED } from '../assemble-store.ts'
import type { CommitFeed, SendJob, StoredCall, StoreHealth, StoreMetrics } from '../contract.ts'
import { READING_TASKS, type StoreTask } from '../operations/tasks.ts'
import type { StorePolicy } from '../policy.ts'
import type { DatabaseMetrics, SharedStore } from '../shared-store.ts'
import { AccountOrder } from './account-order.ts'
import { AccountsIndex } from './accounts-index.ts'
import { Availability } from './availability.ts'
import { type CallMode, CallRunner } from './call-runner.ts'
import { openPool, probe, withConnection } from './connections.ts'
import { drains } from './drain.ts'
import { type Answer, GatheredCalls, TOGETHER_MAX, type Together } from './gathered-calls.ts'
import { startInboxes } from './inboxes-together.ts'
import { LogTargets } from './log-targets.ts'
import { migrate } from './migrate.ts'
import { OPERATIONS, type SharedStoreCalls } from './operations.ts'
import { BUSY_RETRY_AFTER_MS, SendQueue } from './send-queue.ts'
import { checkLogins, closeSessions, openSessions, saveAllSubscriptions } from './sessions-together.ts'
import type { Work } from './work.ts'

export type PostgresSettings = {
  /** postgres://user:password@host:port/database */
  url: string
  /** Holder of the sessions and wills that this store object opens. */
  node: string
  policy: StorePolicy
  /** At least 2: one commits sends, the others run calls. Migrations and probes take one more for a moment. */
  connectionsMax: number
  /** Sends that may wait for a commit before further ones are refused as busy. */
  waitingSendsMax: number
  /** How long what was begun waits for PostgreSQL to come back. */
  retryMs: number
  applicationName: string
  log: Pick<Logger, 'info' | 'warn' | 'error'>
}

/** Of the connections, for sends. */
const SEND_CONNECTIONS = 1

type CallName = keyof SharedStoreCalls

/** Calls that write nothing; they are run again without a question when their end was not heard. */
const READS: ReadonlySet<CallName> = new Set<CallName>([
  'devices',
  'pagePlainSessions',
  'findPlainSent',
  'findPlainReceipt',
  'pagePlainTopics',
  'plainRetained',
  'findPlainWill',
  'pagePlainWills',
  'plainWillHolders',
  'duePlainWills',
  'plainVersion',
  'plainChanges',
  'inspectDevices',
  'inspectEntry',
  'inspectReaders',
])

/** Calls whose statements need no transaction around them. */
const SINGLE: ReadonlySet<CallName> = new Set<CallName>([
  'drain',
  'placeLogs',
  'saveCursors',
  'position',
  'changesSince',
])

/** Calls that keep no order with the sends and calls of their account: what they read or move only goes forward. */
const UNORDERED: ReadonlySet<CallName> = new Set<CallName>([
  ...SINGLE,
  'startInbox',
  'saveSubscriptions',
  'adoptSessions',
  'expireSessions',
])

/** Calls that are answered together with others of their moment, as far as each is a plain case. */
const TOGETHER: ReadonlyMap<CallName, Together<never, unknown>> = new Map<CallName, Together<never, unknown>>(
  [
    ['checkLogin', checkLogins],
    ['openSession', openSessions],
    ['startInbox', startInboxes],
    ['drain', drains],
    ['saveSubscriptions', saveAllSubscriptions],
    ['closeSession', closeSessions],
  ],
)

/** Of the calls that bring bodies, fewer: their answers are held in memory together. */
const DRAINS_TOGETHER_MAX = 50

function modeOf(name: CallName, input: unknown): CallMode {
  if (SINGLE.has(name)) return 'single'
  if (name === 'run' || name === 'runAsText') return isMutating((input as StoredCall).name) ? 'write' : 'read'
  if (name === 'perform') return READING_TASKS.has((input as StoreTask).task) ? 'read' : 'write'
  return READS.has(name) ? 'read' : 'write'
}

/** Whose order a call keeps; null for one that belongs to nobody. */
function accountOf(name: CallName, input: unknown): UserId | null {
  if (UNORDERED.has(name)) return null
  if (typeof input === 'string') return (parseClientId(input)?.uid ?? input) as UserId
  const { caller, uid, clientId } = (input ?? {}) as {
    caller?: { uid?: unknown }
    uid?: unknown
    clientId?: unknown
  }
  if (typeof caller?.uid === 'string') return caller.uid as UserId
  if (typeof uid === 'string') return uid as UserId
  return typeof clientId === 'string' ? ((parseClientId(clientId)?.uid ?? clientId) as UserId) : null
}

class PostgresClient {
  feed: CommitFeed = NO_FEED
  readonly metrics: StoreMetrics = { commits: 0, entries: 0, waiting: 0, onCommit: null }
  readonly #settings: PostgresSettings
  readonly #pool: Pool
  readonly #availability: Availability
  readonly #sends: SendQueue
  readonly #calls: CallRunner
  readonly #gathered: ReadonlyMap<CallName, GatheredCalls<unknown, unknown>>
  readonly #order: AccountOrder
  #isStopping = false

  constructor(settings: PostgresSettings, pool: Pool) {
    const { policy, node, retryMs, connectionsMax, log } = settings
    this.#settings = settings
    this.#pool = pool
    this.#availability = new Availability(() => probe(settings), log)
    const accounts = new AccountsIndex()
    const shared = { pool, retryMs, availability: this.#availability, feed: () => this.feed, log }
    const context = { accounts, targets: new LogTargets(), contactsRequired: policy.contactsRequired }
    this.#sends = new SendQueue({ ...shared, context, metrics: this.metrics })
    const callsMax = connectionsMax - SEND_CONNECTIONS
    this.#calls = new CallRunner({ ...shared, policy, node, accounts, callsMax })
    this.#gathered = new Map(
      [...TOGETHER].map(([name, together]) => [
        name,
        new GatheredCalls(
          this.#calls,
          together as Together<unknown, unknown>,
          name === 'drain' ? DRAINS_TOGETHER_MAX : TOGETHER_MAX,
        ),
      ]),
    )
    this.#order = new AccountOrder(this.#sends)
  }

  send(job: SendJob): void {
    if (this.#isStopping) job.refused(new WochatError('shutting_down'))
    else if (job.id !== null && !job.id.isWellFormed()) job.refused(new WochatError('bad_request'))
    else if (this.#availability.isAway || this.metrics.waiting >= this.#settings.waitingSendsMax) {
      job.refused(new WochatError('busy', undefined, { retryAfterMs: BUSY_RETRY_AFTER_MS }))
    } else {
      this.metrics.waiting++
      this.#order.send(job)
    }
  }

  async call(name: CallName, input: unknown): Promise<unknown> {
    if (this.#isStopping) throw new WochatError('shutting_down')
    const run = () => this.#run(name, input)
    const account = accountOf(name, input)
    return await (account === null ? run() : this.#order.call(account, run))
  }

  async #run(name: CallName, input: unknown): Promise<unknown> {
    const answer: Answer<unknown> = (await this.#gathered.get(name)?.answer(input)) ?? null
    if (answer !== null) return answer.result
    return this.#calls.run(
      modeOf(name, input),
      (work: Work) => OPERATIONS[name](work, input as never) as Promise<unknown>,
    )
  }

  /** PostgreSQL does not tell how much disk it has left: `diskFreeBytes` is infinite. */
  async health(): Promise<StoreHealth> {
    const reason =
      this.#availability.reason ??
      (await probe(this.#settings).then(
        () => null,
        (error: Error) => `PostgreSQL cannot be reached: ${error.message}`,
      ))
    return { writable: reason === null, reason, diskFreeBytes: Number.POSITIVE_INFINITY }
  }

  database(): DatabaseMetrics {
    const { totalCount: open, idleCount: idle } = this.#pool
    const { isAway, retries } = this.#availability
    const waiting = [...this.#gathered.values()].reduce(
      (sum, calls) => sum + calls.waiting,
      this.#calls.waiting,
    )
    return { isAway, open, idle, waiting, retries }
  }

  async close(): Promise<void> {
    this.#isStopping = true
    await this.#order.drained()
    await this.#sends.close()
    await Promise.all([...this.#gathered.values()].map((calls) => calls.drained()))
    await this.#calls.drained()
    this.#availability.close()
    await this.#pool.end()
  }
}

/** Rejects while `wochat migrate` has brought only a part of an installation here (services/store/migrate). */
async function refuseHalfMoved(client: Client): Promise<void> {
  const { rows } = await client.query<{ half: boolean }>(
    "select to_regclass('store_move') is not null as half",
  )
  if (rows[0]!.half) throw new Error('a move into the database is not finished; run wochat migrate again')
}

/**
 * Opens the store of a database, and brings its tables to the newest schema. Rejects when PostgreSQL cannot be
 * reached, or the database is of a newer version.
 */
export async function openPostgresStore(settings: PostgresSettings): Promise<SharedStore> {
  await withConnection(settings, async (client) => {
    await migrate(client)
    await refuseHalfMoved(client)
  })
  const client = new PostgresClient(settings, openPool(settings))
  const names = Object.keys(OPERATIONS) as CallName[]
  return Object.assign(assembleStore<SharedStoreCalls>(client, names), { database: () => client.database() })
}
