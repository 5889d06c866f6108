/**
 * Routes: which node holds which device of a user. One string per user, its lines `node device session generation order`,
 * changed by scripts only. Device ids and node ids have no spaces.
 */
import type { DeviceId, UserId } from '../../protocol/ids.ts'
import { type Keys, ROUTE_LIFE_MS } from './keys.ts'
import type { RedisClient } from './redis.ts'
import { Script } from './script.ts'
import { runBySlot } from './slots.ts'

type RouteClaim = {
  uid: UserId
  device: DeviceId
  /** The store's session; null for a clean one. */
  session: number | null
  generation: number
  /** Microseconds of Redis TIME; 0 for a new claim. */
  order: number
}

export type ClaimAnswer = {
  held: boolean
  /** Of the claim that holds the device now. */
  order: number
  /** The other node that held it or holds it. */
  other: string | null
}

export type Route = { node: string; device: DeviceId }

export class Routes {
  readonly #client: RedisClient
  readonly #keys: Keys
  readonly #claimScript = new Script<string[]>('claim-devices')
  readonly #releaseScript = new Script<number>('release-devices')

  constructor(client: RedisClient, keys: Keys) {
    this.#client = client
    this.#keys = keys
  }

  /** Claims for `node`, in the order given. An answer is null where Redis gave none: it may have been taken or not. */
  async claim(node: string, claims: readonly RouteClaim[]): Promise<(ClaimAnswer | null)[]> {
    const answers = new Array<ClaimAnswer | null>(claims.length).fill(null)
    await this.#bySlot(uidsOf(claims), async (keys, group) => {
      const args = group.flatMap((i) => {
        const { device, session, generation, order } = claims[i]!
        return [device, session ?? '-', generation, order]
      })
      const answer = await this.#claimScript.run(this.#client, keys, [node, ROUTE_LIFE_MS, ...args])
      group.forEach((i, at) => {
        const [state, order, other] = answer.slice(at * 3, at * 3 + 3)
        answers[i] = { held: state === 'held', order: Number(order), other: other || null }
      })
    })
    return answers
  }

  /** Gives up what is still held by the same claim; answers the claims of which Redis did not say that it is done. */
  async release<Claim extends Pick<RouteClaim, 'uid' | 'device' | 'order'>>(
    node: string,
    claims: readonly Claim[],
  ): Promise<Claim[]> {
    const open = new Set(claims)
    await this.#bySlot(uidsOf(claims), async (keys, group) => {
      const args = group.flatMap((i) => [claims[i]!.device, claims[i]!.order])
      await this.#releaseScript.run(this.#client, keys, [node, ...args])
      for (const i of group) open.delete(claims[i]!)
    })
    return [...open]
  }

  /** The routes of users as they are stored: null where there is none, undefined where Redis did not answer. */
  async read(uids: readonly UserId[]): Promise<(string | null | undefined)[]> {
    const values = new Array<string | null | undefined>(uids.length).fill(undefined)
    await this.#bySlot(uids, async (keys, group) => {
      const answer = await this.#client.commands.mget(keys)
      for (let at = 0; at < group.length; at++) values[group[at]!] = answer[at]!
    })
    return values
  }

  /** A command that fails leaves its answers as they are. */
  async #bySlot(
    uids: readonly UserId[],
    run: (keys: string[], group: readonly number[]) => Promise<void>,
  ): Promise<void> {
    const keys = uids.map((uid) => this.#keys.route(uid))
    await Promise.allSettled(runBySlot(this.#client, keys, run))
  }
}

const uidsOf = (claims: readonly { uid: UserId }[]): UserId[] => claims.map(({ uid }) => uid)

export function parseRoute(value: string): Route[] {
  return value.split('\n').map((line) => {
    const [node = '', device = ''] = line.split(' ', 2)
    return { node, device: device as DeviceId }
  })
}

/** Adds the nodes of a route to a list that has none of them twice. */
export function collectNodes(value: string, nodes: string[]): void {
  for (let at = 0; at < value.length; ) {
    const node = value.slice(at, value.indexOf(' ', at))
    if (!nodes.includes(node)) nodes.push(node)
    const end = value.indexOf('\n', at)
    if (end < 0) return
    at = end + 1
  }
}
