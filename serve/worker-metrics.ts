/** `/metrics` of a server with workers: the sums over its processes, and how connections are spread over the workers. */
import { AggregatorRegistry, Gauge, type MetricObject, type MetricValue, Registry } from 'prom-client'

/** What one worker counts. */
export type WorkerReport = { worker: string; pid: number; metrics: MetricObject[] }

type WithValues = MetricObject & { values: MetricValue<string>[] }

/** The store's own figure of the primary counts these too. */
const COUNTED_BY_PRIMARY = new Set(['wochat_commit_waiting_sends'])
/** Sums would mean nothing. */
const WORST_OF_ALL = new Set(['wochat_event_loop_delay_seconds'])
const CONNECTIONS = 'wochat_connections'

export class WorkerMetrics extends Registry {
  readonly #own: Registry
  readonly #reports: () => Promise<WorkerReport[]>
  readonly #connections: Gauge<'worker' | 'pid'>

  /** `own`: of the primary; `reports`: of the workers that answer. */
  constructor(own: Registry, reports: () => Promise<WorkerReport[]>) {
    super()
    this.#own = own
    this.#reports = reports
    this.#connections = new Gauge({
      name: 'wochat_worker_connections',
      help: 'Open sockets of one worker process.',
      labelNames: ['worker', 'pid'],
      registers: [own],
    })
  }

  override async metrics(): Promise<string> {
    const reports = await this.#reports()
    this.#connections.reset()
    for (const { worker, pid, metrics } of reports) {
      this.#connections.set({ worker, pid: String(pid) }, connectionsIn(metrics))
    }
    const own = await this.#own.getMetricsAsJSON()
    const ofWorkers = reports.map(({ metrics }) =>
      metrics.filter(({ name }) => !COUNTED_BY_PRIMARY.has(name)),
    )
    const all = [own, ...ofWorkers].map((metrics) => metrics.map(chooseAggregator))
    return AggregatorRegistry.aggregate(all).metrics()
  }
}

function connectionsIn(metrics: MetricObject[]): number {
  const found = metrics.find(({ name }) => name === CONNECTIONS) as WithValues | undefined
  return found?.values[0]?.value ?? 0
}

function chooseAggregator(metric: MetricObject): MetricObject {
  return WORST_OF_ALL.has(metric.name) ? { ...metric, aggregator: 'max' } : metric
}
