/** Topic names by level: finds those that a filter matches (section 4.7), without a look at the others. */
import { countLevels } from '../gate/codec/topic-filter.ts'

/** What a level costs in memory at most: a node, its Map and its entry in the one above. */
const LEVEL_BYTES = 240

type Node = { readonly children: Map<string, Node>; topic: string | null }

export class TopicTree {
  readonly #root: Node = { children: new Map(), topic: null }
  size = 0
  /** Memory that the tree takes, estimated from above. */
  bytes = 0

  clear(): void {
    this.#root.children.clear()
    this.size = 0
    this.bytes = 0
  }

  has(topic: string): boolean {
    let node: Node | undefined = this.#root
    for (const level of topic.split('/')) node = node?.children.get(level)
    return node?.topic === topic
  }

  add(topic: string): void {
    let node = this.#root
    for (const level of topic.split('/')) {
      let child = node.children.get(level)
      if (child === undefined) {
        child = { children: new Map(), topic: null }
        node.children.set(level, child)
      }
      node = child
    }
    if (node.topic !== null) return
    node.topic = topic
    this.size++
    this.bytes += costOf(topic)
  }

  delete(topic: string): void {
    const levels = topic.split('/')
    const path = [this.#root]
    for (const level of levels) {
      const child = path.at(-1)!.children.get(level)
      if (child === undefined) return
      path.push(child)
    }
    const last = path.at(-1)!
    if (last.topic === null) return
    last.topic = null
    this.size--
    this.bytes -= costOf(topic)
    for (let i = levels.length; i > 0; i--) {
      const node = path[i]!
      if (node.children.size > 0 || node.topic !== null) break
      path[i - 1]!.children.delete(levels[i - 1]!)
    }
  }

  /** Names that a valid filter matches. The tree may change while this is read: such names may come or not. */
  matching(filter: string): Generator<string> {
    return walk(this.#root, filter.split('/'), 0)
  }
}

/** Bytes that a name adds to {@link TopicTree.bytes}. */
export function costOf(topic: string): number {
  return 2 * topic.length + LEVEL_BYTES * countLevels(topic)
}

function* walk(node: Node, levels: string[], at: number): Generator<string> {
  const level = levels[at]
  if (level === undefined) {
    if (node.topic !== null) yield node.topic
    return
  }
  if (level === '#') {
    yield* all(node, at === 0)
    return
  }
  if (level !== '+') {
    const child = node.children.get(level)
    if (child !== undefined) yield* walk(child, levels, at + 1)
    return
  }
  for (const [name, child] of node.children) {
    if (at > 0 || !name.startsWith('$')) yield* walk(child, levels, at + 1)
  }
}

function* all(node: Node, isFirst: boolean): Generator<string> {
  if (node.topic !== null) yield node.topic
  for (const [name, child] of node.children) {
    // A wildcard in the first level does not stand for a level that starts with `$` [MQTT-4.7.2-1].
    if (!isFirst || !name.startsWith('$')) yield* all(child, false)
  }
}
