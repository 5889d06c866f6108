/**
 * A batch of sends on its way into PostgreSQL, by the function `commit_sends`: one statement, which is its own
 * transaction. People and logs that this process has not met before are looked up first.
 */
import { randomInt } from 'node:crypto'
import type { LogId, UserId } from '../../../protocol/ids.ts'
import type { SendJob } from '../contract.ts'
import { idHash } from '../id-hash.ts'
import type { AccountsIndex } from './accounts-index.ts'
import { int2Array, int8Array, textArray } from './array-values.ts'
import { type Executor, execute } from './connections.ts'
import { DIRECT, GROUP, type LogTarget, type LogTargets, SELF } from './log-targets.ts'

/** Below 2^48, the most that one call gives. */
const RANDOM_HASH_MAX = 2 ** 48 - 1

/** By position in the batch; `codes` as in send-codes.ts. */
export type Decisions = { codes: number[]; seqs: number[]; ats: number[]; epochs: number[] }

/** A send that is stored under its own name: for a send without an id a random one, so that another try finds it. */
export type NamedSend = { job: SendJob; randomHash: number }

export function nameSend(job: SendJob): NamedSend {
  return { job, randomHash: job.id === null ? randomInt(RANDOM_HASH_MAX) : 0 }
}

const COMMIT = `
  select codes::text, seqs::text, ats::text, epochs::text
  from commit_sends($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`

type DecisionRow = { codes: string; seqs: string; ats: string; epochs: string }

/** What a commit needs beside its sends. */
export type SendContext = {
  accounts: AccountsIndex
  targets: LogTargets
  contactsRequired: boolean
}

/** Commits the sends. When it rejects with a lost connection, they may be committed all the same. */
export async function commitSends(
  executor: Executor,
  sends: readonly NamedSend[],
  { accounts, targets, contactsRequired }: SendContext,
): Promise<Decisions> {
  const logs = sends.map(({ job }) => targets.of(job.log))
  await lookUp(executor, sends, logs, accounts)
  const authors = sends.map(({ job }) => accounts.find(job.uid)!)
  const areKnown = logs.every((log) => log.n !== 0)
  const areMarked = sends.some(({ job }) => job.marks !== null)
  const { rows } = await execute<DecisionRow>(executor, COMMIT, [
    int8Array(authors),
    int2Array(logs.map((log) => log.kind)),
    int8Array(logs.map((log, i) => peerOf(log, sends[i]!.job.uid, accounts))),
    int8Array(logs.map((log) => log.n)),
    areKnown ? NONE : textArray(logs.map((log, i) => nameToMake(log, sends[i]!.job))),
    int8Array(
      sends.map(({ job, randomHash }, i) => (job.id === null ? randomHash : idHash(authors[i]!, job.id))),
    ),
    textArray(sends.map(({ job }) => job.id)),
    textArray(sends.map(({ job }) => job.device)),
    textArray(sends.map(({ job }) => job.type)),
    textArray(sends.map(({ job }) => job.bodyJson)),
    areMarked ? textArray(sends.map(({ job }) => job.marks && JSON.stringify(job.marks))) : NONE,
    contactsRequired,
  ])
  const { codes, seqs, ats, epochs } = rows[0]!
  return {
    codes: parseNumbers(codes),
    seqs: parseNumbers(seqs),
    ats: parseNumbers(ats),
    epochs: parseNumbers(epochs),
  }
}

/** An empty array: every item is null. */
const NONE = '{}'

function parseNumbers(text: string): number[] {
  return text.slice(1, -1).split(',').map(Number)
}

function peerOf(log: LogTarget, uid: UserId, accounts: AccountsIndex): number {
  return log.kind === DIRECT ? (accounts.find(log.a === uid ? log.b : log.a) ?? 0) : 0
}

/** Only a message that is stored makes its log. */
function nameToMake({ n, kind, name }: LogTarget, { marks }: SendJob): string | null {
  if (n !== 0 || (kind !== DIRECT && kind !== SELF)) return null
  return marks?.transient === true || marks?.refused === true ? null : name
}

// ---------------------------------------------------------------- people and logs not met before

async function lookUp(
  executor: Executor,
  sends: readonly NamedSend[],
  logs: readonly LogTarget[],
  accounts: AccountsIndex,
): Promise<void> {
  const authors = new Set<UserId>()
  const peers = new Set<UserId>()
  const names = new Map<LogId, LogTarget[]>()
  for (const [i, { job }] of sends.entries()) {
    const log = logs[i]!
    if (accounts.find(job.uid) === undefined) authors.add(job.uid)
    if (log.kind === DIRECT) {
      const peer = log.a === job.uid ? log.b : log.a
      if (accounts.find(peer) === undefined) peers.add(peer)
    }
    if (log.n === 0 && (log.kind === GROUP || log.kind === DIRECT || log.kind === SELF)) {
      const known = names.get(log.name)
      if (known === undefined) names.set(log.name, [log])
      else if (!known.includes(log)) known.push(log)
    }
  }
  if (authors.size > 0) await ensureAccounts(executor, [...authors])
  if (authors.size + peers.size > 0) await readAccounts(executor, [...authors, ...peers], accounts)
  if (names.size > 0) await readLogs(executor, names)
}

async function ensureAccounts(executor: Executor, uids: readonly UserId[]): Promise<void> {
  await execute(
    executor,
    `insert into account (uid, created_at)
     select uid, (extract(epoch from clock_timestamp()) * 1000)::bigint
     from unnest($1::text[]) as uid order by uid on conflict (uid) do nothing`,
    [uids],
  )
}

async function readAccounts(
  executor: Executor,
  uids: readonly UserId[],
  accounts: AccountsIndex,
): Promise<void> {
  const { rows } = await execute<{ uid: UserId; n: number }>(
    executor,
    'select uid, n from account where uid = any($1::text[])',
    [uids],
  )
  for (const { uid, n } of rows) accounts.remember(uid, n)
}

async function readLogs(executor: Executor, targets: Map<LogId, LogTarget[]>): Promise<void> {
  const { rows } = await execute<{ name: LogId; n: number }>(
    executor,
    'select name, n from log where name = any($1::text[])',
    [[...targets.keys()]],
  )
  for (const { name, n } of rows) for (const target of targets.get(name)!) target.n = n
}
