/**
 * Removes files that nothing refers to, from the store and from storage, in small steps that any node may take at any
 * time. Rows say first that a file is going, then its bytes go, then the row: a crash in between is gone on from.
 */
import type { Logger } from 'pino'
import type { OperationStore } from '../store/contract.ts'
import type { MediaCursor } from '../store/operations/media/tasks.ts'
import { fileName, idOfName, isPart, type MediaStorage, partName, thumbnailName } from './storage.ts'

/** Rows that one step looks at. */
const STEP_ROWS = 200
/** Steps of one turn, while there is more to do. */
const STEPS_MAX = 20
/** Pages of storage that one turn looks through. */
const PAGES_MAX = 8
/** A file that nothing shows waits so long for a message that was on its way. */
const RETIRED_MS = 10 * 60 * 1000

type SweepParts = {
  store: Pick<OperationStore, 'perform'>
  storage: MediaStorage
  settings: { uploadExpiryMs: number; graceMs: number }
  log: Pick<Logger, 'info'>
  now?: () => number
}

interface MediaSweep {
  /** One turn. Rejects when store or storage fail; the next turn goes on. */
  turn(): Promise<void>
}

const BEGINNING: MediaCursor = { madeAt: 0, id: '' }

export function createMediaSweep({ store, storage, settings, log, now = Date.now }: SweepParts): MediaSweep {
  const { uploadExpiryMs, graceMs } = settings
  let after = BEGINNING
  let page: string | null = null

  /** True when there may be more to do at once. */
  async function sweepRows(): Promise<boolean> {
    const at = now()
    const { doomed, after: next } = await store.perform({
      task: 'sweepMedia',
      input: {
        after,
        uploadsBefore: at - uploadExpiryMs,
        unusedBefore: at - graceMs,
        retiredBefore: at - Math.min(RETIRED_MS, graceMs),
        limit: STEP_ROWS,
      },
    })
    after = next ?? BEGINNING
    for (const { id, parts } of doomed) {
      for (const part of parts) await storage.remove(partName(id, part))
      await storage.remove(thumbnailName(id))
      await storage.remove(fileName(id))
      await store.perform({ task: 'forgetMedia', input: { ids: [id] } })
    }
    if (doomed.length > 0) log.info({ files: doomed.length }, 'files that nothing refers to were removed')
    return next !== null || doomed.length === STEP_ROWS
  }

  /** What is in storage without a row, or was left of an upload; only what is older than an upload may be. */
  async function sweepStorage(): Promise<void> {
    const listed = await storage.list(page)
    page = listed.after
    const old = listed.objects.filter(({ at }) => at < now() - uploadExpiryMs)
    if (old.length === 0) return
    const ids = new Set(old.map(({ name }) => idOfName(name)).filter((id) => id !== undefined))
    const known = await store.perform({ task: 'knownMedia', input: { ids: [...ids] } })
    const states = new Map(known.map(({ id, state }) => [id, state]))
    const orphans = old.filter(({ name }) => {
      const state = states.get(idOfName(name) ?? '')
      return state === undefined || (state === 'ready' && isPart(name))
    })
    for (const { name } of orphans) await storage.remove(name)
    if (orphans.length > 0) log.info({ files: orphans.length }, 'remains of uploads were removed')
  }

  return {
    async turn() {
      for (let step = 0; step < STEPS_MAX; step++) if (!(await sweepRows())) break
      for (let pages = 0; pages < PAGES_MAX; pages++) {
        await sweepStorage()
        if (page === null) break
      }
    },
  }
}
