import fs from 'node:fs'

/** Linux reports CPU time in ticks of this many per second, whatever the kernel's own timer does. */
const TICKS_PER_SECOND = 100

/** User and system seconds of all threads of the processes together; processes that are gone count as nothing. */
export function cpuSecondsOf(pids: readonly number[]): number {
  return sum(pids, (pid) => {
    const stat = readProc(pid, 'stat')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) / TICKS_PER_SECOND
  })
}

export function rssKbOf(pids: readonly number[]): number {
  return sum(pids, (pid) => Number(/^VmRSS:\s+(\d+)/m.exec(readProc(pid, 'status'))?.[1] ?? 0))
}

export function ownCpuSeconds(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e6
}

/** Share of one core, in percent, that this process and the broker's used between construction and `stop`. */
export class CpuMeter {
  private readonly pids: readonly number[]
  private readonly startedMs = performance.now()
  private readonly ownAtStart = ownCpuSeconds()
  private readonly brokerAtStart: number

  constructor(pids: readonly number[]) {
    this.pids = pids
    this.brokerAtStart = cpuSecondsOf(pids)
  }

  stop(): CpuShares {
    const seconds = (performance.now() - this.startedMs) / 1000
    const percent = (used: number) => Math.round((1000 * used) / seconds) / 10
    return {
      generator: percent(ownCpuSeconds() - this.ownAtStart),
      ...(this.pids.length === 0 ? {} : { broker: percent(cpuSecondsOf(this.pids) - this.brokerAtStart) }),
    }
  }
}

export interface CpuShares {
  generator: number
  broker?: number
}

function readProc(pid: number, file: string): string {
  try {
    return fs.readFileSync(`/proc/${pid}/${file}`, 'utf8')
  } catch {
    return '' // The process is gone, or this is not Linux: the figure is left at zero, the run goes on.
  }
}

function sum(pids: readonly number[], figureOf: (pid: number) => number): number {
  return pids.reduce((total, pid) => total + figureOf(pid), 0)
}
