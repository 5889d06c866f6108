import type { Addressing, Broker, BrokerName } from './broker.ts'
import type { ChatLoad } from './chat-load.ts'
import type { Generate, GeneratorOptions, GeneratorResult } from './generator.ts'

export interface Metric {
  name: string
  unit: string
  better: 'higher' | 'lower'
  digits: number
  target?: number
  /** The target as a part of what plain Aedes does in the same run. */
  targetOfAedes?: number
}

/** One run of a row on one broker: a fresh process and, for wochat, a fresh data folder. */
export interface RowContext {
  broker: Broker
  seconds: number
  /** Runs the workload that counts; in a cross-check with another generator. */
  flow(options: GeneratorOptions): Promise<GeneratorResult>
  generate: Generate
  /** Makes the calls of a chat. */
  call: (load: ChatLoad) => Promise<GeneratorResult>
}

export interface RowOutcome {
  /** By metric; the first metric is the row's headline. A broker may have no figure for one of the others. */
  values: Record<string, number>
  results: GeneratorResult[]
}

export interface Row {
  id: string
  title: string
  metrics: [Metric, ...Metric[]]
  /** Whom it is run on, of those that the bench was asked for. */
  brokers: readonly BrokerName[]
  /** Nodes that a broker of many nodes has. */
  nodes: number
  /** Can be run by the external generator too. */
  crossCheck?: boolean
  measure(context: RowContext): Promise<RowOutcome>
}

export const WARMUP_SECONDS = 1.5

export const perSecond = (name: string, target?: number): Metric => ({
  name,
  unit: '/s',
  better: 'higher',
  digits: 0,
  ...(target === undefined ? {} : { target }),
})
export const time = (name: string, unit: 'ms' | 's', target?: number): Metric => ({
  name,
  unit,
  better: 'lower',
  digits: 2,
  ...(target === undefined ? {} : { target }),
})

export function storm(
  generate: Generate,
  broker: Broker,
  people: Addressing,
  devices: number,
  more: GeneratorOptions = {},
): Promise<GeneratorResult> {
  return generate('storm', { ...at(broker), ...people, devices, persistent: true, ...more })
}

/** Everything at the first node. */
export function at({ nodes }: Broker): GeneratorOptions {
  return { port: nodes[0].port, pids: nodes.map(({ pid }) => pid).join() }
}

export function latency(result: GeneratorResult, percentile: 'p50' | 'p99'): number {
  return figure(result, 'latencyMs', percentile)
}

/** A figure of the result; NaN if the generator did not get so far, which `ok: false` explains. */
export function figure(result: GeneratorResult, name: string, part?: string): number {
  const value = result[name]
  const wanted = part === undefined ? value : (value as Record<string, unknown> | undefined)?.[part]
  return typeof wanted === 'number' ? wanted : Number.NaN
}
