/** Packet ids of the engine's outgoing messages on one connection; the gate's own lie above. */
const ENGINE_PACKET_ID_MAX = 0x7fff

export class PacketIds {
  readonly #used = new Set<number>()
  #last = 0

  /** An id that is not in use; undefined when there is none. */
  take(): number | undefined {
    if (this.#used.size >= ENGINE_PACKET_ID_MAX) return undefined
    do this.#last = this.#last === ENGINE_PACKET_ID_MAX ? 1 : this.#last + 1
    while (this.#used.has(this.#last))
    this.#used.add(this.#last)
    return this.#last
  }

  /** Marks an id of an earlier connection of the session as in use. */
  reserve(id: number): void {
    this.#used.add(id)
  }

  free(id: number): void {
    this.#used.delete(id)
  }
}
