/** Which worker holds which device: the routes of the processes of one machine, in one table. */
import type { ClientId, DeviceId, UserId } from '../../../protocol/ids.ts'
import type { DeviceClaim, NodeId } from '../bus.ts'

/** A claim as its worker numbered it: a device may come back to a worker before its earlier connection has left. */
export type NumberedClaim = { n: number; claim: DeviceClaim }

export type Holder = NumberedClaim & { node: NodeId }

export class DeviceClaims {
  readonly #holders = new Map<ClientId, Holder>()
  readonly #byUser = new Map<UserId, Set<Holder>>()
  #order = 0

  /** Null: another claim holds the device. `loser`: the claim of another worker that does not hold it any more. */
  claim(node: NodeId, { n, claim }: NumberedClaim): { order: number; loser: Holder | null } | null {
    const holder = this.#holders.get(claim.clientId)
    if (holder !== undefined && winsOver(holder.claim, claim)) return null
    if (holder !== undefined) this.#remove(holder)
    this.#add({ node, n, claim: { ...claim, order: ++this.#order } })
    return { order: this.#order, loser: holder !== undefined && holder.node !== node ? holder : null }
  }

  release(node: NodeId, clientId: ClientId, n: number): void {
    const holder = this.#holders.get(clientId)
    if (holder?.node === node && holder.n === n) this.#remove(holder)
  }

  find(clientId: ClientId): Holder | undefined {
    return this.#holders.get(clientId)
  }

  ofUser(uid: UserId): { device: DeviceId; node: NodeId }[] {
    return [...(this.#byUser.get(uid) ?? [])].map(({ claim, node }) => ({ device: claim.device, node }))
  }

  /** The worker is gone, and holds nothing any more. */
  drop(node: NodeId): void {
    for (const holder of [...this.#holders.values()]) if (holder.node === node) this.#remove(holder)
  }

  #add(holder: Holder): void {
    this.#holders.set(holder.claim.clientId, holder)
    const { uid } = holder.claim
    const ofUser = this.#byUser.get(uid)
    if (ofUser === undefined) this.#byUser.set(uid, new Set([holder]))
    else ofUser.add(holder)
  }

  #remove(holder: Holder): void {
    const { clientId, uid } = holder.claim
    this.#holders.delete(clientId)
    const ofUser = this.#byUser.get(uid)
    ofUser?.delete(holder)
    if (ofUser?.size === 0) this.#byUser.delete(uid)
  }
}

/** Of two claims to one stored session the higher generation wins, else the later claim (docs/adr/0005-cluster.md). */
function winsOver(holder: DeviceClaim, later: DeviceClaim): boolean {
  return holder.session !== null && holder.session === later.session && holder.generation > later.generation
}
