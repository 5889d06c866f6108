/** One thing for most keys, a few for some: a set per key would cost most users more than what is in it. */
export class Few<Key, Value extends object> {
  readonly #values = new Map<Key, Value | Set<Value>>()

  add(key: Key, value: Value): void {
    const known = this.#values.get(key)
    if (known === undefined) this.#values.set(key, value)
    else if (known instanceof Set) known.add(value)
    else if (known !== value) this.#values.set(key, new Set([known, value]))
  }

  delete(key: Key, value: Value): void {
    const known = this.#values.get(key)
    if (known === value) this.#values.delete(key)
    if (!(known instanceof Set)) return
    known.delete(value)
    if (known.size === 0) this.#values.delete(key)
  }

  /** Calls `visit` with each value of a key, in the order of adding. */
  each(key: Key, visit: (value: Value) => void): void {
    const known = this.#values.get(key)
    if (known === undefined) return
    if (known instanceof Set) for (const value of [...known]) visit(value)
    else visit(known)
  }
}
