/** Which bus this node speaks: none, or Redis. */
import type { Logger } from 'pino'
import type { Bus } from '../broker/cluster/bus.ts'
import { LocalBus } from '../broker/cluster/local-bus.ts'
import type { Config } from '../config.ts'
import { VERSION } from '../version.ts'

type BusParts = { config: Config; log: Logger; adminUrl: () => string | null }

export function openBus({ config, adminUrl }: BusParts): Bus {
  return new LocalBus({ name: config.nodeName, version: VERSION, roles: config.roles, adminUrl })
}
