/** A disk that is nearly full: what is new is refused, what must still be written is written. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { WochatError } from '../../../protocol/errors.ts'
import { buildDirectLog, type DeviceId, type UserId } from '../../../protocol/ids.ts'
import type { Store } from '../contract.ts'
import { DEFAULT_POLICY } from '../policy.ts'
import { openSqliteStore } from './client.ts'

const ALICE = 'alice' as UserId
const PHONE = 'phone' as DeviceId

function open(file: string, diskReserveBytes: number): Promise<Store> {
  return openSqliteStore({
    file,
    policy: { ...DEFAULT_POLICY, contactsRequired: false },
    unfiledAgeMaxMs: 50,
    waitingSendsMax: 100,
    diskReserveBytes,
    onFatal: (error) => {
      throw error
    },
  })
}

/** The seq of an accepted send, or the code of its refusal. */
function send(store: Store, id: string): Promise<number | string> {
  return new Promise((resolve) => {
    store.send({
      uid: ALICE,
      device: PHONE,
      id,
      log: buildDirectLog(ALICE, ALICE),
      peer: ALICE,
      type: 'text',
      bodyJson: '{"text":"note"}',
      marks: null,
      accepted: (seq) => resolve(seq),
      refused: (error: WochatError) => resolve(error.code),
    })
  })
}

test('with less free disk than the reserve, sends are refused, devices can be revoked, and what was accepted stays', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'wochat-disk-'))
  const file = join(folder, 'wochat.db')
  try {
    {
      await using store = await open(file, 0)
      await store.checkLogin({ uid: ALICE, device: PHONE, sid: null, issuedAt: Date.now() })
      expect(await send(store, 'before')).toBe(1)
    }
    {
      await using store = await open(file, Number.MAX_SAFE_INTEGER)
      expect(await send(store, 'refused')).toBe('store_full')
      expect(await store.health()).toMatchObject({ writable: false, reason: 'the disk is full' })
      await store.revokeDevice({ uid: ALICE, device: PHONE })
    }
    await using store = await open(file, 0)
    const { entries, head } = await store.run({
      name: 'messages.page',
      caller: { uid: ALICE, device: null },
      params: { log: buildDirectLog(ALICE, ALICE) },
    })
    expect([head, entries.map((entry) => entry.id)]).toEqual([1, ['before']])
    const issuedAt = Date.now() - 60_000
    await expect(store.checkLogin({ uid: ALICE, device: PHONE, sid: null, issuedAt })).rejects.toMatchObject({
      code: 'revoked',
    })
  } finally {
    rmSync(folder, { recursive: true })
  }
})
