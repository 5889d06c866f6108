import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'

type Undo = () => void | Promise<void>

/** What is open right now, so that an interrupted bench leaves no process and no folder behind. */
const open = new Set<Undo>()
let leaving = false

/** @throws Error once the bench has been told to leave: nothing is opened that nobody would close any more. */
export function assertStaying(): void {
  if (leaving) throw new Error('interrupted')
}

/** Registers what undoes something; the result undoes it once, whoever asks first. */
export function onceOnLeave(undo: Undo): Undo {
  const once = async () => {
    if (open.delete(once)) await undo()
  }
  open.add(once)
  return once
}

async function leaveAll(): Promise<void> {
  leaving = true
  // The newest first: a process is ended before the folder it writes to is removed.
  for (const undo of [...open].reverse()) await undo()
}

export function leaveOnSignals(): void {
  for (const [signal, status] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    process.once(signal, () => {
      void leaveAll().finally(() => process.exit(status))
    })
  }
}

interface TemporaryFolder extends AsyncDisposable {
  readonly path: string
}

export function createTemporaryFolder(parent: string = os.tmpdir()): TemporaryFolder {
  assertStaying()
  const folder = fs.mkdtempSync(path.join(parent, 'wochat-bench-'))
  const remove = onceOnLeave(() => fs.rmSync(folder, { recursive: true, force: true }))
  return { path: folder, [Symbol.asyncDispose]: async () => remove() }
}
