/**
 * A signal: what a device says in passing on `u/{uid}/signal`, at QoS 0. It is kept nowhere and may be lost.
 *
 * ```
 * {"kind": "typing", "to": "bob"}    somebody is typing; `to` as in a send
 * {"kind": "foreground"}             a person looks at this device; what a connection begins with
 * {"kind": "background"}             it is connected, but nobody looks
 * ```
 */
import { WochatError } from './errors.ts'
import type { UserId } from './ids.ts'
import { parseTarget, type Target } from './send.ts'

type Signal = { kind: 'typing'; target: Target } | { kind: 'foreground' } | { kind: 'background' }

/** Reads a signal that is already parsed JSON. Throws {@link WochatError} `bad_json` or `bad_request`. */
export function readSignal(value: unknown, sender: UserId): Signal {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new WochatError('bad_json', 'a signal is a JSON object')
  }
  const { kind, to, ...others } = value as Record<string, unknown>
  if (Object.keys(others).length > 0) throw new WochatError('bad_request', 'unknown field in a signal')
  if (kind === 'typing') return { kind, target: readTarget(to, sender) }
  if (kind !== 'foreground' && kind !== 'background') {
    throw new WochatError('bad_request', 'kind: typing, foreground or background')
  }
  if (to !== undefined) throw new WochatError('bad_request', 'to: only of typing')
  return { kind }
}

function readTarget(to: unknown, sender: UserId): Target {
  const target = typeof to === 'string' ? parseTarget(to, sender) : undefined
  if (target === undefined)
    throw new WochatError('bad_request', 'to: not a uid, a group or a conversation of the sender')
  return target
}
