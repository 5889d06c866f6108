/** What waits to be done in the background: one look for all of it, which writes nothing, because it is asked all the time. */
import { ERASURE_WAITS } from './accounts/erasure-steps.ts'
import { DISSOLVED_WAIT } from './groups/dissolving.ts'
import { IMPORTED_WAIT } from './history/imported-reading.ts'
import { isIndexBehind } from './history/search-indexing.ts'
import { EXPIRY_WAITS } from './messages/expiry-tasks.ts'
import { SCHEDULED_WAIT } from './messages/scheduled.ts'
import { BROADCASTS_WAIT } from './operator/broadcasts.ts'
import { SUSPENSIONS_WAIT } from './operator/suspensions.ts'
import { WEBHOOKS_WAIT } from './operator/webhooks.ts'
import type { Transaction } from './transaction.ts'

/**
 * SQL that is true when there is such work at the time `$1`. Of what stands in large tables it asks for the least one of an
 * index: for `exists` PostgreSQL may prefer to look through the table for a first row that is not there.
 */
const WAITING = {
  broadcasts: BROADCASTS_WAIT,
  dissolved: DISSOLVED_WAIT,
  erasure: ERASURE_WAITS,
  expiry: EXPIRY_WAITS,
  imported: IMPORTED_WAIT,
  scheduled: SCHEDULED_WAIT,
  suspensions: SUSPENSIONS_WAIT,
  webhooks: WEBHOOKS_WAIT,
} as const

export type WorkKind = keyof typeof WAITING | 'indexing'

const KINDS = Object.keys(WAITING) as (keyof typeof WAITING)[]
const LOOK = `select ${KINDS.map((kind) => `${WAITING[kind]} as ${kind}`).join(', ')}`

export const waitingWorkTasks = {
  /** The kinds of work of which there is some now; who takes it, finds that it was taken or finds what there is. */
  async findWork(tx: Transaction, _: object): Promise<WorkKind[]> {
    const waits = (await tx.first<Record<WorkKind, unknown>>(LOOK, [tx.now]))!
    const found: WorkKind[] = KINDS.filter((kind) => Boolean(waits[kind]))
    return (await isIndexBehind(tx)) ? [...found, 'indexing'] : found
  },
}
