import fs from 'node:fs'
import path from 'node:path'
import { Bench } from './bench.ts'
import { findProgram } from './machine.ts'
import { type BenchOptions, HELP, parseBenchOptions } from './options.ts'
import { renderMarkdown, renderText } from './render.ts'
import type { Report } from './report.ts'
import { leaveOnSignals } from './scope.ts'

try {
  await main()
} catch (error) {
  say(error instanceof Error ? error.message : String(error))
  process.exitCode = 2
}

async function main(): Promise<void> {
  const options = parseBenchOptions(process.argv.slice(2))
  if (options === 'help') process.stdout.write(HELP)
  else if (options.from === undefined) await bench(options)
  else print(JSON.parse(fs.readFileSync(options.from, 'utf8')) as Report, options)
}

async function bench(options: BenchOptions): Promise<void> {
  leaveOnSignals()
  const bench = new Bench(pinnable(options))
  const report = await bench.run()
  fs.mkdirSync(path.dirname(options.out), { recursive: true })
  fs.writeFileSync(options.out, `${JSON.stringify(report, undefined, 1)}\n`)
  print(report, options)
  say(`all figures: ${options.out}`)
  const failed = report.rows.some(({ contenders }) =>
    contenders.some(({ runs }) => runs.some((run) => !run.ok)),
  )
  if (failed) process.exitCode = 1
}

function pinnable(options: BenchOptions): BenchOptions {
  if (findProgram('taskset') !== undefined) return options
  say('taskset is not installed: nothing is pinned to a core')
  return { ...options, brokerCore: undefined, generatorCore: undefined }
}

function print(report: Report, { markdown }: BenchOptions): void {
  process.stdout.write(markdown ? renderMarkdown(report) : renderText(report))
}

function say(line: string): void {
  process.stderr.write(`${line}\n`)
}
