import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'

export interface Machine {
  cpu: string
  cores: number
  memoryGb: number
  kernel: string
  node: string
}

export function describeMachine(): Machine {
  return {
    cpu: os.cpus()[0]?.model.trim() ?? 'unknown',
    cores: os.cpus().length,
    memoryGb: Math.round(os.totalmem() / 2 ** 30),
    kernel: `${os.type()} ${os.release()}`,
    node: process.version,
  }
}

/** The commit that was measured; `+` if tracked files differ from it. */
export function describeCommit(folder: string): string {
  const git = (...args: string[]) => execFileSync('git', args, { cwd: folder, encoding: 'utf8' }).trim()
  try {
    return git('rev-parse', 'HEAD') + (git('status', '--porcelain', '--untracked-files=no') === '' ? '' : '+')
  } catch {
    return 'unknown' // A release archive has no repository.
  }
}

export function findProgram(name: string): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/usr/local/sbin']
  return folders.map((folder) => `${folder}/${name}`).find((file) => fs.existsSync(file))
}

/** Busy and total ticks of all cores since boot. */
function cpuTicks(): { busy: number; total: number } {
  const times = os.cpus().map(({ times }) => times)
  const idle = times.reduce((sum, time) => sum + time.idle, 0)
  const total = times.reduce((sum, time) => sum + time.idle + time.user + time.nice + time.sys + time.irq, 0)
  return { busy: total - idle, total }
}

/** Percent of the machine that is in use over `ms`. */
async function sampleBusyPercent(ms = 300): Promise<number> {
  const before = cpuTicks()
  await new Promise((resolve) => setTimeout(resolve, ms))
  const after = cpuTicks()
  return Math.round((100 * (after.busy - before.busy)) / Math.max(1, after.total - before.total))
}

const QUIET_PERCENT = 10

/** Waits until nobody else uses the machine, at most so long, and returns how busy it still was. */
export async function waitForQuiet(secondsMax: number): Promise<number> {
  const end = performance.now() + secondsMax * 1000
  let busy = await sampleBusyPercent()
  while (busy > QUIET_PERCENT && performance.now() < end) busy = await sampleBusyPercent(1_000)
  return busy
}
