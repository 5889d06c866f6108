/** The configuration on its way to a worker: read once, by the primary, and the same for every life of a worker. */
import { type Config, Secret } from '../config.ts'

const SECRET = 'secret'

type Packed = readonly (readonly [string, unknown])[]

/** The configuration of one of `workers` workers: bounds on all connections are shared out among them. */
export function configOfWorker(config: Config, slot: number): Config {
  const share = (value: number) => Math.ceil(value / config.workers)
  return {
    ...config,
    nodeName: `${config.nodeName}-${slot}`,
    connectionsMax: share(config.connectionsMax),
    connectsPerAddressMax: share(config.connectsPerAddressMax),
  }
}

/** A form that can be cloned; secrets are in it as they are. */
export function packConfig(config: Config): Packed {
  return Object.entries(config).map(([name, value]) =>
    value instanceof Secret ? [name, { [SECRET]: value.reveal() }] : [name, value],
  )
}

export function unpackConfig(packed: Packed): Config {
  const values = packed.map(([name, value]) => [name, isSecret(value) ? new Secret(value[SECRET]) : value])
  return Object.fromEntries(values) as Config
}

function isSecret(value: unknown): value is { [SECRET]: string } {
  return typeof value === 'object' && value !== null && SECRET in value
}
