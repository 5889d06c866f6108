import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { buildDirectLog, type LogId, type UserId } from '../../../protocol/ids.ts'
import type { Caller } from '../contract.ts'
import { EXPORT_PARTS } from '../operations/accounts/export.ts'
import { runStored, type StoredName } from '../operations/operations.ts'
import { resumeAccount } from '../operations/people/account-state.ts'
import { runTask, type StoreTask, type TaskName } from '../operations/tasks.ts'
import { DEFAULT_POLICY } from '../policy.ts'
import { AccountsIndex } from './accounts-index.ts'
import { Database } from './database.ts'
import { Logs } from './logs.ts'
import { SqliteTransaction } from './transaction.ts'
import type { Work } from './work.ts'

/** Keeps the text of every statement that was prepared. */
class RecordingDatabase extends Database {
  readonly statements = new Set<string>()

  override prepare(sql: string) {
    this.statements.add(sql)
    return super.prepare(sql)
  }

  override prepareRows(sql: string) {
    this.statements.add(sql)
    return super.prepareRows(sql)
  }
}

let folder: string
let db: RecordingDatabase
let work: Work

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'wochat-plans-'))
  db = new RecordingDatabase(join(folder, 'wochat.sqlite'))
  db.migrate()
  const accounts = new AccountsIndex(db)
  const policy = { ...DEFAULT_POLICY, contactsRequired: true }
  work = { db, accounts, logs: new Logs(db, accounts, policy), policy, now: 1000, feed: [] }
  db.statements.clear()
})

afterEach(() => {
  db.close()
  rmSync(folder, { recursive: true })
})

function createPerson(uid: string): Caller {
  work.accounts.create(uid as UserId, null, work.now)
  return { uid: uid as UserId, device: null }
}

/** Every operation of people, groups and conversations, on its longest way. */
async function useEverything(): Promise<void> {
  const [alice, bob] = [createPerson('alice'), createPerson('bob')]
  await run('contacts.request', alice, { uid: bob.uid, requestId: 'r' })
  await run('contacts.accept', bob, { uid: alice.uid })
  await run('contacts.block', alice, { uid: bob.uid })
  await run('contacts.unblock', alice, { uid: bob.uid })
  await run('contacts.list', alice, {})
  const members = [bob.uid]
  const { id } = (await run('groups.create', alice, { name: 'g', members })) as { id: LogId }
  work.logs.append(work.logs.state(id), { kind: 'message', uid: bob.uid, device: null, ...TEXT }, work.now)
  await run('groups.members', bob, { id, cursor: '1.alice' })
  await run('groups.remove', alice, { id, members })
  await run('groups.add', alice, { id, members })
  await run('groups.leave', alice, { id })
  await run('groups.list', bob, {})
  await changeMessages(alice, bob)
  for (const caller of [alice, bob]) await readEverything(caller, id)
  await run('messages.readers', bob, { log: id, seq: 3 })
  await knowPeople(alice, bob)
  await run('messages.react', alice, { log: buildDirectLog(alice.uid, bob.uid), seq: 2, emoji: ':x:' })
  await run('contacts.remove', alice, { uid: bob.uid })
  await endAccount(alice)
}

const run = (name: StoredName, caller: Caller, params: object) =>
  runStored(new SqliteTransaction(work), { name, caller, params: params as never })

async function knowPeople(alice: Caller, bob: Caller): Promise<void> {
  await run('profile.set', alice, { name: 'Alice' })
  await run('settings.set', bob, { whoMayAdd: 'friendsOfFriends', findByUid: false, language: null })
  for (const name of ['contacts', 'settings']) await run(`${name}.changes` as StoredName, bob, { since: 0 })
  await run('contacts.list', bob, { limit: 1, cursor: 'a' })
  await run('contacts.update', bob, { uid: alice.uid, remark: 'A' })
  for (const query of [bob.uid, '+491234567']) await run('accounts.search', alice, { query })
  const eve = createPerson('eve')
  await run('profile.get', eve, { uids: [alice.uid, bob.uid] })
  await run('contacts.request', eve, { uid: alice.uid })
  await run('contacts.refuse', alice, { uid: eve.uid })
  await run('contacts.request', eve, { uid: bob.uid }).catch(() => {})
}

async function endAccount(alice: Caller): Promise<void> {
  await perform('endSuspensions', {})
  await run('accounts.deactivate', alice, {})
  await resumeAccount(new SqliteTransaction(work), {
    uid: alice.uid,
    account: work.accounts.find(alice.uid)!,
  })
  for (const part of EXPORT_PARTS) await perform('exportPage', { uid: alice.uid, part, after: null })
  await run('accounts.erase', alice, { confirm: alice.uid })
  while (((await perform('eraseStep', {})) as { more: boolean }).more) {
    // Until nothing is left but what goes later.
  }
  work.now += 3_600_000
  while (((await perform('eraseStep', {})) as { more: boolean }).more) {
    // The logins.
  }
}

const perform = (task: TaskName, input: object) =>
  runTask(new SqliteTransaction(work), { task, input } as StoreTask)

/** What becomes of messages, and the ways into their history. */
async function changeMessages(alice: Caller, bob: Caller): Promise<void> {
  const log = buildDirectLog(alice.uid, bob.uid)
  const state = work.logs.state(log)
  const text = { type: 'text', bodyJson: '{"text":"x"}' }
  for (const id of ['1', '2']) {
    work.logs.append(state, { kind: 'message', uid: alice.uid, device: null, id, ...text }, work.now)
  }
  const body = { text: 'y', mentions: [bob.uid] }
  for (const count of [0, 1]) await run('messages.edit', alice, { log, seq: 1, body, count })
  for (const on of [true, false]) await run('messages.react', bob, { log, seq: 1, emoji: ':x:', on })
  await run('messages.reactions', bob, { log, seq: 1, emoji: ':x:', cursor: `${bob.uid} :x:` })
  await run('messages.pin', bob, { log, seq: 1 })
  await run('messages.pins', alice, { log })
  await run('messages.unpin', bob, { log, seq: 1 })
  await run('messages.recall', alice, { log, seq: 1 })
  await run('messages.delete', bob, { log, seqs: [2, 3] })
  await run('messages.get', bob, { log, seqs: [1, 2] })
  for (const way of [{ around: 3 }, { at: 5 }, { kind: 'links' }, { types: ['text'], after: 0 }]) {
    await run('messages.page', bob, { log, ...way })
  }
}

async function readEverything(caller: Caller, log: LogId): Promise<void> {
  const changes = {
    pinned: true,
    mutedUntil: 9e15,
    archived: true,
    draft: 'x',
    hidden: true,
    markedUnread: true,
  }
  await run('conversations.update', caller, { log, ...changes })
  for (const seq of [1, 2, 99]) await run('conversations.read', caller, { log, seq })
  for (const position of [{}, { after: 0 }, { before: 2 }]) {
    await run('messages.page', caller, { log, ...position })
  }
  await run('conversations.list', caller, { limit: 1 })
  await run('conversations.list', caller, { cursor: `0.0.0.${log}` })
  await run('conversations.changes', caller, { since: 0 })
  await run('conversations.badge', caller, {})
  await run('conversations.clear', caller, { log, seq: 1 })
  await run('conversations.readAll', caller, {})
}

const TEXT = { id: 'i', type: 'text', bodyJson: '{"text":"x"}' }

/** Tables that are read whole: they hold what waits to be filed, or to be erased, and are emptied by it. */
const READ_WHOLE = /journal|SCAN erasure/
/** Rows of a list that is a parameter, and of a query within the statement that a limit bounds. */
const BOUNDED =
  /^SCAN ((json_each|part|fitting|window|page|heir|seen|search|step|ends|back|half|events|owns)\b|message_search VIRTUAL TABLE INDEX 0:=)/

test('no statement of people, groups and conversations scans a table', async () => {
  await useEverything()
  const scans = [...db.statements].flatMap((sql) => {
    const plan = db.connection.prepare(`explain query plan ${sql}`).all() as { detail: string }[]
    const details = plan.map((row) => row.detail).filter((detail) => /^SCAN (?!\(|CONSTANT)/.test(detail))
    return details.map((detail) => `${detail}: ${sql}`)
  })
  expect(scans.filter((scan) => !READ_WHOLE.test(scan) && !BOUNDED.test(scan))).toEqual([])
})

test("one person's window of a log is found by its key, not among all members", async () => {
  // An index that led with (log, to_seq) was taken for it: adding 500 people to a group of 100,000 took 2 s.
  await useEverything()
  const ofOne = [...db.statements].filter(
    (sql) => /(from|update) membership\b/.test(sql) && /account = \?1?/.test(sql),
  )
  expect(ofOne.length).toBeGreaterThan(2)
  for (const sql of ofOne) {
    const plan = db.connection.prepare(`explain query plan ${sql}`).all() as { detail: string }[]
    expect(plan.map((row) => row.detail).filter((detail) => /membership_by_log/.test(detail))).toEqual([])
  }
})
