/** CPU and memory of processes, as Linux tells them in /proc. */
import fs from 'node:fs'

/** Linux reports CPU time in ticks of this many per second, whatever the kernel's own timer does. */
const TICKS_PER_SECOND = 100

/** User and system seconds of all threads of the processes together; processes that are gone count as nothing. */
function cpuSecondsOf(pids: readonly number[]): number {
  return sum(pids, (pid) => {
    const [user, system] = readTicks(pid)
    return (user + system) / TICKS_PER_SECOND
  })
}

/** User and system seconds of a process and of all its children, those that have ended too (proc(5): cutime, cstime). */
function cpuSecondsOfTree(pid: number): number {
  const [user, system, endedUser, endedSystem] = readTicks(pid)
  const own = (user + system + endedUser + endedSystem) / TICKS_PER_SECOND
  return childrenOf(pid).reduce((total, child) => total + cpuSecondsOfTree(child), own)
}

function readTicks(pid: number): [user: number, system: number, endedUser: number, endedSystem: number] {
  const stat = readProc(pid, 'stat')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const ticks = (index: number) => Number(fields[index] ?? 0)
  return [ticks(11), ticks(12), ticks(13), ticks(14)]
}

function childrenOf(pid: number): number[] {
  // The children of a process are listed by the thread that made them; servers fork in their first one.
  return readProc(pid, `task/${pid}/children`).split(' ').filter(Boolean).map(Number)
}

export function rssKbOf(pids: readonly number[]): number {
  return sum(pids, (pid) => Number(/^VmRSS:\s+(\d+)/m.exec(readProc(pid, 'status'))?.[1] ?? 0))
}

function ownCpuSeconds(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e6
}

/** Names of parts of a server and the process that each is or descends from. */
export type Parts = ReadonlyMap<string, number>

/** Share of one core, in percent, that this process, the broker's and its parts used between construction and `stop`. */
export class CpuMeter {
  private readonly pids: readonly number[]
  private readonly parts: Parts
  private readonly startedMs = performance.now()
  private readonly ownAtStart = ownCpuSeconds()
  private readonly brokerAtStart: number
  private readonly partsAtStart: ReadonlyMap<string, number>

  constructor(pids: readonly number[], parts: Parts = new Map()) {
    this.pids = pids
    this.parts = parts
    this.brokerAtStart = cpuSecondsOf(pids)
    this.partsAtStart = this.readParts()
  }

  stop(): CpuShares {
    const seconds = (performance.now() - this.startedMs) / 1000
    const percent = (used: number) => Math.round((1000 * used) / seconds) / 10
    return {
      generator: percent(ownCpuSeconds() - this.ownAtStart),
      ...(this.pids.length === 0 ? {} : { broker: percent(cpuSecondsOf(this.pids) - this.brokerAtStart) }),
      ...Object.fromEntries(
        [...this.readParts()].map(([name, used]) => [name, percent(used - this.partsAtStart.get(name)!)]),
      ),
    }
  }

  private readParts(): Map<string, number> {
    return new Map([...this.parts].map(([name, pid]) => [name, cpuSecondsOfTree(pid)]))
  }
}

interface CpuShares {
  generator: number
  broker?: number
  /** By the name of a part. */
  [part: string]: number | undefined
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
