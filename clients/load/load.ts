/** The load generator: `node load.ts <mode> [options]` runs one mode and prints its result. */
import { RUN_PATTERN, randomRun } from './marker.ts'
import { runFailover } from './modes/failover.ts'
import { runFlow } from './modes/flow.ts'
import { runOffline } from './modes/offline.ts'
import { runStorm } from './modes/storm.ts'
import { helpText, type Mode, type Options, parseOptions, UsageError } from './options.ts'
import type { Parts } from './process-stats.ts'
import { type Result, renderTable } from './result.ts'

const RATE_OF_LATENCY = 1_000
const EXIT_FAULTY = 1
const EXIT_NOT_RUN = 2

type Runner = (options: Options, pids: readonly number[], parts: Parts) => Promise<Result>

const RUNNERS: Record<Mode, Runner> = {
  flow: runFlow,
  latency: runFlow,
  storm: runStorm,
  offline: runOffline,
  failover: runFailover,
}

try {
  const options = parseOptions(process.argv.slice(2))
  if (options.help) process.stdout.write(helpText())
  else await run(options)
} catch (error) {
  report(error)
}

async function run(given: Options): Promise<void> {
  const options = { ...given, run: runOf(given), rate: rateOf(given) }
  const result = await RUNNERS[options.mode](options, parsePids(options.pids), parseParts(options.parts))
  if (!options.quiet) process.stderr.write(renderTable(result))
  process.stdout.write(`${JSON.stringify(result)}\n`)
  if (!result.ok) process.exitCode = EXIT_FAULTY
}

function report(error: unknown): void {
  const message = error instanceof Error ? error.message : String(error)
  process.stderr.write(
    `load: ${message}${error instanceof UsageError ? ' (--help lists the options)' : ''}\n`,
  )
  process.stdout.write(`${JSON.stringify({ ok: false, problems: [message] })}\n`)
  process.exitCode = EXIT_NOT_RUN
}

function runOf({ mode, phases, run }: Options): string {
  if (run !== '' && !RUN_PATTERN.test(run)) throw new UsageError('--run: four of A-Z a-z 0-9 _ -')
  const partial = mode === 'offline' && phases.includes('enqueue') !== phases.includes('drain')
  if (partial && run === '') throw new UsageError('enqueue and drain apart need the same --run')
  return run === '' ? randomRun() : run
}

function rateOf({ mode, rate }: Options): number {
  return mode === 'latency' && rate === 0 ? RATE_OF_LATENCY : rate
}

function parseParts(list: string): Parts {
  const pairs = list.split(',').filter((pair) => pair !== '')
  return new Map(
    pairs.map((pair) => {
      const [, name, pid] = /^([^=]+)=([1-9]\d*)$/.exec(pair) ?? []
      if (name === undefined) throw new UsageError(`--parts ${list}: name=pid expected`)
      return [name, Number(pid)]
    }),
  )
}

function parsePids(list: string): number[] {
  const pids = list
    .split(',')
    .filter((pid) => pid !== '')
    .map(Number)
  if (!pids.every((pid) => Number.isInteger(pid) && pid > 0))
    throw new UsageError(`--pids ${list}: process ids expected`)
  return pids
}
