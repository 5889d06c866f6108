import path from 'node:path'
import { type Broker, type BrokerName, CLUSTER_BROKERS } from './broker.ts'
import { cGenerator } from './c-generator.ts'
import { callChat } from './chat-generator.ts'
import { canStartPostgres, canStartRedis } from './engines.ts'
import { ownGenerator } from './generator.ts'
import { describeCommit, describeMachine, findProgram, waitForQuiet } from './machine.ts'
import type { BenchOptions } from './options.ts'
import { startAedes, startAedesRedis, startMosquitto } from './plain-brokers.ts'
import type { Contender, Report, RowReport, Run } from './report.ts'
import { at, type Row, type RowContext } from './row.ts'
import { createTemporaryFolder } from './scope.ts'
import { TokenOffice, TrustedIssuer } from './tokens.ts'
import { startWochat, startWochatCluster } from './wochat.ts'

const ROOT = path.join(import.meta.dirname, '../..')
const LOG_LINES_SHOWN = 20

/** Runs every row on every broker and gathers the report. */
export class Bench {
  private readonly options: BenchOptions
  private readonly generate
  private readonly issuer = new TrustedIssuer()

  constructor(options: BenchOptions) {
    const wanted = new Set(options.rows.flatMap(({ brokers }) => brokers))
    const brokers = options.brokers.filter((name) => wanted.has(name) && isInstalled(name))
    this.options = { ...options, brokers }
    this.generate = ownGenerator(options.generatorCore)
  }

  async run(): Promise<Report> {
    const { options } = this
    await using tokens = createTemporaryFolder(options.folder)
    const office = new TokenOffice(tokens.path)
    const report: Report = {
      startedAt: new Date().toISOString(),
      command: `npm run bench -- ${process.argv.slice(2).join(' ')}`.trim(),
      commit: describeCommit(ROOT),
      machine: describeMachine(),
      pinned: { brokerCore: options.brokerCore ?? null, generatorCore: options.generatorCore ?? null },
      runs: options.runs,
      seconds: options.seconds,
      rows: [],
    }
    for (const row of options.rows) report.rows.push(await this.runRow(row, office))
    return report
  }

  /** The brokers take turns run by run, so that a busy moment of the machine does not hit one of them alone. */
  private async runRow(row: Row, office: TokenOffice): Promise<RowReport> {
    const contenders = this.contendersOf(row)
    for (let run = 1; run <= this.options.runs; run++) {
      for (const contender of contenders) {
        const outcome = await this.runOnce(row, contender, office)
        contender.runs.push(outcome)
        say(`${row.id} ${nameOf(contender)} run ${run}: ${describeRun(row, outcome)}`)
      }
    }
    return { id: row.id, title: row.title, metrics: row.metrics, contenders }
  }

  private contendersOf(row: Row): Contender[] {
    const generators =
      row.crossCheck && this.options.cLoadgen !== undefined ? (['own', 'c'] as const) : (['own'] as const)
    const brokers = this.options.brokers.filter((name) => row.brokers.includes(name))
    return brokers.flatMap((broker) => generators.map((generator) => ({ broker, generator, runs: [] })))
  }

  private async runOnce(row: Row, contender: Contender, office: TokenOffice): Promise<Run> {
    await using folder = createTemporaryFolder(this.options.folder)
    const busyPercentBefore = await waitForQuiet(this.options.quietSeconds)
    let log = ''
    try {
      await using broker = await this.startBroker(contender.broker, row, folder.path, office)
      try {
        const { values, results } = await row.measure(this.contextOf(broker, contender))
        const problems = results.flatMap((result) => (result.ok ? [] : result.problems))
        if (problems.length > 0) log = broker.logTail
        return { ok: problems.length === 0, problems, busyPercentBefore, values, results }
      } catch (error) {
        log = broker.logTail
        throw error
      }
    } catch (error) {
      const problem = error instanceof Error ? error.message : String(error)
      return { ok: false, problems: [problem], busyPercentBefore, values: {}, results: [] }
    } finally {
      if (log !== '') say(log.split('\n').slice(-LOG_LINES_SHOWN).join('\n'))
    }
  }

  private startBroker(name: BrokerName, row: Row, folder: string, office: TokenOffice): Promise<Broker> {
    const { generate } = this
    const start = { core: this.options.brokerCore, folder }
    switch (name) {
      case 'wochat':
        return startWochat({ ...start, office, generate, workers: this.options.workers })
      case 'aedes':
        return startAedes(start)
      case 'mosquitto':
        return startMosquitto(start)
      case 'wochat-cluster':
        return startWochatCluster({ ...start, issuer: this.issuer, generate, nodes: row.nodes })
      case 'aedes-redis':
        return startAedesRedis(name, { ...start, nodes: 1 })
      case 'aedes-redis-nodes':
        return startAedesRedis(name, { ...start, nodes: row.nodes })
    }
  }

  private contextOf(broker: Broker, contender: Contender): RowContext {
    const { cLoadgen, generatorCore, seconds } = this.options
    const external = contender.generator === 'c' ? cGenerator(cLoadgen!, generatorCore) : undefined
    return {
      broker,
      seconds,
      generate: this.generate,
      call: (load) => callChat(load, broker, generatorCore),
      flow: (flow) => (external ?? ((options) => this.generate('flow', options)))({ ...at(broker), ...flow }),
    }
  }
}

function isInstalled(name: BrokerName): boolean {
  const missing = missingFor(name)
  if (missing !== undefined) say(`${missing} is not installed: ${name} is left out`)
  return missing === undefined
}

function missingFor(name: BrokerName): string | undefined {
  if (name === 'mosquitto' && findProgram('mosquitto') === undefined) return 'mosquitto'
  const isCluster = CLUSTER_BROKERS.some((cluster) => cluster === name)
  if (isCluster && !canStartRedis()) return 'redis-server'
  return name === 'wochat-cluster' && !canStartPostgres() ? 'PostgreSQL' : undefined
}

function nameOf({ broker, generator }: Contender): string {
  return generator === 'c' ? `${broker} (other generator)` : broker
}

function describeRun(row: Row, run: Run): string {
  const values = row.metrics.flatMap(({ name, unit, digits }) => {
    const value = run.values[name]
    return value === undefined ? [] : [`${name} ${value.toFixed(digits)} ${unit}`]
  })
  const busy =
    run.busyPercentBefore > 10 ? ` (machine ${run.busyPercentBefore} % busy with other things)` : ''
  return (run.ok ? values.join(', ') : `FAILED: ${run.problems.join('; ')}`) + busy
}

function say(line: string): void {
  process.stderr.write(`${line}\n`)
}
