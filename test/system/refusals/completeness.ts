/** What the table of situations must have, told from the catalogue: each code of each operation, each id that it takes. */
import type { TObject } from 'typebox'
import type { AdminName } from '../../../protocol/admin/operations.ts'
import type { OperationName } from '../../../protocol/catalogue/catalogue.ts'
import { ERRORS, type ErrorCode } from '../../../protocol/errors.ts'
import type { Situation, Whose } from './situation.ts'

/** Fields that name something which may be of others, or not be there. */
const ID_FIELDS: ReadonlySet<string> = new Set([
  ...['uid', 'uids', 'members', 'to', 'from', 'confirm', 'query'],
  ...['id', 'log', 'seq', 'seqs', 'token', 'refreshToken', 'deviceId', 'device', 'node', 'n', 'avatar'],
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
  ...['profile.set', 'groups.create', 'groups.update', 'rooms.create'].map(
    (name) => [`${name}.avatar absent`, 'any text, such as an address on the web'] as const,
  ),
  ['contacts.request.uid foreign', 'strangers are whom it is for'],
  ['contacts.block.uid foreign', 'strangers may be blocked'],
  ['groups.ban.uid foreign', 'who is not in may be kept out'],
  ['groups.join.token foreign', 'a link is for whoever has it'],
  ['reports.create.uid foreign', 'anybody may be reported'],
  ['auth.login.uid absent', 'it is how an account begins'],
  ['presence.unwatch.uids', 'who is not watched is not watched afterwards'],
  ['contacts.list.cursor', 'a uid: any place in the own list'],
  ['messages.readers.cursor', 'a uid: any place among the readers'],
  ['presence.ofGroup.cursor', 'a number: any place among the members'],
  ['contacts.changes.since', 'a number: any place in the own changes'],
  ['settings.changes.since', 'a number: any place in the own changes'],
  ['conversations.changes.since', 'a number: any place in the own changes'],
  [
    'groups.ban too_many_bans',
    'takes 10,000 bans: tried by the contract suite, which writes them into the table',
  ],
  ['auth.login.device', 'the caller names it'],
  ['revoke.device absent', 'what no device uses yet may be revoked'],
  ['trace.device absent', 'whoever may come can be waited for'],
  ['trace.log absent', 'what may be said there can be waited for'],
  ['trace.seq absent', 'what may be said there can be waited for'],
  ['trace.id absent', 'what may be said there can be waited for'],
  ['addWebhook.id absent', 'it is how one begins'],
  ['addBot.uid absent', 'it is how one begins'],
  ['addSystemAccount.uid absent', 'it is how one begins'],
  ['addApiKey.device absent', 'it is how one begins'],
  ['broadcast.id absent', 'it is how one begins'],
  ['sendAs.id absent', 'the caller gives it'],
  ['replayWebhook.from absent', 'a number: any place among the events'],
  ['deadLetters.cursor', 'a number: any place in the list'],
])

/** Operations that name nothing: they ask for what is the caller's own, or the operator's. */
const REFUSES_NOTHING: ReadonlySet<OperationName | AdminName> = new Set([
  ...(['auth.devices', 'accounts.export', 'media.usage', 'settings.get', 'settings.changes'] as const),
  ...(['contacts.list', 'contacts.changes', 'conversations.badge', 'conversations.changes'] as const),
  ...(['nodes', 'queues', 'slow', 'rebalance', 'webhooks', 'broadcasts'] as const),
  ...(['words', 'removeWords', 'reports', 'suspensions'] as const),
])

/** Of an operation of the catalogue, or of the admin port, to whose caller nothing is foreign. */
export type Described = {
  name: OperationName | AdminName
  params: TObject
  errors: readonly ErrorCode[]
  /** What is to be tried of each id. */
  whose: readonly Whose[]
}

/** Codes, ids and places of an operation that no situation tries. */
export function missingOf(
  { name, params, errors, whose }: Described,
  situations: readonly Situation[],
): string[] {
  const fields = Object.keys(params.properties)
  const needed = [
    ...errors.filter((code) => !isOfTheMoment(code)).map((code) => `${name} ${code}`),
    ...fields.filter((field) => PLACE_FIELDS.has(field)).map((field) => `${name}.${field}`),
    ...fields
      .filter((field) => ID_FIELDS.has(field))
      .flatMap((field) => whose.map((one) => `${name}.${field} ${one}`)),
  ]
  const tried = new Set(situations.flatMap((situation) => triedBy(name, situation)))
  const needless = [...NOT_TRIED.keys()].filter(
    (what) => isOf(name, what) && !needed.some((one) => one === what || one.startsWith(`${what} `)),
  )
  const missing = needed.filter(
    (what) => !tried.has(what) && !NOT_TRIED.has(what) && !NOT_TRIED.has(what.replace(WHOSE, '')),
  )
  const isEmpty = situations.length === 0
  if (isEmpty && !REFUSES_NOTHING.has(name)) missing.push(`${name}: no situation`)
  if (!isEmpty && REFUSES_NOTHING.has(name)) missing.push(`${name}: is said to refuse nothing`)
  return [...missing, ...needless.map((what) => `${what}: is not asked for`)]
}

const isOf = (name: string, what: string): boolean =>
  what.startsWith(`${name}.`) && !what.slice(name.length + 1).includes('.')

const WHOSE = / (foreign|absent)$/

function triedBy(name: string, { outcome, id }: Situation): string[] {
  const code = typeof outcome === 'string' ? [`${name} ${outcome}`] : []
  if (id === undefined) return code
  const { field, whose }: { field: string; whose: Whose } = id
  return [...code, `${name}.${field} ${whose}`, `${name}.${field}`]
}

/** The same call may succeed later: somebody else is away. The SMS provider and the screening service have tests of their own. */
const isOfTheMoment = (code: ErrorCode): boolean => ERRORS[code].retryable
