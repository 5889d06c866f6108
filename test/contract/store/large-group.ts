/** A group as large as an operator may allow, made once for all tests of a store. */
import type { DeviceId, LogId, UserId } from '../../../protocol/ids.ts'
import type { Caller, Store } from '../../../services/store/contract.ts'
import type { EngineOptions, StoreEngine } from './engine.ts'
import { type Hands, handsOf } from './group-calls.ts'
import { createUid } from './people.ts'
import { openRawTables } from './raw-tables.ts'
import { countReads, type Reads } from './reads.ts'

export const MEMBERS = 100_000
/** What one call adds, and one page has. */
export const TOGETHER = 500
export const RULES: EngineOptions = { contactsRequired: false, policy: { groupMembersMax: MEMBERS } }

export const memberOf = (uid: UserId): Caller => ({ uid, device: 'phone' as DeviceId })

export class LargeGroup {
  readonly engine: () => StoreEngine
  /** In the order of their joining: the owner, who is first, and those who are added by steps. */
  readonly uids: readonly UserId[]
  readonly owner: Caller
  readonly first: Caller
  readonly middle: Caller
  readonly last: Caller
  readonly #prefix = `${createUid('large')}.`
  #id: LogId | null = null

  constructor(engine: () => StoreEngine) {
    this.engine = engine
    this.uids = Array.from({ length: MEMBERS }, (_, n) => `${this.#prefix}${1_000_000 + n}` as UserId)
    this.owner = memberOf(this.uids[0]!)
    this.first = memberOf(this.uids[1]!)
    this.middle = memberOf(this.uids[MEMBERS / 2]!)
    this.last = memberOf(this.uids.at(-1)!)
  }

  get id(): LogId {
    if (this.#id === null) throw new Error('the group is used before it is made')
    return this.#id
  }

  open(): Promise<Store> {
    return this.engine().open(RULES)
  }

  /** Makes it, and answers what the store read for that. */
  async make(): Promise<Reads> {
    await (await this.open())[Symbol.asyncDispose]() // Its tables are there from now on.
    await this.#makeAccounts()
    const reads = await countReads(this.engine(), RULES, { make: (store) => this.#addAll(store) })
    return reads.get('make')!
  }

  /** Accounts of them, which no operation makes so many of in a short time. */
  async #makeAccounts(): Promise<void> {
    await using tables = await openRawTables(this.engine())
    await tables.query(
      `insert into account (uid, created_at)
       with recursive one (n) as (select 0 union all select n + 1 from one where n < ${MEMBERS - 1})
       select '${this.#prefix}' || (1000000 + n), 0 from one`,
    )
  }

  async #addAll(store: Store): Promise<void> {
    const hands = handsOf(store, this.owner)
    const id = (await hands.do('groups.create', { name: 'Everybody' })).id as LogId
    for (let n = 1; n < MEMBERS; n += TOGETHER) {
      await hands.do('groups.add', { id, members: this.uids.slice(n, n + TOGETHER) })
    }
    this.#id = id
  }

  /** All pages of members, each handed over before the next one is asked for. */
  async readMembers(
    caller: Hands,
    onPage: (pages: number) => Promise<unknown> = async () => {},
  ): Promise<UserId[]> {
    const uids: UserId[] = []
    let cursor: string | undefined
    for (let pages = 1; ; pages++) {
      const page = await caller.do('groups.members', {
        ...{ id: this.id, limit: TOGETHER },
        ...(cursor !== undefined && { cursor }),
      })
      uids.push(...page.members.map(({ uid }) => uid as UserId))
      if (page.cursor === undefined) return uids
      cursor = page.cursor
      await onPage(pages)
    }
  }

  /** Members as the group counts them, and windows that are open. */
  async counts(): Promise<{ open: number; members: number }> {
    await using tables = await openRawTables(this.engine())
    const [row] = await tables.query(
      `select members, (select count(*) from membership where log = log.n and to_seq is null) as open
       from chat_group join log on log.n = chat_group.log where log.name = '${this.id}'`,
    )
    return { open: Number(row!.open), members: Number(row!.members) }
  }
}
