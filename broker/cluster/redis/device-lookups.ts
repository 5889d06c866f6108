/** Where devices are connected, as the routes in Redis say; what a dead node left there counts for nothing. */
import type { DeviceId, UserId } from '../../../protocol/ids.ts'
import { parseRoute, type Route, type Routes } from '../../../services/redis/routes.ts'
import type { Members } from './members.ts'

export class DeviceLookups {
  readonly #routes: Routes
  readonly #members: Members

  constructor(routes: Routes, members: Members) {
    this.#routes = routes
    this.#members = members
  }

  /** The live node that holds a device. */
  async holderOf(uid: UserId, device: DeviceId): Promise<string | undefined> {
    const [value] = await this.#routes.read([uid])
    const route = value ? parseRoute(value).find((line) => line.device === device) : undefined
    return route !== undefined && this.#members.isLive(route.node) ? route.node : undefined
  }

  /** In the order asked; of a user whose shard does not answer, none. */
  async ofMany(uids: readonly UserId[]): Promise<Route[][]> {
    const routes = (await this.#routes.read(uids)).map((value) => (value ? parseRoute(value) : []))
    const isLive = ({ node }: Route): boolean => this.#members.isLive(node)
    // A node that has just come is not in the list yet.
    if (!routes.flat().every(isLive)) await this.#members.refreshFromNow().catch(() => {})
    return routes.map((devices) => devices.filter(isLive))
  }
}
