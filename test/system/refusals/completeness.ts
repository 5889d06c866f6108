/** What the table of situations must have, told from the catalogue: each code of each operation, each id that it takes. */
import { CATALOGUE, type OperationName } from '../../../protocol/catalogue/catalogue.ts'
import type { Operation } from '../../../protocol/catalogue/operation.ts'
import { ERRORS, type ErrorCode } from '../../../protocol/errors.ts'
import type { Situation, Whose } from './situation.ts'

/** Fields that name something which may be of others, or not be there. */
const ID_FIELDS: ReadonlySet<string> = new Set([
  ...['uid', 'uids', 'members', 'to', 'from', 'confirm', 'query'],
  ...['id', 'log', 'seq', 'seqs', 'token', 'refreshToken', 'deviceId'],
])

/** Fields that say how far the caller is: what they name is nobody's, but they may be of somewhere else. */
const PLACE_FIELDS: ReadonlySet<string> = new Set(['cursor', 'since'])

/** What cannot be tried, and why. Of a field: `operation.field whose`, or `operation.field` for both. */
const NOT_TRIED: ReadonlyMap<string, string> = new Map([
  ['messages.send.id', 'the caller gives it; one that was used is tried as id_conflict'],
  ['messages.schedule.id', 'the caller gives it; one that was planned is tried as id_conflict'],
  ['messages.schedule.to absent', 'who may write is decided when it is sent, and told by a notice'],
  ['conversations.clear.seq', 'how far; cut at the head of what the caller sees'],
  ['conversations.read.seq', 'how far; cut at the head of what the caller sees'],
  ['messages.search.query', 'words'],
  ['rooms.list.query', 'words'],
  ['contacts.request.uid foreign', 'strangers are whom it is for'],
  ['contacts.block.uid foreign', 'strangers may be blocked'],
  ['groups.ban.uid foreign', 'who is not in may be kept out'],
  ['groups.join.token foreign', 'a link is for whoever has it'],
  ['reports.create.uid foreign', 'anybody may be reported'],
  ['auth.login.uid absent', 'it is how an account begins'],
  ['presence.watch.uids', 'answered like presence.get; a watch on others is tried in live.test.ts'],
  ['presence.unwatch.uids', 'who is not watched is not watched afterwards'],
  ['contacts.list.cursor', 'a uid: any place in the own list'],
  ['messages.readers.cursor', 'a uid: any place among the readers'],
  ['presence.ofGroup.cursor', 'a number: any place among the members'],
  ['contacts.changes.since', 'a number: any place in the own changes'],
  ['settings.changes.since', 'a number: any place in the own changes'],
  ['conversations.changes.since', 'a number: any place in the own changes'],
  ['groups.ban too_many_bans', 'takes 10,000 bans'],
])

/** Operations that only ask for what is the caller's own, or only make something new of it. */
const REFUSES_NOTHING: ReadonlySet<OperationName> = new Set([
  ...(['auth.devices', 'accounts.export', 'media.usage', 'settings.get', 'settings.changes'] as const),
  ...(['contacts.list', 'contacts.changes', 'conversations.badge', 'conversations.changes'] as const),
])

/** Codes, ids and places of an operation that no situation tries. */
export function missingOf(name: OperationName, situations: readonly Situation[]): string[] {
  const { errors, params }: Operation = CATALOGUE[name]
  const fields = Object.keys(params.properties)
  const needed = [
    ...errors.filter((code) => !isOfTheMoment(code)).map((code) => `${name} ${code}`),
    ...fields.filter((field) => PLACE_FIELDS.has(field)).map((field) => `${name}.${field}`),
    ...fields
      .filter((field) => ID_FIELDS.has(field))
      .flatMap((field) => (['foreign', 'absent'] as const).map((whose) => `${name}.${field} ${whose}`)),
  ]
  const tried = new Set(situations.flatMap((situation) => triedBy(name, situation)))
  const missing = needed.filter(
    (what) => !tried.has(what) && !NOT_TRIED.has(what) && !NOT_TRIED.has(what.replace(WHOSE, '')),
  )
  const isEmpty = situations.length === 0
  if (isEmpty && !REFUSES_NOTHING.has(name)) missing.push(`${name}: no situation`)
  if (!isEmpty && REFUSES_NOTHING.has(name)) missing.push(`${name}: is said to refuse nothing`)
  return missing
}

const WHOSE = / (foreign|absent)$/

function triedBy(name: OperationName, { outcome, id }: Situation): string[] {
  const code = typeof outcome === 'string' ? [`${name} ${outcome}`] : []
  if (id === undefined) return code
  const { field, whose }: { field: string; whose: Whose } = id
  return [...code, `${name}.${field} ${whose}`, `${name}.${field}`]
}

/** The same call may succeed later: somebody else is away. The SMS provider and the screening service have tests of their own. */
const isOfTheMoment = (code: ErrorCode): boolean => ERRORS[code].retryable
