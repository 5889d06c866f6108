/** A typed list of listeners for a closed set of events. */
export class Events<Map extends Record<string, unknown>> {
  readonly #listeners = new globalThis.Map<keyof Map, Set<(value: never) => void>>()

  /** Returns what takes the listener away again. */
  on<Name extends keyof Map>(name: Name, listener: (value: Map[Name]) => void): () => void {
    const listeners = this.#listeners.get(name) ?? new Set()
    this.#listeners.set(name, listeners.add(listener))
    return () => void listeners.delete(listener)
  }

  emit<Name extends keyof Map>(name: Name, value: Map[Name]): void {
    for (const listener of this.#listeners.get(name) ?? []) listener(value as never)
  }
}
