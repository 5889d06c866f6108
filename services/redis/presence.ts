/** Who is there: of each person a hash with what the nodes say, and which nodes follow; changed by scripts only. */
import type { UserId } from '../../protocol/ids.ts'
import { type NodePresence, PRESENCE_STATES, type PresencePart } from '../presence/ports.ts'
import { FOLLOW_LIFE_MS, type Keys, PRESENCE_LIFE_MS } from './keys.ts'
import type { RedisClient } from './redis.ts'
import { Script } from './script.ts'
import { runBySlot } from './slots.ts'

export type OwnPart = Omit<PresencePart, 'node'>

export class PresenceKeys {
  readonly #client: RedisClient
  readonly #keys: Keys
  readonly #putScript = new Script<string[]>('put-presence')
  readonly #readScript = new Script<string[]>('read-presence')

  constructor(client: RedisClient, keys: Keys) {
    this.#client = client
    this.#keys = keys
  }

  /** Writes what `node` says. Of each person the other nodes that follow; null where Redis did not answer. */
  async put(node: string, people: readonly (readonly [UserId, OwnPart])[]): Promise<(string[] | null)[]> {
    const answers = new Array<string[] | null>(people.length).fill(null)
    const uids = people.map(([uid]) => uid)
    await this.#bySlot(uids, async (keys, group) => {
      const args = group.flatMap((i) => {
        const { state, n, at } = people[i]![1]
        return [state, n, at]
      })
      const followers = await this.#putScript.run(this.#client, keys, [node, PRESENCE_LIFE_MS, ...args])
      group.forEach((i, at) => {
        answers[i] = followers[at]!.split(' ').filter((follower) => follower !== '')
      })
    })
    return answers
  }

  /** What all nodes say; null where Redis did not answer. `follow`: `node` follows from now on for a time. */
  async read(
    node: string,
    uids: readonly UserId[],
    { follow }: { follow: boolean },
  ): Promise<(PresencePart[] | null)[]> {
    const answers = new Array<PresencePart[] | null>(uids.length).fill(null)
    await this.#read(node, uids, follow ? FOLLOW_LIFE_MS : 0, (i, parts) => {
      answers[i] = parts
    })
    return answers
  }

  async unfollow(node: string, uids: readonly UserId[]): Promise<void> {
    await this.#read(node, uids, -1, () => {})
  }

  #read(
    node: string,
    uids: readonly UserId[],
    followMs: number,
    take: (i: number, parts: PresencePart[]) => void,
  ): Promise<void> {
    return this.#bySlot(uids, async (keys, group) => {
      const lines = await this.#readScript.run(this.#client, keys, [node, followMs, PRESENCE_LIFE_MS])
      group.forEach((i, at) => {
        take(i, parseParts(lines[at]!))
      })
    })
  }

  /** A command that fails leaves its answers as they are. */
  async #bySlot(
    uids: readonly UserId[],
    run: (keys: string[], group: readonly number[]) => Promise<void>,
  ): Promise<void> {
    const keys = uids.map((uid) => this.#keys.presence(uid))
    await Promise.allSettled(runBySlot(this.#client, keys, run))
  }
}

function parseParts(lines: string): PresencePart[] {
  return lines.split('\n').flatMap((line) => {
    const [node = '', state = '', n, at] = line.split(' ')
    if (!PRESENCE_STATES.includes(state as NodePresence)) return []
    return [{ node, state: state as NodePresence, n: Number(n), at: Number(at) }]
  })
}
