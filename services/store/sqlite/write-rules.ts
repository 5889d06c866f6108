/** Who may write in a log, asked at a writer's first message, and when something changed. */
import { type LogId, logKind, peerOf, type UserId } from '../../../protocol/ids.ts'
import type { StorePolicy } from '../policy.ts'
import {
  DIRECT_FACTS,
  type DirectFacts,
  directRight,
  GROUP_FACTS,
  type GroupFacts,
  groupRight,
  VISITOR_FACTS,
  type WriteRight,
} from '../write-rules.ts'
import type { Database } from './database.ts'
import { withNumberedParameters } from './parameters.ts'

const DIRECT = withNumberedParameters(DIRECT_FACTS)
const GROUP = withNumberedParameters(GROUP_FACTS)
const VISITOR = withNumberedParameters(VISITOR_FACTS)

const MAY_WRITE: WriteRight = { refusal: null, withheld: false }
const UNKNOWN_GROUP: WriteRight = { refusal: 'unknown_group', withheld: false }

export class WriteRules {
  readonly #db: Database
  readonly #policy: StorePolicy

  constructor(db: Database, policy: StorePolicy) {
    this.#db = db
    this.#policy = policy
  }

  /** `log` is 0 for one without a row. */
  rightOf(account: number, uid: UserId, name: LogId, log: number, now: number): WriteRight {
    const peer = peerOf(name, uid)
    if (peer === uid) return MAY_WRITE
    if (peer !== null) {
      const facts = this.#db.prepare(DIRECT).get(peer, account) as DirectFacts | undefined
      return directRight(facts, this.#policy.contactsRequired)
    }
    if (logKind(name) !== 'group' || log === 0) return UNKNOWN_GROUP
    const facts = this.#db.prepare(GROUP).get(account, log) as GroupFacts | undefined
    if (facts !== undefined) return groupRight(facts, now, 'write')
    const visitor = this.#db.prepare(VISITOR).get(account, log, now) as GroupFacts | undefined
    return { ...groupRight(visitor, now, 'write'), visits: true }
  }
}
