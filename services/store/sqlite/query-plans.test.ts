import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { LogId, UserId } from '../../../protocol/ids.ts'
import { createGroupId } from '../../groups/group-id.ts'
import type { Caller } from '../contract.ts'
import { runStored, type StoredName } from '../operations/operations.ts'
import { DEFAULT_POLICY } from '../policy.ts'
import { AccountsIndex } from './accounts-index.ts'
import { conversationOperations } from './conversations.ts'
import { Database } from './database.ts'
import { groupOperations } from './groups.ts'
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
  const id = createGroupId()
  const members = [bob.uid]
  groupOperations.createGroup(work, { caller: alice, name: 'g', members, log: id, membersMax: 10 })
  work.logs.append(work.logs.state(id), { kind: 'message', uid: bob.uid, device: null, ...TEXT }, work.now)
  groupOperations.members(work, { caller: bob, id, cursor: '1.alice' })
  groupOperations.removeMembers(work, { caller: alice, id, members })
  groupOperations.addMembers(work, { caller: alice, id, members, membersMax: 10 })
  groupOperations.leaveGroup(work, { caller: alice, id })
  groupOperations.groups(work, bob.uid)
  for (const caller of [alice, bob]) readEverything(caller, id)
  await run('contacts.remove', alice, { uid: bob.uid })
}

const run = (name: StoredName, caller: Caller, params: object) =>
  runStored(new SqliteTransaction(work), { name, caller, params: params as never })

function readEverything(caller: Caller, log: LogId): void {
  for (const seq of [1, 2, 99]) conversationOperations.markRead(work, { caller, log, seq })
  for (const position of [{}, { after: 0 }, { before: 2 }]) {
    conversationOperations.page(work, { caller, log, ...position })
  }
  conversationOperations.conversations(work, { caller, limit: 1 })
  conversationOperations.conversations(work, { caller, cursor: `0.0.${log}` })
}

const TEXT = { id: 'i', type: 'text', bodyJson: '{"text":"x"}' }

/** The only table that is read whole: it holds what waits to be filed, and is emptied by it. */
const READ_WHOLE = /journal/

test('no statement of people, groups and conversations scans a table', async () => {
  await useEverything()
  const scans = [...db.statements].flatMap((sql) => {
    const plan = db.connection.prepare(`explain query plan ${sql}`).all() as { detail: string }[]
    const details = plan.map((row) => row.detail).filter((detail) => /^SCAN (?!\(|CONSTANT)/.test(detail))
    return details.map((detail) => `${detail}: ${sql}`)
  })
  expect(scans.filter((scan) => !READ_WHOLE.test(scan) && !/^SCAN window\b/.test(scan))).toEqual([])
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
