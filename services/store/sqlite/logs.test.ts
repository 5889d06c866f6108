import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { LogId, UserId } from '../../../protocol/ids.ts'
import { DEFAULT_POLICY } from '../policy.ts'
import { AccountsIndex } from './accounts-index.ts'
import { Database } from './database.ts'
import { Logs, type NewEntry } from './logs.ts'

const LOG = 'd:alice:bob' as LogId
const text = (id: string | null = null): NewEntry => ({
  kind: 'message',
  uid: 'alice' as UserId,
  device: null,
  id,
  type: 'text',
  bodyJson: '{"text":"x"}',
})

let folder: string
let db: Database
let logs: Logs

/** A store thread's state over the file, as a new process finds it. */
function start(): Logs {
  const started = new Logs(db, new AccountsIndex(db), { ...DEFAULT_POLICY, contactsRequired: true })
  started.recover()
  return started
}

function own(): number {
  const row = db.prepare('select own from reader join account on n = account where uid = ?').get('alice')
  return (row as { own: number }).own
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'wochat-logs-'))
  db = new Database(join(folder, 'wochat.sqlite'))
  db.migrate()
  logs = start()
})

afterEach(() => {
  db.close()
  rmSync(folder, { recursive: true })
})

test('the time of an entry never goes back within its log when the clock does', () => {
  const times = [2000, 1500, 2500].map((now) => logs.append(logs.state(LOG), text(), now).at)
  expect(times).toEqual([2000, 2000, 2500])
  logs.journal()
  expect(start().append(start().state(LOG), text(), 1000).at).toBe(2500)
})

test('entries read back from the journal have their seq and count once as own, however often it is read', () => {
  for (const id of ['a', 'b', 'c']) logs.append(logs.state(LOG), text(id), 1000)
  logs.journal()
  start()
  const again = start()
  expect(again.state(LOG)).toMatchObject({ head: 3, messages: 3 })
  again.file()
  expect(own()).toBe(3)
  expect(start().state(LOG)).toMatchObject({ head: 3, messages: 3 })
  expect(own()).toBe(3)
})

test('an entry read back from the journal knows what was sent where that was replaced, and tells nobody', () => {
  logs.append(logs.state(LOG), text('a'), 1000, { sentHash: 'abc', mentions: 'all' })
  const line = logs.journal()!.toString()
  expect(line).not.toContain('abc')
  const again = start()
  const alice = new AccountsIndex(db).find('alice' as UserId)!
  expect(again.findUnfiled(alice, 'a')).toMatchObject({ sentHash: 'abc' })
  again.file()
  const filed = start().findFiled([{ account: alice, id: 'a' }])
  expect(filed.get(0)).toMatchObject({ sentHash: 'abc', bodyJson: '{"text":"x"}' })
})

test('what was filed in the middle of a batch is not in the journal too', () => {
  logs.append(logs.state(LOG), text('a'), 1000)
  logs.file()
  logs.append(logs.state(LOG), text('b'), 1000)
  logs.journal()
  const again = start()
  expect(again.state(LOG).head).toBe(2)
  again.file()
  expect(own()).toBe(2)
  expect(db.prepare('select count(*) as entries from entry').get()).toEqual({ entries: 2 })
})

test('filing stands when the call that asked for it is taken back, and what the call wrote does not', () => {
  db.prepare('begin').run()
  logs.append(logs.state(LOG), text('a'), 1000)
  logs.journal()
  db.openSavepoint()
  logs.file()
  db.prepare("insert into account (uid, created_at) values ('carol', 0)").run()
  db.undoSavepoint()
  db.closeSavepoint()
  db.prepare('commit').run()
  expect(db.prepare('select seq from entry').all()).toEqual([{ seq: 1 }])
  expect(db.prepare("select n from account where uid = 'carol'").all()).toEqual([])
  expect(start().state(LOG).head).toBe(1)
})

test('a journal that does not continue its log stops the start', () => {
  logs.append(logs.state(LOG), text(), 1000)
  logs.journal()
  db.prepare('insert into journal (lines) select lines from journal').run()
  expect(start).toThrow(/does not continue d:alice:bob: entry 1 after 1/)
})
