import { BROKER_NAMES, type BrokerName, OUR_BROKERS, YARDSTICKS } from './broker.ts'
import type { GeneratorResult } from './generator.ts'
import type { Machine } from './machine.ts'
import type { Metric } from './row.ts'

export interface Run {
  ok: boolean
  problems: string[]
  /** How much of the machine was in use just before, by others. */
  busyPercentBefore: number
  values: Record<string, number>
  results: GeneratorResult[]
}

export interface Contender {
  broker: BrokerName
  generator: 'own' | 'c'
  runs: Run[]
}

export interface RowReport {
  id: string
  title: string
  metrics: Metric[]
  contenders: Contender[]
}

export interface Report {
  startedAt: string
  command: string
  commit: string
  machine: Machine
  pinned: { brokerCore: number | null; generatorCore: number | null }
  runs: number
  seconds: number
  rows: RowReport[]
}

interface Spread {
  median: number
  min: number
  max: number
}

/** Of all runs; undefined as soon as one of them does not count. */
export function spreadOf(runs: readonly Run[], metric: string): Spread | undefined {
  const values = runs.map((run) => run.values[metric] ?? Number.NaN).toSorted((a, b) => a - b)
  if (values.length === 0 || runs.some((run) => !run.ok) || values.some(Number.isNaN)) return undefined
  const middle = values.length / 2
  const median = (values[Math.ceil(middle) - 1]! + values[Math.floor(middle)]!) / 2
  return { median, min: values[0]!, max: values.at(-1)! }
}

export interface Line {
  row: string
  title: string
  metric: string
  target: string
  verdict: 'met' | 'missed' | ''
  wochat: string
  peers: Partial<Record<BrokerName, string>>
  toAedes: string
  crossCheck: string
  /** Highest CPU share of the generator with wochat, or with the first peer: near 100 it is the generator that was measured. */
  generatorCpu: string
}

export function linesOf(report: Report): Line[] {
  return report.rows.flatMap((row) => row.metrics.map((metric, index) => lineOf(row, metric, index === 0)))
}

const PEERS = BROKER_NAMES.filter((broker) => !OUR_BROKERS.includes(broker))

function lineOf(row: RowReport, metric: Metric, headline: boolean): Line {
  const runsOf = (brokers: readonly BrokerName[]) =>
    brokers.flatMap(
      (broker) => row.contenders.find((each) => each.broker === broker && each.generator === 'own') ?? [],
    )[0]?.runs ?? []
  const ours = runsOf(OUR_BROKERS)
  const wochat = spreadOf(ours, metric.name)
  const aedes = spreadOf(runsOf(YARDSTICKS), metric.name)
  const crossChecks = row.contenders.filter(({ generator }) => generator === 'c' && headline)
  return {
    row: headline ? row.id : '',
    title: headline ? row.title : '',
    metric: metric.name,
    target: targetText(metric),
    verdict: verdictOf(metric, wochat?.median, aedes?.median),
    wochat: cell(ours, metric),
    peers: Object.fromEntries(PEERS.map((broker) => [broker, cell(runsOf([broker]), metric)] as const)),
    toAedes: wochat && aedes ? (wochat.median / aedes.median).toFixed(2) : '',
    crossCheck: crossChecks.map(({ broker, runs }) => `${broker} ${cell(runs, metric)}`).join(', '),
    generatorCpu: headline ? generatorCpuOf(ours.length > 0 ? ours : runsOf(YARDSTICKS)) : '',
  }
}

function cell(runs: readonly Run[], metric: Metric): string {
  const hasNone = runs.every((run) => run.ok && run.values[metric.name] === undefined)
  if (hasNone) return ''
  const spread = spreadOf(runs, metric.name)
  if (spread === undefined) return 'failed'
  const [median, min, max] = [spread.median, spread.min, spread.max].map((value) =>
    formatNumber(value, metric.digits),
  )
  return runs.length === 1 ? median! : `${median} (${min}–${max})`
}

function targetText({ better, target, targetOfAedes, unit, digits }: Metric): string {
  const bound = better === 'higher' ? '≥' : '≤'
  if (targetOfAedes !== undefined) return `${bound} ${targetOfAedes} × Aedes`
  return target === undefined
    ? unit
    : `${bound} ${formatNumber(target, target < 1 ? 1 : Math.min(digits, 0))} ${unit}`
}

function verdictOf(metric: Metric, wochat: number | undefined, aedes: number | undefined): Line['verdict'] {
  const target =
    metric.targetOfAedes === undefined ? metric.target : (aedes ?? Number.NaN) * metric.targetOfAedes
  if (target === undefined || Number.isNaN(target) || wochat === undefined) return ''
  return (metric.better === 'higher' ? wochat >= target : wochat <= target) ? 'met' : 'missed'
}

function generatorCpuOf(runs: readonly Run[]): string {
  const shares = runs.flatMap(({ results }) => results.flatMap(generatorShares))
  return shares.length === 0 ? '' : `${Math.round(Math.max(...shares))} %`
}

function generatorShares(result: GeneratorResult): number[] {
  const parts = [result, result.enqueue, result.drain] as (
    | { cpuPercent?: { generator?: number } }
    | undefined
  )[]
  return parts.flatMap((part) => part?.cpuPercent?.generator ?? [])
}

function formatNumber(value: number, digits: number): string {
  return value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits })
}
