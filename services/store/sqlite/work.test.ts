import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { UserId } from '../../../protocol/ids.ts'
import { DEFAULT_POLICY } from '../policy.ts'
import { AccountsIndex } from './accounts-index.ts'
import { Database } from './database.ts'
import { Logs } from './logs.ts'
import { once, type Work } from './work.ts'

const DAY_MS = 24 * 60 * 60 * 1000

test('the result of a call is kept for a week under its requestId, and the table does not grow for ever', () => {
  const folder = mkdtempSync(join(tmpdir(), 'wochat-work-'))
  const db = new Database(join(folder, 'wochat.sqlite'))
  try {
    db.migrate()
    const accounts = new AccountsIndex(db)
    const policy = { ...DEFAULT_POLICY, contactsRequired: true }
    const work: Work = { db, accounts, logs: new Logs(db, accounts, policy), policy, now: 0, feed: [] }
    let effects = 0
    const call = (requestId: string) =>
      once(work, 'op', { caller: { uid: 'alice' as UserId, device: null }, requestId }, () => ++effects)
    const first = call('first')
    work.now = 6 * DAY_MS
    expect(call('first')).toBe(first)
    for (let day = 0; day < 60; day++) {
      work.now += DAY_MS
      call(`day ${day}`)
    }
    expect(db.prepare('select count(*) as kept from request').get()).toEqual({ kept: 8 })
  } finally {
    db.close()
    rmSync(folder, { recursive: true })
  }
})
