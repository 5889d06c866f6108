/**
 * The stored sessions and their subscriptions, in memory: some 500 bytes each. The store holds the same; this is
 * filled from it at the start and follows each commit.
 */
import type { PlainSubscription } from '../../services/store/plain.ts'
import type { Qos } from '../gate/codec/constants.ts'
import { filterMatches } from '../gate/codec/topic-filter.ts'
import { FilterTree } from './filter-tree.ts'

export type StoredSubscription = PlainSubscription & { clientId: string }

/** How one client gets one message. */
export type Match = { qos: Qos; retain: boolean; identifiers: number[] }

export class SessionIndex {
  readonly #sessions = new Map<string, Map<string, StoredSubscription>>()
  /** Subscriptions of QoS 1 and 2: what queues go by. */
  readonly #tree = new FilterTree<StoredSubscription>()

  clear(): void {
    for (const clientId of [...this.#sessions.keys()]) this.end(clientId)
  }

  /** Makes a session what it is in the store; null: gone. */
  replace(clientId: string, subscriptions: readonly PlainSubscription[] | null): void {
    this.end(clientId)
    if (subscriptions === null) return
    this.open(clientId)
    for (const subscription of subscriptions) this.add(clientId, subscription)
  }

  has(clientId: string): boolean {
    return this.#sessions.has(clientId)
  }

  /** Sessions that have a subscription. */
  get subscribers(): number {
    let count = 0
    for (const subscriptions of this.#sessions.values()) if (subscriptions.size > 0) count++
    return count
  }

  get queueing(): number {
    return this.#tree.size
  }

  open(clientId: string): Map<string, StoredSubscription> {
    let session = this.#sessions.get(clientId)
    if (session === undefined) {
      session = new Map()
      this.#sessions.set(clientId, session)
    }
    return session
  }

  add(clientId: string, subscription: PlainSubscription): void {
    const stored = { ...subscription, clientId }
    this.open(clientId).set(subscription.filter, stored)
    if (subscription.qos > 0) this.#tree.set(subscription.filter, clientId, stored)
    else this.#tree.delete(subscription.filter, clientId)
  }

  remove(clientId: string, filter: string): void {
    this.#sessions.get(clientId)?.delete(filter)
    this.#tree.delete(filter, clientId)
  }

  end(clientId: string): void {
    for (const filter of this.of(clientId).keys()) this.#tree.delete(filter, clientId)
    this.#sessions.delete(clientId)
  }

  /** Subscriptions of a session by filter; empty when there is none. */
  of(clientId: string): ReadonlyMap<string, StoredSubscription> {
    return this.#sessions.get(clientId) ?? NONE
  }

  subscribersOf(filter: string): string[] {
    return [...this.#sessions].filter(([, session]) => session.has(filter)).map(([clientId]) => clientId)
  }

  match(topic: string): StoredSubscription[] {
    return this.#tree.match(topic)
  }

  /** Who a message of this QoS must wait for, once each, however many of its subscriptions match. */
  targets(topic: string, qos: Qos, retain: boolean, from: string | null): Map<string, Match> {
    const targets = new Map<string, Match>()
    for (const subscription of this.#tree.match(topic)) {
      if (subscription.nl === true && subscription.clientId === from) continue
      merge(targets, subscription, qos, retain)
    }
    return targets
  }
}

const NONE: ReadonlyMap<string, StoredSubscription> = new Map()

function merge(
  targets: Map<string, Match>,
  { clientId, qos: granted, rap, identifier }: StoredSubscription,
  qos: Qos,
  retain: boolean,
): void {
  let match = targets.get(clientId)
  if (match === undefined) {
    match = { qos: 0, retain: false, identifiers: [] }
    targets.set(clientId, match)
  }
  // The highest of the QoS that were granted [MQTT-3.3.4-2], and all identifiers [MQTT-3.3.4-4].
  match.qos = Math.max(match.qos, Math.min(granted, qos)) as Qos
  match.retain ||= retain && rap === true
  if (identifier !== undefined) match.identifiers.push(identifier)
}

/** How a client with these subscriptions gets a message; null when none of them matches. */
export function matchAmong(
  subscriptions: Iterable<StoredSubscription>,
  topic: string,
  qos: Qos,
  retain: boolean,
  from: string | null,
): Match | null {
  const targets = new Map<string, Match>()
  for (const subscription of subscriptions) {
    if (subscription.nl === true && subscription.clientId === from) continue
    if (filterMatches(subscription.filter, topic)) merge(targets, subscription, qos, retain)
  }
  return targets.values().next().value ?? null
}
