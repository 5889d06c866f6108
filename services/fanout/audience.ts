/**
 * Whom an entry of a group rings: the policy of the fan-out, without any input or output, so that the simulation in
 * `test/simulation/` decides with the same code as the workers.
 */

/** What reaches the watchers of a group: one doorbell to each of `nodes`, or one that every node hears. */
type Audience = { kind: 'nodes'; nodes: readonly string[] } | { kind: 'broadcast' }

export type AudiencePolicy = {
  /** `broadcastNodesMin` of the configuration. */
  broadcastNodesMin: number
}

/**
 * `watchers`: the nodes that hold a member, read after the entry was committed (docs/adr/0005-cluster.md). A watcher
 * that is not among the live nodes is rung as well: whether it lives is known only as of a moment ago, and a ring that
 * nobody hears costs little. `sender` rang its own devices when it committed; it is no part of the audience.
 *
 * One broadcast costs Redis and each node about what a ring to every live node would, but the worker only one
 * command. So it is taken when the rings would be many and at least half of the nodes have a use for it.
 */
export function chooseAudience(
  watchers: readonly string[],
  sender: string,
  liveNodes: number,
  { broadcastNodesMin }: AudiencePolicy,
): Audience {
  if (watchers.length >= broadcastNodesMin && watchers.length * 2 >= liveNodes) return { kind: 'broadcast' }
  return { kind: 'nodes', nodes: watchers.filter((node) => node !== sender) }
}
