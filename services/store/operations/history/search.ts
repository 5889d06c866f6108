/** Full-text search over the messages that a person may see. */
import type { Entry } from '../../../../protocol/entry.ts'
import { WochatError } from '../../../../protocol/errors.ts'
import type { LogId } from '../../../../protocol/ids.ts'
import { SEARCH_ITEMS_DEFAULT } from '../../../../protocol/limits.ts'
import { joinTexts, messageTexts } from '../../../search/message-text.ts'
import { findHighlights, hasTerms, type QueryTerm, queryTerms } from '../../../search/terms.ts'
import { asSeen } from '../../seen-content.ts'
import { isMessageTold } from '../../withheld.ts'
import { sawContent } from '../entries/access.ts'
import { buildEntry, type EntryRow } from '../entries/row.ts'
import type { StoredInput, StoredOperations } from '../stored.ts'
import type { TermQuery, Transaction } from '../transaction.ts'
import { authorTerm, logTerm, personTerm, typeTerm } from './search-terms.ts'

/** Found messages looked at by one statement; a number of its own, so that its text is always the same. */
const LOOK_AT = 50
/** Queries of one call, at least one round of them: what is found and may not be seen, or is of other times, is passed over. */
const LOOKS_MAX = 20
/** Audiences that one query of the index names: some 12 ms a look. Who is in more groups takes more queries. */
const NAMED_TOGETHER = 1000

export const searchOperations: StoredOperations<'messages.search'> = {
  async 'messages.search'(tx, input) {
    const { caller, query, limit = SEARCH_ITEMS_DEFAULT, cursor } = input
    const words = queryTerms(query)
    if (words.length === 0) throw new WochatError('bad_request', 'query: no letter and no number in it')
    const account = await tx.findAccount(caller.uid)
    const wanted = account === undefined ? null : await termQueries(tx, account, words, input)
    if (account === undefined || wanted === null) return { items: [] }
    const items: Item[] = []
    let before = cursor === undefined ? null : Number(cursor)
    for (let looks = 0; looks < LOOKS_MAX; looks += wanted.length) {
      const found = await findNewest(tx, wanted, before)
      for (const { place, item } of await lookAt(tx, account, found, words, input)) {
        items.push(item)
        if (items.length === limit) return { items, cursor: String(place) }
      }
      if (found.length < LOOK_AT) return { items }
      before = found.at(-1)!.place
    }
    return { items, cursor: String(before) }
  },
}

type Input = StoredInput<'messages.search'>
type Item = {
  entry: Entry
  highlights: { field: string; start: number; end: number }[]
}

/**
 * What the index is asked, by as many queries as the groups of the person take. Null: nothing can be found, because
 * somebody who is asked for is not there, or a conversation was never the caller's.
 */
async function termQueries(
  tx: Transaction,
  account: number,
  words: readonly QueryTerm[],
  { log, from, types }: Input,
): Promise<TermQuery[] | null> {
  const all = [...words]
  const exact = (text: string) => all.push({ text, isPrefix: false })
  if (from !== undefined) {
    const author = await tx.findAccount(from)
    if (author === undefined) return null
    exact(authorTerm(author))
  }
  if (log !== undefined) {
    const known = await tx.findLog(log)
    const wasIn = 'select 1 from membership where account = $1 and log = $2 limit 1'
    // How a cursor moves on would tell a stranger of the words of others.
    if (known === undefined || (await tx.first(wasIn, [account, known.n])) === undefined) return null
    exact(logTerm(known.n))
  }
  const audiences = log !== undefined ? [[]] : await audiencesOf(tx, account)
  // One list of alternatives is what the index takes: several types are looked through afterwards.
  if (types?.length === 1) exact(typeTerm(types[0]!))
  return audiences.map((any) => ({ all, any }))
}

/** The conversations of two, and the groups that the person is or was in, some in each list. */
async function audiencesOf(tx: Transaction, account: number): Promise<string[][]> {
  const groups = await tx.query<{ log: number }>(
    `select distinct membership.log from membership join chat_group on chat_group.log = membership.log
     where membership.account = $1`,
    [account],
  )
  const terms = [personTerm(account), ...groups.map(({ log }) => logTerm(log))]
  const lists = Math.ceil(terms.length / NAMED_TOGETHER)
  return Array.from({ length: lists }, (_, i) => terms.slice(i * NAMED_TOGETHER, (i + 1) * NAMED_TOGETHER))
}

type Found = { place: number; log: number; seq: number }

/** Each message is in the audience of one query: that of two people, or that of its group. */
async function findNewest(
  tx: Transaction,
  wanted: readonly TermQuery[],
  before: number | null,
): Promise<Found[]> {
  const found: Found[] = []
  for (const query of wanted) found.push(...(await tx.search.find(query, before, LOOK_AT)))
  return found.sort((a, b) => b.place - a.place).slice(0, LOOK_AT)
}

// ---------------------------------------------------------------- what was found

type Row = EntryRow & {
  place: number
  name: LogId
  epoch: number
  /** 1: the person is in it now. */
  open: number
}

const WANTED = Array.from(
  { length: LOOK_AT },
  (_, i) => `(cast($${3 * i + 2} as bigint), cast($${3 * i + 3} as bigint), cast($${3 * i + 4} as bigint))`,
).join(', ')

/** Inside a window of the person, as is what it says now, kept, and neither hidden nor cleared by them. */
const visible = (tx: Transaction): string => `
  with wanted (place, log, seq) as (values ${WANTED})
  select wanted.place, log.name, log.epoch, entry.seq, entry.at, entry.kind, author.uid, entry.device, entry.id, entry.type,
    entry.body, entry.state,
    (select count(*) from membership where membership.account = $1 and membership.log = wanted.log
      and membership.to_seq is null) as open
  from wanted
  join log on log.n = wanted.log
  join entry on entry.log = wanted.log and entry.seq = wanted.seq
  join account as author on author.n = entry.account
  left join conversation_state as mine on mine.account = $1 and mine.log = wanted.log
  where ${isMessageTold('entry', '$1')} and entry.seq >= log.first
    and entry.seq > coalesce(mine.cleared_seq, 0)
    and exists (
      select 1 from membership where membership.account = $1 and membership.log = wanted.log
        and membership.from_seq <= wanted.seq and coalesce(membership.to_seq, wanted.seq) >= wanted.seq)
    and ${sawContent(tx, '$1', 'entry')}
    and not exists (
      select 1 from hidden where hidden.account = $1 and hidden.log = wanted.log and hidden.seq = wanted.seq)
  order by wanted.place desc`

/** What is not for them was not found. */
const SEES_ALL = { sees: () => true, isDeleted: () => false }

async function lookAt(
  tx: Transaction,
  account: number,
  found: readonly { place: number; log: number; seq: number }[],
  words: readonly QueryTerm[],
  { query, types, after, before }: Input,
): Promise<{ place: number; item: Item }[]> {
  if (found.length === 0) return []
  const values = found.flatMap(({ place, log, seq }) => [place, log, seq])
  const padding = new Array<number>(LOOK_AT * 3 - values.length).fill(0)
  const rows = await tx.query<Row>(visible(tx), [account, ...values, ...padding])
  return rows.flatMap((row) => {
    if (after !== undefined && row.at < after) return []
    if (before !== undefined && row.at >= before) return []
    if (types !== undefined && !types.includes(row.type)) return []
    const entry = buildEntry(row, asSeen(row, { isIn: row.open === 1, ...SEES_ALL }))
    const texts = messageTexts(entry.body)
    // The index may be older than an edit.
    if (!hasTerms(joinTexts(texts), words)) return []
    const highlights = texts.flatMap(({ field, text }) =>
      findHighlights(text, query).map((part) => ({ field, ...part })),
    )
    return [{ place: row.place, item: { entry, highlights } }]
  })
}
