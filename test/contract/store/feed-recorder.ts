import type { Entry } from '../../../protocol/entry.ts'
import type { CommitFeed, Store } from '../../../services/store/contract.ts'

/**
 * What a store's feed said, one short text an event: `entry alice 3 hello`, `grew 5`, `joined bob 1`, `left bob 4`,
 * `read bob 2`. `withheld`: seqs of entries that only their author sees. `changed`: `bob settings 3`, apart.
 */
type FeedRecord = {
  readonly said: string[]
  readonly entries: Entry[]
  readonly withheld: number[]
  readonly changed: string[]
}

export function recordFeed(store: Store): FeedRecord {
  const said: string[] = []
  const entries: Entry[] = []
  const withheld: number[] = []
  const changed: string[] = []
  const nameOf = (uid: string) => uid.split('.')[0]
  store.feed = {
    entryCommitted({ bytes, start, end, seq, uid, log, epoch, withheld: isWithheld }) {
      const entry = JSON.parse(bytes.toString('utf8', start, end)) as Entry
      if (entry.log !== log || entry.seq !== seq || entry.from !== uid || entry.epoch !== epoch) {
        throw new Error(`the feed's entry does not fit its bytes: ${JSON.stringify(entry)}`)
      }
      entries.push(entry)
      if (isWithheld) withheld.push(seq)
      said.push(`entry ${nameOf(uid)} ${seq} ${(entry.body as { text?: string }).text ?? entry.type}`)
    },
    logGrew: (_log, _epoch, head) => said.push(`grew ${head}`),
    memberJoined: (_log, uid, fromSeq) => said.push(`joined ${nameOf(uid)} ${fromSeq}`),
    memberLeft: (_log, uid, toSeq) => said.push(`left ${nameOf(uid)} ${toSeq}`),
    readMoved: (uid, _log, seq) => said.push(`read ${nameOf(uid)} ${seq}`),
    stateChanged: (uid, scope, version) => changed.push(`${nameOf(uid)} ${scope} ${version}`),
    loginEnded: (uid) => said.push(`ended ${nameOf(uid)}`),
  } satisfies CommitFeed
  return { said, entries, withheld, changed }
}
