/** Where the members of a group are: people spread over the nodes by a load balancer that knows nothing of groups. */

/** A generator of numbers in [0, 1) that repeats for one seed (mulberry32), so that every run prints the same tables. */
export function createRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Names as nodes give themselves: `name.life`. */
export function nameNodes(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `broker-${i}.${(i * 2654435761 + 97).toString(16)}`)
}

type Placement = {
  /** Index of the node of the member who sends; the sender is online. */
  sender: number
  /** Indexes of the nodes that hold an online member, each once: what `watchersOf` answers. */
  watchers: number[]
  onlineMembers: number
}

/** One group of `size` members, each of them online with a probability of `onlineShare`, on one of `nodes` nodes. */
export function placeGroup(
  { nodes, size, onlineShare }: { nodes: number; size: number; onlineShare: number },
  random: () => number,
): Placement {
  const sender = Math.floor(random() * nodes)
  const watching = new Set([sender])
  let onlineMembers = 1
  for (let member = 1; member < size; member++) {
    if (random() >= onlineShare) continue
    onlineMembers++
    watching.add(Math.floor(random() * nodes))
  }
  return { sender, watchers: [...watching], onlineMembers }
}
