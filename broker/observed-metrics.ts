/** Metrics that are read when they are asked for, so that what they count costs nothing but the counting. */
import { Counter, Gauge, type Registry } from 'prom-client'

type Add = (name: string, help: string, read: () => number) => void

/** What adds to one registry; `read` answers the present value, of a counter the sum since the start. */
export type ObservedMetrics = { registry: Registry; gauge: Add; counter: Add }

export function observedMetrics(registry: Registry): ObservedMetrics {
  const registers = [registry]
  return {
    registry,
    gauge: (name, help, read) => {
      new Gauge({
        name,
        help,
        registers,
        collect() {
          this.set(read())
        },
      })
    },
    counter: (name, help, read) => {
      new Counter({
        name,
        help,
        registers,
        collect() {
          this.reset()
          this.inc(read())
        },
      })
    },
  }
}
