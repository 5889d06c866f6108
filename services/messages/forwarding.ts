/** Forwarding: copies of messages that the caller sees go the way of all messages, with a word on where they come from. */
import { createHash, randomUUID } from 'node:crypto'
import type { Params, Result } from '../../protocol/catalogue/catalogue.ts'
import { asWochatError, WochatError } from '../../protocol/errors.ts'
import { FORWARD_COPIES_MAX } from '../../protocol/limits.ts'
import { checkBody } from '../../protocol/message-types.ts'
import { parseTarget, type Target } from '../../protocol/send.ts'
import type { Caller, OperationStore } from '../store/contract.ts'
import type { Origin } from '../store/operations/messages/forwarding.ts'
import type { MessageSender } from './message-sender.ts'

/** What only made sense where the message was. */
const LEFT_BEHIND: ReadonlySet<string> = new Set(['mentions', 'replyTo', 'expire'])

type Copy = { type: string; body: Record<string, unknown> }

type ForwardParts = { store: Pick<OperationStore, 'perform'>; sender: MessageSender; payloadBytesMax: number }

/** Copies go out in the order of the log, to one target after the other; a refusal ends those to its target. */
export async function forwardMessages(
  { store, sender, payloadBytesMax }: ForwardParts,
  caller: Caller,
  { log, seqs, to, merged = false, title, requestId }: Params<'messages.forward'>,
): Promise<Result<'messages.forward'>> {
  const targets = to.map((name) => targetOf(name, caller))
  if ((merged ? 1 : seqs.length) * to.length > FORWARD_COPIES_MAX) {
    throw new WochatError('bad_request', `more than ${FORWARD_COPIES_MAX} copies`)
  }
  const origins = await store.perform({ task: 'readOrigins', input: { caller, log, seqs } })
  const copies = merged ? [mergedCopy(origins, title)] : origins.map(singleCopy)
  const sends = copies.map(({ type, body }) => {
    const bodyJson = JSON.stringify(body)
    if (Buffer.byteLength(bodyJson) > payloadBytesMax) throw new WochatError('too_large')
    return { type, bodyJson, marks: checkBody(type, body) }
  })
  const id = requestId === undefined ? randomUUID() : textHash(requestId)
  const items = []
  for (const [i, target] of targets.entries()) {
    const item: Result<'messages.forward'>['items'][number] = { to: to[i]!, seqs: [] }
    for (const [k, send] of sends.entries()) {
      try {
        item.seqs.push((await sender.send(caller, { ...send, id: `${id}.${i}.${k}`, target })).seq)
      } catch (error) {
        item.refused = asWochatError(error).code
        break
      }
    }
    items.push(item)
  }
  return { items }
}

function targetOf(name: string, caller: Caller): Target {
  const target = parseTarget(name, caller.uid)
  if (target === undefined) {
    throw new WochatError('bad_request', 'to: not a uid, a group or a conversation of the caller')
  }
  return target
}

function singleCopy({ from, at, type, body }: Origin): Copy {
  const copy = withoutPlace(body)
  // Of a copy of a copy, the first author counts; several messages together say themselves where each is from.
  if (copy.forwarded === undefined) copy.forwarded = [{ from, at }]
  return { type, body: copy }
}

function mergedCopy(origins: readonly Origin[], title: string | undefined): Copy {
  const forwarded = origins.map(({ from, at, type, body }) => {
    const { forwarded: before, ...inner } = withoutPlace(body) as {
      forwarded?: Pick<Origin, 'from' | 'at'>[]
    }
    if (type === 'forward') return { from, at, type, body: { ...inner, forwarded: before } }
    return { from, at, ...before?.[0], type, body: inner }
  })
  return { type: 'forward', body: { ...(title !== undefined && { title }), forwarded } }
}

function withoutPlace(body: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(body).filter(([field]) => !LEFT_BEHIND.has(field)))
}

/** As long as an id may be once the places of a copy are added. */
function textHash(text: string): string {
  return createHash('sha256').update(text).digest('base64url')
}
