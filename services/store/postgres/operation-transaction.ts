/** The {@link Transaction} of an operation on PostgreSQL, over the {@link Work} of its call. */
import { WochatError } from '../../../protocol/errors.ts'
import { buildClientId, type DeviceId, type LogId, parseLog, type UserId } from '../../../protocol/ids.ts'
import type { ChangeScope } from '../../../protocol/reply.ts'
import type { EventSources } from '../operations/operator/events.ts'
import type {
  CallEntry,
  CommittedRow,
  EntryPosition,
  LogFacts,
  OwnMessage,
  Person,
  SearchIndex,
  Transaction,
  Value,
} from '../operations/transaction.ts'
import type { StorePolicy } from '../policy.ts'
import { endDeviceSession } from './device-session.ts'
import { hasEntriesAfter, readEntriesAfter } from './entries-after.ts'
import { watchSources } from './event-triggers.ts'
import { appendEntry } from './logs.ts'
import { endOwnSpace, readOwnSpace } from './own-space.ts'
import { PostgresSearchIndex } from './search-index.ts'
import type { Work } from './work.ts'

export class PostgresTransaction implements Transaction {
  readonly #work: Work

  constructor(work: Work) {
    this.#work = work
  }

  get now(): number {
    return this.#work.now
  }

  get policy(): StorePolicy {
    return this.#work.policy
  }

  query<Row>(sql: string, values: readonly Value[] = []): Promise<Row[]> {
    return this.#work.query<Row>(sql, values)
  }

  async first<Row>(sql: string, values: readonly Value[] = []): Promise<Row | undefined> {
    return (await this.#work.query<Row>(sql, values))[0]
  }

  list(parameter: `$${number}`, type: 'number' | 'text'): string {
    return `(select value from unnest(${parameter}::${type === 'number' ? 'bigint' : 'text'}[]) as value)`
  }

  contentSeq(entry: string): string {
    return `coalesce((${entry}.state::json #>> '{edited,seq}')::bigint, ${entry}.seq)`
  }

  findAccount(uid: string): Promise<number | undefined> {
    return this.#work.findAccount(uid as UserId)
  }

  ensureAccount(uid: UserId): Promise<number> {
    return this.#work.ensureAccount(uid)
  }

  uidOf(account: number): Promise<UserId> {
    return this.#work.uidOf(account)
  }

  async lockAccounts(accounts: readonly number[]): Promise<void> {
    await this.#work.query('select n from account where n = any($1::bigint[]) order by n for no key update', [
      accounts,
    ])
  }

  findLog(name: string): Promise<LogFacts | undefined> {
    return this.#findLog(name, '')
  }

  lockLog(name: string): Promise<LogFacts | undefined> {
    return this.#findLog(name, 'for no key update')
  }

  #findLog(name: string, lock: '' | 'for no key update'): Promise<LogFacts | undefined> {
    return this.first<LogFacts>(
      `select n, name, epoch, head, messages, first from log where name = $1 ${lock}`,
      [parseLog(name)?.log ?? null],
    )
  }

  async createGroupLog(name: LogId): Promise<LogFacts> {
    const row = await this.first<{ n: number }>(
      `insert into log (name, epoch, head, messages, first, last_at) values ($1, 1, 0, 0, 1, $2)
       on conflict (name) do nothing returning n`,
      [name, this.now],
    )
    if (row === undefined) throw new WochatError('id_conflict', 'there is a group of this id')
    return { n: row.n, name, epoch: 1, head: 0, messages: 0, first: 1 }
  }

  append(log: LogId, { body, ...entry }: CallEntry): Promise<{ seq: number; at: number }> {
    return appendEntry(this.#work, log, { ...entry, bodyJson: JSON.stringify(body) })
  }

  async letIn(log: LogFacts, people: readonly Person[], fromSeq: number): Promise<void> {
    const accounts = people.map(({ account }) => account)
    await this.#work.query(
      `insert into membership (account, log, from_seq, to_seq, joined_at)
       select account, $2, $3, null, $4 from unnest($1::bigint[]) as account`,
      [accounts, log.n, fromSeq, this.now],
    )
    await this.#work.query(
      `insert into reader (account, log, read_seq, read_messages, own, read_own)
       select account, $2, $3, $4, 0, 0 from unnest($1::bigint[]) as account
       on conflict (account, log) do update set
         read_seq = greatest(reader.read_seq, excluded.read_seq),
         read_messages = greatest(reader.read_messages, excluded.read_messages), read_own = reader.own`,
      [accounts, log.n, fromSeq - 1, log.messages],
    )
    for (const { uid } of people) this.#work.feed.push({ kind: 'joined', log: log.name, uid, fromSeq })
  }

  async letOut(log: LogFacts, people: readonly Person[], toSeq: number): Promise<void> {
    // Each window by its key: a condition on both would be looked for among all members of the log.
    await this.#work.query(
      `update membership set to_seq = $1, left_name = (select name from chat_group where log = $2) where ctid = any(array(
         select (
           select ctid from membership as stay
           where stay.account = gone and stay.log = $2 and stay.to_seq is null)
         from unnest($3::bigint[]) as gone))`,
      [toSeq, log.n, people.map(({ account }) => account)],
    )
    for (const { uid } of people) this.#work.feed.push({ kind: 'left', log: log.name, uid, toSeq })
  }

  entriesAfter(
    position: EntryPosition,
    limit: number,
  ): Promise<{ entries: CommittedRow[]; position: EntryPosition }> {
    return readEntriesAfter(this.#work, position, limit)
  }

  hasEntriesAfter(position: EntryPosition): Promise<boolean> {
    return hasEntriesAfter(this.#work, position)
  }

  get search(): SearchIndex {
    return new PostgresSearchIndex(this.#work)
  }

  async claim(work: string): Promise<boolean> {
    const row = await this.first<{ taken: boolean }>(
      'select pg_try_advisory_xact_lock(hashtextextended($1, 0)) as taken',
      [work],
    )
    return row!.taken
  }

  /** Nothing is kept of a log but its number. */
  logRewritten(): void {}

  watchSources(sources: EventSources): Promise<void> {
    return watchSources(this.#work, sources)
  }

  /** Nothing is kept of who may write: each commit looks. */
  writersChanged(): void {}

  accountChanged(): void {}

  readMoved(uid: UserId, log: LogId, seq: number): void {
    this.#work.feed.push({ kind: 'read', uid, log, seq })
  }

  stateChanged(uid: UserId, scope: ChangeScope, version: number): void {
    this.#work.feed.push({ kind: 'changed', uid, scope, version })
  }

  endDeviceSession(uid: UserId, device: DeviceId): Promise<void> {
    return endDeviceSession(this.#work, buildClientId(uid, device))
  }

  endOwnSpace(uid: UserId, limit: number): Promise<boolean> {
    return endOwnSpace(this.#work, uid, limit)
  }

  readOwnSpace(uid: UserId, after: string | null, limit: number): Promise<OwnMessage[]> {
    return readOwnSpace(this.#work, uid, after, limit)
  }

  loginEnded(uid: UserId, device: DeviceId | null, sid: string | null): void {
    this.#work.feed.push({ kind: 'loginEnded', uid, device, sid })
  }
}
