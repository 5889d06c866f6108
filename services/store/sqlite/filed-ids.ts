/** Clients' ids of messages that are in the tables, looked up many at a time. */
import type { LogId } from '../../../protocol/ids.ts'
import { idHash } from '../id-hash.ts'
import type { Database } from './database.ts'

/** Ids looked up by one statement. */
const PROBE_IDS = 64

/** A client's id of a message, which is unique per author. */
export type AuthorId = { account: number; id: string }

/** An entry under a client's id that was stored before. */
export type StoredEntry = {
  log: LogId
  seq: number
  at: number
  epoch: number
  type: string
  bodyJson: string
  /** Of the body that was sent, where screening has replaced it. */
  sentHash: string | null
  /** 1: it has another body than it was sent with, since it was edited or recalled. */
  changed: number
}

/** Looks ids up, many in one statement; the answer is by position. */
export function findFiledIds(db: Database, ids: readonly AuthorId[]): Map<number, StoredEntry> {
  const found = new Map<number, StoredEntry>()
  for (let from = 0; from < ids.length; from += PROBE_IDS) {
    const hashes: number[] = new Array(PROBE_IDS).fill(NO_HASH)
    const count = Math.min(PROBE_IDS, ids.length - from)
    for (let i = 0; i < count; i++) hashes[i] = idHash(ids[from + i]!.account, ids[from + i]!.id)
    for (const { i, account, id, ...stored } of db.prepare(PROBE_SQL).all(...hashes) as ProbeRow[]) {
      const asked = ids[from + i]!
      if (account === asked.account && id === asked.id) found.set(from + i, stored)
    }
  }
  return found
}

type ProbeRow = StoredEntry & AuthorId & { i: number }

/** In no row: hashes are not negative. */
const NO_HASH = -1

const PROBE_SQL = `
  with probe (i, hash) as (values ${Array.from({ length: PROBE_IDS }, (_, i) => `(${i}, ?)`).join(', ')})
  select probe.i, entry.account, entry.id,
    log.name as log, log.epoch, entry.seq, entry.at, entry.type, entry.body as bodyJson,
    (select hash from replaced_body where log = entry.log and seq = entry.seq) as sentHash,
    coalesce(entry.state like '%"edited":%' or entry.state like '%"recalled":%', 0) as changed
  from probe
  cross join entry indexed by entry_by_id on entry.id_hash = probe.hash
  cross join log on log.n = entry.log`
