/** `storm`: everybody connects at once. */
import { sleepMs } from '../clock.ts'
import { Fleet } from '../fleet.ts'
import type { Options } from '../options.ts'
import { CpuMeter, rssKbOf } from '../process-stats.ts'
import { type Result, rounded } from '../result.ts'

/** A collection asked for by signal is over by then; a heap of 20,000 connections takes a tenth of it. */
const GC_MS = 1_500
/** The second one also gives back what the first has emptied. */
const COLLECTIONS = 2

/** Devices that connect and subscribe all at once and then stay idle: connects per second and memory per connection. */
export async function runStorm(options: Options, pids: readonly number[]): Promise<Result> {
  const lost: string[] = []
  const members = Array.from({ length: options.devices }, (_, number) => ({
    role: 'subscriber' as const,
    number,
    group: number,
  }))
  const fleet = new Fleet(options, members, {
    message: () => {},
    acknowledged: () => {},
    lost: (connection, reason) => lost.push(`connection ${connection.number} lost: ${reason}`),
  })
  try {
    const before = await settledMemoryKb(options, pids)
    const meter = new CpuMeter(pids)
    const seconds = await fleet.open(0, options.devices, { persistent: options.persistent, subscribe: true })
    const cpuPercent = meter.stop()
    await sleepMs(options.settle * 1000)
    const idle = rssKbOf(pids)
    const after = await settledMemoryKb(options, pids)
    const each = (kb: number) => rounded((kb - before) / options.devices, 2)
    return {
      mode: 'storm',
      label: options.label,
      ok: lost.length === 0,
      problems: lost.slice(0, 3),
      devices: options.devices,
      connecting: options.connecting,
      persistent: options.persistent,
      seconds: rounded(seconds, 3),
      connectsPerSecond: rounded(options.devices / seconds),
      connectMs: fleet.connectTimes.summaryMs(),
      cpuPercent,
      ...(pids.length === 0
        ? {}
        : { memoryKb: { before, idle, after }, kbPerDevice: each(idle), kbPerDeviceAfterGc: each(after) }),
    }
  } finally {
    await fleet.close()
  }
}

async function settledMemoryKb(options: Options, pids: readonly number[]): Promise<number> {
  if (options.gcSignal !== '' && pids[0] !== undefined) {
    for (let collection = 0; collection < COLLECTIONS; collection++) {
      process.kill(pids[0], options.gcSignal)
      await sleepMs(GC_MS)
    }
  }
  return rssKbOf(pids)
}
