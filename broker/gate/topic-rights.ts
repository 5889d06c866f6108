/** What a connection may publish and subscribe besides the chat topics. */
import type { UserId } from '../../protocol/ids.ts'
import { isContractTopic, ownTopicPrefix } from '../../protocol/topics.ts'
import { filterCovers, filterMatches } from './codec/topic-filter.ts'

export type Acl = { readonly pub: readonly string[]; readonly sub: readonly string[] }

/** Every topic outside the contract and `$`: the open test profile. */
export const OPEN_ACL: Acl = { pub: ['#'], sub: ['#'] }

/** Whether a topic is plain MQTT that this user may publish: the own space, or granted by the token. */
export function mayPublish(uid: UserId | null, acl: Acl, topic: string): boolean {
  if (topic.startsWith('$')) return false
  if (isContractTopic(topic)) return uid !== null && isOwn(uid, topic)
  return acl.pub.some((grant) => filterMatches(grant, topic))
}

/** Whether a filter matches only topics that this user may read. A wildcard that reaches `u/` is refused. */
export function maySubscribe(uid: UserId | null, acl: Acl, filter: string): boolean {
  if (filter.startsWith('$')) return false
  if (isContractTopic(filter)) return uid !== null && isOwn(uid, filter)
  return acl.sub.some((grant) => filterCovers(grant, filter))
}

function isOwn(uid: UserId, topic: string): boolean {
  const prefix = ownTopicPrefix(uid)
  return topic.startsWith(prefix) && topic.length > prefix.length
}
