/** Subscriptions by topic filter: finds those that match a topic (section 4.7) without looking at the others. */

type Node<Value> = {
  readonly children: Map<string, Node<Value>>
  /** Values of filters that end here, by their key. */
  values: Map<string, Value> | null
}

export class FilterTree<Value> {
  readonly #root: Node<Value> = { children: new Map(), values: null }
  /** Values in the tree. */
  size = 0

  /** Adds the value of a key under a filter, or replaces it. */
  set(filter: string, key: string, value: Value): void {
    let node = this.#root
    for (const level of filter.split('/')) {
      let child = node.children.get(level)
      if (child === undefined) {
        child = { children: new Map(), values: null }
        node.children.set(level, child)
      }
      node = child
    }
    node.values ??= new Map()
    if (!node.values.has(key)) this.size++
    node.values.set(key, value)
  }

  delete(filter: string, key: string): void {
    const levels = filter.split('/')
    const path = [this.#root]
    for (const level of levels) {
      const child = path.at(-1)!.children.get(level)
      if (child === undefined) return
      path.push(child)
    }
    const { values } = path.at(-1)!
    if (values?.delete(key) !== true) return
    this.size--
    for (let i = levels.length; i > 0; i--) {
      const node = path[i]!
      if (node.children.size > 0 || (node.values?.size ?? 0) > 0) break
      path[i - 1]!.children.delete(levels[i - 1]!)
    }
  }

  /** Values of all filters that match a topic name; those with wildcards come first at each level. */
  match(topic: string): Value[] {
    const found: Value[] = []
    collect(this.#root, topic.split('/'), 0, topic.startsWith('$'), found)
    return found
  }
}

function collect<Value>(
  node: Node<Value>,
  levels: string[],
  at: number,
  isHidden: boolean,
  found: Value[],
): void {
  // A wildcard in the first level does not stand for a level that starts with `$` [MQTT-4.7.2-1].
  const isWild = at > 0 || !isHidden
  if (isWild) add(node.children.get('#'), found)
  if (at === levels.length) {
    add(node, found)
    return
  }
  const plus = isWild ? node.children.get('+') : undefined
  if (plus !== undefined) collect(plus, levels, at + 1, isHidden, found)
  const level = levels[at]!
  const exact = level === '+' || level === '#' ? undefined : node.children.get(level)
  if (exact !== undefined) collect(exact, levels, at + 1, isHidden, found)
}

function add<Value>(node: Node<Value> | undefined, found: Value[]): void {
  if (node?.values == null) return
  for (const value of node.values.values()) found.push(value)
}
