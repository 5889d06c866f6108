/** Searches have a thread and a connection of their own beside the one that commits. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { buildDirectLog, type UserId } from '../../../protocol/ids.ts'
import { until } from '../../../test/harness/wait.ts'
import type { Store } from '../contract.ts'
import { DEFAULT_POLICY } from '../policy.ts'
import { openSqliteStore } from './client.ts'

const ALICE = 'alice' as UserId
const CALLER = { uid: ALICE, device: null }
const LOG = buildDirectLog(ALICE, ALICE)

const search = (store: Store, query: string) =>
  store.run({ name: 'messages.search', caller: CALLER, params: { query } })

function send(store: Store, text: string): Promise<number> {
  return new Promise((resolve, reject) => {
    store.send({
      ...{ uid: ALICE, device: null, id: null, log: LOG, peer: ALICE, type: 'text', marks: null },
      bodyJson: JSON.stringify({ text }),
      accepted: resolve,
      refused: reject,
    })
  })
}

async function indexAll(store: Store): Promise<void> {
  while ((await store.perform({ task: 'indexMessages', input: { limit: 500 } })) > 0);
}

async function withStore(use: (store: Store) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'wochat-reader-'))
  try {
    await using store = await openSqliteStore({
      file: join(folder, 'wochat.sqlite'),
      policy: { ...DEFAULT_POLICY, contactsRequired: false },
      ...{ unfiledAgeMaxMs: 50, waitingSendsMax: 10_000, diskReserveBytes: 0 },
      onFatal: (error) => {
        throw error
      },
    })
    await use(store)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

test('a send is committed while a long search goes on', () =>
  withStore(async (store) => {
    await Promise.all(Array.from({ length: 3000 }, (_, i) => send(store, `note ${i}`)))
    await indexAll(store)
    // The thread has started. What is cleared is found, looked at and passed over, so that the next search is long.
    expect((await search(store, 'note')).items).not.toEqual([])
    await store.run({ name: 'conversations.clear', caller: CALLER, params: { log: LOG } })
    await until(() => sendsWhileSearching(store), 'a send to be committed before the search is answered')
  }))

/** Whether a send that is handed in after a search is committed before that is answered. */
async function sendsWhileSearching(store: Store): Promise<boolean> {
  let isSearching = true
  const searched = search(store, 'note').then(({ items }) => {
    isSearching = false
    return items
  })
  await send(store, 'in between')
  // Answers of one batch come together.
  await new Promise(setImmediate)
  const wasSearching = isSearching
  expect(await searched).toEqual([])
  return wasSearching
}

test('a search sees what was indexed before it', () =>
  withStore(async (store) => {
    for (const word of ['first', 'second', 'third']) {
      await send(store, word)
      await indexAll(store)
      expect((await search(store, word)).items).toHaveLength(1)
    }
  }))

test('a store that closes refuses the searches that wait, and ends', async () => {
  const answers: Promise<unknown>[] = []
  await withStore(async (store) => {
    for (let i = 0; i < 50; i++) answers.push(search(store, 'words').catch(({ code }) => code))
  })
  expect(await answers.at(-1)).toBe('shutting_down')
})

test('more searches than may wait are refused as busy, and those before are answered', () =>
  withStore(async (store) => {
    const answers = Array.from({ length: 101 }, () => search(store, 'words').catch(({ code }) => code))
    expect(await answers.at(-1)).toBe('busy')
    expect(await answers[0]).toEqual({ items: [] })
  }))

test('a search that is refused leaves the next one alone', () =>
  withStore(async (store) => {
    await expect(search(store, '...')).rejects.toMatchObject({ code: 'bad_request' })
    expect((await search(store, 'anything')).items).toEqual([])
  }))
