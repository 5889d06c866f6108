/** What no client may reach through the engine, whatever the gate let pass: a second wall. */
import type { UserId } from '../../protocol/ids.ts'
import { CONTRACT_ROOT } from '../../protocol/topics.ts'

const OWN_LEVEL = 'own'

/** Whether a message of this topic may be sent by, or delivered to, this client. */
export function mayUseTopic(clientId: string, topic: string): boolean {
  if (topic.startsWith('$')) return false
  const levels = topic.split('/', 4)
  if (levels[0] !== CONTRACT_ROOT) return true
  const slash = clientId.indexOf('/')
  return slash > 0 && levels[1] === clientId.slice(0, slash) && levels[2] === OWN_LEVEL && levels.length === 4
}

/** The user whose own space a topic lies in; null for an application topic. */
export function ownerOf(topic: string): UserId | null {
  const [root, uid, space] = topic.split('/', 3)
  return root === CONTRACT_ROOT && space === OWN_LEVEL ? (uid as UserId) : null
}

/**
 * Whether a client may subscribe a filter. One that begins with a wildcard may, and {@link mayUseTopic} keeps from it
 * what is not the client's.
 */
export function mayUseFilter(clientId: string, filter: string): boolean {
  // Aedes keeps filters as keys of plain objects.
  return filter !== '__proto__' && mayUseTopic(clientId, filter)
}
