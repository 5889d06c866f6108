/**
 * Lets messages be routed in the order in which they were numbered, although some wait for the store and others do
 * not. Aedes drops for a client whatever comes out of that order, as a duplicate.
 */
export class PublishOrder {
  readonly #waiting: { isReady: boolean; run: () => void }[] = []

  /** Messages that are not routed yet. */
  get length(): number {
    return this.#waiting.length
  }

  /** Takes a place; the function that it gives makes the place ready, and `run` is called when those before it have run. */
  enter(run: () => void): () => void {
    const place = { isReady: false, run }
    this.#waiting.push(place)
    return () => {
      place.isReady = true
      while (this.#waiting[0]?.isReady === true) this.#waiting.shift()!.run()
    }
  }
}
