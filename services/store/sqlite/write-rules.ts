/** Who may write in a log, as the tables say it now: asked at a writer's first message, and when something changed. */
import type { ErrorCode } from '../../../protocol/errors.ts'
import { type LogId, parseLog } from '../../../protocol/ids.ts'
import type { StorePolicy } from '../policy.ts'
import type { AccountsIndex } from './accounts-index.ts'
import type { Database } from './database.ts'

/** `withheld`: they may, and nobody sees it. */
export type Right = { refusal: ErrorCode | null; withheld: boolean }

const MAY_WRITE: Right = { refusal: null, withheld: false }
const WITHHELD: Right = { refusal: null, withheld: true }
const refused = (refusal: ErrorCode): Right => ({ refusal, withheld: false })

const GROUP_RIGHT = `
  select m.role, m.muted_until, g.who_writes, g.muted_until as group_muted_until, g.keeps_entries
  from membership m left join chat_group g on g.log = m.log
  where m.account = ? and m.log = ? and m.to_seq is null`

type GroupRow = {
  role: string
  muted_until: number | null
  who_writes: string | null
  group_muted_until: number | null
  keeps_entries: number | null
}

/** A room that keeps nothing: nobody is a member but who made it, and all may write who are not banned. */
const VISITOR_RIGHT = `
  select 'member' as role, null as muted_until, g.who_writes, g.muted_until as group_muted_until, g.keeps_entries
  from chat_group g
  where g.log = ? and g.keeps_entries = 0 and g.dissolved_at is null and not exists (
    select 1 from group_ban b where b.log = g.log and b.account = ? and (b.until is null or b.until > ?))`

export class WriteRules {
  readonly #db: Database
  readonly #accounts: AccountsIndex
  readonly #policy: StorePolicy

  constructor(db: Database, accounts: AccountsIndex, policy: StorePolicy) {
    this.#db = db
    this.#accounts = accounts
    this.#policy = policy
  }

  /**
   * Commit_sends of PostgreSQL has the same rules in the same order. `log` is 0 for one without a row. A room that keeps
   * nothing refuses `transient_only`, which a transient message is not concerned by.
   */
  rightOf(account: number, uid: string, name: LogId, log: number, now: number): Right {
    const parsed = parseLog(name)
    if (parsed?.kind === 'direct') {
      if (parsed.a === parsed.b) return MAY_WRITE
      return this.#directRight(account, parsed.a === uid ? parsed.b : parsed.a)
    }
    if (parsed?.kind !== 'group' || log === 0) return refused('unknown_group')
    return this.#groupRight(account, log, now)
  }

  #groupRight(account: number, log: number, now: number): Right {
    const row = (this.#db.prepare(GROUP_RIGHT).get(account, log) ??
      this.#db.prepare(VISITOR_RIGHT).get(log, account, now)) as GroupRow | undefined
    if (row === undefined) return refused('not_member')
    const isMember = row.role === 'member'
    if ((row.muted_until ?? 0) > now) return refused('muted')
    if (isMember && row.who_writes === 'admins') return refused('not_admin')
    if (isMember && (row.group_muted_until ?? 0) > now) return refused('muted')
    return row.keeps_entries === 0 ? refused('transient_only') : MAY_WRITE
  }

  #directRight(account: number, peerUid: string): Right {
    const peer = this.#accounts.find(peerUid)
    if (peer === undefined) return refused('unknown_user')
    const theirs = this.#db
      .prepare('select state, blocked, block_mode from contact where account = ? and peer = ?')
      .get(peer, account) as { state: string; blocked: number; block_mode: string | null } | undefined
    const isBlocked = theirs?.blocked === 1
    if (isBlocked && theirs.block_mode !== 'swallow') return refused('blocked')
    const person = this.#db.prepare('select state, takes from account where n = ?').get(peer) as {
      state: string
      takes: string | null
    }
    if (person.state !== 'active') return refused('account_inactive')
    if (person.takes === 'none') return refused('blocked')
    if (isBlocked) return WITHHELD
    const needsFriend = this.#policy.contactsRequired && person.takes !== 'all'
    if (!needsFriend || theirs?.state === 'friend' || this.#isSystem(account)) return MAY_WRITE
    return refused('not_friends')
  }

  /** An account of the operator writes to everybody. */
  #isSystem(account: number): boolean {
    const row = this.#db.prepare('select kind from account where n = ?').get(account) as { kind: string }
    return row.kind === 'system'
  }
}
